"""A TCP port on loopback, which accepts, refuses and ignores connections in turn."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .active_fault import Door

LOG = logging.getLogger(__name__)

_BACKLOG = 1024
_MOST_FILLERS = 64
_CONNECT_TIME = 0.02
"""Seconds in which a connect on loopback succeeds if the port's queue has room."""
_ACCEPT_TIME = 0.02
"""Seconds until an accept gives up, if the client has left in the meantime."""
_PAUSE = 0.05


class Listener:
    """A TCP port of this process, which accepts, refuses and ignores connections in turn.

    Args:
        host: The address, IPv4 or IPv6.
        on_accept: Called with each accepted connection, in the listener's thread.
        name: The thread's name.
        port: The port; 0 for a free one.

    Raises:
        OSError: The port is in use, or the address is not this machine's; its ``filename`` is the
            address.
    """

    def __init__(
        self, host: str, on_accept: Callable[[socket.socket], None], name: str, port: int = 0
    ) -> None:
        self._host = host
        self._on_accept = on_accept
        self._name = name
        # This socket is bound but never listens. Without a listening socket the kernel refuses
        # connections, and it gives the port to no other process.
        self._holder = self._bound(port)
        self.port = int(self._holder.getsockname()[1])
        self._door: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._waker: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._own: set[object] = set()

    def _bound(self, port: int) -> socket.socket:
        sock = self._make_socket()
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, port))
        except OSError as error:
            sock.close()
            raise OSError(error.errno, error.strerror, f"{self._host}:{port}") from error
        return sock

    def _make_socket(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        return socket.socket(family, socket.SOCK_STREAM)

    def turn(self, door: Door) -> None:
        """Accept, refuse or ignore connections from now on."""
        if door == "open":
            self.open()
        elif door == "refuse":
            self.close()
        else:
            self.block()

    def open(self) -> None:
        """Start to accept connections; a connect succeeds after this returns."""
        if self._thread is not None:
            return
        door = self._listen(_BACKLOG)
        self._drop_fillers()
        self._waker, wakened = socket.socketpair()
        self._thread = threading.Thread(
            target=self._accept, args=(door, wakened), name=self._name, daemon=True
        )
        self._thread.start()

    def _listen(self, backlog: int) -> socket.socket:
        """Return the listening socket, with this length of its queue."""
        if self._door is None:
            self._door = self._bound(self.port)
            # Accepted ones inherit it.
            self._door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Not 0: eventlet's sockets then accept ones that block the whole process.
            self._door.settimeout(_ACCEPT_TIME)
        self._door.listen(backlog)
        return self._door

    def block(self) -> None:
        """Start to ignore connections; a connect has no answer after this returns."""
        self._stop_accepting()
        door = self._listen(0)
        # Linux drops the packets of a connect if the queue is full, so these connections fill it.
        while len(self._fillers) < _MOST_FILLERS and self._add_filler(door):
            pass

    def _add_filler(self, door: socket.socket) -> bool:
        """Connect to the own port; return False if its queue is full."""
        filler = self._make_socket()
        filler.settimeout(0)
        filler.connect_ex(door.getsockname())
        if not _is_connected(filler):
            filler.close()
            return False
        self._fillers.append(filler)
        self._own.add(filler.getsockname())
        return True

    def _drop_fillers(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers = []

    def _accept(self, door: socket.socket, wakened: socket.socket) -> None:
        with wakened, selectors.DefaultSelector() as selector:
            selector.register(door, selectors.EVENT_READ)
            selector.register(wakened, selectors.EVENT_READ)
            while all(key.fileobj is door for key, _ in selector.select()):
                self._accept_one(door)

    def _accept_one(self, door: socket.socket) -> None:
        try:
            sock, address = door.accept()
        except (TimeoutError, ConnectionError):
            return  # the client closed the connection between `select` and `accept`
        except OSError as error:
            LOG.warning("%s: can't accept a connection: %s", self._name, error)
            time.sleep(_PAUSE)  # the connection stays in the queue, and `select` returns at once
            return
        if address in self._own:
            self._own.discard(address)
            sock.close()
            return
        sock.settimeout(None)
        self._on_accept(sock)

    def _stop_accepting(self) -> None:
        if self._thread is None or self._waker is None:
            return
        # A byte wakes the thread. A close would not, if a forked child holds the socket too.
        with self._waker as waker:
            waker.sendall(b"!")
        self._thread.join()
        self._thread = None

    def close(self) -> None:
        """Start to refuse connections; a connect fails after this returns."""
        self._stop_accepting()
        if self._door is not None:
            # If a forked child holds the socket too, a close alone would leave it listening.
            with self._door, contextlib.suppress(OSError):
                self._door.shutdown(socket.SHUT_RDWR)
            self._door = None
        self._drop_fillers()
        self._own.clear()

    def release(self) -> None:
        """Refuse connections, and release the port."""
        self.close()
        self._holder.close()


def _is_connected(sock: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        return bool(selector.select(_CONNECT_TIME))
