"""The recording rules: dashboards and alerts read them instead of each caller's own series.

Levels: ``instance`` is one process that calls Glance, ``job`` all processes of a kind, ``server``
one Glance server. The level ``job_server`` is how all callers of a job see one server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import probe_metrics
from traced_image.telemetry.metrics import FIRST_OPERATION

from .promql import (
    BAD_CALLS,
    FAILED,
    GOOD_CALLS,
    NO_PROBES,
    NOT_FAILED,
    SERVER,
    grown,
    rate,
    rate_with_births,
    selector,
)

if TYPE_CHECKING:
    from traced_image.telemetry.catalogue import Metric


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule.

    Attributes:
        record: The name of the series that it makes, ``level:metric:operations``.
        expr: Its expression in PromQL.
    """

    record: str
    expr: str


INTERVAL = 30
"""Seconds between two evaluations; alerts that count events in long windows multiply by it."""

SELDOM = 300
"""Seconds between two evaluations of `MONTH`: each reads all samples of 30 days."""

SLOW = 5.0
"""An attempt without image data is slow from so many seconds on; it is a bucket's boundary."""

_RECENT = 7200
"""Seconds after its last failure in which a process counts as cut off, if it is."""

CLOCKS = 60
"""Seconds by which a caller's clock may be ahead of Prometheus's."""

CALLER = ("instance", "node", "pod")
"""The labels in which two callers of a job differ; Kubernetes adds `node` and `pod`."""


def _sum(expr: str, *without: str) -> str:
    return f"sum without ({', '.join(without)}) ({expr})"


def _all_callers(expr: str, *without: str, by: str = "sum") -> str:
    return f"{by} without ({', '.join((*CALLER, *without))}) ({expr})"


OBJECTIVE = "glance:objective:ratio"
"""The series with the share of calls that must not fail; the one number to configure."""

WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d")
"""The windows of error ratios, beside 5 minutes; an alert on a budget compares two of them."""

# --- calls -------------------------------------------------------------------------------------

_EACH_CALL = (catalogue.CALL_DURATION, NO_PROBES)

CALLS_BY_INSTANCE = Recording(
    "instance:glance_client_calls:rate5m",
    _sum(
        f"{rate(*_EACH_CALL, GOOD_CALLS, suffix='_count')}"
        f" or {rate_with_births(*_EACH_CALL, BAD_CALLS, suffix='_count')}",
        *("operation", "error_type"),
    ),
)
BAD_CALLS_BY_INSTANCE = Recording(
    "instance:glance_client_bad_calls:rate5m",
    " or ".join(
        # A job without failed calls has no series of failures; its rate is 0 all the same.
        [
            _sum(
                rate_with_births(*_EACH_CALL, BAD_CALLS, suffix="_count"),
                *("operation", "outcome", "error_type"),
            ),
            f"0 * {_sum(CALLS_BY_INSTANCE.record, 'outcome')}",
        ]
    ),
)
_ALL_OF_INSTANCE = _sum(CALLS_BY_INSTANCE.record, "outcome")
ERRORS_BY_INSTANCE = Recording(
    "instance:glance_client_call_errors:ratio_rate5m",
    f"{BAD_CALLS_BY_INSTANCE.record} / ({_ALL_OF_INSTANCE} > 0)",
)
CALLS = Recording("job:glance_client_calls:rate5m", _all_callers(CALLS_BY_INSTANCE.record))
ALL_CALLS = Recording("job:glance_client_all_calls:rate5m", _sum(CALLS.record, "outcome"))
ALL_BAD_CALLS = Recording(
    "job:glance_client_bad_calls:rate5m", _all_callers(BAD_CALLS_BY_INSTANCE.record)
)
CALL_BUCKETS = Recording(  # has the label outcome
    "job:glance_client_call_duration_seconds_bucket:rate5m",
    _all_callers(rate(*_EACH_CALL, suffix="_bucket"), "operation", "error_type"),
)


def error_ratio(window: str) -> Recording:
    """Build the rule of the share of failed calls of a job, over one of `WINDOWS` or 5 minutes."""
    if window == "5m":
        expr = f"{ALL_BAD_CALLS.record} / ({ALL_CALLS.record} > 0)"
    else:
        # A ratio of averages, not an average of ratios: a minute with few calls must weigh little.
        bad, every = (
            f"avg_over_time({each.record}[{window}])" for each in (ALL_BAD_CALLS, ALL_CALLS)
        )
        expr = f"{bad} / ({every} > 0)"
    return Recording(f"job:glance_client_call_errors:ratio_rate{window}", expr)


OBJECTIVES = Recording(
    # The objective of each job: one that names it counts before one for all jobs.
    "job:glance_client_objective:ratio",
    " or ".join(
        f"0 * {ALL_CALLS.record} + on ({on}) group_left () {OBJECTIVE}{{{matchers}}}"
        for on, matchers in (
            ("job, region", 'job!="", region!=""'),
            ("job", 'job!="", region=""'),
            ("region", 'job="", region!=""'),
            ("", 'job="", region=""'),
        )
    ),
)
SUCCESS = Recording(
    "job:glance_client_call_success:ratio_rate30d",
    # Weighted as in `error_ratio`.
    f"1 - avg_over_time({ALL_BAD_CALLS.record}[30d])"
    f" / (avg_over_time({ALL_CALLS.record}[30d]) > 0)",
)
DAYS = Recording(
    # Of how many days the share above is, by full hours: Prometheus may keep less, or be new.
    "job:glance_client_all_calls:days30d",
    f"count_over_time({ALL_CALLS.record}[30d:1h]) / 24 or 0 * {ALL_CALLS.record}",
)
TOKEN_FAILURES = Recording(  # has the label error_type
    "job:glance_client_token_failures:rate5m",
    _all_callers(rate_with_births(catalogue.TOKEN_FAILURES)),
)

# --- attempts, by server -----------------------------------------------------------------------

_WHAT = ("operation", "verdict", "error_type")
_FAILED = (catalogue.ATTEMPT_DURATION, FAILED)

ATTEMPTS_BY_INSTANCE = Recording(
    "instance_server:glance_client_attempts:rate5m",
    _sum(
        f"{rate(catalogue.ATTEMPT_DURATION, NOT_FAILED, suffix='_count')}"
        f" or {rate_with_births(*_FAILED, suffix='_count')}",
        *_WHAT,
    ),
)
FAILED_BY_INSTANCE = Recording(
    "instance_server:glance_client_failed_attempts:rate5m",
    _sum(rate_with_births(*_FAILED, suffix="_count"), *_WHAT)
    + f" or 0 * {ATTEMPTS_BY_INSTANCE.record}",
)
ATTEMPTS_PER_CALL = Recording(
    "instance:glance_client_attempts_per_call:ratio_rate5m",
    f"sum without ({SERVER}) ({ATTEMPTS_BY_INSTANCE.record}) / ({_ALL_OF_INSTANCE} > 0)",
)
ATTEMPTS = Recording(
    "job_server:glance_client_attempts:rate5m", _all_callers(ATTEMPTS_BY_INSTANCE.record)
)
FAILED_ATTEMPTS = Recording(
    "job_server:glance_client_failed_attempts:rate5m", _all_callers(FAILED_BY_INSTANCE.record)
)
SERVER_ERRORS = Recording(
    "job_server:glance_client_attempt_errors:ratio_rate5m",
    f"{FAILED_ATTEMPTS.record} / ({ATTEMPTS.record} > 0)",
)
PEER_ERRORS = Recording(  # the job's other servers together; no series if there is only one
    "job_server:glance_client_peer_attempt_errors:ratio_rate5m",
    # PromQL allows many servers on the left side only, so that both differences are negative; the
    # quotient is positive again.
    " / ".join(
        f"({each} - ignoring ({SERVER}) group_left () sum without ({SERVER}) ({each}))"
        for each in (FAILED_ATTEMPTS.record, ATTEMPTS.record)
    ),
)
OPERATION_FAILURES = Recording(  # has the labels operation and error_type
    "job_server:glance_client_operation_failures:rate5m",
    _all_callers(rate_with_births(*_FAILED, suffix="_count"), "verdict"),
)
FAILURES = Recording(  # has the label error_type
    "job_server:glance_client_attempt_failures:rate5m",
    _sum(OPERATION_FAILURES.record, "operation"),
)
ATTEMPT_BUCKETS = Recording(
    "job_server:glance_client_attempt_duration_seconds_bucket:rate5m",
    _all_callers(rate(catalogue.ATTEMPT_DURATION, suffix="_bucket"), *_WHAT),
)
_SHORT = (
    catalogue.ATTEMPT_DURATION,
    # The time of image data depends on its size, and failures have alerts of their own.
    'operation!~"images.data|images.upload"',
    'verdict="success"',
)
SHORT_ATTEMPTS = Recording(
    "job_server:glance_client_short_attempts:rate5m",
    _all_callers(rate(*_SHORT, suffix="_count"), *_WHAT),
)
SLOW_ATTEMPTS = Recording(
    "job_server:glance_client_slow_attempts:rate5m",
    _all_callers(
        # Series by series: a process whose buckets have other bounds tells nothing of them. A
        # bound is "5" in OTLP and "5.0" in the text format.
        f"{rate(*_SHORT, suffix='_count')} - ignoring (le) "
        + rate(*_SHORT, f'le=~"{SLOW:g}|{SLOW:.1f}"', suffix="_bucket"),
        *_WHAT,
    ),
)
RETRIES = Recording(  # has the label error_type
    "job_server:glance_client_retries:rate5m",
    _all_callers(rate_with_births(catalogue.RETRIES, NO_PROBES), "operation"),
)
RETRY_COST = Recording(  # has the label error_type
    "job_server:glance_client_retry_cost_seconds:rate5m",
    _all_callers(rate(catalogue.RETRY_COST)),
)
SAVED_CALLS = Recording(  # has the label error_type
    "job_server:glance_client_saved_calls:rate5m",
    _all_callers(rate(catalogue.SAVED_CALLS)),
)
_FIRST, _OTHERS = (f'operation{sign}"{FIRST_OPERATION}"' for sign in ("=", "!="))
CONNECTION_FAILED = Recording(  # has the label error_type
    "job_server:glance_client_connection_failed:rate5m",
    # The series of the first operation begin at zero, and are many.
    _all_callers(
        f"{rate(catalogue.CONNECTION_FAILED, _FIRST)}"
        f" or {rate_with_births(catalogue.CONNECTION_FAILED, _OTHERS, NO_PROBES)}",
        "operation",
    ),
)
STREAM_ERRORS = Recording(
    "job_server:glance_client_stream_errors:rate5m",
    _all_callers(rate_with_births(catalogue.STREAM_ERRORS), "direction"),
)
STREAM_BYTES = Recording(  # has the label direction
    "job_server:glance_client_stream_bytes:rate5m",
    _all_callers(rate(catalogue.STREAM_BYTES)),
)

# --- the telemetry itself ----------------------------------------------------------------------

TELEMETRY_ERRORS = Recording(  # has the label kind; only series that grow: almost always none
    "instance:traced_image_telemetry_errors:rate5m", f"{rate(catalogue.TELEMETRY_ERRORS)} > 0"
)

# --- servers, as their callers see them --------------------------------------------------------

STATES = Recording(  # has the label state
    "job_server:glance_client_server_state:sum",
    _all_callers(selector(catalogue.SERVER_STATE)),
)
CONSECUTIVE_FAILURES = Recording(
    "job_server:glance_client_server_consecutive_failures:max",
    _all_callers(selector(catalogue.CONSECUTIVE_FAILURES), by="max"),
)


def _in_the_past(metric: Metric) -> str:
    """Leave out a caller whose clock is ahead: its times would be the latest for long."""
    return f"{selector(metric)} < time() + {CLOCKS:g}"


LAST_SUCCESS = Recording(
    "job_server:glance_client_server_last_success_timestamp_seconds:max",
    _all_callers(_in_the_past(catalogue.LAST_SUCCESS), by="max"),
)
LAST_FAILURE = Recording(
    "job_server:glance_client_server_last_failure_timestamp_seconds:max",
    _all_callers(_in_the_past(catalogue.LAST_FAILURE), by="max"),
)
# Of the two that follow, few processes have series, and each query of all processes' series costs
# as much as all that is asked of these.
FAILING = Recording(
    # The servers whose last attempt failed; a worker of prometheus_client's multiprocess mode has a
    # series of its own, with its pid.
    "instance_server:glance_client_server_failing_since_timestamp_seconds:failing",
    f"{selector(catalogue.FAILING_SINCE)} > 0",
)
RECENTLY_FAILED = Recording(
    "instance_server:glance_client_server_last_failure_timestamp_seconds:recent",
    f"{selector(catalogue.LAST_FAILURE)} > time() - {_RECENT:g}",
)
LATELY_FAILED = f"({RECENTLY_FAILED.record} > time() - 300)"
"""The servers that failed a process in the last 5 minutes, by process."""

FAILING_SINCE = Recording(  # 0 means that the server's last attempt did not fail
    "job_server:glance_client_server_failing_since_timestamp_seconds:min",
    _all_callers(FAILING.record, "pid", by="min"),
)
RECENT_SINCE = Recording(
    # Of the callers that had a failure lately: what an idle one remembers may be a day old.
    "job_server:glance_client_server_recent_failing_since_timestamp_seconds:min",
    _all_callers(f"{FAILING.record} and ignoring (pid) {LATELY_FAILED}", "pid", by="min"),
)
RECENT_FAILURES = Recording(
    "job_server:glance_client_server_recent_consecutive_failures:sum",
    _all_callers(f"{selector(catalogue.CONSECUTIVE_FAILURES)} and {LATELY_FAILED}"),
)
FAILING_FOR = Recording(
    # From the first failure to the last one, both of any process, and no process had a success
    # since. After a restart of a minute this is a minute at most, however late a cool-down ends.
    "job_server:glance_client_server_failing_seconds:max",
    f"{LAST_FAILURE.record} - (({RECENT_SINCE.record} > {LAST_SUCCESS.record}"
    f" or {LAST_SUCCESS.record} or {RECENT_SINCE.record}) and {RECENT_SINCE.record})",
)


def _attempts(verdict: str) -> str:
    series = selector(catalogue.ATTEMPT_DURATION, verdict, NO_PROBES, suffix="_count")
    return _all_callers(grown(series, after_gaps=verdict == FAILED), "verdict", "error_type")


FAILED_BY_OPERATION = Recording(
    "job_server:glance_client_operation_failures:increase1m", _attempts(FAILED)
)
ANSWERED_BY_OPERATION = Recording(
    "job_server:glance_client_operation_answers:increase1m", _attempts(NOT_FAILED)
)
_BAD = selector(catalogue.CALL_DURATION, BAD_CALLS, NO_PROBES, suffix="_count")
_SUCCESS_AT, _FAILED_AT = catalogue.LAST_SUCCESS.name, catalogue.LAST_FAILURE.name
CUT_OFF = Recording(
    # How many calls failed, of each process whose last attempt failed on each server it asked.
    "instance:glance_client_cut_off_calls:increase2h",
    f"{_sum(grown(_BAD, '2h'), 'operation', 'outcome', 'error_type')} >= 2"
    f" and group without ({SERVER}) ({RECENTLY_FAILED.record})"
    f" unless group without ({SERVER}) (({_SUCCESS_AT} > 0) >= {_FAILED_AT})",
)
_SINCE = f"max without (pid) ({FAILING.record})"
FAILING_FOR_INSTANCE = Recording(
    # Of several workers in one process's series, one may reach the server.
    "instance_server:glance_client_server_failing_seconds:max",
    f"{LATELY_FAILED} - {_SINCE} unless {_SUCCESS_AT} > {_SINCE}",
)
ACTIVE_ATTEMPTS = Recording(
    "job_server:glance_client_active_attempts:sum",
    _all_callers(selector(catalogue.ACTIVE_ATTEMPTS)),
)
PROBES = Recording(
    "job_server:glance_probe_success:min",
    _all_callers(selector(probe_metrics.SUCCESS), by="min"),
)

SEEN = Recording(
    # The targets that have told of calls to Glance, until they are no targets any more. Other
    # software may have the same job.
    "instance:traced_image_build_info:seen",
    f"group without ({', '.join(catalogue.BUILD_INFO.labels)}) ({selector(catalogue.BUILD_INFO)})"
    " or instance:traced_image_build_info:seen offset 1m and on (job, instance) up",
)
CALLERS = Recording(
    "job:traced_image_build_info:count",
    _all_callers(selector(catalogue.BUILD_INFO), *catalogue.BUILD_INFO.labels, by="count"),
)

GROUPS: dict[str, tuple[Recording, ...]] = {
    "glance_client_calls": (
        CALLS_BY_INSTANCE,
        BAD_CALLS_BY_INSTANCE,
        ERRORS_BY_INSTANCE,
        CALLS,
        ALL_CALLS,
        ALL_BAD_CALLS,
        *(error_ratio(window) for window in ("5m", *WINDOWS)),
        OBJECTIVES,
        TOKEN_FAILURES,
        TELEMETRY_ERRORS,
    ),
    "glance_client_servers": (
        ATTEMPTS_BY_INSTANCE,
        FAILED_BY_INSTANCE,
        ATTEMPTS_PER_CALL,
        ATTEMPTS,
        FAILED_ATTEMPTS,
        SERVER_ERRORS,
        PEER_ERRORS,
        OPERATION_FAILURES,
        FAILURES,
        SHORT_ATTEMPTS,
        SLOW_ATTEMPTS,
        RETRIES,
        RETRY_COST,
        SAVED_CALLS,
        CONNECTION_FAILED,
        STREAM_ERRORS,
        STREAM_BYTES,
        STATES,
        ACTIVE_ATTEMPTS,
        PROBES,
        CALLERS,
        SEEN,
    ),
    # Of all the time that rules take, these two take most. No alert reads them, so none waits.
    "glance_client_durations": (CALL_BUCKETS, ATTEMPT_BUCKETS),
}
"""All recordings but the objective, `MONTH` and `OUTAGES`, in the order of their evaluation."""

MONTH = (SUCCESS, DAYS)
"""The recordings over 30 days, which are evaluated seldom."""

OUTAGES = (
    CONSECUTIVE_FAILURES,
    LAST_SUCCESS,
    LAST_FAILURE,
    FAILING,
    RECENTLY_FAILED,
    FAILING_SINCE,
    RECENT_SINCE,
    RECENT_FAILURES,
    FAILING_FOR,
    FAILED_BY_OPERATION,
    ANSWERED_BY_OPERATION,
    FAILING_FOR_INSTANCE,
)
"""The recordings that alerts on outages wait for; they are evaluated in one group with these."""

BY_CALLER = (CUT_OFF,)
"""The recordings that alerts on single processes wait for."""
