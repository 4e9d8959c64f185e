"""Connections that enforce a call's deadline and report whether a request was sent.

A socket's timeout limits each wait for bytes. So a server that sends one byte now and then could
delay a caller without limit. These connections limit the whole reply.
"""

from __future__ import annotations

import errno
import io
import math
import ssl
from http.client import HTTPResponse, IncompleteRead
from time import monotonic
from typing import TYPE_CHECKING

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util.response import assert_header_parsing

from ...reasons import HandshakeError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from typing_extensions import Buffer, Self
    from urllib3 import HTTPResponse as PooledResponse


READS = frozenset({"GET", "HEAD"})
"""The methods of requests that change nothing (RFC 9110, 9.2.1: safe methods)."""

IDLE_LIMIT = 1.0
"""Seconds after which an idle connection is too uncertain for a request that changes something.

A server may close an idle connection while a request is on its way to it. Then nobody knows
whether the server performed the request, so it is not safe to send it again (RFC 9112, 9.3.1).
"""

_MOMENT = 0.001  # a timeout of 0 would make the socket non-blocking


class StaleConnectionError(ConnectionResetError):
    """The server closed an idle connection before it sent the first byte of a reply."""


class Until(float):
    """Seconds for one wait, with the moment at which the last of several waits must end.

    It is a float, because urllib3 accepts only numbers as timeouts and passes this object on.
    """

    __slots__ = ("deadline", "each")
    deadline: float
    each: float

    @classmethod
    def after(cls, timeout: float, remaining: float) -> Self:
        """Limit each wait to `timeout` seconds, and all of them to `remaining` seconds."""
        until = cls(min(timeout, remaining))
        until.each = timeout
        until.deadline = monotonic() + remaining
        return until

    def lift(self) -> None:
        """Remove the limit for all waits: the image data that follows may take any time."""
        self.deadline = math.inf


class _Connecting(Until):
    """Seconds to connect, with the limits for the request that follows."""

    __slots__ = ("then",)
    then: Until


def make_timeout(connect: float, read: float, remaining: float = math.inf) -> Timeout:
    """Build the timeouts of one request.

    Args:
        connect: Seconds to connect, with TLS.
        read: Seconds for each later wait, to send or to receive.
        remaining: Seconds for the whole request.
    """
    connect = min(connect, remaining)
    connecting = _Connecting.after(connect, connect)
    connecting.then = Until.after(read, remaining)
    return Timeout(connect=connecting, read=connecting.then)


class _BoundedReader(io.RawIOBase):
    """A reader of a socket that stops waiting at a deadline."""

    def __init__(self, sock: socket.socket, until: Until) -> None:
        self._socket = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        left = self._until.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the deadline passed while reading")
        self._socket.settimeout(min(left, self._until.each))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedSocket:
    """A replacement for the socket from which http.client makes a file."""

    def __init__(self, sock: socket.socket, until: Until) -> None:
        self._socket = sock
        self._until = until

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._socket, self._until))


class _StrictHTTPResponse(HTTPResponse):
    """A reply that rejects malformed headers and chunks with a negative length."""

    def begin(self) -> None:
        super().begin()
        # http.client parses headers as those of an email: a malformed line ends them, and the
        # ones after it, such as Content-Length, are lost.
        if self.headers.defects:
            assert_header_parsing(self.headers)

    def _safe_read(self, amt: int) -> bytes:
        # http.client parses a chunk's length by int(), which accepts "-1". A read of -1 bytes
        # would continue to the end of the connection.
        if amt < 0:
            raise IncompleteRead(b"")
        return super()._safe_read(amt)  # type: ignore[misc, no-any-return]


class _DeadlineConnection(HTTPConnection):
    """A connection with the deadline of `make_timeout`, with or without TLS."""

    timeout: _Connecting
    """The limits from `make_timeout`: first those to connect, then `_Connecting.then`."""

    _replied_at: float | None = None
    """When the last reply began on this connection, in monotonic seconds; None if none did."""

    def response_class(  # type: ignore[override]
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> HTTPResponse:
        """Build the reply; http.client also calls this for a proxy's reply to ``CONNECT``."""
        bounded = _BoundedSocket(sock, self.timeout)
        return _StrictHTTPResponse(bounded, debuglevel, method)  # type: ignore[arg-type]

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        left = self.timeout.deadline - monotonic()
        sock.settimeout(max(left, _MOMENT))
        return sock

    def connect(self) -> None:
        self._replied_at = None
        try:
            super().connect()
        except ssl.SSLError as error:
            raise HandshakeError(error) from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **options: bool,
    ) -> None:
        if method not in READS and self._is_doubtful():
            self.close()
        if self.sock is None:
            self.connect()
        # From here on the read timeout counts, not the one to connect: busy storage may make an
        # upload wait longer.
        self.timeout = self.timeout.then  # type: ignore[assignment]
        super().request(method, url, body, headers, **options)

    def _is_doubtful(self) -> bool:
        idle = self._replied_at is not None and monotonic() - self._replied_at > IDLE_LIMIT
        # urllib3 forgets the tunnel if the connection is closed here.
        return idle and not self._tunnel_host

    def getresponse(self) -> PooledResponse:  # type: ignore[override]
        try:
            reply = super().getresponse()
        except ConnectionResetError as error:
            if self._replied_at is None:
                raise
            raise StaleConnectionError(*error.args) from error
        self._replied_at = monotonic()
        return reply


class _DeadlineTLSConnection(_DeadlineConnection, HTTPSConnection):
    """A `_DeadlineConnection` over TLS."""

    def send(self, data: bytes) -> None:  # type: ignore[override]
        try:
            super().send(data)
        except ssl.SSLEOFError as error:
            # The same error as without TLS. After a BrokenPipeError, urllib3 still reads the
            # answer that the server may have sent before it closed the connection.
            raise BrokenPipeError(errno.EPIPE, "closed by the server") from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection  # type: ignore[assignment]


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineTLSConnection  # type: ignore[assignment]

    def _validate_conn(self, conn: _DeadlineTLSConnection) -> None:  # type: ignore[override]
        """Connect without urllib3's warning at each request: the user has set `insecure`."""
        if conn.is_closed:
            conn.connect()


POOLS = {"http": _Pool, "https": _TLSPool}
"""The pool class by scheme, as urllib3's ``PoolManager.pool_classes_by_scheme``."""
