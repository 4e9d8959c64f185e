"""The host state of servers that stock clients call: from the attempts, or told by a cycle."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import _forks
from ..telemetry.metrics import MOST_SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import Server
    from ..telemetry.catalogue import StateLabel, VerdictLabel
    from ..telemetry.host_gauges import HostView
    from ..telemetry.metrics import Metrics


@dataclass(slots=True)
class FailingHost:
    """The state of one server: healthy, or failing since its last attempt failed.

    Attributes:
        server: The server.
        consecutive_failures: Failed attempts since the last one that it answered as it should.
        last_success: When that was, in seconds since the epoch; None for never.
        last_failure: When an attempt last failed, in seconds since the epoch; None for never.
        trial_at: None, because there is no cool-down.
    """

    server: Server
    consecutive_failures: int = 0
    last_success: float | None = None
    last_failure: float | None = None
    trial_at: float | None = None

    @property
    def shown_state(self) -> StateLabel:
        """The server's state."""
        return "failing" if self.consecutive_failures else "healthy"


class ToldStates:
    """The states that a cycle of servers tells: it knows of cool-downs, which attempts do not show.

    A stock client has no cycle of its own, but may have been given one.
    """

    def __init__(self) -> None:
        self._states: dict[str, HostView] = {}
        self._shown_by: list[Hosts] = []
        self._lock = _forks.make_rlock()

    def tell(self, host: HostView) -> None:
        """Show a server's state, now and instead of what its attempts say."""
        with self._lock:
            if host.server.netloc in self._states or len(self._states) < MOST_SERVERS:
                self._states[host.server.netloc] = host
                for hosts in self._shown_by:
                    hosts.show(host)

    def has(self, server: Server) -> bool:
        """Return whether a server's state is told."""
        return server.netloc in self._states

    def clear(self) -> None:
        """Forget all states: the cycles are gone."""
        with self._lock:
            self._states.clear()

    def add(self, hosts: Hosts) -> None:
        """Show all states in `hosts`, from now on."""
        with self._lock:
            self._shown_by.append(hosts)
            for host in self._states.values():
                hosts.show(host)

    def remove(self, hosts: Hosts) -> None:
        """Show no more states in `hosts`."""
        with self._lock:
            self._shown_by.remove(hosts)


TOLD = ToldStates()
"""The states that the cycles of this process tell."""


class Hosts:
    """The state of each server that attempts were made on; servers of `TOLD` are left to it.

    Args:
        metrics: Shows the states.
        clock: Returns seconds since the epoch.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock
        self._hosts: dict[str, FailingHost] = {}
        self._lock = _forks.make_rlock()

    def note(self, server: Server | None, verdict: VerdictLabel | None) -> None:
        """Record what an attempt says about its server; one that its caller ended says nothing."""
        if server is None or verdict in (None, "cancelled") or TOLD.has(server):
            return
        with self._lock:
            host = self._hosts.get(server.netloc)
            if host is None:
                if len(self._hosts) >= MOST_SERVERS:
                    return  # the metrics have no series for it either
                host = self._hosts[server.netloc] = FailingHost(server)
            if verdict == "failed":
                host.consecutive_failures += 1
                host.last_failure = self._clock()
            else:  # a refusal is an answer, as any server would give it
                host.consecutive_failures = 0
                host.last_success = self._clock()
            self._metrics.host(host)

    def show(self, host: HostView) -> None:
        """Show the state that something else knows of a server."""
        self._metrics.known((host.server,))
        self._metrics.host(host)
