"""Alerts on servers that fail rarely, are slow or silent, or break transfers off."""

from __future__ import annotations

from ..links import OF_SERVER
from ..recording import (
    ACTIVE_ATTEMPTS,
    ATTEMPTS,
    FAILED_ATTEMPTS,
    LAST_SUCCESS,
    PEER_ERRORS,
    PROBES,
    SERVER_ERRORS,
    SHORT_ATTEMPTS,
    SLOW,
    SLOW_ATTEMPTS,
    STREAM_BYTES,
    STREAM_ERRORS,
)
from .alert import REASON, SERVER, Alert, at_least, at_least_within

_NOT_PROBED = f"unless\n{PROBES.record}"
"""A clause that leaves out servers with probes, which have an alert of their own."""

_STALE = 15 * 60

# The time of the last success is 0 where there was none.
_HOW_LONG = (
    "{{ if gt $value 1e9 }}since its callers started"
    "{{ else }}for {{ $value | humanizeDuration }}{{ end }}"
)

SERVER_ALERTS = (
    Alert(
        "GlanceServerNoSuccess",
        "ticket",
        # Callers that were started again do not know of a success before.
        f"time() - max_over_time({LAST_SUCCESS.record}[15m]) > {_STALE}\nand\n"
        f"{LAST_SUCCESS.record}\nand\n(\n"
        f"    {at_least_within('15m', 3, FAILED_ATTEMPTS.record)}\n"
        # Without a timeout, an attempt on a server that hangs never fails. So attempts under way
        # count too, except uploads, which may take this long.
        f"  or\n    min_over_time({ACTIVE_ATTEMPTS.record}[10m]) > 0\n"
        f'  unless ignoring (direction)\n    {STREAM_BYTES.record}{{direction="upload"}} > 0\n)'
        # A caller's clock may be behind: then its counters say that attempts succeed.
        f"\nunless\n{ATTEMPTS.record} - {FAILED_ATTEMPTS.record} > 1e-9"
        f"\n{_NOT_PROBED}",
        "5m",
        f"Glance server {SERVER} has answered nothing to {{{{ $labels.job }}}} for 15 minutes.",
        f"Attempts of {{{{ $labels.job }}}} on {SERVER} go on, and none has succeeded {_HOW_LONG}."
        f" Reason: {REASON}; if it"
        " is unknown, the server hangs and its callers have no timeout.",
        board=OF_SERVER,
    ),
    Alert(
        "GlanceServerOutlier",
        "ticket",
        f"{SERVER_ERRORS.record} > 0.05 <= 0.5\nand\n"
        f"{SERVER_ERRORS.record} > 3 * {PEER_ERRORS.record}\nand\n"
        f"{at_least(5, FAILED_ATTEMPTS.record)}\n{_NOT_PROBED}",
        "15m",
        f"Glance server {SERVER} fails {{{{ $labels.job }}}} more than its peers do.",
        f"{{{{ $value | humanizePercentage }}}} of the attempts of {{{{ $labels.job }}}} on"
        f" {SERVER} fail, mostly with {REASON}: over three times the share of the other servers.",
        board=OF_SERVER,
    ),
    Alert(
        "GlanceAttemptLatencyHigh",
        "ticket",
        f"{SLOW_ATTEMPTS.record} / ({SHORT_ATTEMPTS.record} > 0) > 0.05\nand\n"
        f"{at_least(5, SLOW_ATTEMPTS.record)}",
        "15m",
        f"Glance server {SERVER} is slow for {{{{ $labels.job }}}}.",
        f"{{{{ $value | humanizePercentage }}}} of the attempts of {{{{ $labels.job }}}} that"
        f" succeeded on {SERVER} took over {SLOW:g} s; transfers of image data do not count.",
        board=OF_SERVER,
    ),
    Alert(
        "GlanceStreamErrors",
        "ticket",
        f"{STREAM_ERRORS.record} > 0 unless {STREAM_ERRORS.record} < 1e-4 * {ATTEMPTS.record}",
        "15m",
        f"Transfers of image data with Glance server {SERVER} break off, or the data is wrong.",
        f"For 15 minutes, transfers between {{{{ $labels.job }}}} and {SERVER} have broken off or"
        " brought wrong data in each 5 minutes. Downloads continue from another server if one has"
        " the same data.",
        board=OF_SERVER,
    ),
)
