"""Alerts on servers that callers have left: by host state, so that two minutes are enough."""

from __future__ import annotations

from traced_image.telemetry import catalogue

from ..promql import BAD_CALLS, FAILED, NO_PROBES, NOT_FAILED, selector
from ..promql import SERVER as SERVER_LABELS
from ..recording import (
    CALLER,
    FAILED_ATTEMPTS,
    FAILING_FOR,
    LAST_FAILURE,
    LAST_SUCCESS,
    PROBES,
    RECENT_FAILURES,
    SERVER_ERRORS,
)
from .alert import BLAMED, COST, OPERATIONS, REASON_OF_OPERATION, SERVER, SINCE, Alert, at_least

INTERVAL = 15
"""Seconds between two evaluations: as often as is scraped, since each one is a delay."""

_RESTART = 60
"""The longest restart of a server that no ticket is about, in seconds."""

_CALLERS = ", ".join(CALLER)


def _grown(series: str, window: str = "1m") -> str:
    """Build the query of how much each counter grew in a window, the first sample included.

    ``rate`` does not see the failure with which a series begins, and needs two samples a minute.
    """
    return f"(({series} - {series} offset {window}) >= 0 or {series})"


# --- servers that a job has left -----------------------------------------------------------------

_FAILED_AT = catalogue.LAST_FAILURE.name
_BY_ALL = f"{FAILING_FOR.record} > {_RESTART}\nand\n{RECENT_FAILURES.record} >= 3"

_LATELY = f"time() - {_FAILED_AT} < 300"
_SINCE = f"max without (pid) ({catalogue.FAILING_SINCE.name} > 0)"
_SUCCESS_AT = catalogue.LAST_SUCCESS.name
# Of several workers in one process's series, one may reach the server.
_BY_ONE = f"({_FAILED_AT} - {_SINCE} > {_RESTART} and {_LATELY} unless {_SUCCESS_AT} > {_SINCE})"
_ASKED = f"({_LATELY} or time() - {_SUCCESS_AT} < 300)"
_BY_MOST = (
    f"max without ({_CALLERS}) {_BY_ONE}\nand\n"
    f"count without ({_CALLERS}) {_BY_ONE} / count without ({_CALLERS}) {_ASKED} > 0.5"
)
_RATIO = SERVER_ERRORS.record
_BY_SHARE = (
    f"0 * (min_over_time({_RATIO}[5m]) > 0.5 and {_RATIO} offset 5m > 0.5) + 300\n"
    f"and\n{at_least(3, FAILED_ATTEMPTS.record)}\n"
    # The windows still have failures for minutes after the server has recovered.
    f"unless\ntime() - {LAST_FAILURE.record} > 150"
)

# --- servers that fail one operation -----------------------------------------------------------


def _attempts(verdict: str, window: str = "1m") -> str:
    series = selector(catalogue.ATTEMPT_DURATION, verdict, NO_PROBES, suffix="_count")
    return f"sum without ({_CALLERS}, verdict, error_type) {_grown(series, window)} > 0"


_BY_OPERATION = (
    f"{_attempts(FAILED)}\nunless\n{_attempts(NOT_FAILED)}\n"
    # Where nothing succeeds, the server fails, not the operation. A cool-down may last a minute.
    f"and ignoring (operation)\n{_attempts(NOT_FAILED, '2m')}"
)

# --- all servers of a job ----------------------------------------------------------------------

_BAD = selector(catalogue.CALL_DURATION, BAD_CALLS, NO_PROBES, suffix="_count")
_EACH_FAILED_LAST = (
    f"min without ({SERVER_LABELS}) (\n"
    f"  {LAST_FAILURE.record} > bool {LAST_SUCCESS.record}\n"
    f"  and {LAST_FAILURE.record} + {LAST_SUCCESS.record} > 0\n) == 1"
)
_BAD_CALLS = f"sum without ({_CALLERS}, operation, outcome, error_type) {_grown(_BAD)}"
_ALL_LEFT = (
    f"{_BAD_CALLS} >= 3\n"
    f"and\n{_EACH_FAILED_LAST}\nand\n"
    f"time() - max without ({SERVER_LABELS}) ({LAST_FAILURE.record}) < 60"
)
_ALL_BY_SHARE = "\nand\n".join(
    [
        f"{_BAD_CALLS} > 0",
        f"min without ({SERVER_LABELS}) (min_over_time({_RATIO}[2m])) > 0.5",
        f"min without ({SERVER_LABELS}) ({_RATIO} offset 2m) > 0.5",
        at_least(5, f"sum without ({SERVER_LABELS}) ({FAILED_ATTEMPTS.record})"),
    ]
)


# --- single processes --------------------------------------------------------------------------

_CUT_OFF = (
    f"min without ({SERVER_LABELS}) (\n"
    f"  {_FAILED_AT} > bool {_SUCCESS_AT} and {_FAILED_AT} + {_SUCCESS_AT} > 0\n) == 1\n"
    f"and max without ({SERVER_LABELS}) ({_FAILED_AT}) > time() - 7200\n"
    f"and sum without (operation, outcome, error_type) {_grown(_BAD, '2h')} >= 2"
)
_PROCESSES = f"group without ({SERVER_LABELS}) ({_FAILED_AT} + {_SUCCESS_AT} > 0)"
# If it is most of the job, the servers fail, and not the processes.
_BY_PROCESS = (
    f"{_CUT_OFF}\nand ignoring ({_CALLERS})\n(\n"
    f"count without ({_CALLERS}) (\n{_CUT_OFF}\n)\n"
    f"<= 0.5 * count without ({_CALLERS}) ({_PROCESSES})\n)"
)


def _any(*conditions: str) -> str:
    return "\nor\n".join(f"(\n{each}\n)" for each in conditions)


OUTAGE_ALERTS = (
    Alert(
        "GlanceAllServersFailing",
        "page",
        _any(_ALL_LEFT, _ALL_BY_SHARE),
        "15s",
        "Every Glance server fails {{ $labels.job }}.",
        "{{ $labels.job }} has no server left: about {{ $value | humanize }} of its calls failed in"
        f" a minute. In the last 5 minutes, attempts failed on {BLAMED}.",
    ),
    Alert(
        "GlanceServerFailing",
        "ticket",
        f"({_any(_BY_ALL, _BY_MOST, _BY_SHARE)})\nunless\n{PROBES.record}",
        "0m",
        f"Glance server {SERVER} fails {{{{ $labels.job }}}}.",
        f"Attempts of {{{{ $labels.job }}}} on {SERVER} have failed for"
        f" {{{{ $value | humanizeDuration }}}} or longer{SINCE}: {OPERATIONS}. {COST}",
    ),
    Alert(
        "GlanceOperationFailing",
        "ticket",
        _BY_OPERATION,
        "2m",
        f"Glance server {SERVER} fails {{{{ $labels.operation }}}} of {{{{ $labels.job }}}}.",
        f"Each {{{{ $labels.operation }}}} of {{{{ $labels.job }}}} on {SERVER} has failed for 2"
        f" minutes or longer, mostly with {REASON_OF_OPERATION}; the server answers what else it is"
        f" asked. {COST}",
        keep="3m",
    ),
    Alert(
        "GlanceCallerFailing",
        "ticket",
        _BY_PROCESS,
        "5m",
        "{{ $labels.instance }} of {{ $labels.job }} reaches no Glance server.",
        "The last attempts of {{ $labels.instance }} failed on each server that it asked, and at"
        " least 2 of its calls failed in the last 2 hours. Most other processes of"
        " {{ $labels.job }} reach Glance: look at this one, and at its way to Glance.",
    ),
)
