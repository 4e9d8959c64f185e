"""What broken servers of three cost the calls, beside three healthy ones and nova's way.

``python bench/failover.py [--seconds 60]``

Clusters of three are called at the same time, by a few threads each. They share their healthy
servers. Two clusters are healthy; in the others one server or two refuse connections, never answer,
or send one byte a second. What counts are the calls that began after the first failed attempt.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
import statistics
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import StatusCode
from processes import broken
from prometheus_client import CollectorRegistry
from report import Plot, Report, Series, markdown
from rounds import conditions, small_environment
from serving import nginx, nginx_version, recorded_image, refusing
from targets import Figure

import traced_image
from traced_image import RetryPolicy, Telemetry, TracedImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from traced_image import GlanceImageService

THREADS = 4
RATE = 8.0
"""Calls a second of each thread, of each cluster."""

REQUEST_TIMEOUT = 3.0
"""Seconds after which a server that does not answer is detected; 30 by default."""

TRIAL_TIMEOUT = 1.0
"""Seconds that a trial may take: the default of `Config`."""

LATE = 0.02
"""Seconds that a call with a trial takes beside the trial, on a machine that has other work."""

MOST_ABOVE = 2.0
"""Milliseconds by which other calls may take longer than those of the healthy cluster."""

HEALTHY = "three healthy"
AGAIN = "three healthy, again"
"""Another one, which shows by how much two of them differ on this machine."""

REFUSES = "one refuses"
KINDS = {
    REFUSES: "two refuse",
    "one never answers": "two never answer",
    "one drips": "two drip",
}
"""The clusters with one broken server, and those with two."""

FAULTS = {"one never answers": "never_answer", "one drips": "drip"}
"""What `hostile.py` is told."""

NOVA = "one refuses, RetryPolicy.nova_2013()"


@dataclass(frozen=True, slots=True)
class Made:
    """A call that ended.

    Attributes:
        start: When it began.
        seconds: How long it took.
        failed: How many of its attempts failed.
        trial: Whether one of its attempts was the trial of a server.
        error: Whether it raised.
    """

    start: float
    seconds: float
    failed: int
    trial: bool
    error: bool


class Attempts(SpanProcessor):
    """Counts the failed attempts and the trials of a thread's call."""

    def __init__(self) -> None:
        self._of = threading.local()

    def begin(self) -> None:
        """Begin to count for a call of this thread."""
        self._of.failed = 0
        self._of.trial = False

    def found(self) -> tuple[int, bool]:
        """The failed attempts since, and whether one attempt was a trial."""
        return self._of.failed, self._of.trial

    def on_end(self, span: ReadableSpan) -> None:
        """Count an attempt."""
        attributes = span.attributes or {}
        if "glance.attempt.number" in attributes:
            self._of.failed += span.status.status_code is StatusCode.ERROR
            self._of.trial |= bool(attributes.get("glance.attempt.trial"))


@dataclass(slots=True)
class Cluster:
    """Three servers that are called.

    Attributes:
        name: What the table calls it.
        service: Calls them.
        made: The calls that ended.
        under_way: The threads whose calls have not ended.
        ended: Whether the run is over; what ends later does not count.
        unfinished: How many calls had not ended when the run did.
    """

    name: str
    service: GlanceImageService
    made: list[Made] = field(default_factory=list)
    under_way: set[int] = field(default_factory=set)
    ended: bool = False
    unfinished: int = 0

    def call(self, image_id: str, attempts: Attempts) -> None:
        """Make one call."""
        attempts.begin()
        start = time.perf_counter()
        self.under_way.add(threading.get_ident())
        error = False
        try:
            self.service.show(None, image_id)
        except TracedImageError:
            error = True
        seconds = time.perf_counter() - start
        if not self.ended:
            self.made.append(Made(start, seconds, *attempts.found(), error=error))
        self.under_way.remove(threading.get_ident())

    def after_detection(self) -> list[Made]:
        """The calls that began after the first call with a failed attempt had ended."""
        ends = [each.start + each.seconds for each in self.made if each.failed]
        detected = min(ends, default=0.0)
        return [each for each in self.made if each.start >= detected]

    def percentile(self, percent: int) -> float:
        """A percentile of those of them that are no trial, in milliseconds."""
        seconds = [each.seconds for each in self.after_detection() if not each.trial]
        if len(seconds) < 100:  # noqa: PLR2004 - a percentile of so few is none
            return math.inf
        return 1e3 * statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]

    @property
    def trials(self) -> list[float]:
        """The durations of the calls with a trial, in seconds."""
        return [each.seconds for each in self.made if each.trial]

    @property
    def failed(self) -> int:
        """The calls that raised or did not end."""
        return sum(each.error for each in self.made) + self.unfinished

    def end(self) -> None:
        """Count the calls that have not ended, and leave out what becomes of them."""
        self.ended = True
        self.unfinished = len(self.under_way)


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    small_environment()
    told = conditions(nginx_version())
    print(report(measured(options.seconds), options.seconds))
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(seconds: float) -> list[Cluster]:
    """The calls on each cluster."""
    log = logging.getLogger("traced_image")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    attempts = Attempts()
    image_id, bodies = recorded_image()
    with nginx(bodies, 3) as urls, ExitStack() as stack:
        bad = {name: _break(stack, name) for name in KINDS}
        clusters = [Cluster(name, _service(urls, attempts)) for name in (HEALTHY, AGAIN)]
        for name, (first, second) in bad.items():
            clusters.append(Cluster(name, _service([*urls[:2], first], attempts)))
            clusters.append(Cluster(KINDS[name], _service([urls[0], first, second], attempts)))
        policy = RetryPolicy.nova_2013()
        servers = [*urls[:2], bad[REFUSES][0]]
        clusters.append(Cluster(NOVA, _service(servers, attempts, policy)))
        _call(clusters, image_id, attempts, seconds)
    return clusters


def _break(stack: ExitStack, name: str) -> tuple[str, str]:
    """The URLs of two servers that are broken in one way."""

    def make() -> str:
        return stack.enter_context(broken(FAULTS[name]) if name in FAULTS else refusing())

    return make(), make()


def _service(
    urls: Sequence[str], attempts: Attempts, policy: RetryPolicy | None = None
) -> GlanceImageService:
    provider = TracerProvider()
    provider.add_span_processor(attempts)
    telemetry = Telemetry(tracer_provider=provider, registry=CollectorRegistry(), wire_spans=False)
    return traced_image.connect(
        servers=urls,
        telemetry=telemetry,
        request_timeout=REQUEST_TIMEOUT,
        trial_timeout=TRIAL_TIMEOUT,
        retry=policy or RetryPolicy(),
    )


def _call(clusters: Sequence[Cluster], image_id: str, attempts: Attempts, seconds: float) -> None:
    """Call on all clusters for so long, and wait a little for the last calls to end."""
    until = time.perf_counter() + seconds

    def paced(cluster: Cluster) -> None:
        due = time.perf_counter() + random.random() / RATE
        while due < until:
            time.sleep(max(0.0, due - time.perf_counter()))
            cluster.call(image_id, attempts)
            # What a slow call has left out is not made up for.
            due = max(due + 1 / RATE, time.perf_counter())

    # A call that never ends does not keep the program.
    threads = [
        threading.Thread(target=paced, args=(cluster,), daemon=True)
        for cluster in clusters
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    limit = until + REQUEST_TIMEOUT + TRIAL_TIMEOUT
    for thread in threads:
        thread.join(max(0.0, limit - time.perf_counter()))
    for cluster in clusters:
        cluster.end()


def report(clusters: Sequence[Cluster], seconds: float) -> Report:
    """The results as a table, and those that have a target."""
    healthy = clusters[0]
    figures = []
    for cluster in clusters[1:]:
        if cluster.name in KINDS:
            figures += _figures(cluster, healthy)
    head = "Cluster | calls | p50 ms | p99 ms | slowest ms | trials | slowest trial s | failed"
    return Report(
        "What do 0, 1 or 2 broken servers of three cost the calls?",
        f"`failover.py`, {seconds:.0f} seconds; calls after detection.",
        markdown(head, "lrrrrrrr", [_row(each) for each in clusters]),
        figures,
        [_plot(clusters)],
        "All clusters are called at the same time, with a `request_timeout` of"
        f" {REQUEST_TIMEOUT:.0f} s. A server that drips sends one byte a second. The two healthy"
        " clusters show by how much equal ones differ here. With two broken servers, a call may"
        " detect only one of them, and a later one the other.",
    )


def _plot(clusters: Sequence[Cluster]) -> Plot:
    names = [cluster.name for cluster in clusters]
    series = [
        Series(f"p{percent}", names, [_finite(each.percentile(percent)) for each in clusters])
        for percent in (50, 99)
    ]
    title = "Calls on three servers, after it was seen which of them are broken"
    return Plot("failover", title, "duration of a call in ms", "", series, "bars", logarithmic="x")


def _finite(value: float) -> float:
    return round(value, 3) if math.isfinite(value) else 0.0


def _figures(cluster: Cluster, healthy: Cluster) -> list[Figure]:
    above = max(cluster.percentile(each) - healthy.percentile(each) for each in (50, 99))
    slowest = max(cluster.trials, default=math.inf)
    return [
        Figure(f"{cluster.name}: p50 and p99 above the healthy", above, MOST_ABOVE, "ms"),
        Figure(f"{cluster.name}: slowest call with a trial", slowest, TRIAL_TIMEOUT + LATE, "s"),
        Figure(f"{cluster.name}: failed calls", cluster.failed, 0, "calls"),
    ]


def _row(cluster: Cluster) -> list[str]:
    found = cluster.after_detection()
    times = [cluster.percentile(50), cluster.percentile(99)]
    times.append(1e3 * max((each.seconds for each in found if not each.trial), default=math.inf))
    shown = ["none" if math.isinf(each) else f"{each:.2f}" for each in times]
    trials = cluster.trials
    slowest = f"{max(trials):.3f}" if trials else ""
    return [cluster.name, str(len(found)), *shown, str(len(trials)), slowest, str(cluster.failed)]


if __name__ == "__main__":
    main()
