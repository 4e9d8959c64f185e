"""Glance's Images API v1, with records in headers, for clouds without a newer API.

The rules for headers are those of python-glanceclient 0.8.0 ``v1/images.py``. ``x-image-meta-NAME``
is a field and ``x-image-meta-property-NAME`` is a property; names are compared in lower case.
``virtual_size``, the size of an image's content, is a later field of Glance, from 2014.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...config.checks import format_value
from ...errors import InvalidMetadata, ProtocolError
from . import records
from .download import Download
from .list_size import ListSize
from .operation import Operation, Request, SkippedRecord, Wire
from .query import encode_query, make_list_query, read_count, read_texts
from .records import Record, quote_id
from .upload import Data, UploadBody

if TYPE_CHECKING:
    from .operation import Method
    from .records import Page


PAGE_SIZE = 20
"""Images per page, as in python-glanceclient 0.8.0."""

_META = "x-image-meta-"
_PROPERTY = "x-image-meta-property-"
_BOOLEANS = frozenset({"is_public", "protected", "deleted"})
_INTEGERS = frozenset({"size", "virtual_size", "min_ram", "min_disk"})
_TRUE = frozenset({"t", "true", "yes", "1"})
_COLLECTION = "/v1/images"


def read_image_headers(headers: Mapping[str, str]) -> Record:
    """Read an image's record from the headers of a reply.

    A numeric field with a value that is not a number stays text, as in python-glanceclient.
    """
    properties: dict[str, object] = {}
    image: Record = {"properties": properties}
    for header, raw in headers.items():
        name, value = header.lower(), _decode(raw)
        if name.startswith(_PROPERTY):
            properties[name.removeprefix(_PROPERTY)] = value
        elif name.startswith(_META):
            field = name.removeprefix(_META)
            image[field] = _read_field(field, value)
    return image


def _decode(value: str) -> str:
    """Decode a header as UTF-8, which http.client has decoded as Latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _read_field(name: str, value: str) -> object:
    if name in _BOOLEANS:
        return value.strip().lower() in _TRUE
    if name in _INTEGERS:
        try:
            return int(value)
        except ValueError:
            return value
    return value


def make_image_headers(image_meta: Mapping[str, object]) -> dict[str, str]:
    """Write an image's record as the headers of a request; omit fields that are None.

    Raises:
        InvalidMetadata: A header can't contain a name or value.
    """
    headers: dict[str, str] = {}
    for name, value in image_meta.items():
        if name == "properties":
            if not isinstance(value, Mapping):
                raise InvalidMetadata("image_meta's properties are not a mapping: pass a dict")
            headers.update(_make_header(_PROPERTY, key, item) for key, item in value.items())
        elif value is not None:
            headers.update([_make_header(_META, name, value)])
    return headers


def _make_header(prefix: str, name: object, value: object) -> tuple[str, str]:
    text = "" if value is None else str(value)
    token = isinstance(name, str) and name.isascii() and name.replace("_", "a").replace("-", "a")
    if not token or not token.isalnum():
        raise InvalidMetadata(
            f"{format_value(name)} can't be a header's name: use letters, digits, - and _"
        )
    # A line break would end the header and let the value add headers of its own.
    if any(mark in text for mark in "\r\n\0"):
        raise InvalidMetadata(f"{name}'s value has a line break, which API v1 can't carry: use v2")
    try:
        # http.client sends text as Latin-1; Glance reads UTF-8.
        return prefix + str(name), text.encode().decode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidMetadata(f"{name}'s value is not valid Unicode: pass valid text") from error


def get(image_id: str) -> Operation[Record]:
    """Fetch an image's record."""
    path = _make_path(image_id)

    def perform(wire: Wire) -> Record:
        reply = wire(Request("HEAD", path))
        return records.check_image(read_image_headers(reply.headers), reply.origin, image_id)

    return Operation("images.get", "HEAD", path, perform)


def list_(
    filters: Mapping[str, object] | None = None,
    *,
    marker: str | None = None,
    limit: int | None = None,
    page_size: int | None = None,
    sort_key: str | None = None,
    sort_dir: str | None = None,
    max_size: int | None = None,
) -> Operation[list[Record]]:
    """List image records, page by page; the parameters are those of `v2.list_`."""
    limit = read_count(limit, "limit") or None
    size = read_count(page_size, "page_size") or PAGE_SIZE
    size = min(size, limit or size)
    given = {"sort_key": sort_key, "sort_dir": sort_dir, "marker": marker}
    arguments = {name: read_texts(value, name) for name, value in given.items()}
    query = make_list_query(size, filters or {}, arguments)
    # Each page has a marker of its own.
    markers = [text for name, text in query if name == "marker"]
    query = [pair for pair in query if pair[0] != "marker"]
    room = ListSize(max_size)
    path = f"{_COLLECTION}/detail?{encode_query(query)}"
    listing = _MarkerPages(path, markers[-1] if markers else None, size, limit, room)
    return Operation(
        "images.list", "GET", path, listing.read, check=room.check, skipped=listing.skipped
    )


class _MarkerPages:
    """The pages of a list that were read, and the marker of the next page."""

    def __init__(
        self, path: str, marker: str | None, size: int, limit: int | None, room: ListSize
    ) -> None:
        self._path = path
        self._marker = marker
        self._size = size
        self._limit = limit
        self._room = room
        self._images: list[Record] = []
        self.skipped: list[SkippedRecord] = []
        self._done = False

    def read(self, wire: Wire) -> list[Record]:
        """Read the remaining pages, from any server; a retry continues after the last page."""
        while not self._done:
            after = encode_query([("marker", self._marker)]) if self._marker else ""
            request = Request("GET", f"{self._path}&{after}".rstrip("&"))
            reply = self._room.read(wire, request)
            if reply is None:
                break
            self._add(records.read_page(reply), reply.origin)
        return self._images[: self._limit]

    def _add(self, page: Page, origin: str) -> None:
        if page.images:
            marker = page.images[-1]["id"]
            if marker == self._marker:
                raise ProtocolError(f"{origin}: the list repeats its last page")
            self._marker = marker
        self._images += page.images
        self.skipped += page.skipped
        full = self._limit is not None and len(self._images) >= self._limit
        self._done = full or len(page.images) + len(page.skipped) < self._size


def create(data: Data | UploadBody | None = None, /, **attributes: object) -> Operation[Record]:
    """Create an image, with its data if given."""
    return _write("images.create", "POST", _COLLECTION, make_image_headers(attributes), data)


def update(
    image_id: str,
    data: Data | UploadBody | None = None,
    /,
    *,
    purge_props: bool = False,
    **attributes: object,
) -> Operation[Record]:
    """Change an image's fields and properties; with `purge_props`, remove other properties."""
    return change(image_id, data, attributes, purge_props=purge_props)


def change(
    image_id: str,
    data: Data | UploadBody | None,
    attributes: Mapping[str, object],
    *,
    purge_props: bool,
) -> Operation[Record]:
    """Change an image as `update` does; a field may have the name of an argument."""
    headers = make_image_headers(attributes)
    headers["x-glance-registry-purge-props"] = str(purge_props).lower()
    return _write("images.update", "PUT", _make_path(image_id), headers, data, image_id)


def delete(image_id: str) -> Operation[None]:
    """Delete an image."""
    path = _make_path(image_id)

    def perform(wire: Wire) -> None:
        wire(Request("DELETE", path))

    return Operation("images.delete", "DELETE", path, perform, repeatable=False)


def data(image_id: str) -> Operation[Download | None]:
    """Fetch an image's data; the headers of the same reply have the record to check it with."""
    path = _make_path(image_id)

    def perform(wire: Wire) -> Download | None:
        reply = wire(Request("GET", path, stream=True))
        record = read_image_headers(reply.headers)
        download = Download.of(reply, record)
        try:
            # A redirect may lead to another image, or to a page that is none.
            records.check_image(record, reply.origin, image_id)
        except ProtocolError:
            if download is not None:
                download.close()
            raise
        return download

    return Operation("images.data", "GET", path, perform)


def _write(
    name: str,
    method: Method,
    path: str,
    headers: dict[str, str],
    data: Data | UploadBody | None,
    image_id: str | None = None,
) -> Operation[Record]:
    body = None if data is None else UploadBody.of(data)
    if body is not None:
        headers["Content-Type"] = "application/octet-stream"

    def perform(wire: Wire) -> Record:
        reply = wire(Request(method, path, headers, body))
        return records.check_image(records.parse_object(reply).get("image"), reply.origin, image_id)

    return Operation(
        name,
        method,
        path,
        perform,
        repeatable=False,
        transfer=body is not None,
        rewind=None if body is None else body.rewind,
    )


def _make_path(image_id: str) -> str:
    return f"{_COLLECTION}/{quote_id(image_id)}"
