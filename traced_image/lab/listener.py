"""A TCP port on loopback, which refuses and accepts connections in turn."""

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
    """A TCP port of this process, which can refuse and accept connections in turn.

    Args:
        host: The address, IPv4 or IPv6.
        on_accept: Called with each accepted connection, in the listener's thread.
        name: The thread's name.
    """

    def __init__(self, host: str, on_accept: Callable[[socket.socket], None], name: str) -> None:
        self._host = host
        self._on_accept = on_accept
        self._name = name
        # This socket is bound but never listens. Without a listening socket the kernel refuses
        # connections, and it gives the port to no other process.
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
        """Start to accept connections; a connect succeeds after this returns."""
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
                # The client may have closed the connection between `select` and `accept`.
                with contextlib.suppress(OSError):
                    self._on_accept(self._accepted(door))
            # If a forked child holds the socket too, a close alone would leave it listening.
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _accepted(door: socket.socket) -> socket.socket:
        sock, _ = door.accept()
        sock.settimeout(None)
        return sock

    def close(self) -> None:
        """Start to refuse connections; a connect fails after this returns."""
        if self._thread is None or self._waker is None:
            return
        # A byte wakes the thread. A close would not, if a forked child holds the socket too.
        with self._waker as waker:
            waker.sendall(b"!")
        self._thread.join()
        self._thread = None

    def release(self) -> None:
        """Refuse connections, and release the port."""
        self.close()
        self._holder.close()
