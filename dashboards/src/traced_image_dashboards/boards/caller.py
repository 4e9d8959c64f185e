"""One caller: what a single process sees, read from its own series instead of recorded ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

from traced_image.telemetry import catalogue

from .. import links as addresses
from ..promql import NO_PROBES, SERVER, rate, selector
from .panels import (
    BAD,
    GOOD,
    ODD,
    About,
    latest,
    levels,
    lines,
    number,
    query,
    row,
    stacked,
    states,
)
from .queries import (
    BY_SERVER,
    CALLER,
    CHOSEN,
    SERVER_NAME,
    WINDOW,
    quantile,
    share,
    shown_exemplars,
    some,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
    from grafana_foundation_sdk.cog.builder import Builder

    from traced_image.telemetry.catalogue.metrics import Metric

_OF_IT = (CHOSEN, CALLER)
_NOT_KEPT = "or processes: not kept"
_NO_CALLS = f"This process made no call, {_NOT_KEPT}"


def parts() -> tuple[Builder[Any], ...]:
    """Build the row of one caller and its panels."""
    return (
        *(row("One process: $caller"), kept(), its_servers(), its_outcomes(), its_times()),
        *(its_failures(), its_retries(), its_waits()),
    )


def _rate(metric: Metric, *matchers: str, suffix: str = "") -> str:
    return rate(metric, *_OF_IT, *matchers, suffix=suffix, window=WINDOW)


def kept() -> stat.Panel:
    """Build the panel of whether an agent adds up what the process counts."""
    about = About(
        "What is kept of it",
        "If processes are not kept, an agent adds up what each of them counts: choose the agent as "
        "Caller to see their sum. The host states of each process remain, and so this row still "
        "shows which servers it can't reach.",
        "short",
        "No such process is scraped",
        "GlanceTelemetryAbsent",
    )
    # From its start, each process has these series of what it counts.
    counts = total(_rate(catalogue.TELEMETRY_ERRORS))
    there = f"max({selector(catalogue.BUILD_INFO, *_OF_IT)})"
    words = {"0": ("all that it counts", GOOD), "1": ("processes: not kept", ODD)}
    shown = number(about, latest(f"0 * {counts} or {there}"), width=24).height(3)
    return shown.mappings([_map(words)])


def _map(words: Mapping[str, tuple[str, str]]) -> ValueMap:
    return ValueMap(
        {value: ValueMappingResult(text=text, color=to) for value, (text, to) in words.items()}
    )


def its_servers() -> statetimeline.Panel:
    """Build the panel of its host states."""
    meanings = "; ".join(f"{state}: {meaning}" for state, meaning in catalogue.STATES.items())
    about = About(
        "Its servers",
        f"{meanings}. If a server is cooling for this process alone, check the network between "
        "the two.",
        "short",
        f"This process has reported no server, {_NOT_KEPT}",
        "GlanceServerFailing",
    )
    trial, failing, cooling = (
        total(selector(catalogue.SERVER_STATE, *_OF_IT, f'state="{state}"'), BY_SERVER)
        for state in ("trial", "failing", "cooling")
    )
    known = f"{trial} + 2 * {failing} + 3 * {cooling}"
    words = {
        "0": ("healthy", GOOD),
        "1": ("trial", ODD),
        "2": ("failing", BAD),
        "3": ("cooling", BAD),
        "4": ("the last attempt failed", BAD),
    }
    # Where an agent adds states up, failures in a row are still those of one process.
    in_a_row = f"max {BY_SERVER} ({selector(catalogue.CONSECUTIVE_FAILURES, *_OF_IT)})"
    return (
        states(about, query(f"{known} or 4 * ({in_a_row} > bool 0)", SERVER_NAME))
        .thresholds(levels((1, ODD), (2, BAD)))
        .mappings([_map(words)])
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
        f"No attempt of this process failed, {_NOT_KEPT}",
        "GlanceServerFailing",
        next_board=addresses.SERVERS,
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
        f"No call of this process was retried, {_NOT_KEPT}",
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
        f"No call of this process was retried, {_NOT_KEPT}",
        "GlanceRetryRateHigh",
    )
    waits = total(_rate(catalogue.RETRY_DELAYS, suffix="_sum"))
    return lines(about, query(waits, "waiting"), width=24)
