"""Locations: changes by JSON patch, and the calls that replace it since API 2.17."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..error_responses import Refused
from ..http1 import JSON, ReceivedRequest, Response, make_json_response
from ..image import STORE, Image
from ..policy import enforce
from .requests import find_image, read_json_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..images import Images

Location = dict[str, JSON]


def change(image: Image, op: str, path: Sequence[str], value: JSON, *, show: bool) -> Image:
    """Apply one JSON patch operation to an image's locations.

    Args:
        image: The image.
        op: ``add``, ``remove`` or ``replace``.
        path: The steps of the JSON pointer. For ``add`` and ``remove`` the second step is a
            position, or ``-`` for the end.
        value: The location, or the list of locations.
        show: Whether locations are visible (``show_multiple_locations``).

    Raises:
        Refused: 400, 403 or 409, as in Glance 33's ``ImagesController``.
    """
    if op == "replace" and not value:
        raise Refused(403, detail="Cannot set locations to empty list.")
    if not show:
        verb = "update" if op == "replace" else op
        raise Refused(403, f"It's not allowed to {verb} locations if locations are invisible.")
    if image.status not in ("active", "queued"):
        raise Refused(409, f"It's not allowed to {op} locations if image status is {image.status}.")
    if op == "remove":
        return _remove(image, path[1])
    if op == "add":
        return _add(image, path[1], value)
    if image.locations:
        raise Refused(400, "Original locations is not empty.")
    return _store(image, _check_locations(value))


def _check_locations(values: JSON) -> list[Location]:
    listed = values if isinstance(values, list) else []
    found = [value for value in listed if isinstance(value, dict)]
    seen: set[str] = set()
    for value in found:
        url = str(value["url"])
        if url in seen:
            raise Refused(400, f"The location {url} already exists")
        seen.add(url)
    return found


def _add(image: Image, position: str, value: JSON) -> Image:
    at = _read_position(position, len(image.locations))
    if at is None:
        raise Refused(400, "Invalid position for adding a location.")
    present: list[JSON] = [dict(location) for location in image.locations]
    return _store(image, _check_locations([*present[:at], value, *present[at:]]))


def _remove(image: Image, position: str) -> Image:
    if len(image.locations) == 1:
        raise Refused(403, detail="Cannot remove last location in the image.")
    at = _read_position(position, len(image.locations))
    if at is None or (at == len(image.locations) and position != "-"):
        raise Refused(400, "Invalid position for removing a location.")
    at = min(at, len(image.locations) - 1)
    rest = image.locations[:at] + image.locations[at + 1 :]
    return replace(image, locations=rest)


def _read_position(text: str, last: int) -> int | None:
    if text == "-":
        return last
    return min(int(text), last) if text.isdigit() else None


def _store(image: Image, values: Sequence[Location]) -> Image:
    kept = [_complete(location) for location in values]
    stored = replace(image, locations=tuple(kept))
    return stored.with_base(status="active") if image.status == "queued" else stored


def _complete(location: Location) -> Location:
    metadata = location["metadata"]
    given = metadata if isinstance(metadata, dict) else {}
    return {"url": location["url"], "metadata": {"store": STORE, **given}}


def show(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``GET /v2/images/{id}/locations``."""
    image = find_image(images, request, image_id)
    enforce(request.identity, "fetch_image_location", image)
    return make_json_response(200, [dict(location) for location in image.locations])


def add(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``POST /v2/images/{id}/locations``.

    Glance imports the location in the background; the lab does it immediately.
    """
    body = read_json_object(request)
    url = body.get("url")
    if not isinstance(url, str):
        problem = f"{url!r} is not of type 'string'" if url else "'url' is a required property"
        raise Refused(400, f"Provided object does not match schema 'location': {problem}")
    with images.lock:
        image = find_image(images, request, image_id)
        enforce(request.identity, "add_image_location", image)
        if image.status != "queued":
            raise Refused(
                409, f"It's not allowed to add locations if image status is {image.status}."
            )
        location: Location = {"url": url, "metadata": {"store": STORE}}
        images.save(_store(image, [location]))
    return Response(202)
