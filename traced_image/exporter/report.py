"""The report: the last hour as JSON, which ``/servers`` returns and the page shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .._version import find_version
from ..config.checks import format_value
from ..errors import InvalidOption
from ..redact import hide_in_url
from ..telemetry import catalogue
from .process import name_process
from .schema import CallReport, FailureReport, KeystoneReport, Report
from .server_report import report_servers

if TYPE_CHECKING:
    from .hour import CallFailure, Hour, KeptCall
    from .server_report import Probed

_RECENT = 120.0
"""Seconds after its last failure for which Keystone counts as failing."""

_WEB = re.compile(r"https?://[^\s/]")


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
    probed: Probed | None = None,
    *,
    notice: str | None = None,
) -> Report:
    """Build the report of the last hour.

    Args:
        hour: The journal's copy.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.
        probed: What the probes found; None if the process makes no probes.
        notice: What a reader must know; None for nothing.
    """
    servers = report_servers(hour, probed)
    attempts = sum(server["attempts"] for server in servers)
    failed = sum(server["failed"] for server in servers)
    calls = sum(hour.outcomes.values())
    lost = sum(hour.outcomes.get(outcome, 0) for outcome in catalogue.FAILED_OUTCOMES)
    latest = sorted([*hour.latest, *hour.saved], key=lambda call: call.when)
    return Report(
        generated=hour.now,
        version=find_version(),
        process=name_process(hour.processes),
        trace_url=trace_url,
        probes=probed is not None,
        notice=notice,
        meanings=catalogue.REASONS,
        states=catalogue.STATES,
        outcomes=dict(hour.outcomes),
        effective_success=(calls - lost) / calls if calls else None,
        actual_success=(attempts - failed) / attempts if attempts else None,
        cost_seconds=sum(server["cost_seconds"] for server in servers),
        saved_calls=hour.saved_calls,
        keystone=_report_keystone(hour),
        servers=servers,
        failing_calls=[_report_call(each) for each in reversed(hour.latest)],
        latest_calls=[_report_call(each) for each in reversed(latest)],
    )


def _report_keystone(hour: Hour) -> KeystoneReport:
    account = hour.keystone
    return KeystoneReport(
        failing=hour.now - account.last_failure <= _RECENT,
        failures=sum(account.failures.values()),
        since=account.since or None,
        last_failure=account.last_failure or None,
        last_error=account.last_error or None,
    )


def _report_call(call: KeptCall) -> CallReport:
    return CallReport(
        when=call.when,
        operation=call.operation,
        outcome=call.outcome,
        reason=call.reason,
        seconds=call.seconds,
        trace_id=call.trace_id,
        attempts=call.attempts,
        added_seconds=sum(failure.seconds for failure in call.failures),
        failures=[_report_failure(each) for each in call.failures],
    )


def _report_failure(failure: CallFailure) -> FailureReport:
    return FailureReport(
        address=failure.address,
        port=failure.port,
        reason=failure.reason,
        seconds=failure.seconds,
    )
