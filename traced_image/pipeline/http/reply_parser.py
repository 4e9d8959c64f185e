"""The parser of replies: their head, and where their body ends (RFC 9112).

It accepts nothing that h11 rejects, and a test compares the two. It also rejects what h11 corrects:
repeated lengths, and a length beside a transfer coding.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ...reasons import MalformedReplyError

LARGEST_HEAD = 64 * 1024
"""Bytes that the head of a reply, the trailers of its body, or the size of a chunk may have."""

UNTIL_CLOSE: Final = -1
"""The length of a body that ends when the server closes the connection."""

CHUNKED: Final = -2
"""The length of a body that is sent in chunks."""

_TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]*"
_FIELD = rf"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:{_TEXT}\r\n"
_HEAD = re.compile(rf"HTTP/1\.([0-9]) ([1-9][0-9]{{2}})(?: {_TEXT})?\r\n((?:{_FIELD})*)")
_FIELDS = re.compile(rf"(?:{_FIELD})*")
_FOLD = re.compile(r"\r\n[ \t]+")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rf"([0-9A-Fa-f]{{1,15}})[ \t]*(?:;{_TEXT})?".encode("latin-1"))
_NO_BODY = frozenset({204, 304})
_BARE_END = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\0")
_SINGLE = frozenset({"location"})
"""Headers that a comma can't join, because a comma may be a part of their value."""


class Head(NamedTuple):
    """The head of a reply.

    Attributes:
        status: The HTTP status.
        version: The version of HTTP, such as ``1.1``.
        headers: The headers by their names in lower case; repeated ones are joined by a comma.
    """

    status: int
    version: str
    headers: dict[str, str]


def parse_head(data: bytes) -> Head:
    """Parse the head of a reply, from the status line to the last header with its line end.

    Raises:
        MalformedReplyError: The bytes are not the head of an HTTP/1.1 reply.
    """
    text = data.decode("latin-1")
    match = _HEAD.fullmatch(text)
    if match is None:
        # RFC 9112, 5.2: a client replaces each line break within a value by a space. The status
        # line can't be continued.
        line, end, fields = text.partition("\r\n")
        match = _HEAD.fullmatch(line + end + _FOLD.sub(" ", fields))
        if match is None:
            raise MalformedReplyError("its head is not HTTP/1.1")
    minor, status, fields = match.groups()
    headers: dict[str, str] = {}
    for line in fields.split("\r\n"):
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        if name in headers and name in _SINGLE:
            raise MalformedReplyError(f"it has two {name} headers")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    del headers[""]  # from the end of the last line
    return Head(int(status), f"1.{minor}", headers)


def check_unfinished(data: bytes) -> None:
    """Check the beginning of a head, or of a line, whose end has not come yet.

    A reply with other line ends than CR LF never ends. It must not keep the caller waiting.

    Raises:
        MalformedReplyError: The bytes have another line end, or a null character.
    """
    if _BARE_END.search(data):
        raise MalformedReplyError("its lines do not end in CR LF")


def find_length(method: str, head: Head) -> int:
    """Find how many bytes the body of a reply has, or `CHUNKED` or `UNTIL_CLOSE` (RFC 9112, 6.3).

    Raises:
        MalformedReplyError: The headers contradict each other, or name an unknown transfer coding.
    """
    status, version, headers = head
    if method == "HEAD" or status in _NO_BODY:
        return 0
    length = headers.get("content-length")
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise MalformedReplyError("it has both a length and a transfer coding")
        if coding.lower() != "chunked" or version == "1.0":
            raise MalformedReplyError("its transfer coding is unknown")
        return CHUNKED
    if length is None:
        return UNTIL_CLOSE
    if not _LENGTH.fullmatch(length):
        raise MalformedReplyError("its Content-Length is not one number")
    return int(length)


def stays_open(head: Head) -> bool:
    """Return whether the server keeps the connection open after a reply (RFC 9112, 9.3)."""
    options = head.headers.get("connection")
    if options is None:
        return head.version != "1.0"
    found = {option.strip().lower() for option in options.split(",")}
    return "close" not in found and (head.version != "1.0" or "keep-alive" in found)


def parse_chunk_size(line: bytes) -> int:
    """Parse the line before a chunk, without its line end; ignore the extensions.

    Raises:
        MalformedReplyError: The line is not the size of a chunk.
    """
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise MalformedReplyError("the size of a chunk is not a number")
    return int(match[1], 16)


def check_trailers(data: bytes) -> None:
    """Check the headers after the last chunk, with their line ends; they are not used.

    Raises:
        MalformedReplyError: They are not headers.
    """
    if not _FIELDS.fullmatch(data.decode("latin-1")):
        raise MalformedReplyError("its trailers are not headers")
