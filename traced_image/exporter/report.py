"""The report: the last hour as JSON, which ``/servers`` returns and the page shows."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, TypedDict

from .._version import find_version
from ..config.checks import format_value
from ..errors import InvalidOption
from ..redact import hide_in_url
from ..telemetry import catalogue
from .hour import MINUTE, list_minutes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..telemetry.updates import ServerKey
    from .hour import Account, Cell, FailedCall, Hour

_BOUNDS = catalogue.ATTEMPT_DURATION.buckets
_RECENT = 120.0
"""Seconds after its last failure for which Keystone counts as failing."""

_WEB = re.compile(r"https?://[^\s/]")


class Minute(TypedDict):
    """One minute of a server; ``reason`` is the most frequent reason of its failures, or None."""

    start: float
    attempts: int
    failed: int
    reason: str | None


class ServerReport(TypedDict):
    """One server. Times are seconds since the epoch, latencies are seconds; None means unknown.

    The reasons of failures come from the catalogue's closed set, so that they contain no secret.
    ``refusals`` are the reasons of refused attempts, such as 404, which are no failures, because a
    healthy server answers so. ``misconfigured`` says what is wrong with the settings of the probes,
    as a sentence that may name the canary; it is None for nothing.
    """

    address: str
    port: str
    state: str
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
    misconfigured: str | None
    strip: list[Minute]


class KeystoneReport(TypedDict):
    """Keystone, as the calls show that needed the service's own token.

    ``failing`` is whether a call got no token in the last two minutes, ``failures`` how many got
    none in the last hour. Times are seconds since the epoch, or None if there was no failure.
    """

    failing: bool
    failures: int
    since: float | None
    last_failure: float | None
    last_error: str | None


class CallReport(TypedDict):
    """A call that failed; ``when`` is in seconds since the epoch, ``seconds`` is its duration."""

    when: float
    operation: str
    outcome: str
    reason: str
    seconds: float
    trace_id: str | None


class Report(TypedDict):
    """The last hour.

    ``effective_success`` is the share of calls that did not fail, from 0 to 1. ``actual_success``
    is the share of attempts that did not fail. If they differ, retries hide failures. Each is None
    if there was no call or attempt. Calls that a server refused or a caller cancelled are among
    the outcomes, and are no failures. ``probes`` is true if the attempts and the calls are the
    exporter's own probes, so that no caller is behind them. ``notice`` says what a reader must
    know of the whole, such as that it is of one worker of several; None for nothing.
    """

    generated: float
    version: str
    trace_url: str | None
    probes: bool
    notice: str | None
    meanings: dict[str, str]
    outcomes: dict[str, int]
    effective_success: float | None
    actual_success: float | None
    keystone: KeystoneReport
    servers: list[ServerReport]
    failing_calls: list[CallReport]


def check_trace_url(trace_url: str | None, source: str = "argument") -> None:
    """Check that the page can build a link to a trace from a URL.

    Args:
        trace_url: The URL; None for no links.
        source: Where the URL was configured, for the message.

    Raises:
        InvalidOption: The text is not an http(s) URL, or has no ``{trace_id}``, or contains a
            secret, which every reader of the page would see.
    """
    if trace_url is None:
        return
    fix = "write one like https://jaeger.example/trace/{trace_id}"
    if hide_in_url(trace_url) != trace_url:
        problem = "it has a password or another secret in it (not shown here)"
    elif not (_WEB.match(trace_url) and "{trace_id}" in trace_url):
        problem = f"{format_value(trace_url)} is not an http(s) URL with {{trace_id}}"
    else:
        return
    raise InvalidOption("trace_url", problem, source=source, fix=fix)


def make_report(
    hour: Hour,
    trace_url: str | None = None,
    misconfigurations: Mapping[ServerKey, str] | None = None,
    *,
    notice: str | None = None,
) -> Report:
    """Build the report of the last hour.

    Args:
        hour: The journal's copy.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.
        misconfigurations: What is wrong with the settings of the probes, by server; None if the
            process makes no probes.
        notice: What a reader must know; None for nothing.
    """
    wrong = misconfigurations or {}
    servers = [
        _make_server(hour, place, account, wrong.get(place))
        for place, account in sorted(hour.servers.items())
    ]
    attempts = sum(server["attempts"] for server in servers)
    failed = sum(server["failed"] for server in servers)
    calls = sum(hour.outcomes.values())
    lost = sum(hour.outcomes.get(outcome, 0) for outcome in catalogue.FAILED_OUTCOMES)
    return Report(
        generated=hour.now,
        version=find_version(),
        trace_url=trace_url,
        probes=misconfigurations is not None,
        notice=notice,
        meanings=catalogue.REASONS,
        outcomes=dict(hour.outcomes),
        effective_success=(calls - lost) / calls if calls else None,
        actual_success=(attempts - failed) / attempts if attempts else None,
        keystone=_make_keystone(hour),
        servers=servers,
        failing_calls=[_make_call(each) for each in reversed(hour.latest)],
    )


def _make_keystone(hour: Hour) -> KeystoneReport:
    account = hour.keystone
    return KeystoneReport(
        failing=hour.now - account.last_failure <= _RECENT,
        failures=sum(account.failures.values()),
        since=account.since or None,
        last_failure=account.last_failure or None,
        last_error=account.last_error or None,
    )


def _make_server(
    hour: Hour, place: ServerKey, account: Account, misconfigured: str | None
) -> ServerReport:
    reasons, refusals, seconds, succeeded = Counter[str](), Counter[str](), Counter[int](), 0
    for cell in account.cells.values():
        reasons.update(cell.failed)
        refusals.update(cell.refused)
        seconds.update(cell.seconds)
        succeeded += cell.succeeded
    failed = reasons.total()
    return ServerReport(
        address=place[0],
        port=place[1],
        state=account.state,
        consecutive_failures=int(account.consecutive_failures),
        last_success=account.last_success or None,
        last_failure=account.last_failure or None,
        last_error=account.last_error or None,
        attempts=succeeded + failed + refusals.total(),
        failed=failed,
        # Sorted by count: readers of the JSON see the most frequent reason first.
        reasons=dict(reasons.most_common()),
        refusals=dict(refusals.most_common()),
        p50=find_quantile(seconds, 0.5),
        p95=find_quantile(seconds, 0.95),
        misconfigured=misconfigured,
        strip=_make_strip(hour, account.cells),
    )


def _make_strip(hour: Hour, cells: Mapping[int, Cell]) -> list[Minute]:
    return [_make_minute(minute, cells.get(minute)) for minute in list_minutes(hour.now)]


def _make_minute(minute: int, cell: Cell | None) -> Minute:
    if cell is None:
        return Minute(start=minute * MINUTE, attempts=0, failed=0, reason=None)
    failed = cell.failed.total()
    return Minute(
        start=minute * MINUTE,
        attempts=cell.succeeded + cell.refused.total() + failed,
        failed=failed,
        reason=next((reason for reason, _ in cell.failed.most_common(1)), None),
    )


def _make_call(call: FailedCall) -> CallReport:
    return CallReport(
        when=call.when,
        operation=call.operation,
        outcome=call.outcome,
        reason=call.reason,
        seconds=call.seconds,
        trace_id=call.trace_id,
    )


def find_quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return a quantile in seconds; None without any count.

    It mirrors Prometheus's ``histogram_quantile``: linear within a bucket, and for the bucket
    without an upper bound the highest bound.

    Args:
        buckets: Counts by the index of the bucket.
        share: The quantile, from 0 to 1.
    """
    numbers = sorted(number for number, count in buckets.items() if count)
    sums = list(accumulate(buckets[number] for number in numbers))
    if not sums:
        return None
    rank = share * sums[-1]
    place = bisect_left(sums, rank)
    number, below = numbers[place], sums[place - 1] if place else 0
    if number == len(_BOUNDS):
        return _BOUNDS[-1]
    start = _BOUNDS[number - 1] if number else 0.0
    return start + (_BOUNDS[number] - start) * (rank - below) / buckets[number]
