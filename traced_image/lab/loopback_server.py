"""What all servers of the lab share: a port, threads, the current fault, and the access log."""

from __future__ import annotations

import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from .access_log import make_connection_access
from .active_fault import ActiveFault
from .checks import check_loopback
from .connection import AcceptedConnection
from .fault import check_fault
from .fault_schedule import FaultSchedule
from .listener import Listener
from .logged_server import LoggedServer
from .sockets import describe_peer, refuse_politely

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Collection
    from types import TracebackType

    from typing_extensions import Self

    from .fault import Fault
    from .met_faults import MetFaults

LOG = logging.getLogger(__name__)

MOST_CONNECTIONS = 2048
_MOST_PORT = 65535
_RESET_TIME = 0.1
"""Seconds in which the threads that read end, and their closes reset the connections."""


class LoopbackServer(LoggedServer, ABC):
    """A server on loopback, in this process and in its own threads.

    Args:
        host: A loopback address, IPv4 or IPv6.
        port: The port; 0 for a free one, which the server keeps when it is started again.
        name: The name of its threads.
        clock: Returns the time in seconds, for the schedules of faults.

    Attributes:
        host: The address that it listens on.
        name: The name of its threads.
        episode: The current fault; for this package.

    Raises:
        InvalidArgument: `port` is no port, or `host` is no loopback address.
    """

    def __init__(
        self, *, host: str, port: int, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not 0 <= port <= _MOST_PORT:
            raise InvalidArgument(f"port={port}: give a port from 0 to {_MOST_PORT}.")
        super().__init__()
        self.host = check_loopback(host)
        self.name = name
        self._clock = clock
        self._wanted_port = port
        self.episode = ActiveFault(None)
        self._schedule: FaultSchedule | None = None
        self._turning = threading.Lock()
        self._counting = threading.Lock()
        self._open: set[AcceptedConnection] = set()
        self._accepted = 0
        self._listener: Listener | None = None
        self._process = 0

    def context(self, met: MetFaults, episode: ActiveFault) -> ssl.SSLContext | None:  # noqa: ARG002 - by subclasses
        """Return the TLS context; None for plain HTTP; for this package."""
        return None

    @abstractmethod
    def converse(self, sock: socket.socket, abort: Callable[[], None]) -> None:
        """Serve a connection after its TLS handshake; for this package."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL that the server listens on."""

    def __repr__(self) -> str:
        """Name the server, its URL and its fault; no part of it is secret."""
        fault = self.episode.fault
        try:
            place = f"at {self.url}"
        except RuntimeError:
            place = "(not running)"
        state = "healthy" if fault is None else f"fault {fault.name}"
        return f"<{type(self).__name__} {self.name} {place}, {state}>"

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
        """Take the port and serve; do nothing if the server runs already.

        Raises:
            OSError: The address is not this machine's, or another process has the port.
        """
        with self._turning:
            if self._listener is None:
                name = f"{self.name}-accept"
                self._listener = Listener(self.host, self._accept, name, self._wanted_port)
                self._wanted_port = self._listener.port
                self._process = os.getpid()
                self._begin(self.episode.fault)

    def stop(self) -> None:
        """Close all connections and wait for the threads; a second call does nothing.

        A call in a forked child does nothing: the server is its parent's.
        """
        if self._listener is not None and self._process != os.getpid():
            return
        self._give_up()
        with self._turning:
            if self._listener is not None:
                self._listener.release()
                self._listener = None
            schedule, self._schedule = self._schedule, None
            self.episode.end()
            self._close_connections()
        if schedule is not None:
            schedule.join()

    def _give_up(self) -> None:
        """End what would let a stop wait; for subclasses."""

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

        Faults of connections end the open ones, also in the middle of a transfer; `limit_rate` and
        `black_hole` affect transfers that are under way. All other faults affect new requests.

        Args:
            fault: The fault; it replaces the current one.

        Raises:
            InvalidArgument: This is no fault, or the server can't have it, such as one of TLS
                without TLS.
        """
        self._check_fault(check_fault("break_with", fault))
        self._turn(fault)

    def heal(self) -> None:
        """Answer normally from now on.

        Connections that the fault held open are closed. Slow replies are completed immediately.
        """
        self._turn(None)

    def reset(self) -> None:
        """Heal the server, and empty its access log, for the next test."""
        self.heal()
        self.clear_log()

    @abstractmethod
    def _check_fault(self, fault: Fault) -> None:
        """Raise InvalidArgument if the server can't have this fault."""

    def _turn(self, fault: Fault | None) -> None:
        with self._turning:
            before, schedule = self.episode, self._schedule
            self._begin(fault, ends=before)
        if schedule is not None:
            schedule.join()

    def _begin(self, fault: Fault | None, *, ends: ActiveFault | None = None) -> None:
        self.episode = ActiveFault(fault, self._clock)
        if ends is not None:
            ends.end()
        self._schedule = None
        if self._listener is not None:
            schedule = FaultSchedule(self.episode, self._follow, f"{self.name}-clock")
            self._apply(self._listener, self.episode, schedule.on)
            self._schedule = schedule if schedule.start() else None

    def _follow(self, episode: ActiveFault, begun: tuple[Fault, ...]) -> None:
        """Apply the faults of connections that a schedule has just begun or ended."""
        with self._turning:
            if self.episode is episode and self._listener is not None:
                self._apply(self._listener, episode, begun)

    def _apply(self, listener: Listener, episode: ActiveFault, begun: tuple[Fault, ...]) -> None:
        listener.turn(episode.door)
        # A black hole keeps the open connections, on which no byte passes.
        ending = {fault.name for fault in begun} - {"black_hole", "expiring_tls"}
        if ending:
            self._close_connections(reset=ending == {"reset"})

    @property
    def connections(self) -> int:
        """How many TCP connections the server has accepted so far."""
        with self._counting:
            return self._accepted

    def forget(self, connection: AcceptedConnection) -> None:
        """Forget a connection; for this package."""
        with self._counting:
            self._open.discard(connection)

    def _accept(self, sock: socket.socket) -> None:
        with self._counting:
            self._accepted += 1
            if len(self._open) < MOST_CONNECTIONS:
                connection = AcceptedConnection(sock, self, f"{self.name}-{self._accepted}")
                self._open.add(connection)
                # Started under the lock, because `stop` joins the threads of all open connections,
                # and a thread can be joined only after its start.
                connection.thread.start()
                return
        self._refuse(sock)

    def _refuse(self, sock: socket.socket) -> None:
        problem = f"more than {MOST_CONNECTIONS:,} connections are open"
        LOG.warning("%s: %s; it answers 503 and closes the new one", self.name, problem)
        self.record(make_connection_access(describe_peer(sock), status=503, error=problem))
        refuse_politely(sock)

    def _close_connections(self, *, reset: bool = False) -> None:
        with self._counting:
            connections = tuple(self._open)
        if reset:
            _reset(connections)
        for connection in connections:
            connection.abort()
        for connection in connections:
            connection.thread.join()


def _reset(connections: Collection[AcceptedConnection]) -> None:
    """Reset connections; those whose thread is in the middle of a write are left to `abort`."""
    for connection in connections:
        connection.reset()
    end = time.monotonic() + _RESET_TIME
    for connection in connections:
        connection.thread.join(max(0.0, end - time.monotonic()))
