"""One caller: what a single process sees. Its own series are read, which are too many of all."""

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
    """The row of one caller and its panels."""
    return (
        *(row("One process: $caller"), its_servers(), its_outcomes(), its_times()),
        *(its_failures(), its_retries(), its_waits()),
    )


def _rate(metric: Metric, *matchers: str, suffix: str = "") -> str:
    return rate(metric, *_OF_IT, *matchers, suffix=suffix, window=WINDOW)


def its_servers() -> statetimeline.Panel:
    """What it thinks of each server."""
    meanings = "; ".join(f"{state}: {meaning}" for state, meaning in catalogue.STATES.items())
    about = About(
        "Its servers",
        f"{meanings}. If only this process has left a server, look at the way between them.",
        "short",
        "This process has not told of any server",
        "GlanceServerFailing",
    )
    trial, cooling = (
        total(selector(catalogue.SERVER_STATE, *_OF_IT, state), BY_SERVER)
        for state in ('state="trial"', 'state="cooling"')
    )
    words = {"0": ("healthy", GOOD), "1": ("trial", ODD), "2": ("cooling", BAD)}
    mapping = ValueMap(
        {value: ValueMappingResult(text=text, color=to) for value, (text, to) in words.items()}
    )
    return (
        states(about, query(f"{trial} + 2 * {cooling}", SERVER_NAME))
        .thresholds(levels((1, ODD), (2, BAD)))
        .mappings([mapping])
    )


def its_outcomes() -> timeseries.Panel:
    """How its calls end."""
    about = About(
        "Its calls",
        "By operation and outcome. An operation that alone fails is refused or broken on the "
        "servers; all of them: the process can't reach any.",
        "reqps",
        _NO_CALLS,
        "GlanceClientErrorBudgetBurn",
    )
    counts = _rate(catalogue.CALL_DURATION, suffix="_count")
    shown = query(total(counts, "by (operation, outcome)"), "{{operation}} {{outcome}}")
    return stacked(lines(about, shown))


def its_times() -> timeseries.Panel:
    """How long its calls take."""
    about = About(
        "How long its calls take, 95th percentile",
        "By operation. A dot is a call with a trace: follow it.",
        "s",
        _NO_CALLS,
        "GlanceAttemptLatencyHigh",
    )
    buckets = _rate(catalogue.CALL_DURATION, NO_PROBES, suffix="_bucket")
    by_operation = quantile(0.95, buckets, "le, operation")
    return lines(about, query(by_operation, "{{operation}}", exemplars=True))


def its_failures() -> timeseries.Panel:
    """What its attempts fail of."""
    about = About(
        "Its failed attempts",
        "By server and reason, refusals such as 404 among them: those are for its own "
        "developers. A dot is a failed attempt's trace.",
        "reqps",
        "No attempt of this process failed",
        "GlanceServerFailing",
    )
    failed = _rate(catalogue.ATTEMPT_DURATION, 'error_type!=""', suffix="_count")
    shown = some(total(failed, f"by ({SERVER}, error_type)"))
    dots = selector(catalogue.ATTEMPT_DURATION, *_OF_IT, 'error_type!=""', suffix="_bucket")
    return lines(
        about,
        query(shown, f"{{{{error_type}}}} {SERVER_NAME}"),
        query(shown_exemplars(dots), "attempts with a trace", exemplars=True),
    )


def its_retries() -> timeseries.Panel:
    """How often it retries a call."""
    about = About(
        "Retries of its calls that had any",
        "The mean. Above 1, more than one server fails for it: two of three, say.",
        "short",
        "No call of this process was retried",
        "GlanceRetryRateHigh",
    )
    retries, calls = (
        total(_rate(catalogue.CALL_RETRIES, suffix=suffix)) for suffix in ("_sum", "_count")
    )
    return lines(about, query(share(retries, calls), "retries"))


def its_waits() -> timeseries.Panel:
    """What retries cost it."""
    about = About(
        "What its calls wait between attempts",
        "Seconds of waiting for each second: 1 is one thread that does nothing else. If it is "
        "much, lower backoff_base, or fix the server.",
        "short",
        "No call of this process was retried",
        "GlanceRetryRateHigh",
    )
    waits = total(_rate(catalogue.RETRY_DELAYS, suffix="_sum"))
    return lines(about, query(waits, "waiting"), width=24)
