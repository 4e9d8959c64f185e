"""The rest of Glance's Images API v2: members, tags, locations, actions and imports.

The names are those of python-glanceclient's ``v2`` controllers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from ...config.checks import format_value
from ...errors import InvalidMetadata, ProtocolError
from . import records, v2
from .list_size import ListSize
from .operation import Operation, Reply, Request, SkippedRecord, Wire, raise_first
from .records import Record, quote_id, quote_segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from .operation import Method


_T = TypeVar("_T")

_JSON = {"Content-Type": "application/json"}

MemberStatus = Literal["pending", "accepted", "rejected"]


def list_members(image_id: str) -> Operation[list[Record]]:
    """List the projects that an image is shared with."""
    path = f"{_image_path(image_id)}/members"
    room = ListSize(None)
    skipped: list[SkippedRecord] = []

    def perform(wire: Wire) -> list[Record]:
        reply = room.read(wire, Request("GET", path))
        if reply is None:
            return []
        found = records.read_items(records.parse_object(reply), "members", reply.origin)
        members = [item for item in found if isinstance(item, dict)]
        if found and not members:
            raise ProtocolError(f"{reply.origin}: the reply has no list of members")
        members = [_check_member(member, reply.origin, image_id) for member in members]
        skipped.extend([SkippedRecord(image_id, records.NO_OBJECT)] * (len(found) - len(members)))
        return members

    return Operation("image_members.list", "GET", path, perform, check=room.check, skipped=skipped)


def get_member(image_id: str, member_id: str) -> Operation[Record]:
    """Fetch one membership."""
    path, read = _member_path(image_id, member_id), _make_member_reader(image_id)
    return _make_operation("image_members.get", "GET", path, read)


def create_member(image_id: str, member_id: str) -> Operation[Record]:
    """Share an image with a project."""
    path, read = f"{_image_path(image_id)}/members", _make_member_reader(image_id)
    body = {"member": member_id}
    quote_segment(member_id, "member")
    return _make_operation("image_members.create", "POST", path, read, body)


def update_member(image_id: str, member_id: str, member_status: MemberStatus) -> Operation[Record]:
    """Accept or reject an image that another project shares."""
    if member_status not in ("pending", "accepted", "rejected"):
        raise InvalidMetadata(
            f"{format_value(member_status)} is not a member status: use pending, accepted or"
            " rejected"
        )
    path, body = _member_path(image_id, member_id), {"status": member_status}
    read = _make_member_reader(image_id)
    return _make_operation("image_members.update", "PUT", path, read, body)


def delete_member(image_id: str, member_id: str) -> Operation[None]:
    """Stop sharing an image with a project."""
    return _make_operation(
        "image_members.delete", "DELETE", _member_path(image_id, member_id), _read_nothing
    )


def update_tag(image_id: str, tag_value: str) -> Operation[None]:
    """Add a tag to an image."""
    return _make_operation(
        "image_tags.update", "PUT", _tag_path(image_id, tag_value), _read_nothing
    )


def delete_tag(image_id: str, tag_value: str) -> Operation[None]:
    """Remove a tag from an image."""
    return _make_operation(
        "image_tags.delete", "DELETE", _tag_path(image_id, tag_value), _read_nothing
    )


def deactivate(image_id: str) -> Operation[None]:
    """Forbid downloads of an image's data."""
    path = f"{_image_path(image_id)}/actions/deactivate"
    return _make_operation("images.deactivate", "POST", path, _read_nothing)


def reactivate(image_id: str) -> Operation[None]:
    """Allow downloads of an image's data again."""
    path = f"{_image_path(image_id)}/actions/reactivate"
    return _make_operation("images.reactivate", "POST", path, _read_nothing)


def image_import(
    image_id: str,
    method: str = "glance-direct",
    *,
    uri: str | None = None,
    stores: Iterable[str] | None = None,
    all_stores: bool | None = None,
    allow_failure: bool = True,
) -> Operation[None]:
    """Start an import: ``glance-direct``, ``web-download`` or ``copy-image``."""
    how: dict[str, object] = {"name": method}
    body: dict[str, object] = {"method": how}
    if uri is not None:
        how["uri"] = uri
    if stores is not None:
        body["stores"] = _read_texts(stores, "stores")
    if all_stores:
        body["all_stores"] = True
    if "stores" in body or "all_stores" in body:
        body["all_stores_must_succeed"] = not allow_failure
    return _make_operation(
        "images.image_import", "POST", f"{_image_path(image_id)}/import", _read_nothing, body
    )


def add_image_location(
    image_id: str,
    location_url: str,
    validation_data: Mapping[str, str] | None = None,
) -> Operation[None]:
    """Add a location by the request for services (API 2.17)."""
    body: dict[str, object] = {"url": _check_url(location_url)}
    if validation_data:
        body["validation_data"] = _check_mapping(validation_data, "validation_data")
    path = f"{_image_path(image_id)}/locations"
    return _make_operation("images.add_image_location", "POST", path, _read_nothing, body)


def add_location(
    image_id: str, url: str, metadata: Mapping[str, object] | None = None
) -> Operation[Record]:
    """Add a location by a patch of the image's record, if Glance is set to show locations."""
    value = {"url": _check_url(url), "metadata": _check_mapping(metadata or {}, "metadata")}
    patch = v2.patch(image_id, [{"op": "add", "path": "/locations/-", "value": value}])
    return dataclasses.replace(patch, name="images.add_location")


def delete_locations(image_id: str, url_set: Iterable[str]) -> Operation[Record]:
    """Remove the locations with these URLs from an image's record."""
    path, wanted = _image_path(image_id), frozenset(_read_texts(url_set, "url_set"))
    problem: list[InvalidMetadata] = []

    def perform(wire: Wire) -> Record:
        record = records.parse_image(wire(Request("GET", path)), image_id)
        changes = _make_removals(record, wanted)
        if not changes:
            # The server did its work: this is the caller's error, after the attempt.
            problem.append(
                InvalidMetadata("the image has no such location: look at its locations first")
            )
            return record
        return v2.patch(image_id, changes).perform(wire)

    check = partial(raise_first, problem)
    return Operation("images.delete_locations", "GET", path, perform, repeatable=False, check=check)


def _make_removals(record: Record, wanted: frozenset[str]) -> list[dict[str, object]]:
    """Build the changes that remove locations by their index; none if a location is not there."""
    locations = record.get("locations")
    # A location of an odd form keeps its index, and has no URL.
    urls = [
        location.get("url") if isinstance(location, dict) else None
        for location in (locations if isinstance(locations, list) else [])
    ]
    hits = [index for index, url in enumerate(urls) if isinstance(url, str) and url in wanted]
    if not wanted.issubset([urls[index] for index in hits]):
        return []
    # The last first, because each removal moves the locations after it.
    return [{"op": "remove", "path": f"/locations/{index}"} for index in reversed(hits)]


def _read_texts(values: object, what: str) -> list[str]:
    """Return a list with one text or with several."""
    one = isinstance(values, str) or not isinstance(values, Iterable)
    found = [values] if one else list(cast("Iterable[object]", values))
    if not all(isinstance(value, str) and value for value in found):
        raise InvalidMetadata(f"{what} is {format_value(values)}: pass a list of texts")
    return cast("list[str]", found)


def _check_url(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise InvalidMetadata("a location is empty or not text: pass a URL")


def _check_mapping(value: object, what: str) -> dict[str, object]:
    if isinstance(value, Mapping):
        return dict(value)
    raise InvalidMetadata(f"{what} is {type(value).__name__}: pass a dict")


def _make_operation(
    name: str,
    method: Method,
    path: str,
    read: Callable[[Reply], _T],
    body: Mapping[str, object] | None = None,
) -> Operation[_T]:
    """Build an operation of one request; only GET counts as safe to repeat."""
    content = None if body is None else records.encode_json(body, "the request")
    headers = {} if content is None else _JSON

    def perform(wire: Wire) -> _T:
        return read(wire(Request(method, path, headers, content)))

    return Operation(name, method, path, perform, repeatable=method == "GET")


def _make_member_reader(image_id: str) -> Callable[[Reply], Record]:
    """Return a function that reads one membership of an image."""
    return lambda reply: _check_member(records.parse_object(reply), reply.origin, image_id)


def _check_member(member: Record, origin: str, image_id: str) -> Record:
    """Return a membership if it is one of the image, as far as it says."""
    # Some databases ignore case when they compare, so Glance finds an id in capitals too.
    if str(member.get("image_id", image_id)).lower() != image_id.lower():
        raise ProtocolError(f"{origin}: the reply is not about the image that was requested")
    return member


def _read_nothing(_reply: Reply) -> None:
    """Ignore a reply without a result."""


def _image_path(image_id: str) -> str:
    return f"/v2/images/{quote_id(image_id)}"


def _member_path(image_id: str, member_id: str) -> str:
    return f"{_image_path(image_id)}/members/{quote_segment(member_id, 'member')}"


def _tag_path(image_id: str, tag: str) -> str:
    return f"{_image_path(image_id)}/tags/{quote_segment(tag, 'tag')}"
