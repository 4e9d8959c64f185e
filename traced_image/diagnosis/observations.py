"""What a source knows about servers, callers, calls and Keystone, in one form for all sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TOKEN_UNAVAILABLE = "token_unavailable"  # noqa: S105 a reason
"""The reason of calls for which Keystone gave the service no token."""

STREAM_ERROR = "stream_error"
"""Stands for the reason of image data that broke off: its metric has no reason."""

PROBE = "probe"
"""The operation of an exporter's probes, which are no calls."""

KEYSTONE = "Keystone"
"""Names Keystone where a server is named otherwise."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Attempts, or calls, that are alike.

    Attributes:
        job: The kind of process that made them.
        operation: What they asked of Glance; empty if the source does not tell.
        reason: Why they failed; empty if they did not.
        count: How many.
    """

    job: str
    operation: str
    reason: str
    count: float


@dataclass(frozen=True, slots=True)
class Callers:
    """The processes of a job that ask a server.

    Attributes:
        job: The job.
        asking: How many processes ask the server; 0 if the source keeps no series of a process.
        failing: How many of them had failures.
        succeeding: How many had a success since the failures began.
        never: How many had failures, and no such success.
        names: Some of those that never succeed, at most `NAMED`.
    """

    job: str
    asking: int
    failing: int
    succeeding: int
    never: int
    names: tuple[str, ...] = ()


NAMED = 3
"""How many processes or traces are named."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long attempts that succeed take on a server.

    Attributes:
        operation: What they ask of Glance; empty if the source does not tell.
        seconds: Their duration: the mean, or what 95 % of them take at most.
        others: That of the other servers; None if there are none.
        jobs: Whose attempts they are; empty for those of all.
    """

    operation: str
    seconds: float
    others: float | None = None
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """What is known of one server since its failures began; without failures, of the window.

    Attributes:
        server: ``host:port``.
        since: Since when it fails, in seconds since the epoch; None if it does not.
        exact: Whether `since` is when it began; otherwise it began about then.
        earlier: Whether it may have begun before `since`, as the source does not reach back.
        until: When its failures ended; None if they have not.
        gone: Whether they ended because no caller asks it any more.
        row: The most failures in a row that a caller has now; None if unknown.
        state: Its host state for most callers; empty if unknown.
        asked: Whether an attempt on it, or a probe of it, is known.
        tallies: Its attempts.
        callers: Who made them; empty if the source tells no process.
        calls_failed: How many calls it failed in the end; None if unknown.
        calls_saved: How many calls other servers answered after it had failed; None if unknown.
        cost_seconds: How much longer these took together; None if unknown.
        recoveries: How often a caller found it healthy again; None if unknown.
        latencies: The durations of its attempts.
        slow_since: Since when these are slow; None if unknown.
        refusals: What it was asked for and mostly refused, while another server answers it.
        refused_since: Since when it refuses that; None if unknown.
        probe_reason: Why the latest probe of it failed; empty if it did not, or for no probe.
        probe_since: Since when its probes fail; None if unknown.
        share: Its share of all attempts now, and before the first server failed; None if unknown.
        traces: The ids of some traces that show its failures.
    """

    server: str
    since: float | None = None
    exact: bool = True
    earlier: bool = False
    until: float | None = None
    gone: bool = False
    row: int | None = None
    state: str = ""
    asked: bool = True
    tallies: tuple[Tally, ...] = ()
    callers: tuple[Callers, ...] = ()
    calls_failed: float | None = None
    calls_saved: float | None = None
    cost_seconds: float | None = None
    recoveries: int | None = None
    latencies: tuple[Latency, ...] = ()
    slow_since: float | None = None
    refusals: tuple[Tally, ...] = ()
    refused_since: float | None = None
    probe_reason: str = ""
    probe_since: float | None = None
    share: tuple[float | None, float | None] = (None, None)
    traces: tuple[str, ...] = ()

    @property
    def attempts(self) -> float:
        """How many attempts there were."""
        return sum(each.count for each in self.tallies)

    @property
    def failed(self) -> float:
        """How many of them failed."""
        return sum(each.count for each in self.tallies if each.reason)

    @property
    def reasons(self) -> dict[str, float]:
        """How many of them failed, by reason; the most frequent first."""
        return add_up((each.reason, each.count) for each in self.tallies if each.reason)

    @property
    def failing_operations(self) -> dict[str, float]:
        """How many of them failed, by operation; the most frequent first."""
        return add_up((each.operation, each.count) for each in self.tallies if each.reason)

    @property
    def never_reaching(self) -> tuple[Callers, ...]:
        """The callers with processes that never succeed."""
        return tuple(each for each in self.callers if each.never)

    def failing_share(self, operation: str | None = None) -> float:
        """Return the share of attempts that failed, from 0 to 1.

        Args:
            operation: The operation that it is of; None for all.
        """
        those = [each for each in self.tallies if operation in (None, each.operation)]
        all_of_them = sum(each.count for each in those)
        failed = sum(each.count for each in those if each.reason)
        return failed / all_of_them if all_of_them else 0.0


def add_up(counts: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the sums by name; the largest first, equal ones by name."""
    sums: dict[str, float] = {}
    for name, count in counts:
        sums[name] = sums.get(name, 0.0) + count
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class KeystoneSeen:
    """Keystone, as the calls show that got no token for the service itself.

    Attributes:
        since: Since when it gives none, in seconds since the epoch.
        exact: Whether it began then; otherwise it began then or earlier.
        until: When that ended; None if it has not.
        tallies: Those calls; the operation is empty if the source does not tell it.
        traces: The ids of some of their traces.
    """

    since: float
    exact: bool = True
    until: float | None = None
    tallies: tuple[Tally, ...] = ()
    traces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """An alert that is pending or fires.

    Attributes:
        name: Its name.
        state: ``firing`` or ``pending``.
        since: Since when it is in this state, in seconds since the epoch; None if unknown.
        server: The server that it names; empty for none.
        runbook: The address of its runbook; empty if unknown.
    """

    name: str
    state: str
    since: float | None = None
    server: str = ""
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A call, as a trace shows it.

    Attributes:
        operation: What it asked of Glance.
        outcome: One of the catalogue's outcomes.
        reason: Why it failed; empty if it did not.
        seconds: How long it took.
        cost_seconds: What retries added to that.
        attempts: The servers in order, with how each attempt ended, and how long it took; the end
            is empty if it succeeded.
        trace_id: Its trace.
    """

    operation: str
    outcome: str
    reason: str
    seconds: float
    cost_seconds: float
    attempts: tuple[tuple[str, str, float], ...]
    trace_id: str

    @property
    def has_failed(self) -> bool:
        """Whether it failed in the end."""
        return self.outcome in catalogue.FAILED_OUTCOMES


@dataclass(frozen=True, slots=True)
class Observations:
    """What a source tells.

    Attributes:
        source: What it is, such as ``Prometheus http://…``.
        start: Begin of the time that it knows, in seconds since the epoch.
        end: End of that time.
        servers: All servers that are asked, failing or not.
        keystone: Keystone's failures; None for none.
        jobs: The number of processes of each job; 0 if the source does not tell.
        failed_calls: The calls that failed in the end, of all servers.
        refusals: How many requests servers refused lately, by reason; these are no failures.
        usual_seconds: The mean duration of calls that succeed at first; None if unknown.
        alerts: The alerts; None if the source does not know alerts.
        calls: Single calls, if the source is a trace.
        hazards: What stock clients did and their callers do not see, by kind.
        unknown: What the source can't tell, as parts of a sentence.
    """

    source: str
    start: float
    end: float
    servers: tuple[ServerSeen, ...] = ()
    keystone: KeystoneSeen | None = None
    jobs: Mapping[str, int] = field(default_factory=dict)
    failed_calls: tuple[Tally, ...] = ()
    refusals: Mapping[str, float] = field(default_factory=dict)
    usual_seconds: float | None = None
    alerts: tuple[AlertSeen, ...] | None = None
    calls: tuple[CallSeen, ...] = ()
    hazards: Mapping[str, float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def name_server(labels: Mapping[str, object]) -> str:
    """Return ``host:port`` of the labels or attributes that name a server; empty for none."""
    host = str(labels.get("server_address") or labels.get(catalogue.SERVER_ADDRESS) or "")
    port = labels.get("server_port") or labels.get(catalogue.SERVER_PORT) or ""
    return f"{f'[{host}]' if ':' in host else host}:{port}" if host else ""
