"""The schema of the report: what each key of ``/servers`` holds.

Times are seconds since the epoch, durations are seconds, and None means unknown or none. Counts
are of the last 60 minutes unless a key says otherwise. Later releases add keys and keep these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from ..telemetry.catalogue import StateLabel
    from ..telemetry.catalogue.probe_metrics import Phase


class Minute(TypedDict):
    """One minute of a server; ``reason`` is the most frequent reason of its failures, or None."""

    start: float
    attempts: int
    failed: int
    reason: str | None


class OperationReport(TypedDict):
    """One operation on one server.

    ``since`` is the time of the first of its failures in a row; it is None if the last attempt did
    not fail, even if the server fails for another operation. ``last_error`` is the reason of
    ``last_failure``.
    """

    operation: str
    attempts: int
    failed: int
    since: float | None
    last_success: float | None
    last_failure: float | None
    last_error: str | None


class RecentReport(TypedDict):
    """A server in the last five minutes, with the minute that is under way.

    The latencies are those of attempts that succeeded. They are None if there was none, and if all
    operations fail after three failures in a row, because they are of the time before then.
    ``share`` is the server's share of the attempts on all servers, from 0 to 1; ``share_before`` is
    its share in the earlier minutes of the hour, before the first server failed of those that fail
    now.
    """

    attempts: int
    failed: int
    p50: float | None
    p95: float | None
    max: float | None
    share: float | None
    share_before: float | None


class LastReport(TypedDict):
    """The last 16 attempts on a server, or fewer if there were fewer, and how many of them failed.

    They may be older than an hour.
    """

    attempts: int
    failed: int


class ServerReport(TypedDict):
    """One server.

    ``next_trial`` is when its cool-down ends: the next call after that tries it. ``since`` is the
    time of the first of its failures in a row; it is None if the last attempt did not fail. ``p50``
    and ``p95`` are of the hour's attempts that succeeded. The reasons of failures come from the
    catalogue's closed set, so that they contain no secret. ``refusals`` are the reasons of refused
    attempts, such as 404, which are no failures, because a healthy server answers so.
    ``cost_seconds`` is what retries after its failures added to the calls that they saved, and
    ``saved_calls`` counts these calls. ``phases`` are the seconds of each phase of the latest
    probe, in their order; None if there is none. ``misconfigured`` says what is wrong with the
    settings of the probes, as a sentence that may name the canary; it is None for nothing.
    """

    address: str
    port: str
    state: str
    next_trial: float | None
    since: float | None
    consecutive_failures: int
    last_success: float | None
    last_failure: float | None
    last_error: str | None
    attempts: int
    failed: int
    reasons: dict[str, int]
    refusals: dict[str, int]
    p50: float | None
    p95: float | None
    recent: RecentReport
    last: LastReport
    operations: list[OperationReport]
    cost_seconds: float
    saved_calls: int
    phases: dict[Phase, float] | None
    misconfigured: str | None
    strip: list[Minute]


class KeystoneReport(TypedDict):
    """Keystone, as the calls show that needed the service's own token.

    ``failing`` is whether a call got no token in the last two minutes, ``failures`` how many got
    none in the last hour.
    """

    failing: bool
    failures: int
    since: float | None
    last_failure: float | None
    last_error: str | None


class FailureReport(TypedDict):
    """A server that failed a call, why, and the seconds that the call lost by that."""

    address: str
    port: str
    reason: str
    seconds: float


class CallReport(TypedDict):
    """A call that failed, or that retries saved.

    ``when`` is the time of its end, ``seconds`` its duration, and ``reason`` why it failed; it is
    empty if it succeeded. ``added_seconds`` is what its failed attempts and the waits after them
    took; ``failures`` are the servers of these attempts, at most ten.
    """

    when: float
    operation: str
    outcome: str
    reason: str
    seconds: float
    trace_id: str | None
    attempts: int
    added_seconds: float
    failures: list[FailureReport]


class ProcessReport(TypedDict):
    """The process that answers, and how many ``processes`` the report is of.

    ``host`` is the name of its machine. ``service`` is the ``service.name`` of OpenTelemetry's
    resource or environment variables; None if neither has one.
    """

    service: str | None
    host: str
    pid: int
    processes: int


class Report(TypedDict):
    """The last hour.

    ``effective_success`` is the share of calls that did not fail, from 0 to 1. ``actual_success``
    is the share of attempts that did not fail. If they differ, retries hide failures. Each is None
    if there was no call or attempt. Calls that a server refused or a caller cancelled are among
    the outcomes, and are no failures. ``saved_calls`` are the calls that did not fail because of
    retries, and ``cost_seconds`` what the retries added to them. ``probes`` is true if the attempts
    and the calls are the exporter's own probes, so that no caller is behind them. ``notice`` says
    what a reader must know of the whole, such as that it is of one worker of several; None for
    nothing. ``meanings`` says what each reason means, ``states`` what each state of a server means.
    ``failing_calls`` are the latest 50 calls that failed, and ``latest_calls`` these together with
    the latest 50 that retries saved; in both the latest comes first.
    """

    generated: float
    version: str
    process: ProcessReport
    trace_url: str | None
    probes: bool
    notice: str | None
    meanings: dict[str, str]
    states: dict[StateLabel, str]
    outcomes: dict[str, int]
    effective_success: float | None
    actual_success: float | None
    cost_seconds: float
    saved_calls: int
    keystone: KeystoneReport
    servers: list[ServerReport]
    failing_calls: list[CallReport]
    latest_calls: list[CallReport]
