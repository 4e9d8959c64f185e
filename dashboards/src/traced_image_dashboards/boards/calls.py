"""Calls: how they end, how long they take, and what retries cost and hide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry import catalogue

from .. import recording
from ..promql import NO_PROBES, SERVER, selector
from . import links
from .panels import About, lines, query, row, stacked
from .queries import (
    ATTEMPTS,
    CALLS,
    JOB,
    SERVER_NAME,
    SUCCESS_OF_ATTEMPTS,
    SUCCESS_OF_CALLS,
    by_server,
    of,
    quantile,
    share,
    shown_exemplars,
    some,
    top,
    total,
)

if TYPE_CHECKING:
    from typing import Any

    from grafana_foundation_sdk.builders import timeseries
    from grafana_foundation_sdk.cog.builder import Builder


NO_CALLS = "No calls in the last 5 minutes"


def parts() -> tuple[Builder[Any], ...]:
    """The rows of calls and retries, and their panels."""
    return (
        *(row("Calls"), successes(), outcomes(), durations(), gave_up()),
        *(row("Retries"), reasons(), retries_per_call(), amplification(), hidden()),
    )


# --- calls -------------------------------------------------------------------------------------


def successes() -> timeseries.Panel:
    """What callers get, and what servers give."""
    about = About(
        "Success of calls, and of attempts",
        "Between the two lines is what retries hide. Where attempts fall and calls do not, a "
        "server fails and nobody has noticed: find it before a second one does. Below the "
        "objective, callers notice.",
        "percentunit",
        NO_CALLS,
        "GlanceRetriesMaskingFailures",
    )
    return lines(
        about,
        query(SUCCESS_OF_CALLS, "calls"),
        query(SUCCESS_OF_ATTEMPTS, "attempts"),
        query(f"max({recording.OBJECTIVE})", "objective"),
    )


def outcomes() -> timeseries.Panel:
    """How calls end."""
    words = "; ".join(f"{word}: {meaning}" for word, meaning in catalogue.OUTCOMES.items())
    about = About(
        "Calls by outcome",
        f"{words}. Calls that succeed after a retry are slower than they need be: see why they are "
        "retried.",
        "reqps",
        NO_CALLS,
        "GlanceRetryRateHigh",
    )
    by_outcome = query(total(of(recording.CALLS), "by (outcome)"), "{{outcome}}")
    return stacked(lines(about, by_outcome))


def durations() -> timeseries.Panel:
    """How long calls take."""
    about = About(
        "How long calls take",
        "With all their attempts and waits. A dot is a call with a trace: follow it to see which "
        "attempt took the time. If only p99 is high, a few calls wait for a server that does not "
        "answer: compare the servers' durations.",
        "s",
        NO_CALLS,
        "GlanceAttemptLatencyHigh",
    )
    buckets = of(recording.CALL_BUCKETS)
    dots = shown_exemplars(selector(catalogue.CALL_DURATION, JOB, NO_PROBES, suffix="_bucket"))
    return lines(
        about,
        *(query(quantile(each, buckets), f"p{each * 100:g}") for each in (0.5, 0.95, 0.99)),
        query(dots, "calls with a trace", exemplars=True),
    )


def gave_up() -> timeseries.Panel:
    """Why calls gave up."""
    about = About(
        "Calls that gave up, by the last reason",
        "GlanceConnectionFailed by the reason and the server of the last attempt, the ten most. A "
        "dot is such a call's trace.",
        "reqps",
        "No call gave up",
        "GlanceConnectionFailed",
    )
    failed = some(total(of(recording.CONNECTION_FAILED), f"by ({SERVER}, error_type)"))
    dots = shown_exemplars(selector(catalogue.CONNECTION_FAILED, JOB, NO_PROBES))
    return lines(
        about,
        query(top(10, failed), f"{{{{error_type}}}} {SERVER_NAME}"),
        query(dots, "calls with a trace", exemplars=True),
    ).data_links([links.server_of_series()])


# --- retries -----------------------------------------------------------------------------------


def reasons() -> timeseries.Panel:
    """Why calls are retried."""
    about = About(
        "Why calls are retried",
        "Retries each second by what the attempt before failed of. connection_refused: the "
        "server is down; read_timeout: it hangs; 503: it is overloaded or in maintenance. "
        "docs/reference/diagnosis.md has all of them.",
        "reqps",
        "No call was retried",
        "GlanceRetryRateHigh",
    )
    by_reason = query(some(total(of(recording.RETRIES), "by (error_type)")), "{{error_type}}")
    return stacked(lines(about, by_reason))


def retries_per_call() -> timeseries.Panel:
    """How often calls are retried."""
    about = About(
        "Retries per call",
        "Above 0.2 each fifth call meets a server that fails. Take out or fix that server.",
        "short",
        "No call was retried",
        "GlanceRetryRateHigh",
    )
    retries = share(total(of(recording.RETRIES)), CALLS)
    return lines(about, query(retries, "retries per call"), width=6).min(0).axis_soft_max(0.2)


def amplification() -> timeseries.Panel:
    """How much more is asked of servers than callers want."""
    about = About(
        "Attempts per call",
        "How much retries add to the servers' load; 1 is none. If it rises while servers are slow, "
        "retries make it worse: lower num_retries or budget_share.",
        "short",
        NO_CALLS,
        "GlanceRetryRateHigh",
    )
    attempts = query(share(ATTEMPTS, CALLS), "attempts per call")
    return lines(about, attempts, width=6).axis_soft_min(1).axis_soft_max(1.2)


def hidden() -> timeseries.Panel:
    """Where the failures are that retries hide."""
    about = About(
        "Servers that calls were retried after",
        "Retries each second by the server that failed before, the ten most. Follow a line to its "
        "server.",
        "reqps",
        "No call was retried",
        "GlanceRetriesMaskingFailures",
    )
    retried = top(10, some(by_server(recording.RETRIES)))
    dots = shown_exemplars(selector(catalogue.RETRIES, JOB, NO_PROBES))
    return lines(
        about,
        query(retried, SERVER_NAME),
        query(dots, "calls with a trace", exemplars=True),
        width=24,
    ).data_links([links.server_of_series()])
