"""Connections that keep a call's deadline and tell how far a request came.

A socket's timeout bounds each wait for bytes, so that a server which sends one byte now and then
holds a caller for as long as it likes. These connections bound the whole reply.
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
"""Methods of requests that change nothing."""

IDLE_LIMIT = 1.0
"""Seconds after which a kept connection is too doubtful for a request that changes something.

A server may close an idle connection while a request is on its way to it. Nobody knows then
whether the request was carried out, so that it could not be sent again.
"""

_MOMENT = 0.001


class StaleConnectionError(ConnectionResetError):
    """A kept connection was closed before the first byte of a reply came."""


class Until(float):
    """Seconds for one wait, that also know when the last of several waits must end."""

    __slots__ = ("deadline", "each")
    deadline: float
    each: float

    @classmethod
    def after(cls, timeout: float, remaining: float) -> Self:
        """Bound each wait by `timeout` seconds, and all of them by `remaining` seconds."""
        until = cls(min(timeout, remaining))
        until.each = timeout
        until.deadline = monotonic() + remaining
        return until

    def lift(self) -> None:
        """Bound each wait only: what follows takes as long as it is."""
        self.deadline = math.inf


class _Connecting(Until):
    """Seconds to connect, that also know the limits of what follows."""

    __slots__ = ("then",)
    then: Until


def make_timeout(connect: float, read: float, remaining: float = math.inf) -> Timeout:
    """Build the timeouts of one request.

    Args:
        connect: Seconds to connect, TLS included.
        read: Seconds for each wait after that, to send or to receive.
        remaining: Seconds for all of it.
    """
    connect = min(connect, remaining)
    connecting = _Connecting.after(connect, connect)
    connecting.then = Until.after(read, remaining)
    return Timeout(connect=connecting, read=connecting.then)


class _BoundedReader(io.RawIOBase):
    """Reads from a socket, waiting no longer than until a deadline in all."""

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
    """Stands for a socket where http.client makes a file of one."""

    def __init__(self, sock: socket.socket, until: Until) -> None:
        self._socket = sock
        self._until = until

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._socket, self._until))


class _StrictHTTPResponse(HTTPResponse):
    """A reply that is refused if its headers are none, or a chunk has less than no length."""

    def begin(self) -> None:
        super().begin()
        if self.headers.defects:
            assert_header_parsing(self.headers)

    def _safe_read(self, amt: int) -> bytes:
        if amt < 0:
            raise IncompleteRead(b"")
        return super()._safe_read(amt)  # type: ignore[misc, no-any-return]


class _DeadlineConnection(HTTPConnection):
    """What a connection does with and without TLS."""

    timeout: _Connecting
    """That of `make_timeout`: to connect, and then `_Connecting.then`."""

    _replied_at: float | None = None
    """When the last reply came over what is connected now."""

    def response_class(  # type: ignore[override]
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> HTTPResponse:
        """Make the reply; http.client calls this for a tunnel's too, while it connects."""
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
        # Not the time to connect: storage that is busy may keep an upload waiting for longer.
        self.timeout = self.timeout.then  # type: ignore[assignment]
        super().request(method, url, body, headers, **options)

    def _is_doubtful(self) -> bool:
        idle = self._replied_at is not None and monotonic() - self._replied_at > IDLE_LIMIT
        # To close it would make urllib3 forget the tunnel.
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
    """The same over TLS."""

    def send(self, data: bytes) -> None:  # type: ignore[override]
        try:
            super().send(data)
        except ssl.SSLEOFError as error:
            # As without TLS: the server may have answered before it closed, and urllib3 looks.
            raise BrokenPipeError(errno.EPIPE, "closed by the server") from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection  # type: ignore[assignment]


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineTLSConnection  # type: ignore[assignment]

    def _validate_conn(self, conn: _DeadlineTLSConnection) -> None:  # type: ignore[override]
        """Connect, without a warning at each request: whoever set `insecure` knows."""
        if conn.is_closed:
            conn.connect()


POOLS = {"http": _Pool, "https": _TLSPool}
"""The pool class by scheme, as urllib3's ``PoolManager.pool_classes_by_scheme``."""
