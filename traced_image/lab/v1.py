"""Glance's API v1 as in Grizzly, which sends an image's attributes as headers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .error_responses import Refused
from .http1 import BYTES, JSON, Headers, ReceivedRequest, Response, make_json_response
from .listing import MOST, PAGE, Condition, at_least, at_most, equals, select
from .routing import Routes
from .v2.checks import check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .image import Image
    from .images import Images

_META = "x-image-meta-"
_PROPERTY = "x-image-meta-property-"
_TRUE = frozenset({"t", "true", "yes", "1"})
_BRIEF = ("id", "name", "disk_format", "container_format", "size", "checksum")
_TEXTS = ("id", "name", "disk_format", "container_format", "owner", "checksum")
_NUMBERS = ("min_ram", "min_disk", "size")
_FILTERS = frozenset({"name", "status", "container_format", "disk_format", "min_ram", "min_disk"})


def _index(images: Images, request: ReceivedRequest) -> Response:
    """``GET /v1/images``."""
    found = [_split_attributes(image) for image in _select(images, request)]
    return make_json_response(200, {"images": [{key: one[key] for key in _BRIEF} for one in found]})


def _detail(images: Images, request: ReceivedRequest) -> Response:
    """``GET /v1/images/detail``."""
    return make_json_response(
        200, {"images": [_split_attributes(one) for one in _select(images, request)]}
    )


def _select(images: Images, request: ReceivedRequest) -> list[Image]:
    query = dict(request.query)
    try:
        limit = min(int(query.get("limit", PAGE)), MOST)
    except ValueError as error:
        raise Refused(400, "limit param must be an integer") from error
    direction = query.get("sort_dir", "desc")
    order = [(query.get("sort_key", "created_at"), direction), ("id", direction)]
    return select(
        images, _make_conditions(query), order=order, marker=query.get("marker"), limit=limit
    )


def _make_conditions(query: Mapping[str, str]) -> list[Condition]:
    conditions = [equals(name, query[name]) for name in _FILTERS & query.keys()]
    conditions += [
        equals(name[len("property-") :], value)
        for name, value in query.items()
        if name.startswith("property-")
    ]
    if "size_min" in query:
        conditions.append(at_least("size", query["size_min"]))
    if "size_max" in query:
        conditions.append(at_most("size", query["size_max"]))
    if "protected" in query:
        conditions.append(equals("protected", str(_is_true(query["protected"]))))
    if query.get("is_public", "true").lower() != "none":
        public = _is_true(query.get("is_public", "true"))
        conditions.append(lambda image: (image.base["visibility"] == "public") is public)
    return conditions


def _is_true(text: str) -> bool:
    return text.strip().lower() in _TRUE


def _find(images: Images, image_id: str) -> Image:
    image = images.get(image_id)
    if image is None:
        raise Refused(404, detail=f"Image with identifier {image_id} not found")
    return image


def _make_meta(images: Images, _: ReceivedRequest, image_id: str) -> Response:
    """``HEAD /v1/images/{id}``."""
    return Response(200, headers=_make_headers(_find(images, image_id)))


def _download(images: Images, _: ReceivedRequest, image_id: str) -> Response:
    """``GET /v1/images/{id}``."""
    image = _find(images, image_id)
    if image.data is None:
        raise Refused(404, detail=f"Image {image_id} is not active")
    return Response(200, image.data, BYTES, _make_headers(image))


def _create(images: Images, request: ReceivedRequest) -> Response:
    """``POST /v1/images``."""
    base, properties = _read_attributes(request)
    with images.lock:
        if images.is_used(str(base.get("id"))):
            raise Refused(409, detail=f"An image with identifier {base['id']} already exists")
        image = images.new({"visibility": "private", **base}, properties)
        image = _with_content(image, request)
        images.put(image)
    return _make_reply(201, image)


def _update(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``PUT /v1/images/{id}``."""
    base, properties = _read_attributes(request)
    purges = _is_true(request.headers.get("x-glance-registry-purge-props", "true"))
    with images.lock:
        image = _find(images, image_id)
        if request.body and image.status != "queued":
            raise Refused(409, detail="Cannot upload to an unqueued image")
        if not purges or request.body:
            properties = {**image.properties, **properties}
        image = replace(image.with_base(**base), properties=properties)
        image = images.save(_with_content(image, request))
    return _make_reply(200, image)


def _with_content(image: Image, request: ReceivedRequest) -> Image:
    """Return the image with the request's body as its data.

    Without a body, a location header makes the image active, with empty data.

    Raises:
        Refused: 400, if the content type or the checksum is wrong.
    """
    location = request.headers.get(f"{_META}location")
    if not request.body:
        return image if location is None else image.with_data(b"")
    if request.headers.get("content-type") != BYTES:
        raise Refused(400, "Content-Type must be application/octet-stream")
    wanted = image.base["checksum"]
    stored = image.with_data(request.body)
    if wanted not in (None, stored.base["checksum"]):
        problem = f"Supplied checksum ({wanted}) and checksum generated from uploaded image"
        problem = f"{problem} ({stored.base['checksum']}) did not match."
        raise Refused(400, detail=f"{problem} Setting image status to 'killed'.")
    return stored


def _delete(images: Images, _: ReceivedRequest, image_id: str) -> Response:
    """``DELETE /v1/images/{id}``."""
    with images.lock:
        if _find(images, image_id).base["protected"]:
            raise Refused(403, detail="Image is protected")
        images.remove(image_id)
    return Response(200)


def _split_attributes(image: Image) -> dict[str, JSON]:
    base = image.base
    attributes = {name: base[name] for name in (*_BRIEF, "status", "owner", "min_disk", "min_ram")}
    return {
        **attributes,
        "size": base["size"] or 0,
        "is_public": base["visibility"] == "public",
        "protected": base["protected"],
        "deleted": False,
        "created_at": str(base["created_at"]).rstrip("Z"),
        "updated_at": str(base["updated_at"]).rstrip("Z"),
        "deleted_at": None,
        "properties": dict(image.properties),
    }


def _make_headers(image: Image) -> Headers:
    """Return the attributes as headers, without nulls: Grizzly's ``image_meta_to_http_headers``."""
    attributes = _split_attributes(image)
    properties = {name.lower(): value for name, value in image.properties.items()}
    del attributes["properties"]
    pairs = [(f"{_PROPERTY}{name}", value) for name, value in properties.items()]
    pairs += [(f"{_META}{name}", value) for name, value in attributes.items()]
    written = tuple((name, _join_lines(str(value))) for name, value in pairs if value is not None)
    return (*written, *_make_location(image))


def _join_lines(text: str) -> str:
    # A line break would end the header (RFC 9112, section 5).
    return " ".join(text.splitlines())


def _make_location(image: Image) -> Headers:
    tag = image.base["checksum"]
    location = (("Location", f"/v1/images/{image.id}"),)
    return location if tag is None else (*location, ("ETag", str(tag)))


def _make_reply(status: int, image: Image) -> Response:
    return make_json_response(status, {"image": _split_attributes(image)}, *_make_location(image))


def _read_attributes(request: ReceivedRequest) -> tuple[dict[str, JSON], dict[str, JSON]]:
    """Return the base attributes and the properties in a request's headers; empty means null."""
    texts: dict[str, str | None] = {}
    properties: dict[str, JSON] = {}
    for name, raw in request.headers.items():
        value = raw.encode("latin-1").decode("utf-8", "replace") or None
        if name.startswith(_PROPERTY):
            properties[name[len(_PROPERTY) :].replace("-", "_")] = value
        elif name.startswith(_META):
            texts[name[len(_META) :].replace("-", "_")] = value
    base: dict[str, JSON] = {name: texts[name] for name in _TEXTS if name in texts}
    base.update({name: _read_number(name, text) for name in _NUMBERS if (text := texts.get(name))})
    if public := texts.get("is_public"):
        base["visibility"] = "public" if _is_true(public) else "private"
    if protected := texts.get("protected"):
        base["protected"] = _is_true(protected)
    check(base)
    return base, properties


def _read_number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise Refused(400, detail=f"Cannot convert image {name} {text!r} to an integer") from error


ROUTES = Routes(
    {
        "images": {"GET": _index, "POST": _create},
        "images/detail": {"GET": _detail},
        "images/*": {"HEAD": _make_meta, "GET": _download, "PUT": _update, "DELETE": _delete},
    }
)
