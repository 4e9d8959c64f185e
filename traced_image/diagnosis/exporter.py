"""What exporters tell: the reports of the last hour of several processes together."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from statistics import mean
from typing import TYPE_CHECKING

from ..errors import DiagnosisError
from .exporter_report import NO_REPORT, ProcessSaw, ServerByProcess, is_report
from .json_values import find, find_list, find_number, find_text
from .latencies import compare, is_slow
from .observations import (
    NAMED,
    Callers,
    KeystoneSeen,
    Latency,
    Observations,
    ServerSeen,
    Tally,
    add_up,
)
from .refusals import find_unlike, sum_up
from .words import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .requests_of_sources import SourceReader

_HOUR, _MINUTE = 3600.0, 60.0

_UNKNOWN = (
    "callers whose exporters it was not given",
    "image data that breaks off after its call has ended, or how fast it flows",
    "alerts",
    "what happened more than an hour ago",
)


def observe(readers: Iterable[SourceReader], *, jobs: Sequence[str] = ()) -> Observations:
    """Return what the reports of exporters tell together.

    Args:
        readers: Reads each exporter.
        jobs: The names of services to look at; empty for all.

    Raises:
        DiagnosisError: An exporter can't be read, or none is of a process of the jobs.
    """
    processes = [_read(each) for each in readers]
    those = [each for each in processes if not jobs or each.job in jobs]
    if jobs and not those:
        told = join(dict.fromkeys(each.job for each in processes))
        raise DiagnosisError(f"no exporter is of {' or '.join(jobs)}, only of {told}; check --job")
    return combine(those)


def _read(reader: SourceReader) -> ProcessSaw:
    answer = reader.read("/servers")
    if not is_report(answer):
        raise DiagnosisError(f"{reader.name}: {NO_REPORT}")
    return ProcessSaw(reader.shown, answer)


def combine(processes: Sequence[ProcessSaw]) -> Observations:
    """Return what some reports tell together."""
    end = max((each.end for each in processes), default=0.0)
    callers = [each for each in processes if not each.probes]
    seen = group_by_server(processes)
    asked = {server: _tally_refusals(views) for server, views in seen.items()}
    unlike = find_unlike(asked)
    servers = [
        replace(_merge(server, views), refusals=unlike.get(server, ()))
        for server, views in sorted(seen.items())
    ]
    return Observations(
        f"exporter {', '.join(each.url for each in processes)}",
        end - _HOUR,
        end,
        servers=tuple(_add_latencies(servers, seen)),
        keystone=_find_keystone(callers),
        jobs={name: round(n) for name, n in add_up((p.job, p.processes) for p in callers).items()},
        failed_calls=tuple(_list_failed(callers)),
        refusals=sum_up(asked.values()),
        unknown=(*_UNKNOWN, *(f"{p.url}: {p.notice.rstrip('.')}" for p in processes if p.notice)),
    )


def group_by_server(processes: Iterable[ProcessSaw]) -> dict[str, list[ServerByProcess]]:
    """Return what each process saw of each server."""
    seen: dict[str, list[ServerByProcess]] = defaultdict(list)
    for process in processes:
        for each in process.list_servers():
            if each.server:
                seen[each.server].append(each)
    return seen


def _merge(server: str, views: Sequence[ServerByProcess]) -> ServerSeen:
    probed = [each for each in views if each.process.probes and each.row]
    asked = [each for each in views if not each.process.probes]
    healthy = ServerSeen(
        server,
        state=_find_state(asked),
        asked=any(each.is_asked for each in views),
        tallies=tuple(tally for each in asked for tally in each.tally()),
        probe_reason=next((find_text(each.told, "last_error") for each in probed), ""),
        probe_since=next((each.find_time("since") for each in probed), None),
        share=(_average(asked, "share"), _average(asked, "share_before")),
    )
    failing = [each for each in asked if each.episode is not None]
    return _add_failures(healthy, failing, asked) if failing else healthy


def _find_state(asked: Sequence[ServerByProcess]) -> str:
    """Return the host state of a process for which it fails, if there is one."""
    those = [each for each in asked if each.row] or asked
    return next((find_text(each.told, "state") for each in those), "")


def _tally_refusals(views: Iterable[ServerByProcess]) -> tuple[Tally, ...]:
    asked = (each for each in views if not each.process.probes)
    return tuple(tally for each in asked for tally in each.tally_refusals())


def _average(views: Iterable[ServerByProcess], name: str) -> float | None:
    numbers = [find_number(each.told, "recent", name) for each in views]
    known = [each for each in numbers if each is not None]
    return mean(known) if known else None


def _add_failures(
    server: ServerSeen, failing: Sequence[ServerByProcess], asked: Sequence[ServerByProcess]
) -> ServerSeen:
    ends = [end for each in failing if (end := each.find_until()) is not None]
    ongoing = [each for each in failing if each.find_until() is None]
    # A process that recovered says nothing of failures that last.
    those = ongoing or failing
    episodes = [each.episode for each in those if each.episode]
    (since, exact), longer = min(
        (each.find_since(it), each.may_fail_longer(it)) for each in those if (it := each.episode)
    )
    first = min(each.first for each in episodes)
    last = math.inf if ongoing else max(each.last for each in episodes)
    calls = [call for each in those for call in each.list_calls(since)]
    lost = [each.count_failed_calls(it, since) for each in those if (it := each.episode)]
    traces = [find_text(each, "trace_id") for each in calls]
    costs = [each.count_saved() for each in those]
    return replace(
        server,
        since=since,
        exact=exact,
        earlier=longer
        or (not exact and since < min(each.process.end for each in those) - _HOUR + _MINUTE),
        until=None if ongoing else max(ends),
        row=max(each.row for each in those),
        tallies=tuple(tally for each in asked for tally in each.tally(first, last)),
        callers=tuple(_list_callers(asked, those)),
        calls_failed=sum(lost),
        calls_saved=add_known(saved for saved, _ in costs),
        cost_seconds=add_known(cost for _, cost in costs),
        recoveries=max(each.count_recoveries() for each in those),
        traces=tuple(dict.fromkeys(filter(None, traces)))[:NAMED],
    )


def add_known(numbers: Iterable[float | None]) -> float | None:
    """Return the sum of the numbers that are known; None if none is."""
    known = [each for each in numbers if each is not None]
    return sum(known) if known else None


def _list_callers(
    asked: Sequence[ServerByProcess], failing: Sequence[ServerByProcess]
) -> Iterator[Callers]:
    by_job: dict[str, list[ServerByProcess]] = defaultdict(list)
    for each in asked:
        by_job[each.process.job].append(each)
    for job, views in sorted(by_job.items()):
        those = [each for each in views if each in failing]
        never = [each.process for each in those if not each.succeeds]
        succeeding = [each.process for each in views if each.succeeds]
        yield Callers(
            job,
            _count(each.process for each in views),
            _count(each.process for each in those),
            _count(succeeding),
            _count(never),
            tuple(each.name for each in never)[:NAMED],
        )


def _count(processes: Iterable[ProcessSaw]) -> int:
    return sum(each.processes for each in processes)


def _add_latencies(
    servers: Sequence[ServerSeen], seen: dict[str, list[ServerByProcess]]
) -> Iterator[ServerSeen]:
    """Yield the servers with how long 95 % of attempts took at most in the last five minutes.

    Each process is asked about its own attempts: what is slow for one is fast for another.
    """
    most: dict[int, dict[str, float]] = defaultdict(dict)
    for server, views in seen.items():
        for view in views:
            if seconds := find_number(view.told, "recent", "p95"):
                most[id(view.process)][server] = seconds
    compared = {process: compare({"": by_server}) for process, by_server in most.items()}
    for each in servers:
        found = [
            replace(latency, jobs=(view.process.job,))
            for view in seen[each.server]
            for latency in compared.get(id(view.process), {}).get(each.server, ())
        ]
        yield replace(each, latencies=_merge_latencies(found))


def _merge_latencies(found: Sequence[Latency]) -> tuple[Latency, ...]:
    """Return the mean of those that are slow; of all, if none is; none of none."""
    those = [each for each in found if is_slow(each)] or found
    if not those:
        return ()
    others = [each.others for each in those if each.others is not None]
    jobs = tuple(dict.fromkeys(job for each in those for job in each.jobs))
    seconds = mean(each.seconds for each in those)
    return (Latency("", seconds, mean(others) if others else None, jobs),)


def _find_keystone(callers: Iterable[ProcessSaw]) -> KeystoneSeen | None:
    told = [
        (process, keystone)
        for process in callers
        if find_number(keystone := find(process.report, "keystone"), "failures")
        and find_number(keystone, "since")
    ]
    if not told:
        return None
    last = max(find_number(keystone, "last_failure") or 0.0 for _, keystone in told)
    failing = any(find(keystone, "failing") is True for _, keystone in told)
    return KeystoneSeen(
        since=min(find_number(keystone, "since") or last for _, keystone in told),
        until=None if failing else last,
        tallies=tuple(
            Tally(
                process.job,
                "",
                find_text(keystone, "last_error"),
                find_number(keystone, "failures") or 0.0,
            )
            for process, keystone in told
        ),
    )


def _list_failed(callers: Iterable[ProcessSaw]) -> Iterator[Tally]:
    """Yield the latest calls that failed; they stand for all of the hour, if those are more."""
    for process in callers:
        calls = find_list(process.report, "failing_calls")
        weight = process.calls_of_one
        for call in calls:
            yield Tally(
                process.job, find_text(call, "operation"), find_text(call, "reason"), weight
            )
