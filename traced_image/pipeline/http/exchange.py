"""One request and its reply on one connection: every byte and every wait is accounted for."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from ...reasons import MalformedReplyError
from .body import Body
from .connection import HEAD_SIZE, OpenConnection, StaleConnectionError
from .reply_parser import (
    LARGEST_HEAD,
    UNTIL_CLOSE,
    Head,
    check_unfinished,
    find_length,
    parse_head,
    stays_open,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from requests import PreparedRequest

    from .time_limits import TimeLimits


READS = frozenset({"GET", "HEAD"})
"""The methods of requests that change nothing (RFC 9110, 9.2.1: safe methods)."""

MOST_INTERIM = 16
"""Interim replies (1xx) that may come before the reply; Glance itself sends none."""

ANSWER_AFTER_CLOSE = 1.0
"""Seconds to wait for the answer of a server that stopped reading and closed the connection."""

_FINAL = 200
_SWITCHING_PROTOCOLS = 101
_END = b"\r\n\r\n"
_CHUNKED = b"\r\nTransfer-Encoding: chunked\r\n"

Connect = Callable[[bool, "TimeLimits"], OpenConnection]
"""Returns an open connection; the first argument says whether the request changes something."""

Release = Callable[[OpenConnection], None]
"""Takes back a connection that may serve another request."""


class HTTPReply:
    """A reply whose body is unread.

    Attributes:
        status: The HTTP status.
        version: The version of HTTP, such as ``1.1``.
        headers: The headers by their names in lower case; repeated ones are joined by a comma.
        body: The body.
        cut: Whether the server answered before it had read the whole request.
    """

    __slots__ = ("body", "cut", "headers", "status", "version")

    def __init__(self, head: Head, body: Body, *, cut: bool) -> None:
        self.status, self.version, self.headers = head
        self.body = body
        self.cut = cut


class HTTPExchange:
    """One request and its reply on one connection.

    Args:
        connect: Returns the connection to use.
        release: Takes the connection back after a reply that ended where it said.
        limits: The limits in time.
        origin: The scheme and authority to remove from the request's URL; empty for a proxy that
            needs the whole URL.
        head: The first headers of the request, as lines without the last line end.

    Attributes:
        peer: The address and port of the connection's other end; None before there is one.
    """

    __slots__ = ("_connect", "_head", "_interim", "_limits", "_origin", "_release", "peer")

    def __init__(
        self, connect: Connect, release: Release, limits: TimeLimits, origin: str, head: str
    ) -> None:
        self._connect = connect
        self._release = release
        self._limits = limits
        self._origin = origin
        self._head = head
        self._interim = 0
        self.peer: tuple[str, int] | None = None

    def send(self, prepared: PreparedRequest, /) -> HTTPReply:
        """Send a request; return the reply with its body unread.

        Raises:
            StaleConnectionError: The server closed an idle connection before it answered.
            OSError: The connection could not be opened, broke, or took too long.
            MalformedReplyError: The reply is not HTTP/1.1, or contradicts itself.
            ValueError: A header or the URL has a character that HTTP can't carry.
        """
        method = prepared.method or "GET"
        head = self._write_head(method, prepared)
        connection = self._connect(method not in READS, self._limits)
        self.peer = connection.peer
        try:
            try:
                whole = self._send(connection, head, prepared.body)
            except ConnectionError as error:
                return self._receive_after_close(connection, method, error)
            return self._receive(connection, method, whole=whole)
        except BaseException:
            connection.close()
            raise

    def _write_head(self, method: str, prepared: PreparedRequest) -> bytes:
        target = (prepared.url or "").removeprefix(self._origin)
        lines = [f"{name}: {value}" for name, value in prepared.headers.items()]
        text = "\r\n".join([f"{method} {target} HTTP/1.1", self._head, *lines, "", ""])
        ends = len(lines) + self._head.count("\n") + 3  # one for each line, and an empty one
        # A line break in a value would let it add headers of its own.
        if text.count("\r") != ends or text.count("\n") != ends or "\0" in text or " " in target:
            raise ValueError("the URL or a header has a line break, a space or a null character")
        return text.encode("latin-1")

    def _send(self, connection: OpenConnection, head: bytes, body: object) -> bool:
        """Send the request; return False if the server answered before all of it was sent."""
        if body is None or isinstance(body, bytes):
            connection.send(head + (body or b""), self._limits)
            return True
        connection.send(head, self._limits)
        for piece in _frame(body, chunked=_CHUNKED in head):
            data = memoryview(piece)
            while data:
                if connection.has_received() and self._is_answered(connection):
                    return False
                data = data[connection.send_part(data, self._limits) :]
        self._limits.start_answer()
        return True

    def _is_answered(self, connection: OpenConnection) -> bool:
        """Return whether the head of a final reply is in the connection's buffer, or its end."""
        while (end := connection.buffer.find(_END)) >= 0:
            status = parse_head(connection.buffer[: end + 2]).status
            if status >= _FINAL:
                return True
            self._count_interim(status)
            connection.buffer = connection.buffer[end + len(_END) :]
        return connection.ended or len(connection.buffer) > LARGEST_HEAD

    def _count_interim(self, status: int) -> None:
        if status == _SWITCHING_PROTOCOLS:
            raise MalformedReplyError("it switches to a protocol that nobody asked for")
        self._interim += 1
        if self._interim > MOST_INTERIM:
            raise MalformedReplyError("it has too many interim replies")

    def _receive_after_close(
        self, connection: OpenConnection, method: str, error: ConnectionError
    ) -> HTTPReply:
        """Return the answer that a server sent before it closed the connection, or raise `error`.

        A server that refuses an upload early says why, and may close without reading the rest.
        """
        until = self._limits.until
        self._limits.shorten(ANSWER_AFTER_CLOSE)
        try:
            return self._receive(connection, method, whole=False)
        except (StaleConnectionError, ssl.SSLError):
            # TLS says why: with TLS 1.3 a server refuses the client's certificate here.
            raise
        except (OSError, MalformedReplyError):
            raise error from None
        finally:
            # The request may be sent again, on another connection.
            self._limits.until = until

    def _receive(self, connection: OpenConnection, method: str, *, whole: bool) -> HTTPReply:
        head, data = self._receive_head(connection)
        connection.buffer = data
        length = find_length(method, head)
        reusable = whole and length != UNTIL_CLOSE and stays_open(head)
        body = Body(connection, length, self._limits, self._release if reusable else None)
        return HTTPReply(head, body, cut=not whole)

    def _receive_head(self, connection: OpenConnection) -> tuple[Head, bytes]:
        """Receive the head of the final reply; return it with the bytes that came after it."""
        data = self._receive_first(connection)
        while True:
            end = data.find(_END, 0, LARGEST_HEAD)
            if end >= 0:
                head = parse_head(data[: end + 2])
                data = data[end + len(_END) :]
                if head.status >= _FINAL:
                    return head, data
                self._count_interim(head.status)
            elif len(data) >= LARGEST_HEAD:
                raise MalformedReplyError("its head is too long")
            else:
                check_unfinished(data)
                piece = connection.receive(HEAD_SIZE, self._limits)
                if not piece:
                    raise MalformedReplyError("it is cut short")
                data += piece

    def _receive_first(self, connection: OpenConnection) -> bytes:
        """Receive the first bytes of a reply."""
        try:
            data = connection.receive(HEAD_SIZE, self._limits)
        except ConnectionError as error:
            if connection.used:
                raise StaleConnectionError(*error.args) from error
            raise
        if data:
            return data
        kind = StaleConnectionError if connection.used else ConnectionResetError
        raise kind(errno.ECONNRESET, "closed without an answer")


def _frame(body: object, *, chunked: bool) -> Iterator[bytes]:
    """Yield the pieces of a request's body as they go over the wire (RFC 9112, 7.1)."""
    for piece in cast("Iterable[bytes]", body):
        if not chunked:
            yield piece
        elif piece:  # an empty chunk would end the body
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    if chunked:
        yield b"0\r\n\r\n"
