"""What a Prometheus knows about a server that fails: since when, for whom, at what cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..telemetry import catalogue
from .added_up import find_added_up
from .episodes import PAUSE, Episode
from .observations import NAMED, STREAM_ERROR, Callers, ServerSeen, Tally, name_server
from .prometheus_times import find_begin, find_end
from .promql import match_server
from .rules import RECOVERIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .prometheus_api import PrometheusAPI, Sample
    from .prometheus_times import Window
    from .promql import Questions

Place = tuple[str, str]
"""The values of the labels that name a server."""

_FINE = 5.0
_LATE = 60.0
"""Seconds after its last failure for which a server still counts as failing."""


def round_count(sample: Sample) -> int:
    """Return a count that Prometheus has extrapolated; 1 for anything above nothing."""
    return max(1, round(sample.value)) if sample.value > 0 else 0


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
class _Span:
    """Some seconds before a time, which is in seconds since the epoch."""

    seconds: float
    end: float


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
        end = self.window.end if until is None else until
        since, exact = self._find_since(end)
        if until is None:
            since = max(since, self._find_outage(since) or since)
        failing, succeeding = self._choose_spans(since, until)
        labels = dict(zip(("server_address", "server_port"), self.place, strict=True))
        traces = self.api.find_traces(self.ask.failed_buckets(self._server), since - 60, end)
        return ServerSeen(
            name_server(labels),
            since,
            exact=exact,
            earlier=not exact,
            until=until,
            gone=until is not None and self._is_gone(),
            row=self._find_row(end),
            tallies=tuple(self._find_tallies(failing, succeeding)),
            callers=(
                *self._find_callers(failing, succeeding),
                *find_added_up(self.api, self.ask, self._server, since, end),
            ),
            calls_failed=self._sum(catalogue.CONNECTION_FAILED, failing),
            calls_saved=self._sum(catalogue.SAVED_CALLS, failing),
            cost_seconds=self._sum(catalogue.RETRY_COST, failing),
            recoveries=self._count_recoveries(succeeding),
            traces=tuple(traces[:NAMED]),
        )

    def _choose_spans(self, since: float, until: float | None) -> tuple[_Span, _Span]:
        """Return the times of its failures, and of successes meanwhile.

        A scrape between two counts successes from before the first failure and, if it has
        recovered, from after the last one. Of less than two scrapes, these alone show successes.
        """
        scrape, end = self.window.scrape, self.window.end
        if until is None:
            seen, least = end, 0.0
        else:
            seen, end, least = min(end, until + scrape), until, 2 * scrape
        later = least if end - since < least else max(1.0, end - since - scrape - 1)
        return _Span(max(1.0, seen - since + scrape), seen), _Span(later, end)

    def _count_recoveries(self, span: _Span) -> int | None:
        changes = self.api.number(self.ask.changes(self._server, span.seconds), span.end)
        return None if changes is None else round(changes) // 2

    def _number(self, query: str, at: float) -> float | None:
        return self.api.number(query, at)

    def _find_row(self, end: float) -> int | None:
        row = self._number(self.ask.row(self._server, self.window.start), end)
        return None if row is None else round(row)

    def _sum(self, metric: catalogue.Metric, span: _Span) -> float:
        return self._number(self.ask.summed(metric, span.seconds, self._server), span.end) or 0.0

    def _find_until(self) -> float | None:
        """Return when the failures ended; None if they have not.

        A server that other callers never ask again fails still, however long ago it last failed.
        So does one that fails by turns, until it has been well for longer than before.
        """
        end, last, window = self.window.end, self.episode.last, self.window
        quiet = end - last
        if quiet <= max(2 * window.step, _LATE):
            return None
        if quiet <= PAUSE:
            over = not self._find_row(end)
        else:
            success = self._number(self.ask.last(catalogue.LAST_SUCCESS, self._server), end)
            over = success is None or success > last
        if not over or self._fails_by_turns(quiet):
            return None
        failure = self._number(self.ask.last(catalogue.LAST_FAILURE, self._server), end)
        if failure is None or failure > last:
            return find_end(self.api, self.ask.failures_now(self._server), window, last)
        return failure

    def _is_gone(self) -> bool:
        """Whether no caller that is scraped now asks the server."""
        success = self.ask.last(catalogue.LAST_SUCCESS, self._server)
        return self._number(success, self.window.end) is None

    def _fails_by_turns(self, quiet: float) -> bool:
        first, last = self.episode.first, self.episode.last
        recovered = self._count_recoveries(_Span(max(1.0, last - first), last))
        return (recovered or 0) >= RECOVERIES and quiet <= 2 * self.episode.pause

    def _find_outage(self, since: float) -> float | None:
        """Return since when no attempt succeeds, if that is later, and is so for long.

        What failed at times at first has then become worse.
        """
        end = self.window.end
        if end - since <= PAUSE:
            return None
        success = self._number(self.ask.last(catalogue.LAST_SUCCESS, self._server), end)
        fails = (self._find_row(end) or 0) >= RECOVERIES
        return success if success and fails and end - success > PAUSE else None

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
            # Failures before a gap between scrapes are of this episode, too.
            near = gauge <= begin + 2 * self.window.scrape + _FINE and begin - gauge <= PAUSE
            if near or (from_start and gauge < begin):
                return gauge, True
        return begin, not from_start

    def _find_tallies(self, failing: _Span, succeeding: _Span) -> Iterator[Tally]:
        failed = self.api.query(self.ask.failures(failing.seconds, self._server), failing.end)
        broken: dict[tuple[str, str], int] = {}
        for each in failed:
            tally = _read_failures(each)
            if tally.reason == STREAM_ERROR:
                broken[tally.job, tally.operation] = round(tally.count)
            if tally.count:
                yield tally
        successes = self.ask.successes(succeeding.seconds, self._server)
        for each in self.api.query(successes, succeeding.end):
            job, operation = each.labels.get("job", ""), each.labels.get("operation", "")
            # The attempt of a stream that broke had succeeded.
            count = round_count(each) - broken.get((job, operation), 0)
            if count > 0:
                yield Tally(job, operation, "", count)

    def _find_callers(self, failing: _Span, succeeding: _Span) -> Iterator[Callers]:
        server, seconds, later, end = (
            self._server,
            failing.seconds,
            succeeding.seconds,
            succeeding.end,
        )
        asked = self._count(self.ask.asking(server, seconds + PAUSE), failing.end)
        failed = self._count(self.ask.failing(server, seconds), failing.end)
        succeeded = self._count(self.ask.succeeding(server, later), end)
        never = self.ask.never(server, seconds, later)
        counts = self._count(f"count by (job) ({never})", end)
        # Their names tell who is cut off, if others are not.
        told = f"topk by (job) ({NAMED}, {never})" if counts and succeeded else ""
        named = self.api.query(told, end) if told else []
        for job, number in asked.items():
            names = sorted(each.labels["instance"] for each in named if each.labels["job"] == job)
            fail, succeed, never_succeed = (
                counted.get(job, 0) for counted in (failed, succeeded, counts)
            )
            yield Callers(job, number, fail, succeed, never_succeed, tuple(names))

    def _count(self, query: str, end: float) -> dict[str, int]:
        return {
            each.labels.get("job", ""): round(each.value) for each in self.api.query(query, end)
        }
