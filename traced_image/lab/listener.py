"""A port that is held for good, and a thread that accepts on it while it is open."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG = 256


class Listener:
    """A port of this process.

    Args:
        host: The address, IPv4 or IPv6.
        on_accept: Called with each accepted connection, in the listener's thread.
        name: The thread's name.
    """

    def __init__(self, host: str, on_accept: Callable[[socket.socket], None], name: str) -> None:
        self._host = host
        self._on_accept = on_accept
        self._name = name
        # Bound and never listening: while nothing listens beside it, the kernel refuses
        # connections, and nobody else is given the port.
        self._holder = self._bound(0)
        self.port = int(self._holder.getsockname()[1])
        self._thread: threading.Thread | None = None
        self._waker: socket.socket | None = None

    def _bound(self, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, port))
        except OSError:
            sock.close()
            raise
        return sock

    def open(self) -> None:
        """Accept connections; when this returns, a connect succeeds."""
        if self._thread is not None:
            return
        door = self._bound(self.port)
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted ones inherit it
        door.listen(_BACKLOG)
        door.settimeout(0)
        self._waker, wakened = socket.socketpair()
        self._thread = threading.Thread(
            target=self._accept, args=(door, wakened), name=self._name, daemon=True
        )
        self._thread.start()

    def _accept(self, door: socket.socket, wakened: socket.socket) -> None:
        with door, wakened, selectors.DefaultSelector() as selector:
            selector.register(door, selectors.EVENT_READ)
            selector.register(wakened, selectors.EVENT_READ)
            while all(key.fileobj is door for key, _ in selector.select()):
                # The client may have gone between the two calls.
                with contextlib.suppress(OSError):
                    self._on_accept(self._accepted(door))
            # A forked child has the socket too, and with it the port would go on listening.
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _accepted(door: socket.socket) -> socket.socket:
        sock, _ = door.accept()
        sock.settimeout(None)
        return sock

    def close(self) -> None:
        """Refuse connections; when this returns, a connect fails."""
        if self._thread is None or self._waker is None:
            return
        # A byte, since a close would not be seen while a forked child has the socket too.
        with self._waker as waker:
            waker.sendall(b"!")
        self._thread.join()
        self._thread = None

    def release(self) -> None:
        """Close, and give the port back."""
        self.close()
        self._holder.close()
