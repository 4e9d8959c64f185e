"""A Glance server on loopback that can be told to fail."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, final

from ..errors import InvalidArgument
from .app import App
from .connection import Connection
from .episode import Episode
from .images import Images
from .listener import Listener

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Collection, Iterator
    from types import TracebackType

    from .access import Access
    from .faults import Fault
    from .tls import TLS

_MOST_CONNECTIONS = 256


@final
class GlanceServer:
    """A Glance (v1 and v2) in this process, in threads of its own.

    Args:
        images: What it serves; without it, an empty store of its own.
        tokens: The ``X-Auth-Token`` values that it accepts, read at each request, so that a
            test can let one expire; None for Glance's noauth.
        tls: To speak HTTPS.
        host: A loopback address, IPv4 or IPv6.
        name: For its threads.
        prefix: A path in front of the versions, as ``/image``.

    Attributes:
        images: As given.
        host: As given.
        name: As given.
        app: What answers; for this package.
        episode: The fault of the moment; for this package.
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
        self.episode = Episode(None)
        self._tls = tls
        self._turning = threading.Lock()
        self._counting = threading.Lock()
        self._log: list[Access] = []
        self._open: set[Connection] = set()
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
        """Take a free port and serve; a server that runs already just goes on."""
        with self._turning:
            if self._listener is None:
                self._listener = Listener(self.host, self._accept, f"{self.name}-accept")
                self.episode = Episode(self.episode.fault)
                self._apply(self.episode)

    def stop(self) -> None:
        """Close everything and wait for its threads; stopping twice does no harm."""
        with self._turning:
            if self._listener is not None:
                self._listener.release()
                self._listener = None
            self.episode.end()
            self._close_connections()

    @property
    def port(self) -> int:
        """The port.

        Raises:
            RuntimeError: If the server is not running.
        """
        if self._listener is None:
            raise RuntimeError(f"Server {self.name} is not running and has no port; start() it.")
        return self._listener.port

    @property
    def url(self) -> str:
        """The address without a version, as ``http://127.0.0.1:40123``; no slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.app.scheme}://{host}:{self.port}{self.app.prefix}"

    def break_with(self, fault: Fault) -> None:
        """Fail from now on, on new connections and on kept-alive ones.

        Raises:
            InvalidArgument: If the fault is one of TLS, and the server speaks none.
        """
        if self._tls is None and fault.name in ("broken_tls", "untrusted_tls"):
            raise InvalidArgument(f"{fault.name} needs a server with tls=TLS.trusted().")
        self._turn(Episode(fault))

    def heal(self) -> None:
        """Be well from now on: what was held is closed, what was slow is finished at once."""
        self._turn(Episode(None))

    def _turn(self, episode: Episode) -> None:
        with self._turning:
            before, self.episode = self.episode, episode
            before.end()
            self._apply(episode)

    def _apply(self, episode: Episode) -> None:
        fault = episode.fault
        if self._listener is not None and fault is not None and fault.name == "refuse":
            self._listener.close()
        elif self._listener is not None:
            self._listener.open()
        if fault is not None and fault.meets_connections:
            self._close_connections()

    @property
    def access_log(self) -> tuple[Access, ...]:
        """The requests so far, in the order in which they were answered."""
        with self._counting:
            return tuple(self._log)

    def clear_log(self) -> None:
        """Forget the requests so far."""
        with self._counting:
            self._log.clear()

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted so far."""
        with self._counting:
            return self._accepted

    def record(self, access: Access) -> None:
        """Log a request; for this package."""
        with self._counting:
            self._log.append(access)

    def context(self, fault: Fault | None) -> ssl.SSLContext | None:
        """The TLS to speak, if any; for this package."""
        if self._tls is None:
            return None
        return self._tls.unknown if fault is not None else self._tls.known

    def ended(self, connection: Connection) -> None:
        """Forget a connection; for this package."""
        with self._counting:
            self._open.discard(connection)

    def _accept(self, sock: socket.socket) -> None:
        with self._counting:
            self._accepted += 1
            if len(self._open) >= _MOST_CONNECTIONS:
                sock.close()
                return
            connection = Connection(sock, self, f"{self.name}-{self._accepted}")
            self._open.add(connection)
            # Under the lock, so that whoever finds it among the open ones can join it.
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
    """Start several servers over one store, and stop them at the end.

    Args:
        count: How many.
        images: The store; without it, an empty one.
        tokens: As for each server.
        tls: As for each server.
    """
    images = Images() if images is None else images
    with ExitStack() as stack:
        yield tuple(
            stack.enter_context(GlanceServer(images, tokens=tokens, tls=tls, name=f"glance-{n}"))
            for n in range(1, count + 1)
        )
