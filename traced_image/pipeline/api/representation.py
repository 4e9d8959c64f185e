"""What a reply says of the whole of the data: its length and its validators (RFC 9110, 8)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ProtocolError

if TYPE_CHECKING:
    from .operation import Reply
    from .records import Record


_OK, _PARTIAL = 200, 206
_ACTIVE = "active"
_LENGTH = re.compile("[0-9]{1,19}")
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


@dataclass(frozen=True, slots=True)
class Representation:
    """The whole of the data; a reply brings all or a part of it.

    Attributes:
        total: Its bytes; None if the reply does not say.
        etag: Its ``ETag``, if the reply has one.
        modified: Its ``Last-Modified``, if the reply has one.
    """

    total: int | None = None
    etag: str | None = None
    modified: str | None = None

    def matches(self, other: Representation) -> bool:
        """Return whether nothing that both replies say differs."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified))
        return all(None in pair or pair[0] == pair[1] for pair in pairs)

    def check_total(self, reply: Reply, size: int | None, first: Representation | None) -> None:
        """Check the length against the record's, or else against that of the first reply.

        Args:
            reply: The reply, for the error.
            size: Bytes by the image's record; None if it does not know.
            first: What the first reply said, if this one continues it.

        Raises:
            ProtocolError: The lengths differ.
        """
        source = "the image's record"
        if size is None and first is not None:
            size, source = first.total, "the first reply"
        if None not in (size, self.total) and size != self.total:
            raise ProtocolError(
                f"{reply.origin}: the reply announces {self.total} bytes of data, and {source} says"
                f" {size}: check the server and the proxy before it"
            )


def read_representation(reply: Reply, offset: int) -> Representation:
    """Read what a reply says of the data.

    Args:
        reply: The reply to a request for the data from `offset` on.
        offset: The first byte that is needed. A reply of 200 has all bytes before it, too.

    Raises:
        ProtocolError: The reply is another part than the requested one, or no image data.
    """
    if reply.status not in (_OK, _PARTIAL) or _is_page(reply):
        raise ProtocolError(
            f"{reply.origin}: the reply (HTTP {reply.status}) is a page or an answer of a proxy,"
            " and not image data: check what stands before the server"
        )
    length = _read_length(reply)
    total = _read_total(reply, offset, length) if reply.status == _PARTIAL else length
    headers = reply.headers
    return Representation(total, headers.get("etag"), headers.get("last-modified"))


def check_without_data(reply: Reply, record: Record) -> None:
    """Check that a reply without data is about an image without data.

    Raises:
        ProtocolError: The record says that the image has data.
    """
    size = record.get("size")
    if record.get("status") == _ACTIVE and isinstance(size, int) and size > 0:
        raise ProtocolError(
            f"{reply.origin}: HTTP {reply.status} says that the image has no data, and its record"
            f" says {size} bytes: check the server's store, and a proxy before it"
        )


def _is_page(reply: Reply) -> bool:
    """Return whether a reply is a page for people; Glance sends ``application/octet-stream``."""
    kind = reply.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() == "text/html"


def _read_length(reply: Reply) -> int | None:
    length = reply.headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else None


def _read_total(reply: Reply, offset: int, length: int | None) -> int:
    """Return the length of the whole data by ``Content-Range``, which has to go to its end."""
    found = _RANGE.fullmatch(reply.headers.get("content-range", ""))
    if found and offset and int(found[1]) == offset:
        total = int(found[2]) + 1
        if found[3] in ("*", str(total)) and length in (None, total - offset):
            return total
    raise ProtocolError(f"{reply.origin}: the reply is not the part of the data that was requested")
