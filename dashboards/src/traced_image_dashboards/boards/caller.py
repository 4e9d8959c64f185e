"""One caller: what a single process sees, read from its own series instead of recorded ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

from traced_image.telemetry import catalogue

from ..promql import NO_PROBES, SERVER, rate, selector
from .panels import BAD, GOOD, ODD, About, levels, lines, query, row, stacked, states
from .queries import (
    BY_SERVER,
    CALLER,
    JOB,
    SERVER_NAME,
    WINDOW,
    quantile,
    share,
    shown_exemplars,
    some,
    total,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import statetimeline, timeseries
    from grafana_foundation_sdk.cog.builder import Builder

    from traced_image.telemetry.catalogue.metrics import Metric

_OF_IT = (JOB, CALLER)
_NO_CALLS = "This process made no call"


def parts() -> tuple[Builder[Any], ...]:
    """Build the row of one caller and its panels."""
    return (
        *(row("One process: $caller"), its_servers(), its_outcomes(), its_times()),
        *(its_failures(), its_retries(), its_waits()),
    )


def _rate(metric: Metric, *matchers: str, suffix: str = "") -> str:
    return rate(metric, *_OF_IT, *matchers, suffix=suffix, window=WINDOW)


def its_servers() -> statetimeline.Panel:
    """Build the panel of its host states."""
    meanings = "; ".join(f"{state}: {meaning}" for state, meaning in catalogue.STATES.items())
    about = About(
        "Its servers",
        f"{meanings}. If a server is cooling for this process alone, check the network between "
        "the two.",
        "short",
        "This process has reported no server",
        "GlanceServerFailing",
    )
    trial, failing, cooling = (
        total(selector(catalogue.SERVER_STATE, *_OF_IT, f'state="{state}"'), BY_SERVER)
        for state in ("trial", "failing", "cooling")
    )
    words = {
        "0": ("healthy", GOOD),
        "1": ("trial", ODD),
        "2": ("failing", BAD),
        "3": ("cooling", BAD),
    }
    mapping = ValueMap(
        {value: ValueMappingResult(text=text, color=to) for value, (text, to) in words.items()}
    )
    return (
        states(about, query(f"{trial} + 2 * {failing} + 3 * {cooling}", SERVER_NAME))
        .thresholds(levels((1, ODD), (2, BAD)))
        .mappings([mapping])
    )


def its_outcomes() -> timeseries.Panel:
    """Build the panel of its calls' outcomes."""
    about = About(
        "Its calls",
        "By operation and outcome. If one operation fails, the servers refuse it or it is broken "
        "there. If all fail, the process can't reach any server.",
        "reqps",
        _NO_CALLS,
        "GlanceClientErrorBudgetBurn",
    )
    counts = _rate(catalogue.CALL_DURATION, suffix="_count")
    shown = query(total(counts, "by (operation, outcome)"), "{{operation}} {{outcome}}")
    return stacked(lines(about, shown))


def its_times() -> timeseries.Panel:
    """Build the panel of its calls' durations."""
    about = About(
        "How long its calls take, 95th percentile",
        "By operation. A dot is a call with a trace: open it.",
        "s",
        _NO_CALLS,
        "GlanceAttemptLatencyHigh",
    )
    buckets = _rate(catalogue.CALL_DURATION, NO_PROBES, suffix="_bucket")
    by_operation = quantile(0.95, buckets, "le, operation")
    return lines(about, query(by_operation, "{{operation}}", exemplars=True))


def its_failures() -> timeseries.Panel:
    """Build the panel of its failed attempts."""
    about = About(
        "Its failed attempts",
        "By server and reason, with refusals such as 404, which are for its own developers. A dot "
        "is a failed attempt's trace.",
        "reqps",
        "No attempt of this process failed",
        "GlanceServerFailing",
    )
    failed = _rate(catalogue.ATTEMPT_DURATION, 'verdict!="success"', suffix="_count")
    shown = some(total(failed, f"by ({SERVER}, error_type)"))
    dots = selector(catalogue.ATTEMPT_DURATION, *_OF_IT, 'verdict!="success"', suffix="_bucket")
    return lines(
        about,
        query(shown, f"{{{{error_type}}}} {SERVER_NAME}"),
        query(shown_exemplars(dots), "attempts with a trace", exemplars=True),
    )


def its_retries() -> timeseries.Panel:
    """Build the panel of its retries."""
    about = About(
        "Retries of its calls that had any",
        "The mean. Above 1, more than one server fails for it, such as two of three.",
        "short",
        "No call of this process was retried",
        "GlanceRetryRateHigh",
    )
    retries, calls = (
        total(_rate(catalogue.CALL_RETRIES, suffix=suffix)) for suffix in ("_sum", "_count")
    )
    return lines(about, query(share(retries, calls), "retries"))


def its_waits() -> timeseries.Panel:
    """Build the panel of the time that it waits for retries."""
    about = About(
        "What its calls wait between attempts",
        "Seconds of waiting in each second: 1 is one thread that only waits. If it is high, lower "
        "backoff_base, or fix the server.",
        "short",
        "No call of this process was retried",
        "GlanceRetryRateHigh",
    )
    waits = total(_rate(catalogue.RETRY_DELAYS, suffix="_sum"))
    return lines(about, query(waits, "waiting"), width=24)
