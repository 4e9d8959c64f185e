"""``/v2/images``: create, show, update, delete, (de)activate and import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..error_responses import Refused
from ..http1 import JSON, ReceivedRequest, Response, make_json_response
from ..image import BASE, STORE, Image
from ..policy import enforce, enforce_visibility, forbid
from .checks import check, check_amounts, check_characters
from .imports import METHODS
from .patch import READ_ONLY, RESERVED, RESERVED_PREFIX, apply, check_permission, parse, with_tags
from .requests import find_image, read_json_object

if TYPE_CHECKING:
    from ..identity import Identity
    from ..images import Images

_LONGEST = 255
_FORBIDDEN = ("direct_url", "self", "file", "schema", "stores")
# Glance 33 treats these two as properties on creation; its own attributes then hide them.
_SETTABLE = tuple(name for name in BASE if name not in ("os_hash_algo", "os_hash_value"))


def show(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``GET /v2/images/{id}``."""
    image = find_image(images, request, image_id)
    enforce(request.identity, "get_image", image)
    if images.show_locations:
        return make_json_response(200, image.view(show_locations=True))
    return Response(200, image.json, "application/json")


def create(images: Images, request: ReceivedRequest) -> Response:
    """``POST /v2/images``."""
    body = read_json_object(request)
    for name in _FORBIDDEN:
        if name in body:
            raise Refused(403, f"Attribute '{name}' is read-only.")
    check(body)
    tags = body.pop("tags", [])
    base = {name: body.pop(name) for name in _SETTABLE if name in body}
    base.setdefault("owner", request.identity.project_id)
    _check_new(base, body)
    check_characters(base, body, tags)
    with images.lock:
        if images.is_used(str(base.get("id"))):
            raise Refused(409, f"Image ID {base['id']} already exists!")
        image = with_tags(images.new(base, body), tags)
        _check_creator(request.identity, image)
        images.limits.check_tags(len(image.tags))
        images.limits.check_properties(len(image.properties))
        images.put(image)
    view = image.view(show_locations=images.show_locations)
    headers = (
        ("Location", f"/v2/images/{image.id}"),
        ("OpenStack-image-import-methods", ",".join(METHODS)),
        ("OpenStack-image-store-ids", STORE),
    )
    return make_json_response(201, view, *headers)


def _check_new(base: dict[str, JSON], properties: dict[str, JSON]) -> None:
    for name in properties:
        if len(name) > _LONGEST:
            raise Refused(400, "Custom property should not be greater than 255 characters.")
        if name in RESERVED or name.startswith(RESERVED_PREFIX):
            raise Refused(403, detail=f"Attribute '{name}' is reserved.")
    for name in base:
        if name in READ_ONLY and name != "id":
            raise Refused(403, f"Attribute '{name}' is read-only.")
    if "locations" in properties:
        raise Refused(403, "Attribute 'locations' is reserved.")
    check_amounts(base)


def _check_creator(identity: Identity, image: Image) -> None:
    owner = image.base["owner"]
    if not identity.is_admin and owner != identity.project_id:
        raise Refused(403, detail=f"You are not permitted to create images owned by '{owner}'")
    if not identity.has("member"):
        forbid("add_image")
    enforce_visibility(identity, image.base["visibility"], image)


def update(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``PATCH /v2/images/{id}``."""
    changes = parse(request)
    with images.lock:
        image = find_image(images, request, image_id)
        for change in changes:
            check_permission(request.identity, image, change)
            image = apply(image, change, show_locations=images.show_locations)
        if changes:
            images.limits.check_tags(len(image.tags))
            images.limits.check_properties(len(image.properties))
            check_characters(image.base, image.properties, list(image.tags))
            image = images.save(image)
    return make_json_response(200, image.view(show_locations=images.show_locations))


def delete(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``DELETE /v2/images/{id}``."""
    with images.lock:
        problem = "Failed to find image {} to delete"
        image = find_image(images, request, image_id, problem=problem)
        enforce(request.identity, "delete_image", image)
        if image.base["protected"]:
            raise Refused(403, f"Image {image_id} is protected and cannot be deleted.")
        images.remove(image_id)
    return Response(204)


def deactivate(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``POST /v2/images/{id}/actions/deactivate``."""
    return _turn(images, request, image_id, "deactivate", "active", "deactivated")


def reactivate(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``POST /v2/images/{id}/actions/reactivate``."""
    return _turn(images, request, image_id, "reactivate", "deactivated", "active")


def _turn(
    images: Images, request: ReceivedRequest, image_id: str, doing: str, before: str, after: str
) -> Response:
    with images.lock:
        image = find_image(images, request, image_id)
        enforce(request.identity, doing, image)
        if image.status not in (before, after):
            raise Refused(403, f"Not allowed to {doing} image in status '{image.status}'")
        if image.status == before:
            images.save(image.with_base(status=after))
    return Response(204)
