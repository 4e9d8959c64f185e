"""Calls: their outcomes and durations, and what retries cost and hide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry import catalogue

from .. import links as addresses
from .. import recording
from ..promql import NO_PROBES, SERVER, selector
from . import links
from .panels import About, lines, query, row, stacked
from .queries import (
    ATTEMPTS,
    CALLS,
    CHOSEN,
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
    """Build the rows of calls and retries, and their panels."""
    return (
        *(row("Calls"), successes(), outcomes(), durations(), durations_by_outcome()),
        *(gave_up(), without_token()),
        *(
            row("Retries"),
            cost(),
            saved(),
            reasons(),
            retries_per_call(),
            amplification(),
            hidden(),
        ),
    )


# --- calls -------------------------------------------------------------------------------------


def successes() -> timeseries.Panel:
    """Build the panel of the success of calls and of attempts."""
    about = About(
        "Success of calls, and of attempts",
        "Retries hide what is between the two lines. If attempts fall and calls do not, a server "
        "fails and retries hide it: find it before a second one fails. Below the objective, too "
        "many calls fail.",
        "percentunit",
        NO_CALLS,
        "GlanceRetriesMaskingFailures",
        next_board=addresses.SERVERS,
    )
    return lines(
        about,
        query(SUCCESS_OF_CALLS, "calls"),
        query(SUCCESS_OF_ATTEMPTS, "attempts"),
        query(f"max({of(recording.OBJECTIVES)})", "objective"),
    )


def outcomes() -> timeseries.Panel:
    """Build the panel of the outcomes of calls."""
    words = "; ".join(f"{word}: {meaning}" for word, meaning in catalogue.OUTCOMES.items())
    about = About(
        "Calls by outcome",
        f"{words}. Calls that succeed after a retry are slower than necessary: see the reasons of "
        "retries.",
        "reqps",
        NO_CALLS,
        "GlanceRetryRateHigh",
    )
    by_outcome = query(total(of(recording.CALLS), "by (outcome)"), "{{outcome}}")
    return stacked(lines(about, by_outcome))


def durations() -> timeseries.Panel:
    """Build the panel of the durations of calls."""
    about = About(
        "How long calls take",
        "With all their attempts and waits. A dot is a call with a trace: open it to see which "
        "attempt took the time. If only p99 is high, a few calls wait for a server that does not "
        "answer: compare the servers' durations.",
        "s",
        NO_CALLS,
        "GlanceAttemptLatencyHigh",
    )
    buckets = of(recording.CALL_BUCKETS)
    dots = shown_exemplars(selector(catalogue.CALL_DURATION, CHOSEN, NO_PROBES, suffix="_bucket"))
    return lines(
        about,
        *(query(quantile(each, buckets), f"p{each * 100:g}") for each in (0.5, 0.95, 0.99, 0.999)),
        query(quantile(1, buckets), "longest, at most"),
        query(dots, "calls with a trace", exemplars=True),
    )


def durations_by_outcome() -> timeseries.Panel:
    """Build the panel of the durations of calls by outcome."""
    about = About(
        "How long calls take, by outcome",
        "The duration that 95 % of the calls of each outcome do not exceed. The difference between "
        "success_after_retry and success_first_try is what a retry costs its caller. If "
        "success_after_retry takes as long as a timeout, a server hangs: find it in the table of "
        "what fails.",
        "s",
        NO_CALLS,
        "GlanceRetriesMaskingFailures",
    )
    slow = quantile(0.95, of(recording.CALL_BUCKETS), "le, outcome")
    return lines(about, query(slow, "{{outcome}}"))


def gave_up() -> timeseries.Panel:
    """Build the panel of the calls that gave up."""
    about = About(
        "Calls that gave up, by the last reason",
        "GlanceConnectionFailed by the reason and the last server that failed, the ten most "
        "frequent. A dot is such a call's trace.",
        "reqps",
        "No call gave up",
        "GlanceConnectionFailed",
        next_board=addresses.SERVERS,
    )
    failed = some(total(of(recording.CONNECTION_FAILED), f"by ({SERVER}, error_type)"))
    dots = shown_exemplars(selector(catalogue.CONNECTION_FAILED, CHOSEN, NO_PROBES))
    return lines(
        about,
        query(top(10, failed), f"{{{{error_type}}}} {SERVER_NAME}"),
        query(dots, "calls with a trace", exemplars=True),
    ).data_links([links.server_of_series()])


def without_token() -> timeseries.Panel:
    """Build the panel of the calls for which Keystone gave no token."""
    about = About(
        "Calls without a token, by Keystone's reason",
        "Keystone gave the service no token for these calls, so that they asked no Glance server. "
        "Look at Keystone, or at the service's credentials if the reason is 401. Glance's servers "
        "are not at fault.",
        "reqps",
        "Keystone gave each call its token",
        "GlanceKeystoneFailing",
        next_board=addresses.CALLERS,
    )
    failed = some(total(of(recording.TOKEN_FAILURES), "by (error_type)"))
    return lines(about, query(failed, "{{error_type}}"))


# --- retries -----------------------------------------------------------------------------------


def cost() -> timeseries.Panel:
    """Build the panel of the time that retries cost."""
    about = About(
        "What retries cost",
        "Seconds that retries add each second to calls which then succeed, by the server that "
        "failed before and the reason, the ten greatest. 0.5 means that at each moment half a "
        "caller waits because of it. Remove that server from api_servers if you can't fix it soon.",
        "s",
        "No retry was needed",
        "GlanceRetriesMaskingFailures",
    )
    costs = some(total(of(recording.RETRY_COST), f"by ({SERVER}, error_type)"))
    shown = query(top(10, costs), f"{{{{error_type}}}} {SERVER_NAME}")
    return lines(about, shown).data_links([links.server_of_series()])


def saved() -> timeseries.Panel:
    """Build the panel of the calls that retries saved."""
    about = About(
        "Calls that retries saved",
        "Calls each second that succeeded although a server failed before, by that server and the "
        "reason, the ten most frequent. If a second server fails, such calls fail too: fix this "
        "one first. A dot is such a call's trace.",
        "reqps",
        "No retry was needed",
        "GlanceRetriesMaskingFailures",
    )
    calls = some(total(of(recording.SAVED_CALLS), f"by ({SERVER}, error_type)"))
    dots = shown_exemplars(selector(catalogue.SAVED_CALLS, CHOSEN))
    return lines(
        about,
        query(top(10, calls), f"{{{{error_type}}}} {SERVER_NAME}"),
        query(dots, "calls with a trace", exemplars=True),
    ).data_links([links.server_of_series()])


def reasons() -> timeseries.Panel:
    """Build the panel of the reasons of retries."""
    about = About(
        "Why calls are retried",
        "Retries each second by the reason of the failed attempt before. connection_refused: the "
        "server is down; read_timeout: it hangs; 503: it is overloaded or in maintenance. "
        "docs/reference/diagnosis.md lists all reasons.",
        "reqps",
        "No call was retried",
        "GlanceRetryRateHigh",
    )
    by_reason = query(some(total(of(recording.RETRIES), "by (error_type)")), "{{error_type}}")
    return stacked(lines(about, by_reason))


def retries_per_call() -> timeseries.Panel:
    """Build the panel of retries for each call."""
    about = About(
        "Retries per call",
        "Above 0.2, one of five calls meets a server that fails. Remove or fix that server.",
        "short",
        "No call was retried",
        "GlanceRetryRateHigh",
    )
    retries = share(total(of(recording.RETRIES)), CALLS)
    return lines(about, query(retries, "retries per call"), width=6).min(0).axis_soft_max(0.2)


def amplification() -> timeseries.Panel:
    """Build the panel of the load that retries add."""
    about = About(
        "Attempts per call",
        "How much load retries add to the servers; 1 means none. If it rises while servers are "
        "slow, retries make them slower: lower num_retries or budget_share.",
        "short",
        NO_CALLS,
        "GlanceRetryRateHigh",
    )
    attempts = query(share(ATTEMPTS, CALLS), "attempts per call")
    return lines(about, attempts, width=6).axis_soft_min(1).axis_soft_max(1.2)


def hidden() -> timeseries.Panel:
    """Build the panel of the servers whose failures retries hide."""
    about = About(
        "Servers that calls were retried after",
        "Retries each second by the server that failed before, the ten most frequent. Follow a "
        "line to its server.",
        "reqps",
        "No call was retried",
        "GlanceRetriesMaskingFailures",
    )
    retried = top(10, some(by_server(recording.RETRIES)))
    dots = shown_exemplars(selector(catalogue.RETRIES, CHOSEN, NO_PROBES))
    return lines(
        about,
        query(retried, SERVER_NAME),
        query(dots, "calls with a trace", exemplars=True),
        width=24,
    ).data_links([links.server_of_series()])
