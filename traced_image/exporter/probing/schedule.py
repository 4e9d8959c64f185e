"""Probes all servers of a configuration periodically, each on its own schedule."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from ...config import checks
from ...errors import InvalidOption, InvalidTimeout, Reason
from ...pipeline.attempts.host_state import HostState
from ...redact import hide_in_record
from ...telemetry.catalogue import OTHER
from .blocking_calls import BlockingCalls
from .probe import TIMEOUT, Probe
from .result import ProbeResults

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from typing_extensions import Self

    from ...config import Config, Server
    from ...telemetry.catalogue import Outcome
    from ...telemetry.catalogue.probe_metrics import Setting
    from ...telemetry.recorder import Recorder
    from .blocking_calls import AddressLookup
    from .result import ProbeResult


LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

OPERATION = "probe"
"""The operation of the call that records a probe."""

INTERVAL = 15.0
"""The default interval between two probes of a server, in seconds."""

JITTER = 0.1
"""The share of the interval by which the time between two probes varies, in both directions.

Without jitter, probes of several exporters could stay in step and reach a server together.
"""


class _VersionsRequest(NamedTuple):
    method: str
    path: str


_VERSIONS = _VersionsRequest("GET", "/versions")


@dataclass(frozen=True, slots=True)
class Timing:
    """The clock and the random source of a schedule.

    Attributes:
        monotonic: Returns seconds that never go back.
        sleep: Waits for a number of seconds.
        rng: Spreads the probes over time.
    """

    monotonic: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    rng: random.Random = random.Random()  # noqa: RUF009 all schedules may share one


class ProbeSchedule:
    """Probes the servers of a configuration; all its methods run in one event loop.

    Each server has its own task, so that a server that is slow or hangs delays no other.

    Args:
        config: The servers to probe, and the settings for it.
        recorder: Records each probe as a call with one attempt.
        results: Keeps the latest result of each server.
        image: The id of the canary; None for no canary.
        interval: Seconds between two probes of a server.
        timeout: The timeout of a probe, in seconds; at most the interval.
        timing: The clock and the random source.
        lookup: Looks up names; None for the system's resolver.
        gone: Called with each server that is no longer probed, after its last probe.

    Attributes:
        probe: The probe with the current configuration.
        results: The latest result of each server.

    Raises:
        ConfigError: A value of the configuration can't be used.
        InvalidImageID: The canary's id is not an image id.
    """

    def __init__(
        self,
        config: Config,
        *,
        recorder: Recorder,
        results: ProbeResults | None = None,
        image: str | None = None,
        interval: float = INTERVAL,
        timeout: float = TIMEOUT,
        timing: Timing | None = None,
        lookup: AddressLookup | None = None,
        gone: Callable[[Server], object] = lambda _: None,
    ) -> None:
        self.interval = checks.check_number(
            "interval", interval, "argument", InvalidOption, zero=False
        )
        most = checks.check_number("timeout", timeout, "argument", InvalidTimeout, zero=False)
        self.recorder = recorder
        self.results = ProbeResults() if results is None else results
        self.timing = timing or Timing()
        self._image = image
        self._timeout = min(most, self.interval)
        self._lookup = lookup
        self._gone = gone
        self._background = BlockingCalls()
        self._rounds: dict[Server, _ServerSchedule] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.probe = self._probe_by(config)

    def _probe_by(self, config: Config) -> Probe:
        return Probe(
            config,
            image=self._image,
            timeout=self._timeout,
            background=self._background,
            lookup=self._lookup,
        )

    @property
    def ready(self) -> bool:
        """Whether each server has been probed at least once."""
        return all(self.results.get(server) is not None for server in self.probe.config.servers)

    async def __aenter__(self) -> Self:
        self._begin(self.probe.config.servers)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all tasks, including probes under way."""
        tasks = set(self._tasks)
        for each in self._rounds.values():
            each.leaving = True
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def replace(self, config: Config) -> None:
        """Use another configuration from now on; call this in the event loop.

        Servers in both configurations keep their schedules and states. A probe under way ends with
        the settings that it started with.

        Raises:
            ConfigError: The new configuration can't be used; the old one stays in force.
        """
        self.probe = self._probe_by(config)
        places = {(server.host, server.port) for server in config.servers}
        for server in self._rounds.keys() - set(config.servers):
            self._rounds.pop(server).leave()
            if (server.host, server.port) not in places:
                self.results.forget(server)
        self._begin(server for server in config.servers if server not in self._rounds)

    def _begin(self, servers: Iterable[Server]) -> None:
        """Start to probe servers; the first probes are spread over one interval."""
        # All at once they would delay each other, and their durations would show the exporter.
        new = tuple(servers)
        self.recorder.metrics.known(new)
        for number, server in enumerate(new):
            delay = self.interval * (number + self.timing.rng.random()) / len(new)
            self._rounds[server] = each = _ServerSchedule(self, server)
            each.task = asyncio.get_running_loop().create_task(each.run(delay))
            self._tasks.add(each.task)
            each.task.add_done_callback(each.note_end)

    def note_end(self, server: Server, task: asyncio.Task[None]) -> None:
        """Forget the task of a server after its end."""
        self._tasks.discard(task)
        places = {(each.host, each.port) for each in self._rounds}
        if (server.host, server.port) not in places:
            self._gone(server)


class _ServerSchedule:
    """The periodic probes of one server.

    Attributes:
        leaving: Whether no further probe starts.
        task: The task that makes the probes.
    """

    task: asyncio.Task[None]

    def __init__(self, prober: ProbeSchedule, server: Server) -> None:
        self._prober = prober
        self._server = server
        self._pausing = False
        self._host = HostState(server)
        self._misconfigured: Setting | None = None
        self.leaving = False
        prober.recorder.metrics.host(self._host)

    def leave(self) -> None:
        """Start no further probe; a probe under way still ends."""
        # Only the pause is cancelled: a cancelled probe would count as a failure of the server.
        self.leaving = True
        if self._pausing:
            self.task.cancel()

    def note_end(self, task: asyncio.Task[None]) -> None:
        """Report the end of the task to the prober."""
        self._prober.note_end(self._server, task)

    async def run(self, delay: float) -> None:
        """Probe after `delay` seconds, and then once in each interval."""
        timing, interval = self._prober.timing, self._prober.interval
        await self._pause(delay)
        while not self.leaving:
            due = timing.monotonic() + interval * timing.rng.uniform(1 - JITTER, 1 + JITTER)
            try:
                await self._probe()
            except Exception:
                # A defect must not end the task: the server would never be probed again.
                LOG.exception("A probe of %s failed with an unexpected error", self._server.netloc)
            await self._pause(due - timing.monotonic())

    async def _pause(self, seconds: float) -> None:
        if not self.leaving:
            self._pausing = True
            await self._prober.timing.sleep(max(0.0, seconds))
            self._pausing = False

    async def _probe(self) -> None:
        """Probe once, and record the probe as a call with one attempt."""
        prober = self._prober
        probe = prober.probe
        canary = await probe.canary()
        call = prober.recorder.call(OPERATION)
        attempt = call.attempt(self._server, request=_VERSIONS)
        try:
            result = await probe(self._server, canary)
        except BaseException:
            attempt.cancel()
            call.end("cancelled", OTHER)
            raise
        attempt.end(result.reason, result.status or 0, result.request_id)
        call.end(_find_outcome(result), result.reason, result.error)
        # A server that left the configuration meanwhile must not get its series back.
        if not self.leaving:
            self._tell(result)

    def _tell(self, result: ProbeResult) -> None:
        """Publish the result, and the server's state after it."""
        host = self._host
        was = host.state, self._misconfigured
        if result.failed:
            host.state = "cooling"
            host.blame(Reason(result.reason), result.when)
        else:
            host.state = "healthy"
            host.consecutive_failures = 0
            host.last_success = result.when
        self._prober.results.put(result)
        self._prober.recorder.metrics.host(host)
        self._misconfigured = result.misconfigured
        if (host.state, self._misconfigured) != was:
            _log_change(result)


def _find_outcome(result: ProbeResult) -> Outcome | None:
    if result.misconfigured is not None:
        return "refused"
    return "exhausted" if result.reason else None


def _log_change(result: ProbeResult) -> None:
    """Log that a server's probes begin to fail, show a wrong setting, or succeed again."""
    fields = {
        "operation": OPERATION,
        "server_address": result.server.host,
        "server_port": result.server.port,
        "error_type": result.reason,
        "request_id": result.request_id,
    }
    if result.misconfigured is not None:
        LOG.warning(
            "Probes are misconfigured, wrong %s: %s",
            result.misconfigured,
            result.error,
            extra=fields,
        )
    elif result.reason:
        LOG.warning("Probes began to fail, %s: %s", result.reason, result.error, extra=fields)
    else:
        LOG.info("Probes of %s succeed again", result.server.netloc, extra=fields)


async def probe_once(probe: Probe) -> tuple[ProbeResult, ...]:
    """Probe all servers of a configuration at the same time, each once."""
    canary = await probe.canary()
    return tuple(await asyncio.gather(*(probe(each, canary) for each in probe.config.servers)))
