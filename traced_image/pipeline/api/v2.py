"""Glance's Images API v2: the operations on images, their requests and replies.

Each function returns an `Operation` that any server of the cycle can perform. The names are those
of python-glanceclient's ``v2.images.Controller``. Paths and media types are those of the Image
service API v2 (https://docs.openstack.org/api-ref/image/v2/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...config import Server
from ...config.checks import format_value
from ...errors import InvalidImageRecord, InvalidPatch, InvalidServer, ProtocolError
from . import records
from .digest import find_odd_checksum, find_size
from .download import Download
from .list_size import ListSize
from .operation import Operation, Reply, Request, SkippedRecord, Wire, raise_first
from .query import encode_query, make_list_query, read_count, read_texts
from .records import Record, quote_id
from .upload import Data, UploadBody

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .representation import Representation


PAGE_SIZE = 200
"""Images per page, as in python-glanceclient."""

PATCH_TYPE = "application/openstack-images-v2.1-json-patch"

_NO_CONTENT = 204
_POINTER = re.compile(r"(/([^/~]|~[01])+)+")
_COLLECTION = "/v2/images"
_LIST_PATH = re.compile(
    rf"{_COLLECTION}\?[!-~]*"
)  # the characters that a request's target can have
_JSON = {"Content-Type": "application/json"}
_BINARY = {"Content-Type": "application/octet-stream"}
_PATCH = {"Content-Type": PATCH_TYPE}


def get(image_id: str) -> Operation[Record]:
    """Fetch an image's record."""
    path = f"{_COLLECTION}/{quote_id(image_id)}"

    def perform(wire: Wire) -> Record:
        return records.parse_image(wire(Request("GET", path)), image_id)

    return Operation("images.get", "GET", path, perform)


def list_(
    filters: Mapping[str, object] | None = None,
    *,
    marker: str | None = None,
    limit: int | None = None,
    page_size: int | None = None,
    sort_key: str | Sequence[str] | None = None,
    sort_dir: str | Sequence[str] | None = None,
    max_size: int | None = None,
) -> Operation[list[Record]]:
    """List image records, page by page.

    Args:
        filters: Fields with the values to match; ``tag`` may have a list of values.
        marker: The id of the image after which to start.
        limit: How many records to return at most; None or 0 for all.
        page_size: How many records to request at a time.
        sort_key: A field to sort by, or several.
        sort_dir: ``asc`` or ``desc``, for all keys or for each.
        max_size: The most bytes that all replies may have together; None for no limit.
    """
    limit = read_count(limit, "limit") or None
    size = read_count(page_size, "page_size") or PAGE_SIZE
    given = {"sort_key": sort_key, "sort_dir": sort_dir, "marker": marker}
    arguments = {name: read_texts(value, name) for name, value in given.items()}
    query = make_list_query(min(size, limit or size), filters or {}, arguments)
    path = f"{_COLLECTION}?{encode_query(query)}"
    room = ListSize(max_size)
    pages = _LinkedPages(path, limit, room)
    return Operation(
        "images.list", "GET", path, pages.read, check=room.check, skipped=pages.skipped
    )


class _LinkedPages:
    """The pages of a list that were read, and the path of the next page."""

    def __init__(self, path: str, limit: int | None, room: ListSize) -> None:
        self._next: str | None = path
        self._limit = limit
        self._room = room
        self._images: list[Record] = []
        self.skipped: list[SkippedRecord] = []
        self._seen: set[str] = set()
        self._empty = False

    def read(self, wire: Wire) -> list[Record]:
        """Read the remaining pages, from any server; a retry continues after the last page."""
        while self._next is not None and not self._full():
            reply = self._room.read(wire, Request("GET", self._next))
            if reply is None:
                break
            self._add(reply, self._next)
        return self._images[: self._limit]

    def _full(self) -> bool:
        return self._limit is not None and len(self._images) >= self._limit

    def _add(self, reply: Reply, path: str) -> None:
        page = records.read_page(reply)
        self._seen.add(path)
        self._next = self._find_next(page.link, reply, empty=not page.images)
        self._empty = not page.images
        self._images += page.images
        self.skipped += page.skipped

    def _find_next(self, link: object, reply: Reply, *, empty: bool) -> str | None:
        """Return the path of the next page, or None if there is none.

        The link comes from the server. It must stay within the list, so that the token goes to no
        other server and path, and be text that a request can have. It must make progress, so that
        the list ends: it is one that was not followed before, and of two pages in a row one has an
        image.
        """
        if link is None or link == "":
            return None
        path = _strip_server(link, reply.server)
        if (
            path is None
            or not _LIST_PATH.fullmatch(path)
            or path in self._seen
            or (empty and self._empty)
        ):
            raise ProtocolError(f"{reply.origin}: the link to the list's next page is not valid")
        return path


def _strip_server(link: object, server: Server) -> str | None:
    """Return a link's path after the server's prefix; None if the link leads elsewhere.

    Glance's links begin at ``/v2``. A proxy may write them with the prefix, or as whole URLs.
    """
    if not isinstance(link, str):
        return None
    if link.startswith("/"):
        return link.removeprefix(server.path)
    head, mark, query = link.partition("?")
    try:
        # The server's own text form decides what is the same server, such as with a port of 443.
        target = urlsplit(head)
        same = Server.parse(f"{target.scheme}://{target.netloc}")
    except (ValueError, InvalidServer):
        return None
    if (same.scheme, same.netloc) != (server.scheme, server.netloc):
        return None
    return f"{target.path}{mark}{query}".removeprefix(server.path)


def create(**attributes: object) -> Operation[Record]:
    """Create an image record, without data."""
    body = records.encode_json(attributes, "image_meta")

    def perform(wire: Wire) -> Record:
        return records.parse_image(wire(Request("POST", _COLLECTION, _JSON, body)))

    return Operation("images.create", "POST", _COLLECTION, perform, repeatable=False)


def update(
    image_id: str, /, remove_props: Iterable[str] = (), **attributes: object
) -> Operation[Record]:
    """Change an image's fields and properties, and remove properties, by one JSON patch."""
    return patch(image_id, make_changes(attributes, remove_props))


def make_changes(
    attributes: Mapping[str, object], remove_props: Iterable[str]
) -> list[dict[str, object]]:
    """Write the JSON patch that sets `attributes` and removes other properties.

    Glance's ``add`` replaces an existing value, so no request for the record is needed.
    """
    changes: list[dict[str, object]] = [
        {"op": "add", "path": f"/{escape_pointer(name)}", "value": value}
        for name, value in attributes.items()
    ]
    removed = [name for name in remove_props if name not in attributes]
    changes += [{"op": "remove", "path": f"/{escape_pointer(name)}"} for name in removed]
    return changes


def patch(image_id: str, changes: Sequence[Mapping[str, object]]) -> Operation[Record]:
    """Apply a JSON patch to an image.

    Raises:
        InvalidPatch: A change is not an ``add``, ``replace`` or ``remove`` with a path.
    """
    path = f"{_COLLECTION}/{quote_id(image_id)}"
    if not isinstance(changes, (list, tuple)):
        raise InvalidPatch(f"a patch is {type(changes).__name__}: pass a list of changes")
    for change in changes:
        _check_change(change)
    body = records.encode_json(list(changes), "the patch")

    def perform(wire: Wire) -> Record:
        return records.parse_image(wire(Request("PATCH", path, _PATCH, body)), image_id)

    return Operation("images.update", "PATCH", path, perform, repeatable=False)


def delete(image_id: str) -> Operation[None]:
    """Delete an image."""
    path = f"{_COLLECTION}/{quote_id(image_id)}"

    def perform(wire: Wire) -> None:
        wire(Request("DELETE", path))

    return Operation("images.delete", "DELETE", path, perform, repeatable=False)


def data(
    image_id: str, offset: int = 0, first: Representation | None = None
) -> Operation[Download | None]:
    """Fetch an image's data with its record to check it; the result is None without data.

    Args:
        image_id: The image.
        offset: Bytes of the data that the caller has already.
        first: What the reply said that brought them, if this request continues it.
    """
    path = f"{_COLLECTION}/{quote_id(image_id)}"
    headers = {"Range": f"bytes={offset}-"} if offset else {}

    problem: list[InvalidImageRecord] = []

    def perform(wire: Wire) -> Download | None:
        reply = wire(Request("GET", path))
        record = records.parse_image(reply, image_id)
        odd = find_odd_checksum(record)
        if odd is not None:
            problem.append(_build_checksum_error(record, odd))
            return None
        size = find_size(record)
        if offset and size is not None and size <= offset:
            # Glance answers 416 to a range that begins at the end of the data.
            return Download.at_end(reply.server, record)
        reply = wire(Request("GET", f"{path}/file", headers, stream=True))
        return Download.of(reply, record, offset, first)

    return Operation("images.data", "GET", path, perform, check=partial(raise_first, problem))


def _build_checksum_error(record: Record, name: str) -> InvalidImageRecord:
    return InvalidImageRecord(
        f"image {format_value(record['id'])}: its {name}, {format_value(record[name])}, is no"
        " text, so that the data can't be checked: correct the record in Glance's database",
        field=name,
    )


def upload(
    image_id: str, image_data: Data | UploadBody, image_size: int | None = None
) -> Operation[None]:
    """Store an image's data.

    Only Glance's own answer, 204, counts as success.

    Args:
        image_id: The image.
        image_data: Bytes, a binary file, or an iterable of bytes.
        image_size: Bytes of the data, if known, for Glance's quota.
    """
    path = f"{_COLLECTION}/{quote_id(image_id)}/file"
    body = UploadBody.of(image_data)
    headers = dict(_BINARY)
    if image_size is not None:
        headers["x-openstack-image-size"] = str(read_count(image_size, "image_size"))

    def perform(wire: Wire) -> None:
        reply = wire(Request("PUT", path, headers, body))
        if reply.status != _NO_CONTENT:
            raise ProtocolError(
                f"{reply.origin}: HTTP {reply.status} does not confirm the upload, because Glance"
                f" answers {_NO_CONTENT}: check the proxy before it"
            )

    return Operation(
        "images.upload", "PUT", path, perform, repeatable=False, transfer=True, rewind=body.rewind
    )


def escape_pointer(name: object) -> str:
    """Escape a name for a JSON pointer (RFC 6901).

    Raises:
        InvalidPatch: The name is empty or not text.
    """
    # "~" first: otherwise the "~" of "~1" would be escaped again.
    if not isinstance(name, str) or not name:
        raise InvalidPatch(f"{format_value(name)} is not a property name: pass text")
    return name.replace("~", "~0").replace("/", "~1")


def _check_change(change: object) -> None:
    if not isinstance(change, Mapping):
        raise InvalidPatch(f"a change is {type(change).__name__}: pass a dict")
    operation, path = change.get("op"), change.get("path")
    if operation not in ("add", "replace", "remove"):
        raise InvalidPatch(
            f"{format_value(operation)} is not an operation: use add, replace or remove"
        )
    if not isinstance(path, str) or not _POINTER.fullmatch(path):
        raise InvalidPatch(
            f"{format_value(path)} is not a path: write a slash and a name (RFC 6901)"
        )
    if (operation != "remove") != ("value" in change):
        raise InvalidPatch(f"{format_value(path)}: a change needs a value, and a removal has none")
