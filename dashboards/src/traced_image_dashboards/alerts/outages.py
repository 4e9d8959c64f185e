"""Alerts on servers that callers have left: by host state, so that two minutes are enough."""

from __future__ import annotations

from traced_image.telemetry import catalogue

from ..links import OF_CALLER, OF_SERVER
from ..promql import BAD_CALLS, NO_PROBES, grown, selector
from ..promql import SERVER as SERVER_LABELS
from ..recording import (
    ANSWERED_BY_OPERATION,
    CALLER,
    CUT_OFF,
    FAILED_ATTEMPTS,
    FAILED_BY_OPERATION,
    FAILING_FOR,
    FAILING_FOR_INSTANCE,
    LAST_FAILURE,
    LAST_SUCCESS,
    LATELY_FAILED,
    PROBES,
    RECENT_FAILURES,
    SERVER_ERRORS,
)
from .alert import BLAMED, COST, OPERATIONS, REASON_OF_OPERATION, SERVER, SINCE, Alert, at_least

INTERVAL = 15
"""Seconds between two evaluations: as often as is scraped, since each one is a delay."""

CALLERS_INTERVAL = 60
"""The same for single processes, which nobody is paged about."""

_RESTART = 60
"""The longest restart of a server that no ticket is about, in seconds."""

_CALLERS = ", ".join(CALLER)


# --- servers that a job has left -----------------------------------------------------------------

_SUCCESS_AT = catalogue.LAST_SUCCESS.name
_BY_ALL = f"{FAILING_FOR.record} > {_RESTART}\nand\n{RECENT_FAILURES.record} >= 3"

_BY_ONE = f"({FAILING_FOR_INSTANCE.record} > {_RESTART})"
_ASKED = f"({LATELY_FAILED} or {_SUCCESS_AT} > time() - 300)"
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


_BY_OPERATION = (
    f"{FAILED_BY_OPERATION.record} > 0\nunless\n{ANSWERED_BY_OPERATION.record} > 0\n"
    # Where nothing succeeds, the server fails, not the operation. A cool-down may last a minute.
    f"and ignoring (operation)\nmax_over_time({ANSWERED_BY_OPERATION.record}[1m]) > 0"
)

# --- all servers of a job ----------------------------------------------------------------------

_BAD = selector(catalogue.CALL_DURATION, BAD_CALLS, NO_PROBES, suffix="_count")
_EACH_FAILED_LAST = (
    f"min without ({SERVER_LABELS}) (\n"
    f"  {LAST_FAILURE.record} > bool {LAST_SUCCESS.record}\n"
    f"  and {LAST_FAILURE.record} + {LAST_SUCCESS.record} > 0\n) == 1"
)
_BAD_CALLS = f"sum without ({_CALLERS}, operation, outcome, error_type) {grown(_BAD)}"
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

_CONNECTED = f"group without ({SERVER_LABELS}) ({_SUCCESS_AT} > 0) unless {CUT_OFF.record}"
# If it is most of the job, the servers fail, and not the processes.
_BY_PROCESS = (
    f"{CUT_OFF.record}\nand ignoring ({_CALLERS})\n(\n"
    f"count without ({_CALLERS}) ({CUT_OFF.record})\n"
    f"<= count without ({_CALLERS}) ({_CONNECTED})\n)"
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
        board=OF_SERVER,
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
        board=OF_SERVER,
    ),
)

CALLER_ALERTS = (
    Alert(
        "GlanceCallerFailing",
        "ticket",
        _BY_PROCESS,
        "5m",
        "{{ $labels.instance }} of {{ $labels.job }} reaches no Glance server.",
        "The last attempts of {{ $labels.instance }} failed on each server that it asked, and at"
        " least 2 of its calls failed in the last 2 hours. Most other processes of"
        " {{ $labels.job }} reach Glance: look at this one, and at its way to Glance.",
        board=OF_CALLER,
    ),
)
