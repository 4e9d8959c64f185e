"""What a Prometheus tells, about all callers together, in a number of questions that is bounded."""

from __future__ import annotations

import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..errors import DiagnosisError
from ..telemetry import catalogue
from . import promql
from .episodes import add_points, choose_step, find_latest
from .latencies import compare, is_slow
from .observations import (
    AlertSeen,
    KeystoneSeen,
    Latency,
    Observations,
    ServerSeen,
    Tally,
    name_server,
)
from .prometheus_refusals import add_refusals, observe_refusals
from .prometheus_servers import FailingServer, Place, round_count
from .prometheus_times import Window, find_begin, find_end
from .promql import match_server, quote
from .words import format_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from .prometheus_api import PrometheusAPI, Sample

RECENT = 300.0
"""Seconds before the end in which durations are compared."""

_LOAD = 900.0
_FINE = 15.0
_AT_ONCE = 4
"""How many servers are asked about at the same time; Prometheus answers 20 queries at once."""

_LATER = 1.5
"""An agent scrapes twice before it adds up: what it counts comes by so many intervals later."""

_UNKNOWN = (
    "which calls they were, but for the traces that it keeps as exemplars",
    "how fast image data flows",
)


def observe(
    api: PrometheusAPI, *, end: float, window: float, jobs: Sequence[str] = ()
) -> Observations:
    """Return what a Prometheus tells.

    If it scrapes no caller at the end, this looks back from when it scraped one last.

    Args:
        api: Asks it.
        end: The time to look back from, in seconds since the epoch.
        window: For how many seconds.
        jobs: The jobs to ask of; empty for all.

    Raises:
        DiagnosisError: It can't be read, or knows no caller.
    """
    last = _find_last_scrape(api, promql.Questions(tuple(jobs)), end, window)
    seen = _PrometheusObserver(api, last, window - (end - last), tuple(jobs)).observe()
    if last == end:
        return seen
    later = f"what was after {format_time(last, end)}, when it scraped these callers last"
    return replace(seen, unknown=(*seen.unknown, later))


def _find_last_scrape(
    api: PrometheusAPI, ask: promql.Questions, end: float, window: float
) -> float:
    """Return when a caller was scraped last, to a step; the end if one is then, or none was."""
    processes = ask.processes()
    if api.query(processes, end):
        return end
    step = choose_step(window, _FINE)
    found = api.query_range(processes, end - window + step, end, step)
    return max((time for each in found for time, _ in each.points), default=end)


class _PrometheusObserver:
    def __init__(
        self, api: PrometheusAPI, end: float, window: float, jobs: tuple[str, ...]
    ) -> None:
        ask = promql.Questions(jobs)
        self._added_up = _count_jobs(api.query(ask.added_up(), end))
        streams = {_find_place(each)[0] for each in api.query(ask.streams(window), end)}
        ask = replace(ask, breaking=tuple(sorted(streams)), aggregated=tuple(self._added_up))
        self._api, self._ask = api, ask
        scrapes = api.number(ask.scrapes(), end)
        scrape = promql.SCRAPES / scrapes if scrapes else promql.SCRAPES / 2
        if self._added_up:
            scrape *= _LATER
        self._window = Window(end - window, end, scrape, choose_step(window, scrape))

    def observe(self) -> Observations:
        end, seconds = self._window.end, self._window.seconds
        jobs = self._added_up | _count_jobs(self._api.query(self._ask.processes(), end))
        servers = self._find_servers()
        refusals = observe_refusals(self._api, self._ask, self._window)
        if not jobs and not any(each.probe_reason for each in servers.values()):
            raise DiagnosisError(self._describe_nothing())
        return Observations(
            f"Prometheus {self._api.shown}",
            self._window.start,
            end,
            servers=tuple(self._add_load(self._add_latencies(add_refusals(servers, refusals)))),
            keystone=self._find_keystone(),
            jobs=jobs,
            failed_calls=self._find_failed_calls(),
            refusals=refusals.reasons,
            usual_seconds=self._find_usual(),
            alerts=self._find_alerts(),
            hazards=self._find_hazards(seconds),
            unknown=(*_UNKNOWN, *self._list_unkept()),
        )

    def _list_unkept(self) -> Iterator[str]:
        if jobs := ", ".join(sorted(self._added_up)):
            yield f"what each process of {jobs} counted (processes: not kept; an agent adds up)"

    def _describe_nothing(self) -> str:
        jobs = f" of {' or '.join(self._ask.jobs)}" if self._ask.jobs else ""
        return (
            f"{self._api.shown} has no metrics{jobs} from traced-image at that time; check what it"
            " scrapes, --at and --job"
        )

    # --- servers -------------------------------------------------------------------------------

    def _find_states(self) -> dict[Place, str]:
        """Return the state in which most processes see each server."""
        counts: dict[Place, dict[str, float]] = defaultdict(dict)
        for each in self._api.query(self._ask.states(), self._window.end):
            counts[_find_place(each)][each.labels.get("state", "")] = each.value
        return {place: max(seen, key=lambda state: seen[state]) for place, seen in counts.items()}

    def _find_probes(self, asked: Collection[Place]) -> dict[Place, tuple[str, float | None]]:
        """Return why the probes of a server fail, and since when.

        Of jobs that ask servers, those of other servers are no matter; their exporter is of
        another job.
        """
        since = {
            _find_place(each): each.value
            for each in self._api.query(promql.PROBES_SINCE, self._window.end)
        }
        return {
            (place := _find_place(each)): (each.labels.get("error_type", ""), since.get(place))
            for each in self._api.query(promql.PROBES, self._window.end)
            if not (self._ask.jobs and asked) or _find_place(each) in asked
        }

    def _find_servers(self) -> dict[Place, ServerSeen]:
        failures: dict[Place, list[Sample]] = defaultdict(list)
        for each in self._range(self._ask.failures(self._window.step)):
            failures[_find_place(each)].append(each)
        states = self._find_states()
        probes = self._find_probes({*states, *failures})
        asked = sorted({*states, *probes, *failures})
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(lambda place: self._find_server(place, failures[place]), asked)
            servers = dict(zip(asked, found, strict=True))
        return {
            place: replace(
                each,
                state=states.get(place, ""),
                probe_reason=probes.get(place, ("", None))[0],
                probe_since=probes.get(place, ("", None))[1],
            )
            for place, each in servers.items()
        }

    def _find_server(self, place: Place, failures: Sequence[Sample]) -> ServerSeen:
        episode = find_latest(add_points(each.points for each in failures), self._window.pause)
        if episode is not None:
            return FailingServer(self._api, self._ask, self._window, place, episode).observe()
        return ServerSeen(name_server(_label(place)))

    def _range(self, query: str) -> list[Sample]:
        """Ask for all steps of the window; the last one ends with it."""
        step, end = self._window.step, self._window.end
        steps = math.ceil(self._window.seconds / step)
        return self._api.query_range(query, end - (steps - 1) * step, end, step)

    def _add_latencies(self, servers: Mapping[Place, ServerSeen]) -> dict[Place, ServerSeen]:
        means: dict[str, dict[Place, float]] = defaultdict(dict)
        for each in self._api.query(self._ask.durations(seconds=RECENT), self._window.end):
            means[each.labels.get("operation", "")][_find_place(each)] = each.value
        compared = compare(means)
        return {
            place: self._add_slowness(place, replace(each, latencies=compared.get(place, ())))
            for place, each in servers.items()
        }

    def _add_slowness(self, place: Place, server: ServerSeen) -> ServerSeen:
        slow = next((each for each in server.latencies if is_slow(each)), None)
        if slow is None:
            return server
        fine = max(_FINE, 4 * self._window.scrape)  # a rate needs two samples at least
        server = replace(server, tallies=server.tallies or self._find_successes(place))
        query = partial(
            self._ask.durations, match_server(place), f"operation={quote(slow.operation)}"
        )
        first = self._find_slow(slow, self._range(query(seconds=max(self._window.step, fine))))
        if first is None:
            return server
        closer = self._api.query_range(query(seconds=fine), first - self._window.step, first, fine)
        return replace(server, slow_since=(self._find_slow(slow, closer) or first) - fine / 2)

    def _find_successes(self, place: Place) -> tuple[Tally, ...]:
        found = self._api.query(self._ask.successes(RECENT, match_server(place)), self._window.end)
        return tuple(
            Tally(each.labels.get("job", ""), each.labels.get("operation", ""), "", count)
            for each in found
            if (count := round_count(each))
        )

    def _find_slow(self, slow: Latency, found: Iterable[Sample]) -> float | None:
        """Return the first time of the latest at which an operation is slow; None for none."""
        points = add_points(each.points for each in found).items()
        late = {time: 1.0 for time, seconds in points if is_slow(replace(slow, seconds=seconds))}
        episode = find_latest(late, self._window.pause)
        return None if episode is None else episode.first

    def _add_load(self, servers: Mapping[Place, ServerSeen]) -> Iterable[ServerSeen]:
        """Yield the servers with their shares of the attempts, now and before the first failed."""
        since = [each.since for each in servers.values() if each.since and not each.until]
        if not since:
            return servers.values()
        first, end = min(since), self._window.end
        now = self._find_shares(min(_LOAD, end - first), end)
        before = self._find_shares(_LOAD, first)
        return [
            replace(each, share=(now.get(place), before.get(place)))
            for place, each in servers.items()
        ]

    def _find_shares(self, seconds: float, at: float) -> dict[Place, float]:
        loads = {
            _find_place(each): each.value for each in self._api.query(self._ask.load(seconds), at)
        }
        every = sum(loads.values())
        return {place: load / every for place, load in loads.items()} if every else {}

    # --- what is not of one server -------------------------------------------------------------

    def _find_keystone(self) -> KeystoneSeen | None:
        step = self._window.step
        by = "job, error_type"
        series = self._range(self._ask.summed(catalogue.TOKEN_FAILURES, step, by=by))
        episode = find_latest(add_points(each.points for each in series), self._window.pause)
        if episode is None:
            return None
        seconds = episode.last - episode.first + step
        tallies = self._api.query(
            self._ask.summed(catalogue.TOKEN_FAILURES, seconds, by=by), episode.last
        )
        over = self._window.end - episode.last > max(2 * step, 60.0)
        counter = self._ask.token_failures_now()
        return KeystoneSeen(
            since=find_begin(self._api, counter, self._window, episode.first),
            exact=episode.first - step > self._window.start + step,
            until=find_end(self._api, counter, self._window, episode.last) if over else None,
            tallies=_read_tallies(tallies),
        )

    def _find_failed_calls(self) -> tuple[Tally, ...]:
        failed = "|".join(catalogue.FAILED_OUTCOMES)
        query = self._ask.calls(self._window.seconds, failed, by="job, operation, error_type")
        return _read_tallies(self._api.query(query, self._window.end))

    def _find_usual(self) -> float | None:
        seconds = min(_LOAD, self._window.seconds)
        return self._api.number(self._ask.usual(seconds), self._window.end)

    def _find_hazards(self, seconds: float) -> dict[str, float]:
        found = self._api.query(
            self._ask.summed(catalogue.HAZARDS, seconds, by="kind"), self._window.end
        )
        return {
            each.labels.get("kind", ""): count for each in found if (count := round_count(each))
        }

    def _find_alerts(self) -> tuple[AlertSeen, ...]:
        found = self._api.query(promql.alerts(self._window.seconds), self._window.end)
        runbooks = self._api.find_runbooks() if found else {}
        return tuple(
            AlertSeen(
                name := each.labels.get("alertname", ""),
                each.labels.get("alertstate", ""),
                each.value,
                name_server(each.labels),
                runbooks.get(name, ""),
            )
            for each in found
        )


def _count_jobs(found: Iterable[Sample]) -> dict[str, int]:
    return {each.labels.get("job", ""): round(each.value) for each in found}


def _find_place(sample: Sample) -> Place:
    return sample.labels.get("server_address", ""), sample.labels.get("server_port", "")


def _label(place: Place) -> dict[str, str]:
    return dict(zip(("server_address", "server_port"), place, strict=True))


def _read_tallies(found: Iterable[Sample]) -> tuple[Tally, ...]:
    return tuple(
        Tally(
            each.labels.get("job", ""),
            each.labels.get("operation", ""),
            each.labels.get("error_type") or catalogue.OTHER,
            count,
        )
        for each in found
        if (count := round_count(each))
    )
