"""What all servers of the lab share: a port, threads, the current fault, and the access log."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .active_fault import ActiveFault
from .connection import AcceptedConnection
from .fault import check_fault
from .listener import Listener

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from .access_log import Access
    from .fault import Fault

_MOST_CONNECTIONS = 256


class LoopbackServer(ABC):
    """A server on loopback, in this process and in its own threads.

    Args:
        host: A loopback address, IPv4 or IPv6.
        name: The name of its threads.

    Attributes:
        host: The address that it listens on.
        name: The name of its threads.
        episode: The current fault; for this package.
    """

    def __init__(self, *, host: str, name: str) -> None:
        self.host = host
        self.name = name
        self.episode = ActiveFault(None)
        self._turning = threading.Lock()
        self._counting = threading.Lock()
        self._log: list[Access] = []
        self._open: set[AcceptedConnection] = set()
        self._accepted = 0
        self._listener: Listener | None = None

    def context(self, fault: Fault | None) -> ssl.SSLContext | None:  # noqa: ARG002 - by subclasses
        """Return the TLS context; None for plain HTTP; for this package."""
        return None

    @abstractmethod
    def converse(self, sock: socket.socket, abort: Callable[[], None]) -> None:
        """Serve a connection after its TLS handshake; for this package."""

    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __enter__(self) -> Self:
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

    def break_with(self, fault: Fault) -> None:
        """Fail from now on, on new and on open connections.

        Args:
            fault: The fault; it replaces the current one.

        Raises:
            InvalidArgument: This is no fault, or the server can't have it, such as one of TLS
                without TLS.
        """
        self._check_fault(check_fault("break_with", fault))
        self._turn(ActiveFault(fault))

    def heal(self) -> None:
        """Answer normally from now on.

        Connections that the fault held open are closed. Slow replies are completed immediately.
        """
        self._turn(ActiveFault(None))

    @abstractmethod
    def _check_fault(self, fault: Fault) -> None:
        """Raise InvalidArgument if the server can't have this fault."""

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
