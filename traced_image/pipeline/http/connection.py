"""One open connection: sends and receives within limits, and knows whether it can be used again."""

from __future__ import annotations

import errno
import os
import select
import ssl
import weakref
from time import monotonic
from typing import TYPE_CHECKING

from .time_limits import find_time_left

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .time_limits import TimeLimits


IDLE_LIMIT = 1.0
"""Seconds after which an idle connection is too uncertain for a request that changes something.

A server may close an idle connection while a request is on its way to it. Then nobody knows
whether the server performed the request, so it is not safe to send it again (RFC 9112, 9.3.1).
"""

HEAD_SIZE = 16 * 1024
"""Bytes to receive at once where a reply may be small: the head of most replies, and its body."""

WOULD_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError, TimeoutError)
"""What a socket raises that must not wait; TimeoutError is raised by eventlet's with TLS."""


class StaleConnectionError(ConnectionResetError):
    """The server closed an idle connection before it sent the first byte of a reply."""


class OpenConnection:
    """One open connection to a server, or to its proxy.

    Args:
        sock: The socket, after the TLS handshake if there is one.
        peer: The address and port that it is connected to.
        nested: Whether its TLS is within that of a proxy. Such a connection does not show whether
            decrypted bytes are left over, so that it serves one request only.

    Attributes:
        peer: The address and port of the other end.
        buffer: Bytes that were received and not used yet.
        ended: Whether `has_received` found that the server has closed.
        unannounced_end: Whether the server has closed without the ``close_notify`` of TLS, which
            is also what it looks like if somebody else has cut the connection (RFC 8446, 6.1).
        used: Whether a reply was received completely before.
    """

    __slots__ = (
        *("__weakref__", "_idle_since", "_nested", "_poll", "_secure", "_sock"),
        *("buffer", "ended", "peer", "unannounced_end", "used"),
    )

    def __init__(
        self,
        sock: socket.socket,
        peer: tuple[str, int],
        *,
        nested: bool = False,
    ) -> None:
        self._sock = sock
        self._nested = nested
        self._secure = nested or isinstance(sock, ssl.SSLSocket)
        self._poll = make_poll(sock)
        self._idle_since = 0.0
        self.peer = peer
        self.buffer = b""
        self.ended = False
        self.unannounced_end = False
        self.used = False
        # Nobody closes a service that is made for one operation, as nova makes one, nor a download
        # that nobody reads. At the end of the process, Python would warn of an open socket.
        weakref.finalize(self, sock.close)

    def receive(self, size: int, limits: TimeLimits) -> bytes:
        """Return at most `size` bytes as soon as there are any; return none at the end.

        Raises:
            OSError: The connection broke, or no byte came in time.
        """
        if self.buffer:
            data, self.buffer = self.buffer[:size], self.buffer[size:]
            return data
        return self._receive(size, limits)

    def fill(self, size: int, limits: TimeLimits) -> bool:
        """Add what the server sends next to `buffer`; return False at the end.

        Raises:
            OSError: The connection broke, or no byte came in time.
        """
        data = self._receive(size, limits)
        self.buffer += data
        return bool(data)

    def _receive(self, size: int, limits: TimeLimits) -> bytes:
        if not self._secure:
            self._sock.settimeout(limits.left())
            return self._sock.recv(size)
        # Not by a timeout of the socket: those of gevent and eventlet, and TLS within TLS, would
        # wait for each part of a record as long as that, and a record may come byte by byte.
        self._sock.settimeout(0)
        until = monotonic() + limits.left()
        while True:
            try:
                return self._receive_secured(size)
            except WOULD_WAIT:
                if not self._poll(find_time_left(until)):
                    raise TimeoutError("the server sent nothing in time") from None

    def _receive_secured(self, size: int) -> bytes:
        try:
            return self._sock.recv(size)
        except ssl.SSLEOFError:
            # Many servers end so. Only where nothing else shows where a body ends is it an error.
            self.unannounced_end = True
            return b""

    def send(self, data: bytes, limits: TimeLimits) -> None:
        """Send all of `data`.

        Raises:
            OSError: The connection broke, or the server did not read in time.
        """
        self._sock.settimeout(limits.left())
        try:
            self._sock.sendall(data)
        except ssl.SSLEOFError as error:
            raise BrokenPipeError(errno.EPIPE, "closed by the server") from error

    def send_part(self, data: memoryview, limits: TimeLimits) -> int:
        """Send a part of `data`, or wait until the server reads or sends something.

        Returns:
            The number of bytes sent; 0 if the server has sent something.

        Raises:
            OSError: The connection broke, or the server neither read nor sent in time.
        """
        self._sock.settimeout(0)
        try:
            return self._sock.send(data)
        except WOULD_WAIT:
            if not self._poll(limits.left(), writing=True):
                raise TimeoutError("the server stopped reading") from None
            return 0
        except ssl.SSLEOFError as error:
            raise BrokenPipeError(errno.EPIPE, "closed by the server") from error

    def has_received(self) -> bool:
        """Return whether the server has sent something or closed; put it into `buffer`.

        This does not wait.
        """
        if not self._poll(0.0):
            return False
        self._sock.settimeout(0)
        try:
            data = self._receive_secured(HEAD_SIZE)
        except WOULD_WAIT:
            return False  # a record of TLS itself, such as a session ticket
        self.buffer += data
        self.ended = not data
        return True

    def is_usable(self, *, writing: bool) -> bool:
        """Return whether the connection can serve a request.

        Args:
            writing: Whether the request changes something, so that it needs a connection that the
                server is surely not about to close.
        """
        # Any byte that is here before the request was sent belongs to no reply.
        return not (
            (writing and monotonic() - self._idle_since > IDLE_LIMIT)
            or self._poll(0.0)
            or self._has_decrypted()
        )

    def _has_decrypted(self) -> bool:
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def finish(self) -> bool:
        """End a reply; return whether the connection may serve another request."""
        self.used = True
        self._idle_since = monotonic()
        return not (self._nested or self.buffer or self._has_decrypted())

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._sock.close()

    def abandon(self) -> None:
        """Close the socket in the child of a fork, and send nothing: it belongs to the parent."""
        os.close(self._sock.detach())


def make_poll(sock: socket.socket) -> Callable[..., bool]:
    """Return a function that waits until a socket is readable, and if asked, or writable.

    The function takes the seconds to wait, and `writing`; it returns whether the socket is ready.
    """
    # eventlet removes poll() from the module and replaces select().
    if not hasattr(select, "poll"):

        def ask(seconds: float, *, writing: bool = False) -> bool:
            writers = [sock] if writing else []
            return any(select.select([sock], writers, [], seconds))

        return ask
    reads, writes = select.poll(), select.poll()
    reads.register(sock, select.POLLIN)
    writes.register(sock, select.POLLIN | select.POLLOUT)

    def ready(seconds: float, *, writing: bool = False) -> bool:
        return bool((writes if writing else reads).poll(seconds * 1000))

    return ready
