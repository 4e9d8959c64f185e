"""JSON patch as Glance's v2 accepts it: three operations, and pointers of one or two steps."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..error_responses import Refused
from ..image import BASE, Image
from ..policy import enforce, enforce_visibility
from . import locations
from .checks import check, check_amounts
from .requests import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..http1 import JSON, ReceivedRequest
    from ..identity import Identity

READ_ONLY = frozenset(
    {
        "checksum",
        "created_at",
        "direct_url",
        "file",
        "id",
        "os_hash_algo",
        "os_hash_value",
        "schema",
        "self",
        "size",
        "status",
        "updated_at",
        "virtual_size",
    }
)
RESERVED = frozenset({"deleted", "deleted_at", "location"})
RESERVED_PREFIX = "os_glance"

_OPERATIONS = ("add", "remove", "replace")
_TYPES = (
    "application/openstack-images-v2.0-json-patch",
    "application/openstack-images-v2.1-json-patch",
)
_DEPTHS = {("locations", "add"): 2, ("locations", "remove"): 2}


@dataclass(frozen=True)
class Change:
    """One checked operation.

    Attributes:
        op: ``add``, ``remove`` or ``replace``.
        path: The steps of the JSON pointer.
        value: The new value; None for ``remove``.
        is_old: Whether the operation has the notation of v2.0, where ``add`` never replaces.
    """

    op: str
    path: tuple[str, ...]
    value: JSON
    is_old: bool


def parse(request: ReceivedRequest) -> list[Change]:
    """Read the operations in a PATCH request's body.

    Raises:
        Refused: 400, 403 or 415, as in Glance 33's ``RequestDeserializer.update``.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type not in _TYPES:
        allowed = ", ".join(_TYPES)
        detail = f"Image PATCH expects Content-Type one of: {allowed}"
        raise Refused(415, detail=detail, headers=(("Accept-Patch", allowed),))
    body = read_json(request)
    if not isinstance(body, list):
        raise Refused(400, "Request body must be a JSON array of operation objects.")
    return [_change(raw, is_old=content_type == _TYPES[0]) for raw in body]


def _change(raw: JSON, *, is_old: bool) -> Change:
    if not isinstance(raw, dict):
        raise Refused(400, "Operations must be JSON objects.")
    op, pointer = _old_operation(raw) if is_old else _operation(raw)
    path = _steps(pointer)
    if len(path) != _DEPTHS.get((path[0], op), 1):
        raise Refused(400, f"Invalid JSON pointer for this resource: '/{'/'.join(path)}'")
    if op != "remove" and "value" not in raw:
        raise Refused(400, f'Operation "{op}" requires a member named "value".')
    change = Change(op, path, raw.get("value"), is_old)
    _check(change)
    return change


def _operation(raw: Mapping[str, JSON]) -> tuple[str, str]:
    available = f"It must be one of the following: {', '.join(_OPERATIONS)}."
    op, path = raw.get("op"), raw.get("path")
    if op is None:
        raise Refused(400, f"Unable to find `op` in JSON Schema change. {available}")
    if op not in _OPERATIONS:
        raise Refused(400, f"Invalid operation: `{op}`. {available}")
    if not isinstance(path, str):
        raise Refused(400, "Unable to find 'path' in JSON Schema change")
    return str(op), path


def _old_operation(raw: Mapping[str, JSON]) -> tuple[str, str]:
    found = [(op, raw[op]) for op in _OPERATIONS if op in raw]
    if len(found) != 1:
        number = "exactly one" if not found else "only one"
        operations = '"add", "remove", or "replace".'
        raise Refused(400, f"Operation objects must contain {number} member named {operations}")
    return found[0][0], str(found[0][1])


def _steps(pointer: str) -> tuple[str, ...]:
    problem = None
    if not pointer.startswith("/"):
        problem = 'does not start with "/".'
    elif re.search(r"/\s*?/", pointer[1:]):
        problem = 'contains adjacent "/".'
    elif len(pointer) > 1 and pointer.endswith("/"):
        problem = 'end with "/".'
    elif re.search("~[^01]", pointer) or pointer.endswith("~"):
        problem = 'contains "~" not part of a recognized escape sequence.'
    if problem is not None:
        raise Refused(400, f"Pointer `{pointer}` {problem}")
    parts = pointer.lstrip("/").split("/")
    # In this order, so that ~01 becomes ~1 and not a slash (RFC 6901, section 4).
    return tuple(part.replace("~1", "/").replace("~0", "~").strip() for part in parts)


def _check(change: Change) -> None:
    root = change.path[0]
    if root in READ_ONLY:
        raise Refused(403, f"Attribute '{root}' is read-only.")
    if root in RESERVED or root.startswith(RESERVED_PREFIX):
        raise Refused(403, f"Attribute '{root}' is reserved.")
    if change.op != "remove":
        check({root: change.value if len(change.path) == 1 else [change.value]})


def check_permission(identity: Identity, image: Image, change: Change) -> None:
    """Refuse a change that the policies do not allow.

    Raises:
        Refused: 403 or 404.
    """
    root = change.path[0]
    if root == "locations":
        if change.op != "replace" or change.value:
            rule = "delete_image_location" if change.op == "remove" else "set_image_location"
            enforce(identity, rule, image)
        return
    if root == "owner" and change.op == "replace" and not identity.is_admin:
        raise Refused(403, detail="Owner can't be updated by non admin.")
    if root == "visibility":
        enforce_visibility(identity, change.value, image)
    enforce(identity, "modify_image", image)


def apply(image: Image, change: Change, *, show_locations: bool) -> Image:
    """Return the image after one change.

    Raises:
        Refused: 400, 403 or 409, as in Glance 33's ``ImagesController.update``.
    """
    root = change.path[0]
    if root == "locations":
        return locations.change(image, change.op, change.path, change.value, show=show_locations)
    if change.op == "remove":
        return _remove(image, root)
    known = root in BASE or root == "tags" or root in image.properties
    if known and change.op == "add" and change.is_old:
        raise Refused(409, detail=f"Property {root} already present.")
    if not known and change.op == "replace":
        raise Refused(409, detail=f"Property {root} does not exist.")
    return _put(image, root, change.value)


def with_tags(image: Image, tags: JSON) -> Image:
    """Return the image with the tags of a checked body."""
    names = tags if isinstance(tags, list) else []
    return replace(image, tags=tuple(sorted({str(name) for name in names})))


def _put(image: Image, root: str, value: JSON) -> Image:
    if root == "tags":
        return with_tags(image, value)
    if root not in BASE:
        return replace(image, properties={**image.properties, root: value})
    if root in ("container_format", "disk_format") and image.status not in ("queued", "importing"):
        raise Refused(403, f"Attribute {root} can be only replaced for a queued image.")
    check_amounts({root: value})
    return image.with_base(**{root: value})


def _remove(image: Image, root: str) -> Image:
    if root in BASE or root == "tags":
        raise Refused(403, detail=f"Property {root} may not be removed.")
    if root not in image.properties:
        raise Refused(409, detail=f"Property {root} does not exist.")
    rest = {name: value for name, value in image.properties.items() if name != root}
    return replace(image, properties=rest)
