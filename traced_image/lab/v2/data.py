"""``/v2/images/{id}/file`` and ``/stage``: upload and download an image's data."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ..disk_formats import BadFormat
from ..error_responses import Refused
from ..http1 import BYTES, ReceivedRequest, Response
from ..identity import ANYONE
from ..image import STORE
from ..policy import enforce
from .requests import find_image

if TYPE_CHECKING:
    from ..image import Image
    from ..images import Images

# WebOb's patterns, which don't look at the end of the text.
_RANGE = re.compile(r"bytes *= *([0-9]*) *- *([0-9]*)", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]+)-([0-9]+)|[*])/(?:([0-9]+)|[*])")
_LONGEST_NUMBER = 4000
"""Digits; Python reads a few more."""
_SIZE = "x-openstack-image-size"
_CHUNK = 1 << 16
"""The bytes that Glance's store counts at a time."""


def upload(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``PUT /v2/images/{id}/file``."""
    _require_bytes(request)
    size = _read_size(request)
    store = request.headers.get("x-image-meta-store", STORE)
    if store != STORE:
        raise Refused(400, f"Store for identifier {store} not found")
    with images.lock:
        image = find_image(images, request, image_id)
        enforce(request.identity, "upload_image", image)
        if image.status != "queued":
            problem = f"Image status transition from {image.status} to saving is not allowed"
            raise Refused(409, problem)
        _require_formats(image)
        images.limits.check_size(len(request.body))
        if image.locations:
            # Glance's store has the data that it refused before, and fails.
            raise Refused(500)
        _check_size(request.body, size)
        _save(images, image, request.body)
    return Response(204)


def _save(images: Images, image: Image, data: bytes) -> None:
    try:
        images.save(image.with_checked_data(data))
    except BadFormat as error:
        # Glance puts the status back, and leaves what else the upload has set.
        images.save(image.with_refused_data(data))
        raise Refused(415, detail=str(error)) from error


def stage(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``PUT /v2/images/{id}/stage``."""
    _require_bytes(request)
    size = _read_size(request)
    with images.lock:
        image = find_image(images, request, image_id)
        enforce(request.identity, "modify_image", image)
        if image.status != "queued":
            problem = f"Image status transition from {image.status} to uploading is not allowed"
            raise Refused(409, problem)
        _check_size(request.body, size)
        staged = image.with_base(status="uploading", size=len(request.body))
        images.save(replace(staged, staged=request.body))
    return Response(204)


def _require_bytes(request: ReceivedRequest) -> None:
    kind = request.headers.get("content-type")
    if kind is None or kind.partition(";")[0].strip() != BYTES:
        raise Refused(415, detail=f"Invalid content type {kind}")


def _read_size(request: ReceivedRequest) -> int:
    """Return the size that the client says the image has; 0 if it does not say one."""
    try:
        return int(request.headers.get(_SIZE, "0"))
    except ValueError as error:
        raise Refused(400, "Invalid or missing image size in request headers.") from error


def _check_size(data: bytes, size: int) -> None:
    got = len(data)
    if not size or got == size:
        return
    if got < size:
        raise Refused(400, f"Size mismatch: expected {size} bytes, got {got} bytes")
    read = min(got, (max(size, 0) // _CHUNK + 1) * _CHUNK)
    raise Refused(400, f"Size exceeds: expected {size} bytes, got {read} bytes")


def _require_formats(image: Image) -> None:
    missing = [name for name in ("disk_format", "container_format") if not image.base[name]]
    if missing:
        word = "Properties" if len(missing) > 1 else "Property"
        raise Refused(400, f"{word} {', '.join(missing)} must be set prior to saving data.")


def download(images: Images, request: ReceivedRequest, image_id: str) -> Response:
    """``GET /v2/images/{id}/file``, the whole data or a range."""
    image = find_image(images, request, image_id)
    # A server without identities refuses too, so that a test needs no tokens to see it.
    exempt = request.identity.is_admin and request.identity is not ANYONE
    if image.status == "deactivated" and not exempt:
        problem = "The requested image has been deactivated. Image data download is forbidden."
        raise Refused(403, problem)
    enforce(request.identity, "download_image", image)
    if image.data is None:
        return Response(204, content_type="")
    response = Response(200, image.data, BYTES, (("Content-MD5", str(image.base["checksum"])),))
    wanted, old = request.headers.get("range"), request.headers.get("content-range")
    if wanted is not None:
        return _part(response, wanted)
    return response if old is None else _old_part(response, old)


def _old_part(response: Response, wanted: str) -> Response:
    """Return the part that a ``Content-Range`` asks for, as Glance's clients did before Pike."""
    match = _CONTENT_RANGE.match(wanted)
    start, end = 0, 0
    if match and match[1] and not _is_too_long(match[1], match[2]):
        start, end = int(match[1]), int(match[2]) + 1
    size = len(response.body)
    if not 0 <= start < end <= size:
        raise Refused(416, detail="Invalid Content-Range header.")
    return _cut(response, start, end)


def _part(response: Response, wanted: str) -> Response:
    size = len(response.body)
    if "," in wanted:
        raise Refused(
            400,
            "Requests with multiple ranges are not supported in Glance."
            " You may make multiple single-range requests instead.",
        )
    match = _RANGE.match(wanted)
    first, last = (match[1], match[2]) if match else ("", "")
    if _is_too_long(first, last) or not first + last or (first and last and int(first) > int(last)):
        raise Refused(416, detail="Invalid Range header.")
    start = int(first) if first else _suffix(size, int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= size:
        inclusive = f"Start position MUST be in the inclusive range [0, {size - 1}]."
        raise Refused(416, detail=f"Invalid start position in Range header. {inclusive}")
    return _cut(response, start, end)


def _is_too_long(*numbers: str) -> bool:
    return max(map(len, numbers)) > _LONGEST_NUMBER


def _cut(response: Response, start: int, end: int) -> Response:
    part = replace(response, status=206, body=response.body[start:end])
    place = f"bytes {start}-{end - 1}/{len(response.body)}"
    return part.with_headers(("Content-Range", place))


def _suffix(size: int, length: int) -> int:
    """Return where the last `length` bytes start; like Glance, 0 or too many means all bytes."""
    return size - length if 0 < length < size else 0
