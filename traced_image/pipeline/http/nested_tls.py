"""TLS with a server inside the TLS with its proxy; `OpenConnection` uses it as a socket."""

from __future__ import annotations

import ssl
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from .time_limits import find_time_left

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    T = TypeVar("T")


_PIECE = 16 * 1024
"""Bytes of the largest record of TLS (RFC 8446, 5.1)."""


class NestedTLS:
    """TLS over a socket that has TLS itself, with the methods of a socket that are used here.

    ``ssl`` wraps only a socket of the operating system. urllib3's ``SSLTransport`` wraps others,
    but it can't be used without waiting: it loses what the proxy has not yet taken, and its caller
    can't know. Its handshake and its reads have no limit in time as a whole.

    Args:
        sock: The socket, after the handshake with the proxy. Its timeout limits the handshake with
            the server as a whole.
        context: The TLS context.
        host: The server's name or address, which its certificate must have.

    Raises:
        OSError: The handshake failed, or took too long.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = b""
        self._accepted = 0
        self._run(self._tls.do_handshake)
        self._flush()

    def fileno(self) -> int:
        """Return the descriptor of the socket, to wait for it."""
        return self._sock.fileno()

    def settimeout(self, seconds: float) -> None:
        """Set the limit in time of each method; 0 lets none wait."""
        self._sock.settimeout(seconds)

    def close(self) -> None:
        """Close the socket; a second call does nothing."""
        self._sock.close()

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes as soon as there are any; return none at the end.

        Raises:
            ssl.SSLWantReadError: Nothing is there, and the timeout is 0.
            ssl.SSLEOFError: The connection ended, and TLS did not announce that.
            OSError: The connection broke, or no byte came in time.
        """
        return self._run(lambda: self._tls.read(size))

    def send(self, data: bytes | memoryview) -> int:
        """Send a part of `data`; return its number of bytes.

        After an error that asks to wait, the next call must have the same data, as in ``ssl``.

        Raises:
            ssl.SSLWantWriteError: The socket takes no more now, and the timeout is 0.
            OSError: The connection broke, or the proxy took nothing in time.
        """
        if not self._accepted:
            self._accepted = self._tls.write(data[:_PIECE])
        self._flush()
        accepted, self._accepted = self._accepted, 0
        return accepted

    def sendall(self, data: bytes) -> None:
        """Send all of `data`.

        Raises:
            OSError: The connection broke, or the proxy took nothing in time.
        """
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]

    def _flush(self) -> None:
        self._unsent += self._outgoing.read()
        while self._unsent:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]

    def _run(self, step: Callable[[], T]) -> T:
        """Perform a step, which may need bytes of the server, within the timeout as a whole."""
        seconds = self._sock.gettimeout() or 0.0
        until = monotonic() + seconds
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                if seconds:
                    self._flush()
                    self._sock.settimeout(find_time_left(until))
            data = self._sock.recv(_PIECE)
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
