"""Callers in simulated time: the real retry loop and the real metrics, with servers that are not.

A `Process` makes its calls one after the other. Its clock moves only when an attempt takes time or
the loop waits, so that an hour takes a second. Its registry is read at the times of the scrapes.
"""

import bisect
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import pytest
from opentelemetry.trace import NoOpTracerProvider
from prometheus_client import CollectorRegistry

from traced_image import RetryPolicy, Server, errors
from traced_image.errors import AttemptError, CommunicationError, Reason, TokenUnavailable
from traced_image.exporter.probing.result import ProbeResult, ProbeResults
from traced_image.pipeline.api.operation import Operation
from traced_image.pipeline.attempts.fleet import Fleet
from traced_image.pipeline.attempts.host_state import HostState
from traced_image.pipeline.attempts.retry_loop import AttemptLoop
from traced_image.pipeline.attempts.seams import Answer, Attempt, Call, layered
from traced_image.pipeline.clock import Clock
from traced_image.pipeline.context import NO_TOKENS, SERVICE
from traced_image.telemetry import attempt_record, catalogue, recorder, stream_record
from traced_image.telemetry.catalogue.probe_metrics import PROBE_METRICS
from traced_image.telemetry.layers import make_layers
from traced_image.telemetry.options import Telemetry
from traced_image.telemetry.shared_metrics import make_recorder, share_metrics

SECONDS = {"images.data": 0.05, "connect_timeout": 3.0, "read_timeout": 5.0}
"""How long an attempt takes, by its operation or by the reason of its failure; 5 ms otherwise."""

POLICY = RetryPolicy(backoff_base=0.05, budget_share=None)
KEYSTONE = "keystone"
BREAKS = "stream_error"
"""What a fault says for image data that breaks off after its attempt has succeeded."""

Labels = tuple[tuple[str, str], ...]
Snapshot = Mapping[tuple[str, Labels], float]
"""The samples of a scrape, by name and labels."""


class Asked(NamedTuple):
    """What a server, or Keystone, is asked, by whom and when.

    Attributes:
        server: The server's number, from 1; 0 for Keystone.
        operation: The operation.
        image: The number of an image, from 0 to 7.
        job: The caller's job.
        instance: The caller's instance.
        time: Seconds until the end of the case; negative.
    """

    server: int
    operation: str
    image: int
    job: str
    instance: str
    time: float


Fault = Callable[[Asked], str | float | None]
"""Returns a reason to fail, the seconds that an answer takes, or None for a usual answer."""


@dataclass(frozen=True)
class Work:
    """What a process does all the time.

    Attributes:
        operation: What it asks of Glance.
        every: Seconds between two calls, about.
    """

    operation: str
    every: float


@dataclass(frozen=True)
class Process:
    """A process that calls Glance.

    Attributes:
        job: Its job.
        instance: Its instance.
        work: What it does.
        start: When it starts, in seconds until the end of the case; negative.
        stop: When it ends.
        quiet: From when on it makes no calls.
        forgets: How many of the first servers it does not ask.
    """

    job: str
    instance: str
    work: Sequence[Work]
    start: float
    stop: float = 0.0
    quiet: float = 0.0
    forgets: int = 0


@dataclass
class _Time:
    """A clock that reads the registry whenever it passes the time of a scrape."""

    now: float
    scrapes: Sequence[float]
    read: Callable[[], Snapshot]
    found: dict[float, Snapshot] = field(default_factory=dict)

    def pass_to(self, time: float) -> None:
        first, last = (bisect.bisect_left(self.scrapes, each) for each in (self.now, time))
        for scrape in self.scrapes[first:last]:
            self.found[scrape] = self.read()
        self.now = max(self.now, time)

    def sleep(self, seconds: float) -> None:
        self.pass_to(self.now + seconds)


_UNASKED = (
    *(catalogue.CALL_RETRIES, catalogue.RETRY_DELAYS, catalogue.RETRIES, catalogue.STREAM_BYTES),
    *(catalogue.ACTIVE_ATTEMPTS, catalogue.TELEMETRY_ERRORS, catalogue.SKIPPED_RECORDS),
)
_ASKED = {
    f"{each.name}{suffix}"
    for each in (*catalogue.METRICS, *PROBE_METRICS)
    if each not in _UNASKED
    for suffix in (("_count", "_sum") if each.kind == "histogram" else ("",))
}


def read_registry(registry: CollectorRegistry) -> Snapshot:
    """Return the samples that the diagnosis may ask for; no buckets."""
    return {
        _make_key(sample.name, tuple(sample.labels.items())): sample.value
        for family in registry.restricted_registry(_ASKED).collect()
        for sample in family.samples
    }


@cache
def _make_key(name: str, labels: Labels) -> tuple[str, Labels]:
    # As Prometheus does: a label without a value is no label.
    return name, tuple(each for each in labels if each[1])


def fail(reason: str) -> AttemptError:
    """Return the error of an attempt that failed for this reason."""
    if reason.isdecimal():
        classes = [errors.ServerError, *errors.ServerError.__subclasses__()]
        kind = next((each for each in classes if each.status == int(reason)), errors.ServerError)
        return kind(f"HTTP {reason}", status=int(reason))
    reached = reason in ("read_timeout", "connection_reset")
    return CommunicationError(reason, reason=Reason(reason), reached=reached)


class Simulation:
    """One process: its registry, its view of the servers, and its calls.

    Args:
        process: The process.
        servers: The servers that it knows.
        fault: What fails.
        scrapes: When its registry is read.
        end: The end of the case, in seconds since the epoch.
    """

    def __init__(
        self,
        process: Process,
        servers: Sequence[Server],
        fault: Fault,
        scrapes: Sequence[float],
        end: float,
    ) -> None:
        self._process, self._servers, self._fault, self._end = process, servers, fault, end
        self._rng = random.Random(f"{process.job} {process.instance} {process.start}")
        self._registry = CollectorRegistry()
        self.time = _Time(end + process.start, scrapes, lambda: read_registry(self._registry))
        self._image, self._operation = 0, ""
        telemetry = Telemetry(
            registry=self._registry, meter_provider=False, tracer_provider=NoOpTracerProvider()
        )
        clock = Clock(lambda: self.time.now, lambda: self.time.now, self.time.sleep)
        known = servers[process.forgets :]
        fleet = Fleet.of(known, POLICY, clock, self._rng)
        layers = make_layers(telemetry, known)
        self._metrics = share_metrics(telemetry)
        loop = AttemptLoop(
            self._send,
            layered(lambda _: None, layers.failure),
            fleet,
            num_retries=3,
            policy=POLICY,
            deadline=None,
            trial_timeout=1.0,
            clock=clock,
            rng=self._rng,
            authorize=self._authorize,
            layers=layers.attempt,
        )
        self._perform = layered(loop, layers.call)
        for watch in layers.hosts:
            fleet.cycle.watch(watch)

    def run(self) -> Mapping[float, Snapshot]:
        """Make all calls; return what each scrape has read."""
        due = [(self.time.now + self._rng.random() * w.every, w) for w in self._process.work]
        stop = self._end + min(self._process.stop, self._process.quiet)
        while due and (first := min(due, key=lambda each: each[0]))[0] < stop:
            due.remove(first)
            begin, work = first
            self.time.pass_to(begin)
            self._make_call(work.operation)
            due.append((begin + work.every * self._rng.uniform(0.8, 1.2), work))
        self.time.pass_to(self._end + self._process.stop + 1e-3)
        return self.time.found

    def _make_call(self, operation: str) -> None:
        self._image, self._operation = self._rng.randrange(8), operation
        with contextlib.suppress(errors.TracedImageError):
            self._perform(Call(Operation(operation, "GET", "/", lambda _: None), SERVICE))

    def _ask(self, number: int) -> str | float | None:
        process, time = self._process, self.time.now - self._end
        return self._fault(
            Asked(number, self._operation, self._image, process.job, process.instance, time)
        )

    def _authorize(self, _context: object, _left: float) -> object:
        told = self._ask(0)
        if isinstance(told, str):
            raise TokenUnavailable("Keystone gives no token", reason=Reason(told))
        return NO_TOKENS

    def _send(self, attempt: Attempt[None]) -> Answer[None]:
        told = self._ask(self._servers.index(attempt.server) + 1)
        if told == BREAKS:
            self._metrics.stream_error(attempt.server, "download", None)
            told = None
        usual = SECONDS.get(told if isinstance(told, str) else self._operation, 0.005)
        seconds = told if isinstance(told, float) else usual * self._rng.uniform(0.9, 1.1)
        self.time.sleep(min(seconds, attempt.timeout or seconds))
        if isinstance(told, str):
            raise fail(told)
        return Answer(None, 200, None)


class Probing(Simulation):
    """A process that probes each server instead, as the exporter does."""

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self._results = ProbeResults()
        self._registry.register(self._results)
        self._recorder = make_recorder(Telemetry(registry=self._registry, meter_provider=False))
        self._hosts = {server: HostState(server) for server in self._servers}

    def _make_call(self, operation: str) -> None:
        self._operation = operation
        for number, server in enumerate(self._servers, 1):
            told = self._ask(number)
            reason = told if isinstance(told, str) else ""
            call = self._recorder.call(operation)
            attempt = call.attempt(server)
            self.time.sleep(SECONDS.get(reason, 0.005))
            attempt.end(reason)
            call.end("exhausted" if reason else None, reason)
            self._tell(ProbeResult(server, self.time.now, {}, reason))

    def _tell(self, result: ProbeResult) -> None:
        host = self._hosts[result.server]
        if result.failed:
            host.state = "cooling"
            host.blame(Reason(result.reason), result.when)
        else:
            host.state, host.consecutive_failures = "healthy", 0
            host.last_success = result.when
        self._results.put(result)
        self._metrics.host(host)


def simulate(
    process: Process, servers: Sequence[Server], fault: Fault, scrapes: Sequence[float], end: float
) -> Mapping[float, Snapshot]:
    """Run a process; return what each scrape has read.

    Args:
        process: The process.
        servers: The servers that it knows.
        fault: What fails.
        scrapes: When its registry is read.
        end: The end of the case, in seconds since the epoch.
    """
    probes = any(each.operation == "probe" for each in process.work)
    simulation = (Probing if probes else Simulation)(process, servers, fault, scrapes, end)
    with pytest.MonkeyPatch.context() as patch:
        for module in (recorder, attempt_record, stream_record):
            patch.setattr(module, "perf_counter", lambda: simulation.time.now)
        return simulation.run()
