"""HTTP/1.1 on the server's side: reads requests from a connection, and writes replies as bytes."""

from __future__ import annotations

import http
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import cached_property, lru_cache
from io import BufferedReader
from typing import Union
from urllib.parse import parse_qsl

from .identity import ANYONE, Identity

JSON = Union[None, bool, int, float, str, list["JSON"], dict[str, "JSON"]]  # noqa: UP007 - 3.10 needs it for a forward reference
BYTES = "application/octet-stream"
NO_BODY = frozenset({http.HTTPStatus.NO_CONTENT.value, http.HTTPStatus.NOT_MODIFIED.value})
Headers = tuple[tuple[str, str], ...]

_REQUEST_LINE = re.compile(r"(\S+) (\S+) HTTP/1\.([01])\r?\n")
_ABSOLUTE = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#@]+)([^#]*)", re.IGNORECASE)
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_LINE_LIMIT = 65536
_HEADER_LIMIT = 200
_PIECE = 1 << 18
# WebOb's reason phrases: those of http.HTTPStatus for these two differ between Python versions.
REASONS: Mapping[int, str] = {
    **{status.value: status.phrase for status in http.HTTPStatus},
    413: "Request Entity Too Large",
    416: "Request Range Not Satisfiable",
}


class Malformed(Exception):  # noqa: N818 - it never leaves the connection that read it
    """The bytes that arrived are not an HTTP/1 request."""


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that arrived.

    Attributes:
        method: The HTTP method, as sent.
        target: The path with the query, as sent.
        headers: The headers by lower-case name; repeated headers are joined with a comma.
        body: The whole body, without chunked encoding.
        keep_alive: Whether the client wants to keep the connection.
        identity: Who sent it.
        request_id: The id that its reply has; empty before the server has chosen one.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    keep_alive: bool = True
    identity: Identity = ANYONE
    request_id: str = ""

    @cached_property
    def path(self) -> str:
        """The path without the query, still percent-encoded."""
        return self.target.partition("#")[0].partition("?")[0]

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """The names and values in the query, in order."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)


@dataclass(frozen=True)
class Response:
    """A reply; `head` adds ``Content-Length``, ``Date`` and ``Connection`` when it is sent."""

    status: int
    body: bytes = b""
    content_type: str = "text/html; charset=UTF-8"
    headers: Headers = ()

    def with_headers(self, *headers: tuple[str, str]) -> Response:
        """Return the same reply with further headers."""
        return replace(self, headers=(*self.headers, *headers))

    def header(self, name: str) -> str | None:
        """Return the value of a header; None if it is not set."""
        return next((value for key, value in self.headers if key == name), None)

    def check(self) -> None:
        """Refuse a header that would split or break the reply, as WebOb does.

        Raises:
            ValueError: A header has a control character, or one that UTF-8 can't encode.
        """
        for name, value in self.headers:
            if _UNSENDABLE.search(value) or _UNSENDABLE.search(name):
                raise ValueError(f"The header {name!r} has a character that can't be sent.")

    def head(self, *, length: int | None = None, close: bool = False) -> bytes:
        """Return the status line and headers as bytes.

        Args:
            length: The value of ``Content-Length``; None for the body's length.
            close: Whether the connection closes after this reply.
        """
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}"]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        if self.status not in NO_BODY and self.header("Content-Length") is None:
            lines.append(f"Content-Length: {len(self.body) if length is None else length}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"Date: {_format_date(int(time.time()))}")
        lines.append("Connection: close" if close else "Connection: keep-alive")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


# The date changes once a second, and a server sends thousands of replies in one.
@lru_cache(maxsize=1)
def _format_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def make_json_response(status: int, value: JSON, *headers: tuple[str, str]) -> Response:
    """Build a reply with a JSON body, in the format of oslo.serialization's jsonutils."""
    body = json.dumps(value, ensure_ascii=False).encode()
    return Response(status, body, "application/json", headers)


def read_head(stream: BufferedReader) -> ReceivedRequest | None:
    """Read a request line and headers.

    Returns:
        None if the client has closed the connection.

    Raises:
        Malformed: The bytes are not a request line and headers.
        OSError: The connection breaks.
    """
    line = stream.readline(_LINE_LIMIT)
    if line in (b"\r\n", b"\n"):  # RFC 9112, 2.2: some clients end a body with one
        line = stream.readline(_LINE_LIMIT)
    if not line:
        return None
    match = _REQUEST_LINE.match(line.decode("latin-1"))
    if match is None:
        raise Malformed(line[:80])
    method, target, minor = match.groups()
    headers = _read_headers(stream)
    # RFC 9112, 9.3: HTTP/1.1 keeps the connection by default, HTTP/1.0 only on request.
    options = {option.strip() for option in headers.get("connection", "").lower().split(",")}
    keep_alive = "close" not in options and (minor == "1" or "keep-alive" in options)
    return ReceivedRequest(method, target, headers, keep_alive=keep_alive)


def to_origin_form(request: ReceivedRequest) -> ReceivedRequest:
    """Return a request whose target is a URL as one whose target is a path.

    RFC 9112, 3.2.2: every server accepts it, and the URL's authority replaces ``Host``.
    """
    match = _ABSOLUTE.match(request.target)
    if match is None:
        return request
    authority, rest = match.groups()
    target = rest if rest.startswith("/") else f"/{rest}"
    return replace(request, target=target, headers={**request.headers, "host": authority})


def _read_headers(stream: BufferedReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_HEADER_LIMIT):
        line = stream.readline(_LINE_LIMIT)
        if line in (b"\r\n", b"\n"):
            return headers
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise Malformed(line[:80])
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    raise Malformed(b"too many headers")


ReadPiece = Callable[[BufferedReader, int], bytes]
"""Reads up to so many bytes of a stream."""


def read_body(stream: BufferedReader, headers: Mapping[str, str]) -> tuple[bytes, bool]:
    """Read a request's body.

    Returns:
        The bytes that arrived, and whether they are the whole body.

    Raises:
        Malformed: The length of the body or of a chunk is not a number.
    """
    body = ReceivedBody(stream, headers)
    complete = body.read()
    return bytes(body.data), complete


class ReceivedBody:
    """A request's body, while it arrives.

    Args:
        stream: The connection.
        headers: The request's headers, which say how long the body is.
        read: Reads a piece of the stream.

    Attributes:
        data: The bytes that arrived; also after a break, because the access log counts them.
    """

    def __init__(
        self,
        stream: BufferedReader,
        headers: Mapping[str, str],
        read: ReadPiece = BufferedReader.read1,
    ) -> None:
        self.data = bytearray()
        self._stream = stream
        self._headers = headers
        self._read = read
        self._most: float = math.inf
        self._complete = False
        self._pieces = self._read_pieces()

    def read(self, most: float = math.inf) -> bool:
        """Read the rest of the body, or until `most` bytes have arrived in all.

        Returns:
            Whether the body is complete.

        Raises:
            Malformed: The length of the body or of a chunk is not a number.
        """
        self._most = most
        while len(self.data) < most:
            piece = next(self._pieces, b"")
            if not piece:
                return self._complete
            self.data += piece
        return False

    def _read_pieces(self) -> Iterator[bytes]:
        try:
            for size in self._read_sizes():
                left = size
                while left:
                    wanted = min(left, _PIECE, self._most - len(self.data))
                    piece = self._read(self._stream, int(wanted))
                    if not piece:
                        return
                    left -= len(piece)
                    yield piece
        except (OSError, EOFError):
            return
        self._complete = True

    def _read_sizes(self) -> Iterator[int]:
        """Read the length of the body, or of each chunk in turn."""
        if not self._headers.get("transfer-encoding", "").lower().endswith("chunked"):
            yield _read_number(self._headers.get("content-length", "0"), 10)
            return
        size = 1
        while size:
            size = _read_number(self._read_line().partition(b";")[0].decode("latin-1"), 16)
            yield size
            if size:
                self._read_line()
        # Trailers, up to an empty line; what is left of them would be taken for the next request.
        while self._read_line().strip():
            pass

    def _read_line(self) -> bytes:
        line = self._stream.readline(_LINE_LIMIT)
        if not line:
            raise EOFError
        return line


def _read_number(text: str, base: int) -> int:
    try:
        number = int(text.strip(), base)
    except ValueError as error:
        raise Malformed(text[:80].encode()) from error
    if number < 0:
        raise Malformed(text[:80].encode())
    return number
