"""Connections that keep a call's deadline and tell how far a request came.

A socket's timeout bounds each wait for bytes, so that a server which sends one byte now and then
holds a caller for as long as it likes. These connections bound the whole reply.
"""

from __future__ import annotations

import functools
import io
import ssl
from http.client import HTTPResponse
from time import monotonic
from typing import TYPE_CHECKING

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError, SSLError
from urllib3.util.response import assert_header_parsing

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer
    from urllib3 import HTTPResponse as PooledResponse


class HandshakeError(SSLError):
    """TLS could not be set up, so no request was sent."""


class Until(float):
    """A read timeout in seconds that also knows when the whole reply must be there."""

    __slots__ = ("deadline",)
    deadline: float

    @classmethod
    def after(cls, timeout: float, remaining: float) -> Until:
        """Bound each wait by `timeout` seconds, and all of them by `remaining` seconds."""
        until = cls(min(timeout, remaining))
        until.deadline = monotonic() + remaining
        return until


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
        if left < self._until:
            self._socket.settimeout(left)
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


class _Reply(HTTPResponse):
    """A reply that is read within a deadline, and refused if its headers are none."""

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
        *,
        until: Until | None = None,
    ) -> None:
        source = sock if until is None else _BoundedSocket(sock, until)
        super().__init__(source, debuglevel, method, url)  # type: ignore[arg-type]

    def begin(self) -> None:
        super().begin()
        if self.headers.defects:
            assert_header_parsing(self.headers)


class _Connection(HTTPConnection):
    """What a connection does with and without TLS."""

    response_class = _Reply

    def getresponse(self) -> PooledResponse:  # type: ignore[override]
        until = self.timeout if isinstance(self.timeout, Until) else None
        self.response_class = functools.partial(_Reply, until=until)  # type: ignore[assignment]
        return super().getresponse()

    def connect(self) -> None:
        try:
            super().connect()
        except ssl.SSLError as error:
            raise HandshakeError(error) from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error


class _TLSConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


POOLS = {"http": _Pool, "https": _TLSPool}
"""The pool class by scheme, as urllib3's ``PoolManager.pool_classes_by_scheme``."""
