"""Callers whose clock is not the real one, and the samples that scrapes of them would take.

The cycle of servers and the metrics are the real ones; only the servers and the time are not. So
an hour of many callers takes a second, and promtool can play it to the rules.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from traced_image import Config, RetryPolicy
from traced_image.pipeline.attempts.server_cycle import ServerCycle
from traced_image.reasons import Reason
from traced_image.telemetry.backends import PrometheusBackend
from traced_image.telemetry.metrics import Metrics

SCRAPE = 15
"""Seconds between two scrapes."""

LEAD = 300.0
"""Seconds for which all is well, before anything fails."""

_TRIES = 4
_KEPT = (
    "glance_client_attempt_duration_seconds_count",
    "glance_client_call_duration_seconds_count",
    "glance_client_connection_failed_total",
    "glance_client_server_",
    "traced_image_build_info",
)

Reply = Callable[[float, str, str, int], str]
"""What a server answers: of the seconds since `LEAD`, its ``host:port``, the operation and the
number of the process; the reason of a failure, or nothing."""


class _Clock:
    """A clock that a test sets."""

    now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    time = monotonic


@dataclass(frozen=True, kw_only=True)
class Job:
    """A kind of caller.

    Attributes:
        reply: What servers answer to it.
        name: Its name.
        processes: The number of its processes.
        servers: The number of its servers.
        period: Seconds between two calls of all processes together.
        operations: What it calls, by chance.
        seed: What its chances depend on.
        gap: The seconds since `LEAD` in which it is not scraped.
    """

    reply: Reply
    name: str = "api"
    processes: int = 1
    servers: int = 3
    period: float = 10.0
    operations: tuple[str, ...] = ("images.get",)
    seed: int = 0
    gap: tuple[float, float] = (0.0, 0.0)

    def places(self) -> list[str]:
        """``host:port`` of its servers."""
        return [f"10.0.0.{number}:9292" for number in range(self.servers)]


class _Process:
    def __init__(self, job: Job, number: int) -> None:
        self.registry = CollectorRegistry()
        self._job, self._number = job, number
        self._clock = _Clock()
        config = Config(servers=[f"http://{place}" for place in job.places()])
        self._metrics = Metrics((PrometheusBackend(self.registry),))
        self._metrics.known(config.servers)
        rng = random.Random(f"{job.seed} {number}")
        self._cycle = ServerCycle(config.servers, RetryPolicy(), self._clock, rng)
        self._cycle.watch(self._metrics.host)

    def call(self, now: float, operation: str) -> None:
        """Make a call with its retries, in no time."""
        self._clock.now = now
        tried, reason = [], ""
        for _ in range(_TRIES):
            pick = self._cycle.pick(tried)
            tried.append(pick.server)
            place = self._metrics.find_place(pick.server)
            reason = self._job.reply(now - LEAD, pick.server.netloc, operation, self._number)
            if not reason:
                self._cycle.record_success(pick)
                self._metrics.attempt_ended(operation, place, "success", "", 0.01, None)
                break
            self._cycle.record_failure(pick, Reason(reason))
            self._metrics.attempt_ended(operation, place, "failed", reason, 0.01, None)
        first = "success_first_try" if len(tried) == 1 else "success_after_retry"
        self._metrics.call(operation, "exhausted" if reason else first, reason, 0.01, None)
        if reason:
            self._metrics.connection_failed(operation, tried[-1], reason, None)


Labels = tuple[tuple[str, str], ...]


@dataclass
class Samples:
    """The samples of all scrapes of a job.

    Attributes:
        count: The number of scrapes.
        series: The samples of each series, by the number of their scrapes.
    """

    count: int = 0
    series: dict[tuple[str, Labels], dict[int, float]] = field(default_factory=dict)

    def inputs(self) -> Iterator[dict[str, str]]:
        """Yield the series as promtool's tests have them."""
        for (name, labels), samples in self.series.items():
            matchers = ", ".join(f'{label}="{value}"' for label, value in labels)
            values = [_show(samples, number) for number in range(self.count + 1)]
            yield {"series": f"{name}{{{matchers}}}", "values": " ".join(values)}


def _show(samples: Mapping[int, float], number: int) -> str:
    if number in samples:
        return f"{samples[number]:.3f}"
    # Prometheus marks a series as stale if the first scrape fails after one that did not.
    return "stale" if number - 1 in samples else "_"


def scrape(job: Job, seconds: float) -> Samples:
    """Let a job call until some seconds after `LEAD`; return what its scrapes see."""
    rng = random.Random(job.seed)
    processes = [_Process(job, number) for number in range(job.processes)]
    phases = [rng.uniform(0, SCRAPE) for _ in processes]
    events = sorted(_events(job, seconds, phases, rng), key=lambda event: event[0])
    samples = Samples()
    for when, what, number in events:
        if what == "call":
            processes[number].call(when, rng.choice(job.operations))
        elif not job.gap[0] <= when - LEAD < job.gap[1]:
            # A scrape at any moment of an interval stands for the interval's end, at the latest.
            _read(samples, job, processes[number], number, int(when // SCRAPE) + 1)
    samples.count = int((LEAD + seconds) // SCRAPE)
    return samples


def _events(
    job: Job, seconds: float, phases: Iterable[float], rng: random.Random
) -> Iterator[tuple[float, str, int]]:
    end = LEAD + seconds
    when = rng.uniform(0, job.period)
    while when < end:
        yield when, "call", rng.randrange(job.processes)
        when += job.period
    for number, phase in enumerate(phases):
        for count in range(int(end // SCRAPE)):
            yield count * SCRAPE + phase, "scrape", number


def _read(samples: Samples, job: Job, process: _Process, number: int, scrape_number: int) -> None:
    extra: Mapping[str, str] = {"job": job.name, "instance": f"{number}"}
    for family in process.registry.collect():
        for sample in family.samples:
            if sample.name.startswith(_KEPT):
                labels = tuple(sorted({**sample.labels, **extra}.items()))
                of_series = samples.series.setdefault((sample.name, labels), {})
                of_series[scrape_number] = sample.value
