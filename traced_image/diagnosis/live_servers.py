"""The servers as callers see them now: the reports of several processes, one row a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .exporter import add_known, combine, group_by_server
from .json_values import find_number, find_text
from .latencies import is_slow
from .observations import KEYSTONE, add_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .exporter_report import ProcessSaw, ServerByProcess
    from .observations import KeystoneSeen, ServerSeen

PROBES = "probes"
"""The state of a server that only an exporter's probes can't use."""

AT_TIMES = "fails at times"
"""The state of a server that fails and answers by turns."""

REFUSES = "refuses"
"""The state of a server that is healthy, and refuses what another one answers."""

SLOW = "slow"
"""The state of a server that is healthy, and slow beside the others or by itself."""

_FAILING = "failing"
_BEST_FIRST = ("healthy", "trial", _FAILING, "cooling")


@dataclass(frozen=True, slots=True)
class CallersNow:
    """The processes of a job, or one process without the name of a job, that ask a server.

    Attributes:
        asking: How many ask it.
        failing: For how many of them it fails now.
    """

    asking: int
    failing: int


@dataclass(frozen=True, slots=True)
class ServerNow:
    """A server, or Keystone, as the callers see it now.

    Attributes:
        server: ``host:port``, or `KEYSTONE`.
        state: The worst of its host states, or `AT_TIMES`; `PROBES` if no call fails there, but
            probes do; `REFUSES` or `SLOW` if it is healthy; empty if no caller asks it.
        callers: The processes, by service, or by machine and number if they do not name it.
        reasons: Why it fails, the most frequent first; empty if it does not fail.
        since: Since when, in seconds since the epoch; None if it does not fail, or if unknown.
        exact: Whether it began then; otherwise it began about then.
        row: The most failures in a row of a process.
        operations: The operations that fail.
        share: Its share of the load in the last five minutes, from 0 to 1; None if unknown.
        calls_saved: How many calls retries saved from it in the last hour; None if unknown.
        cost_seconds: How much longer these took together; None if unknown.
    """

    server: str
    state: str = ""
    callers: Mapping[str, CallersNow] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    since: float | None = None
    exact: bool = True
    row: int = 0
    operations: tuple[str, ...] = ()
    share: float | None = None
    calls_saved: float | None = None
    cost_seconds: float | None = None

    @property
    def asking(self) -> int:
        """How many processes ask it."""
        return sum(each.asking for each in self.callers.values())

    @property
    def failing(self) -> int:
        """For how many of them it fails."""
        return sum(each.failing for each in self.callers.values())

    @property
    def fails(self) -> bool:
        """Whether it fails for a process or for probes."""
        return self.state == PROBES or self.failing > 0


def list_servers(processes: Sequence[ProcessSaw]) -> list[ServerNow]:
    """Return what reports say about the servers; those that fail for most processes come first."""
    seen = combine(processes)
    views = group_by_server(processes)
    servers = [_look_at(each, views[each.server]) for each in seen.servers]
    if seen.keystone is not None and seen.keystone.until is None:
        callers = [each for each in processes if not each.probes]
        servers.append(_look_at_keystone(seen.keystone, callers))
    return sorted(servers, key=lambda each: (not each.fails, -each.failing, each.server))


def _look_at(seen: ServerSeen, views: Sequence[ServerByProcess]) -> ServerNow:
    asked = [each for each in views if not each.process.probes]
    failing = [each for each in asked if each.fails_now]
    hit = failing or [each for each in views if each.fails_now]
    starts = [start for each in hit if (start := each.find_since_now()) is not None]
    since, exact = min(starts) if starts else (None, True)
    return ServerNow(
        seen.server,
        _find_state(seen, asked, failing, hit),
        _count_callers((each.process, each.fails_now) for each in asked),
        _list_reasons(seen, hit),
        since,
        exact,
        max((each.row for each in hit), default=0),
        _list_operations(hit),
        seen.share[0],
        *(
            add_known(find_number(each.told, name) for each in asked)
            for name in ("saved_calls", "cost_seconds")
        ),
    )


def _list_reasons(seen: ServerSeen, hit: Sequence[ServerByProcess]) -> tuple[str, ...]:
    failing = [(reason, 1.0) for each in hit for reason in each.reasons_now]
    refusing = [(each.reason, each.count) for each in seen.refusals if each.reason]
    return tuple(add_up(failing or refusing))


def _find_state(
    seen: ServerSeen,
    asked: Sequence[ServerByProcess],
    failing: Sequence[ServerByProcess],
    hit: Sequence[ServerByProcess],
) -> str:
    if hit and not failing:
        return PROBES
    states = {find_text(each.told, "state") for each in failing or asked}
    worst = max(states & set(_BEST_FIRST), key=_BEST_FIRST.index, default="")
    # One operation may fail on a server that is healthy as a whole.
    if failing and all(each.fails_at_times for each in failing):
        return AT_TIMES
    if failing and worst in ("", "healthy"):
        return _FAILING
    if not failing and not any(each.is_asked for each in asked):
        return ""  # what nobody asks is in its first state, or in its last
    if worst == "healthy" and seen.refusals:
        return REFUSES
    return SLOW if worst == "healthy" and any(map(is_slow, seen.latencies)) else worst


def _count_callers(asked: Iterable[tuple[ProcessSaw, bool]]) -> dict[str, CallersNow]:
    """Return the callers by their labels, of processes with whether something fails for them."""
    found: dict[str, CallersNow] = {}
    for process, fails in asked:
        known = found.get(process.label, CallersNow(0, 0))
        number = process.processes
        found[process.label] = CallersNow(
            known.asking + number, known.failing + (number if fails else 0)
        )
    return dict(sorted(found.items()))


def _list_operations(hit: Iterable[ServerByProcess]) -> tuple[str, ...]:
    return tuple(sorted({name for view in hit for name in view.operations_now} - {""}))


def _look_at_keystone(seen: KeystoneSeen, callers: Sequence[ProcessSaw]) -> ServerNow:
    jobs = {each.job for each in seen.tallies}
    return ServerNow(
        KEYSTONE,
        _FAILING,
        _count_callers((each, each.job in jobs) for each in callers),
        tuple(add_up((each.reason, each.count) for each in seen.tallies)),
        seen.since,
        seen.exact,
    )
