"""The host state of servers that stock clients call: these have no cycle, and so no cool-down."""

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
    from ..telemetry.metrics import Metrics


@dataclass(slots=True)
class FailingHost:
    """The state of one server: healthy, or failing since its last attempt failed.

    Attributes:
        server: The server.
        consecutive_failures: Failed attempts since the last one that it answered as it should.
        last_success: When that was, in seconds since the epoch; None for never.
        last_failure: When an attempt last failed, in seconds since the epoch; None for never.
    """

    server: Server
    consecutive_failures: int = 0
    last_success: float | None = None
    last_failure: float | None = None

    @property
    def shown_state(self) -> StateLabel:
        """The server's state."""
        return "failing" if self.consecutive_failures else "healthy"


class Hosts:
    """The state of each server that attempts were made on.

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
        if server is None or verdict in (None, "cancelled"):
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
