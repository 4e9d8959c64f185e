"""What a Prometheus knows about a server that fails: since when, for whom, at what cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..telemetry import catalogue
from .episodes import PAUSE, Episode
from .observations import NAMED, STREAM_ERROR, Callers, ServerSeen, Tally, name_server
from .promql import match_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .prometheus_api import PrometheusAPI, Sample
    from .promql import Questions

Place = tuple[str, str]
"""The values of the labels that name a server."""

_FINE = 5.0
"""Seconds between two looks at when the failures began."""

_LATE = 60.0
"""Seconds after its last failure for which a server still counts as failing."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time to look at.

    Attributes:
        start: Its begin, in seconds since the epoch.
        end: Its end.
        scrape: Seconds between two scrapes.
        step: Seconds of each step, in which failures are counted.
    """

    start: float
    end: float
    scrape: float
    step: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def round_count(sample: Sample) -> int:
    """Return a count that Prometheus has extrapolated; 1 for anything above nothing."""
    return max(1, round(sample.value)) if sample.value > 0 else 0


def find_begin(api: PrometheusAPI, query: str, window: Window, first: float) -> float:
    """Return when a counter began to grow within a step, to half a scrape.

    Args:
        api: Asks Prometheus.
        query: The sum of the counters of all callers.
        window: The time to look at.
        first: The end of the step.
    """
    fine = min(_FINE, window.step)
    start = first - window.step - window.scrape
    found = api.query_range(query, start, first, fine)
    counts = sorted((time, value) for each in found for time, value in each.points)
    before = next((value for time, value in counts if time < start + fine / 2), 0.0)
    grown = next((time for time, value in counts if value > before), first)
    return grown - (window.scrape + fine) / 2


_STREAMED = {"download": "images.data", "upload": "images.upload"}
"""The operation of a stream, by its direction."""


def _read_failures(sample: Sample) -> Tally:
    labels, job = sample.labels, sample.labels.get("job", "")
    if "direction" in labels:
        operation = _STREAMED.get(labels["direction"], "")
        return Tally(job, operation, STREAM_ERROR, round_count(sample))
    reason = labels.get("error_type") or catalogue.OTHER
    return Tally(job, labels.get("operation", ""), reason, round_count(sample))


@dataclass(frozen=True, slots=True)
class FailingServer:
    """Asks about one server.

    Attributes:
        api: Asks Prometheus.
        ask: Builds the questions.
        window: The time to look at.
        place: The server.
        episode: When it failed, by steps of the window.
    """

    api: PrometheusAPI
    ask: Questions
    window: Window
    place: Place
    episode: Episode

    @property
    def _server(self) -> str:
        return match_server(self.place)

    def observe(self) -> ServerSeen:
        """Return what Prometheus tells."""
        until = self._find_until()
        end = self.window.end if until is None else self.episode.last
        since, exact = self._find_since(end)
        # A scrape between two counts successes from before the first failure.
        seconds = max(1.0, end - since + self.window.scrape)
        later = max(1.0, end - since - self.window.scrape - 1)
        changes = self.api.number(self.ask.changes(self._server, later), end)
        labels = dict(zip(("server_address", "server_port"), self.place, strict=True))
        traces = self.api.find_traces(self.ask.failed_buckets(self._server), since - 60, end)
        return ServerSeen(
            name_server(labels),
            since,
            exact=exact,
            until=until,
            row=self._find_row(end),
            tallies=tuple(self._find_tallies(seconds, later, end)),
            callers=tuple(self._find_callers(seconds, later, end)),
            calls_failed=self._sum(catalogue.CONNECTION_FAILED, seconds, end),
            calls_saved=self._sum(catalogue.SAVED_CALLS, seconds, end),
            cost_seconds=self._sum(catalogue.RETRY_COST, seconds, end),
            recoveries=None if changes is None else round(changes) // 2,
            traces=tuple(traces[:NAMED]),
        )

    def _number(self, query: str, at: float) -> float | None:
        return self.api.number(query, at)

    def _find_row(self, end: float) -> int | None:
        row = self._number(self.ask.row(self._server, self.window.start), end)
        return None if row is None else round(row)

    def _sum(self, metric: catalogue.Metric, seconds: float, end: float) -> float:
        return self._number(self.ask.summed(metric, seconds, self._server), end) or 0.0

    def _find_until(self) -> float | None:
        """Return when the failures ended; None if they have not.

        A server that other callers never ask again fails still, however long ago it last failed.
        """
        end, last = self.window.end, self.episode.last
        quiet = end - last
        if quiet <= max(2 * self.window.step, _LATE):
            return None
        if quiet <= PAUSE:
            over = not self._find_row(end)
        else:
            success = self._number(self.ask.last(catalogue.LAST_SUCCESS, self._server), end)
            over = success is None or success > last
        if not over:
            return None
        failure = self._number(self.ask.last(catalogue.LAST_FAILURE, self._server), end)
        return last if failure is None else min(failure, last)

    def _find_since(self, end: float) -> tuple[float, bool]:
        """Return since when it fails, and whether that is when it began.

        The gauge says it to the second, if some caller has had failures alone since then. It does
        not if only one operation fails: each success of another begins a new row.
        """
        first, step = self.episode.first, self.window.step
        from_start = first - step <= self.window.start + step
        begin = find_begin(self.api, self.ask.failures_now(self._server), self.window, first)
        gauge = self._number(self.ask.since(self._server, self.window.start), end)
        if gauge is not None and gauge <= first:
            near = abs(gauge - begin) <= 2 * self.window.scrape + _FINE
            if near or (from_start and gauge < begin):
                return gauge, True
        return begin, not from_start

    def _find_tallies(self, seconds: float, later: float, end: float) -> Iterator[Tally]:
        failed = self.api.query(self.ask.failures(seconds, self._server), end)
        broken: dict[tuple[str, str], int] = {}
        for each in failed:
            tally = _read_failures(each)
            if tally.reason == STREAM_ERROR:
                broken[tally.job, tally.operation] = round(tally.count)
            if tally.count:
                yield tally
        for each in self.api.query(self.ask.successes(later, self._server), end):
            job, operation = each.labels.get("job", ""), each.labels.get("operation", "")
            # The attempt of a stream that broke had succeeded.
            count = round_count(each) - broken.get((job, operation), 0)
            if count > 0:
                yield Tally(job, operation, "", count)

    def _find_callers(self, seconds: float, later: float, end: float) -> Iterator[Callers]:
        asking = self._count(self.ask.asking(self._server, seconds + PAUSE), end)
        failing = self._count(self.ask.failing(self._server, seconds), end)
        succeeding = self._count(self.ask.succeeding(self._server, later), end)
        never = self.ask.never(self._server, seconds, later)
        counts = self._count(f"count by (job) ({never})", end)
        # Their names tell who is cut off, if others are not.
        told = f"topk by (job) ({NAMED}, {never})" if counts and succeeding else ""
        named = self.api.query(told, end) if told else []
        for job, number in asking.items():
            names = sorted(each.labels["instance"] for each in named if each.labels["job"] == job)
            fail, succeed, never_succeed = (
                counted.get(job, 0) for counted in (failing, succeeding, counts)
            )
            yield Callers(job, number, fail, succeed, never_succeed, tuple(names))

    def _count(self, query: str, end: float) -> dict[str, int]:
        return {
            each.labels.get("job", ""): round(each.value) for each in self.api.query(query, end)
        }
