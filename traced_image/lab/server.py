"""A Glance server on loopback, with faults that a test can switch on and off."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, final

from ..errors import InvalidArgument
from .active_fault import ActiveFault
from .app import App
from .connection import AcceptedConnection
from .images import Images

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Iterator
    from types import TracebackType

    from .access_log import Access
    from .faults import Fault
    from .tls import TLS


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


_MOST_CONNECTIONS = 256


@final
class GlanceServer:
    """A Glance server (API v1 and v2) in this process, in its own threads.

    Args:
        images: The images that it serves; None for a new, empty store.
        tokens: The accepted ``X-Auth-Token`` values. The server reads them at each request, so
            that a test can let a token expire. None for no authentication (``noauth``).
        tls: The certificates for HTTPS; None for plain HTTP.
        host: A loopback address, IPv4 or IPv6.
        name: The name of its threads.
        prefix: The path before the version, such as ``/image``.

    Attributes:
        images: The images that it serves.
        host: The address that it listens on.
        name: The name of its threads.
        app: Builds the replies; for this package.
        episode: The current fault; for this package.
    """

    def __init__(
        self,
        images: Images | None = None,
        *,
        tokens: Collection[str] | None = None,
        tls: TLS | None = None,
        host: str = "127.0.0.1",
        name: str = "glance",
        prefix: str = "",
    ) -> None:
        self.images = Images() if images is None else images
        self.host = host
        self.name = name
        self.app = App(self.images, tokens, "http" if tls is None else "https", prefix)
        self.episode = ActiveFault(None)
        self._tls = tls
        self._turning = threading.Lock()
        self._counting = threading.Lock()
        self._log: list[Access] = []
        self._open: set[AcceptedConnection] = set()
        self._accepted = 0
        self._listener: Listener | None = None

    def __enter__(self) -> GlanceServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Take a free port and serve; do nothing if the server runs already."""
        with self._turning:
            if self._listener is None:
                self._listener = Listener(self.host, self._accept, f"{self.name}-accept")
                self.episode = ActiveFault(self.episode.fault)
                self._apply(self.episode)

    def stop(self) -> None:
        """Close all connections and wait for the threads; a second call does nothing."""
        with self._turning:
            if self._listener is not None:
                self._listener.release()
                self._listener = None
            self.episode.end()
            self._close_connections()

    @property
    def port(self) -> int:
        """The port that the server listens on.

        Raises:
            RuntimeError: The server is not running.
        """
        if self._listener is None:
            raise RuntimeError(f"Server {self.name} is not running and has no port; start() it.")
        return self._listener.port

    @property
    def url(self) -> str:
        """The URL without a version, such as ``http://127.0.0.1:40123``; it has no final slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.app.scheme}://{host}:{self.port}{self.app.prefix}"

    def break_with(self, fault: Fault) -> None:
        """Fail from now on, on new and on open connections.

        Args:
            fault: The fault; it replaces the current one.

        Raises:
            InvalidArgument: The fault concerns TLS, and the server has no TLS.
        """
        if self._tls is None and fault.name in ("broken_tls", "untrusted_tls"):
            raise InvalidArgument(f"{fault.name} needs a server with tls=TLS.trusted().")
        self._turn(ActiveFault(fault))

    def heal(self) -> None:
        """Answer normally from now on.

        Connections that the fault held open are closed. Slow replies are completed immediately.
        """
        self._turn(ActiveFault(None))

    def _turn(self, episode: ActiveFault) -> None:
        with self._turning:
            before, self.episode = self.episode, episode
            before.end()
            self._apply(episode)

    def _apply(self, episode: ActiveFault) -> None:
        fault = episode.fault
        if self._listener is not None and fault is not None and fault.name == "refuse":
            self._listener.close()
        elif self._listener is not None:
            self._listener.open()
        if fault is not None and fault.meets_connections:
            self._close_connections()

    @property
    def access_log(self) -> tuple[Access, ...]:
        """The requests so far, in the order of their replies."""
        with self._counting:
            return tuple(self._log)

    def clear_log(self) -> None:
        """Empty the access log."""
        with self._counting:
            self._log.clear()

    @property
    def connections(self) -> int:
        """How many TCP connections the server has accepted so far."""
        with self._counting:
            return self._accepted

    def record(self, access: Access) -> None:
        """Add a request to the access log; for this package."""
        with self._counting:
            self._log.append(access)

    def context(self, fault: Fault | None) -> ssl.SSLContext | None:
        """Return the TLS context; None for plain HTTP; for this package."""
        if self._tls is None:
            return None
        return self._tls.unknown if fault is not None else self._tls.known

    def forget(self, connection: AcceptedConnection) -> None:
        """Forget a connection; for this package."""
        with self._counting:
            self._open.discard(connection)

    def _accept(self, sock: socket.socket) -> None:
        with self._counting:
            self._accepted += 1
            if len(self._open) >= _MOST_CONNECTIONS:
                sock.close()
                return
            connection = AcceptedConnection(sock, self, f"{self.name}-{self._accepted}")
            self._open.add(connection)
            # Started under the lock, because `stop` joins the threads of all open connections, and
            # a thread can be joined only after its start.
            connection.thread.start()

    def _close_connections(self) -> None:
        with self._counting:
            connections = tuple(self._open)
        for connection in connections:
            connection.abort()
        for connection in connections:
            connection.thread.join()


@contextmanager
def cluster(
    count: int,
    *,
    images: Images | None = None,
    tokens: Collection[str] | None = None,
    tls: TLS | None = None,
) -> Iterator[tuple[GlanceServer, ...]]:
    """Start several servers that share one store, and stop them at the end.

    The servers are named ``glance-1``, ``glance-2`` and so on.

    Args:
        count: How many servers.
        images: The store; None for a new, empty one.
        tokens: The accepted tokens, as in `GlanceServer`.
        tls: The certificates, as in `GlanceServer`.
    """
    images = Images() if images is None else images
    with ExitStack() as stack:
        yield tuple(
            stack.enter_context(GlanceServer(images, tokens=tokens, tls=tls, name=f"glance-{n}"))
            for n in range(1, count + 1)
        )
