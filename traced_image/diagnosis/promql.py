"""The questions to Prometheus, in PromQL: all are sums over callers, never a caller's own series.

They read the metrics themselves, so that they need no recording rules. Where an agent has added up
the processes of a job, their host states alone are still those of each process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..telemetry import catalogue
from ..telemetry.catalogue import probe_metrics
from .observations import PROBE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..telemetry.catalogue import Metric

SCRAPES = 120
PLACE = "server_address, server_port"
_PROCESS = "job, instance"
_NO_PROBES = f'operation!="{PROBE}"'
_FAILED, _NOT_FAILED = 'verdict="failed"', 'verdict!="failed"'
_REFUSED = 'verdict="refused"'
_SUCCEEDED, _HEALTHY = 'verdict="success"', 'state="healthy"'
_FIRST_TRY = 'outcome="success_first_try"'
_PROBING = f"on ({_PROCESS}) {probe_metrics.TIME.name}"
"""The processes that probe: their host states are those of the probes."""


def quote(text: str) -> str:
    """Return a text as a string of PromQL."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'


def match_server(labels: tuple[str, str]) -> str:
    """Return the matchers of a server, by its address and its port."""
    return f"server_address={quote(labels[0])}, server_port={quote(labels[1])}"


@dataclass(frozen=True, slots=True)
class Questions:
    """Builds the questions.

    Attributes:
        jobs: The jobs to ask of; empty for all.
        breaking: The addresses of servers whose streams broke; to ask of all costs much.
        aggregated: Those of the jobs whose processes an agent has added up.
    """

    jobs: tuple[str, ...] = ()
    breaking: tuple[str, ...] = ()
    aggregated: tuple[str, ...] = ()

    @property
    def _agents(self) -> str:
        """Selects the instances that are agents, not processes."""
        return self._series(catalogue.AGGREGATED_PROCESSES, ())

    def _series(self, name: str, matchers: Iterable[str]) -> str:
        every = [each for each in matchers if each]
        if self.jobs:
            every.append(f"job=~{quote('|'.join(map(re.escape, self.jobs)))}")
        return f"{name}{{{', '.join(every)}}}"

    def _grown(self, metric: Metric, seconds: float, *matchers: str, suffix: str = "") -> str:
        """Return by how much each series of a counter grew, the first sample of a new one included.

        In this order: the difference; if the series is new in a process that was there before, its
        value; and after a restart, or of a process that is new or has gone, what ``increase`` sees.
        """
        now = self._series(metric.name + suffix, matchers)
        window = f"{max(1, round(seconds))}s"
        known = f"{self._series(catalogue.BUILD_INFO.name, ())} offset {window}"
        if self.aggregated:
            known += f" or {self._agents} offset {window}"
        there = f"on ({_PROCESS}) ({known})"
        return (
            f"(((({now} - {now} offset {window}) >= 0) or ({now} and {there}))"
            f" unless (resets({now}[{window}]) > 0)"
            f" or increase({now}[{window}]))"
        )

    def processes(self) -> str:
        """How many processes each job has, but for those that probe."""
        return f"count by (job) ({self._series(catalogue.BUILD_INFO.name, ())} unless {_PROBING})"

    def added_up(self) -> str:
        """How many processes of each job agents have added up."""
        return f"sum by (job) ({self._agents})"

    def scrapes(self) -> str:
        """How often a process was scraped, or added up, in `SCRAPES` seconds."""
        series = self._series(catalogue.BUILD_INFO.name, ())
        return f"max(count_over_time({self._agents if self.aggregated else series}[{SCRAPES}s]))"

    def failures(self, seconds: float, *matchers: str) -> str:
        """How many attempts failed, by job, server, operation, verdict and reason.

        And how many streams broke, by job, server and direction, after their attempts had ended.
        """
        return _by_all(self._failed(seconds, *matchers))

    def successes(self, seconds: float, *matchers: str) -> str:
        """How many attempts did not fail, by the same labels."""
        return _by_all(self._attempts(seconds, _NOT_FAILED, *matchers))

    def answers(self, seconds: float) -> str:
        """How many attempts did not fail, by the same labels; of all servers, by their rates."""
        rate = self._rate(catalogue.ATTEMPT_DURATION, seconds, _NOT_FAILED, suffix="_count")
        return f"{_by_all(rate)} * {seconds:.0f}"

    def refused_now(self, server: str) -> str:
        """How many attempts a server has refused since its callers began."""
        name = f"{catalogue.ATTEMPT_DURATION.name}_count"
        return f"sum({self._series(name, (server, _REFUSED, _NO_PROBES))})"

    def refused(self, seconds: float, server: str) -> str:
        """How many attempts a server refused."""
        return f"sum({self._attempts(seconds, _REFUSED, server)})"

    def failures_now(self, server: str) -> str:
        """How many attempts on a server have failed since its callers began."""
        name = f"{catalogue.ATTEMPT_DURATION.name}_count"
        failed = self._series(name, (server, _FAILED, _NO_PROBES))
        broken = self._series(catalogue.STREAM_ERRORS.name, (server,))
        return f"sum({failed} or {broken})" if self.breaking else f"sum({failed})"

    def streams(self, seconds: float) -> str:
        """Which servers had streams that broke, of processes that were there in some seconds."""
        broken = self._series(catalogue.STREAM_ERRORS.name, ())
        return f"count by ({PLACE}) (max_over_time({broken}[{max(1, round(seconds))}s]) > 0)"

    def _attempts(self, seconds: float, *matchers: str) -> str:
        return self._grown(
            catalogue.ATTEMPT_DURATION, seconds, *matchers, _NO_PROBES, suffix="_count"
        )

    def token_failures_now(self) -> str:
        """How many calls have got no token since their callers began."""
        return f"sum({self._series(catalogue.TOKEN_FAILURES.name, ())})"

    def _failed(self, seconds: float, *matchers: str) -> str:
        attempts = self._attempts(seconds, _FAILED, *matchers)
        if not self.breaking:
            return attempts
        address = f"server_address=~{quote('|'.join(map(re.escape, self.breaking)))}"
        return (
            f"({attempts} or {self._grown(catalogue.STREAM_ERRORS, seconds, *matchers, address)})"
        )

    def load(self, seconds: float) -> str:
        """How many attempts each server has a second."""
        rate = self._rate(catalogue.ATTEMPT_DURATION, seconds, suffix="_count")
        return f"sum by ({PLACE}) ({rate})"

    def durations(self, *matchers: str, seconds: float) -> str:
        """The mean duration of attempts that succeeded, by server and operation."""
        metric = catalogue.ATTEMPT_DURATION
        rates = (
            self._rate(metric, seconds, _SUCCEEDED, *matchers, suffix=suffix)
            for suffix in ("_sum", "_count")
        )
        total, count = (f"sum by ({PLACE}, operation) ({rate})" for rate in rates)
        return f"{total} / ({count} > 0)"

    def usual(self, seconds: float) -> str:
        """The mean duration of calls whose first attempt succeeded."""
        total, count = (
            f"sum({self._rate(catalogue.CALL_DURATION, seconds, _FIRST_TRY, suffix=suffix)})"
            for suffix in ("_sum", "_count")
        )
        return f"{total} / ({count} > 0)"

    def _rate(self, metric: Metric, seconds: float, *matchers: str, suffix: str) -> str:
        """Return each series' growth a second, which reads all callers faster than `_grown`."""
        series = self._series(metric.name + suffix, (*matchers, _NO_PROBES))
        return f"rate({series}[{max(1, round(seconds))}s])"

    def asking(self, server: str, seconds: float, *matchers: str) -> str:
        """How many processes of each job ask a server."""
        return f"count by (job) ({self._by_process(seconds, server, *matchers)} > 0)"

    def failing(self, server: str, seconds: float) -> str:
        """How many processes of each job had failures on a server."""
        failed = f"sum by ({_PROCESS}) ({self._failed(seconds, server)})"
        return f"count by (job) ({self._of_processes(failed)} > 0)"

    def succeeding(self, server: str, seconds: float) -> str:
        """How many processes of each job had attempts on a server that did not fail."""
        return self.asking(server, seconds, _NOT_FAILED)

    def never(self, server: str, seconds: float, later: float) -> str:
        """Which processes had failures on a server, and no success in the last `later` seconds."""
        failing = self._by_process(seconds, server, _FAILED)
        other = self._by_process(later, server, _NOT_FAILED)
        return f"({failing} > 0) unless ({other} > 0)"

    def _by_process(self, seconds: float, *matchers: str) -> str:
        return self._of_processes(f"sum by ({_PROCESS}) ({self._attempts(seconds, *matchers)})")

    def _of_processes(self, series: str) -> str:
        return f"({series} unless on ({_PROCESS}) {self._agents})" if self.aggregated else series

    def summed(self, metric: Metric, seconds: float, *matchers: str, by: str = "") -> str:
        """By how much a counter grew, by some labels."""
        return f"sum by ({by}) ({self._grown(metric, seconds, *matchers)})"

    def calls(self, seconds: float, outcomes: str, by: str) -> str:
        """How many calls ended so, by some labels."""
        matchers = (f"outcome=~{quote(outcomes)}", _NO_PROBES)
        grown = self._grown(catalogue.CALL_DURATION, seconds, *matchers, suffix="_count")
        return f"sum by ({by}) ({grown})"

    # --- host states ---------------------------------------------------------------------------

    def since(self, server: str, start: float) -> str:
        """Since when a server fails its callers, by those alone who asked it since `start`."""
        since = self._series(catalogue.FAILING_SINCE.name, (server,))
        last = self._series(catalogue.LAST_FAILURE.name, (server,))
        return f"min((({since} > 0) and on ({_PROCESS}) ({last} > {start:.3f})) unless {_PROBING})"

    def row(self, server: str, start: float) -> str:
        """The most failures in a row of a caller who asked a server since `start`."""
        row = self._series(catalogue.CONSECUTIVE_FAILURES.name, (server,))
        last = self._series(catalogue.LAST_FAILURE.name, (server,))
        return f"max(({row} and on ({_PROCESS}) ({last} > {start:.3f})) unless {_PROBING})"

    def last(self, metric: Metric, server: str) -> str:
        """The latest of the times that a gauge has for a server."""
        return f"max({self._series(metric.name, (server,))} unless {_PROBING})"

    def states(self) -> str:
        """How many processes see each server in each state."""
        state = self._series(catalogue.SERVER_STATE.name, ())
        if self.aggregated:
            return f"sum by ({PLACE}, state) (({state} > 0) unless {_PROBING})"
        return f"count by ({PLACE}, state) (({state} == 1) unless {_PROBING})"

    def changes(self, server: str, seconds: float) -> str:
        """How often a server's state became healthy, or no longer was, for one caller at most."""
        state = self._series(catalogue.SERVER_STATE.name, (server, _HEALTHY))
        changes = self._of_processes(f"changes({state}[{max(1, round(seconds))}s])")
        return f"max({changes} unless {_PROBING})"

    def failing_by_state(self, server: str, since: float) -> str:
        """Which added-up processes had a failure on a server since a time, by their host states."""
        return self._by_state(catalogue.LAST_FAILURE, server, since)

    def succeeding_by_state(self, server: str, since: float) -> str:
        """Which added-up processes had a success on a server after a time."""
        return self._by_state(catalogue.LAST_SUCCESS, server, since)

    def _by_state(self, metric: Metric, server: str, since: float) -> str:
        times = f"max by ({_PROCESS}) ({self._series(metric.name, (server,))} unless {_PROBING})"
        return f"(({times} >= {since:.3f}) and on (job) {self._agents})"

    def failed_buckets(self, server: str) -> str:
        """The series whose exemplars are traces of a server's failures."""
        name = f"{catalogue.ATTEMPT_DURATION.name}_bucket"
        return self._series(name, (server, _FAILED, _NO_PROBES))


def _by_all(grown: str) -> str:
    return f"sum by (job, {PLACE}, operation, direction, verdict, error_type) ({grown})"


def alerts(window: float) -> str:
    """Since when each alert is in its state, if it was so late in the window only."""
    every = 'ALERTS{alertname=~"Glance.+"}'
    first = f"min_over_time(timestamp({every})[{max(1, round(window))}s:15s])"
    labels = f"alertname, alertstate, {PLACE}"
    return f"min by ({labels}) ({first} and {every})"


PROBES = f"max by ({PLACE}, error_type) ({probe_metrics.FAILURE.name} == 1)"
"""Why the latest probe of a server failed."""

PROBES_SINCE = (
    f"min by ({PLACE}) (({catalogue.FAILING_SINCE.name} > 0) and on ({_PROCESS}, {PLACE})"
    f" ({probe_metrics.SUCCESS.name} == 0))"
)
"""Since when the probes of a server fail."""
