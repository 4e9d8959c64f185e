"""The report of one exporter, ``/servers``, and what it says of each server."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ..telemetry import catalogue
from .episodes import Episode, find_latest
from .json_values import find, find_list, find_names, find_number, find_numbers, find_text
from .observations import Tally, name_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NO_REPORT = "its answer is no report of an exporter; check that the URL is right, with its prefix"

_MINUTE = 60.0
_LATE = 120.0
"""Seconds after its last failure for which a server still counts as failing."""

_LATELY, _SOME = 300.0, 3
"""A server fails at times with so many failures, between successes, in so many seconds."""


def is_report(answer: object) -> bool:
    """Whether an answer is the report of an exporter."""
    return isinstance(find(answer, "servers"), list)


@dataclass(frozen=True, slots=True)
class ProcessSaw:
    """The report of one process; what an older exporter leaves out counts as unknown.

    Attributes:
        url: Where it was read.
        report: The JSON.
    """

    url: str
    report: object

    @property
    def job(self) -> str:
        """The name of its service; its URL if it does not tell it."""
        return find_text(self.report, "process", "service") or self.url

    @property
    def name(self) -> str:
        """Its machine and its number; its URL if it does not tell them."""
        pid = find_number(self.report, "process", "pid")
        name = find_text(self.report, "process", "host")
        return f"{name}:{pid:.0f}" if name and pid else self.url

    @property
    def label(self) -> str:
        """The name of its service; if it does not tell it, its machine and number, or its URL."""
        return find_text(self.report, "process", "service") or self.name

    @property
    def processes(self) -> int:
        """How many processes the report is of."""
        return round(find_number(self.report, "process", "processes") or 1)

    @property
    def notice(self) -> str:
        """What its reader must know, such as that no worker shares its calls; empty for nothing."""
        return find_text(self.report, "notice")

    @property
    def end(self) -> float:
        """When it was made, in seconds since the epoch."""
        return find_number(self.report, "generated") or 0.0

    @property
    def probes(self) -> bool:
        """Whether the attempts are probes, and no caller is behind them."""
        return find(self.report, "probes") is True

    def list_servers(self) -> Iterator[ServerByProcess]:
        """Yield its servers."""
        for each in find_list(self.report, "servers"):
            yield ServerByProcess(self, each)

    def list_calls(self) -> list[object]:
        """Return its latest calls: those that failed, and if it tells them, those saved."""
        calls = find_list(self.report, "latest_calls")
        return calls or find_list(self.report, "failing_calls")

    @property
    def calls_of_one(self) -> float:
        """How many calls of the hour each of the latest calls that failed stands for."""
        outcomes = find_numbers(self.report, "outcomes")
        every = sum(outcomes.get(each, 0.0) for each in catalogue.FAILED_OUTCOMES)
        return max(1.0, every / max(1, len(find_list(self.report, "failing_calls"))))


@dataclass(frozen=True, slots=True)
class ServerByProcess:
    """One server, as one process saw it.

    Attributes:
        process: The process.
        told: What its report says of the server.
    """

    process: ProcessSaw
    told: object

    @property
    def server(self) -> str:
        """``host:port``."""
        return _name(self.told)

    def find_time(self, name: str) -> float | None:
        """Return a time that is told, in seconds since the epoch; None for never."""
        return find_number(self.told, name) or None

    @property
    def episode(self) -> Episode | None:
        """Its latest failures, by the minutes that they begin in; None if there are none."""
        return find_latest(
            {_find_start(each): _count_failed(each) for each in find_list(self.told, "strip")}
        )

    @property
    def row(self) -> int:
        """Its failures in a row."""
        return round(find_number(self.told, "consecutive_failures") or 0)

    @property
    def is_asked(self) -> bool:
        """Whether there is an attempt on it in the hour."""
        return any(map(_count, find_list(self.told, "strip")))

    @property
    def failing_operations(self) -> list[object]:
        """The operations whose last attempt failed, not long before the server last failed."""
        last = self.find_time("last_failure") or 0.0
        return [
            each
            for each in find_list(self.told, "operations")
            if find_number(each, "since")
            and last - (find_number(each, "last_failure") or 0.0) <= _LATE
        ]

    @property
    def fails_now(self) -> bool:
        """Whether its last attempt failed, or the last one of some operation, or many lately."""
        return bool(self.row or self.failing_operations or self.fails_at_times)

    @property
    def fails_at_times(self) -> bool:
        """Whether it fails and answers by turns, by the same rule as on the exporter's page."""
        end, last = self.process.end, self.find_time("last_failure")
        strip = find_list(self.told, "strip")
        lately = [each for each in strip if _find_start(each) + _MINUTE > end - _LATELY]
        first = next((each for each in lately if find_number(each, "failed")), None)
        if first is None or last is None or end - last > _MINUTE:
            return False
        since = [each for each in lately if _find_start(each) >= _find_start(first)]
        failed = sum(map(_count_failed, since))
        return failed - self.row >= _SOME and sum(map(_count, since)) >= 2 * failed

    @property
    def operations_now(self) -> list[str]:
        """The operations that fail now; of a server that fails at times, all that have failed."""
        every = find_list(self.told, "operations")
        lately = [each for each in every if _count_failed(each)] if self.fails_at_times else []
        return [find_text(each, "operation") for each in self.failing_operations or lately]

    @property
    def reasons_now(self) -> list[str]:
        """Why it fails now, by operation if the report tells them apart."""
        told = (find_text(each, "last_error") for each in self.failing_operations)
        return list(filter(None, told)) or list(filter(None, [self._reason]))

    def find_since_now(self) -> tuple[float, bool] | None:
        """Return since when it fails, as `find_since` does; None if the report does not tell."""
        if self.episode is not None:
            return self.find_since(self.episode)
        # Its failures are older than the minutes that the report tells apart.
        since = self.find_time("since") or self.find_time("last_failure")
        return None if since is None else (since, self.find_time("since") is not None)

    def find_until(self) -> float | None:
        """Return when its failures ended; None if they have not."""
        last = self.find_time("last_failure")
        if self.fails_now or last is None:
            return None
        return last if self.process.end - last > _LATE else None

    def find_since(self, episode: Episode) -> tuple[float, bool]:
        """Return since when it fails, and whether that is when it began.

        The report says it to the second for what fails without a break; else the minute is known.
        """
        rows = self._list_rows(episode)
        times = [since for each in rows if (since := find_number(each, "since"))]
        if times:
            return min(times), True
        latest = self.find_time("last_failure") or self.process.end
        return min(episode.first + _MINUTE / 2, latest), False

    def _list_rows(self, episode: Episode) -> list[object]:
        """Return the operations, and the server, that have failed in a row since it began."""
        rows = [each for each in self.failing_operations if _is_unbroken(each, episode)]
        return [*rows, self.told] if self.row and _is_unbroken(self.told, episode) else rows

    def may_fail_longer(self, episode: Episode) -> bool:
        """Whether it may have failed before its process asked it for the first time."""
        since, exact = self.find_since(episode)
        first = [each for each in self._list_rows(episode) if find_number(each, "since") == since]
        return exact and not any(map(_may_have_succeeded, first))

    def tally(self, first: float = 0.0, last: float = math.inf) -> Iterator[Tally]:
        """Yield its attempts, as far as the report tells them apart.

        Args:
            first: The begin of the first minute to count.
            last: That of the last one.
        """
        strip = find_list(self.told, "strip")
        those = [each for each in strip if first <= _find_start(each) <= last]
        operations = find_list(self.told, "operations")
        if not operations:
            yield from self._tally_minutes(those)
        # Operations are counted for the whole hour: their part is that of the minutes.
        failing = _divide(sum(map(_count_failed, those)), sum(map(_count_failed, strip)))
        succeeding = _divide(sum(map(_count_fine, those)), sum(map(_count_fine, strip)))
        for each in operations:
            ended = (find_number(each, "last_failure") or math.inf) < first
            failed = 0.0 if ended else _count_failed(each) * failing
            fine = _count_fine(each) * succeeding if self._has_succeeded_since(each) else 0.0
            reason = find_text(each, "last_error") or self._reason
            yield from self._pair(find_text(each, "operation"), reason, failed, fine)

    def _has_succeeded_since(self, operation: object) -> bool:
        """Whether an operation has succeeded since the server fails; an old report does not say."""
        if self.episode is None:
            return True
        # Of a row since the beginning, the successes are from before it.
        if _is_unbroken(operation, self.episode):
            return False
        last, (since, exact) = find_number(operation, "last_success"), self.find_since(self.episode)
        return not exact or last is None or last >= since

    def _tally_minutes(self, minutes: Sequence[object]) -> Iterator[Tally]:
        """Yield its attempts by minutes, those of the minute in which it began to fail included."""
        failed = sum(map(_count_failed, minutes))
        # If all of them are in a row, its successes are from before the first.
        fine = 0.0 if 0 < failed <= self.row else sum(map(_count_fine, minutes))
        yield from self._pair("", self._reason, failed, fine)

    def count_saved(self) -> tuple[float | None, float | None]:
        """Return how many calls were saved from its latest failures, and what that cost.

        Both are told for the whole hour. One call counts for each of the latest failures, and those
        that are more than the earlier failures, too.
        """
        saved, cost = find_number(self.told, "saved_calls"), find_number(self.told, "cost_seconds")
        if not saved or self.episode is None:
            return saved, cost
        strip = find_list(self.told, "strip")
        lately = [each for each in strip if _find_start(each) >= self.episode.first]
        failed, every = sum(map(_count_failed, lately)), sum(map(_count_failed, strip))
        most = min(saved, max(failed, saved - (every - failed)))
        return most, None if cost is None else cost * most / saved

    def tally_refusals(self) -> Iterator[Tally]:
        """Yield what it answered, and what it refused; the operations are not told."""
        refused = find_numbers(self.told, "refusals")
        for reason, count in refused.items():
            yield Tally(self.process.job, "", reason, count)
        yield Tally(self.process.job, "", "", _count_fine(self.told) - sum(refused.values()))

    @property
    def _reason(self) -> str:
        reasons = find_numbers(self.told, "reasons")
        return find_text(self.told, "last_error") or next(iter(reasons), "")

    def _pair(self, operation: str, reason: str, failed: float, fine: float) -> Iterator[Tally]:
        if failed:
            yield Tally(self.process.job, operation, reason, failed)
        if fine > 0:
            yield Tally(self.process.job, operation, "", fine)

    @property
    def succeeds(self) -> bool:
        """Whether its last attempt succeeded, or the last one of some operation."""
        last, failure = self.find_time("last_success"), self.find_time("last_failure")
        return last is not None and (failure is None or last > failure or not self.row)

    def count_recoveries(self) -> int:
        """Return how often a minute without failures followed one with some."""
        failing = [
            bool(find_number(each, "failed"))
            for each in find_list(self.told, "strip")
            if _count(each)
        ]
        return sum(before and not now for before, now in pairwise(failing))

    def list_calls(self, since: float) -> list[object]:
        """Return the latest calls that it failed since a time, or that retries saved from it."""
        return [
            call
            for call in self.process.list_calls()
            if (find_number(call, "when") or 0.0) >= since and self._has_failed(call)
        ]

    def count_failed_calls(self, episode: Episode, since: float) -> float:
        """Return how many calls failed since a time, and this server last of all.

        If none is kept of before then, those that are kept stand for others.

        Args:
            episode: The failures that are meant; there are no more calls.
            since: Since when.
        """
        kept = [
            call
            for call in self.list_calls(since)
            if find_text(call, "outcome") in catalogue.FAILED_OUTCOMES
            and [_name(each) for each in find_list(call, "failures")][-1:] == [self.server]
        ]
        every = find_list(self.process.report, "failing_calls")
        if any((find_number(each, "when") or 0.0) < since for each in every):
            return float(len(kept))
        strip = find_list(self.told, "strip")
        most = sum(_count_failed(each) for each in strip if _find_start(each) >= episode.first)
        return max(len(kept), min(most, len(kept) * self.process.calls_of_one))

    def _has_failed(self, call: object) -> bool:
        failures = find_list(call, "failures")
        if failures:
            return any(_name(each) == self.server for each in failures)
        return find_text(call, "reason") in find_numbers(self.told, "reasons")


def _name(told: object) -> str:
    return name_server({f"server_{name}": find(told, name) for name in ("address", "port")})


def _is_unbroken(told: object, episode: Episode | None) -> bool:
    """Whether a server, or an operation, has failed in a row since an episode began."""
    since, last = find_number(told, "since"), find_number(told, "last_failure")
    if not since or episode is None or since >= episode.first + _MINUTE:
        return False
    return since != last or _count_failed(told) <= 1


def _may_have_succeeded(told: object) -> bool:
    """Whether a server, or an operation, has ever succeeded; an old report may not say."""
    return "last_success" not in find_names(told) or bool(find_number(told, "last_success"))


def _find_start(minute: object) -> float:
    return find_number(minute, "start") or 0.0


def _count(told: object) -> float:
    return find_number(told, "attempts") or 0.0


def _count_failed(told: object) -> float:
    return find_number(told, "failed") or 0.0


def _count_fine(told: object) -> float:
    return _count(told) - _count_failed(told)


def _divide(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
