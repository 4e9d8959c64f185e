"""Alerts on what callers get: failed calls, and retries that hide failures."""

from __future__ import annotations

from dataclasses import dataclass

from traced_image.telemetry.catalogue import HAZARDS

from ..links import SERVERS, BoardOfAlert
from ..promql import selector
from ..recording import (
    ALL_BAD_CALLS,
    ALL_CALLS,
    ATTEMPTS,
    CALLER,
    CONNECTION_FAILED,
    FAILED_ATTEMPTS,
    OBJECTIVES,
    RETRIES,
    TOKEN_FAILURES,
    error_ratio,
)
from .alert import BLAMED, Alert, Severity, at_least, at_least_within, list_reasons, listed

_SERVERS = "server_address, server_port"
_BUDGET = f"(1 - {OBJECTIVES.record})"
_LEAST_BAD = 5
"""The least number of bad calls in an alert's long window, whatever their share."""


@dataclass(frozen=True, slots=True)
class _Burn:
    """A speed at which calls use up a month's error budget, and the two windows that measure it.

    Both windows must show it: the long one that it matters, the short one that it goes on. The
    method is that of Google's SRE Workbook, chapter "Alerting on SLOs".
    """

    factor: float
    short: str
    long: str
    wait: str
    severity: Severity
    gone: str

    def alert(self) -> Alert:
        short, long = (error_ratio(window).record for window in (self.short, self.long))
        # Where calls are rare, the short window may have none: then the long one alone counts.
        ratios = [
            f"({short} or {long}) > {self.factor:g} * {_BUDGET}",
            f"{long} > {self.factor:g} * {_BUDGET}",
        ]
        times = f"{self.factor:g} times " if self.factor > 1 else ""
        guard = at_least_within(self.long, _LEAST_BAD, ALL_BAD_CALLS.record)
        return Alert(
            "GlanceClientErrorBudgetBurn",
            self.severity,
            "\nand\n".join([*ratios, guard]),
            self.wait,
            "Calls of {{ $labels.job }} to Glance fail: {{ $value | humanizePercentage }}"
            f" in the last {self.short}.",
            f"Over {self.long}, and still over {self.short}, {{{{ $labels.job }}}} lost calls at"
            f" more than {times}the rate that its objective allows;"
            f" so a month's budget is used up in {self.gone}."
            f" Servers that fail attempts now: {BLAMED}.",
            {"long_window": self.long},
        )


_BURNS = (
    _Burn(14.4, "5m", "1h", "2m", "page", "2 days"),
    _Burn(6, "30m", "6h", "15m", "page", "5 days"),
    _Burn(3, "2h", "1d", "1h", "ticket", "10 days"),
    _Burn(1, "6h", "3d", "3h", "ticket", "a month"),
)

_GAVE_UP = f"sum without ({_SERVERS}, error_type) ({CONNECTION_FAILED.record})"
_RETRIED = f"sum without ({_SERVERS}, error_type) ({RETRIES.record})"
_FAILED = f"sum without ({_SERVERS}) ({FAILED_ATTEMPTS.record})"
_ATTEMPTED = f"sum without ({_SERVERS}) ({ATTEMPTS.record})"

_TRUNCATED = selector(HAZARDS, 'kind="upload_truncated"')
_LOST = f"sum without ({', '.join(CALLER)}, kind) (increase({_TRUNCATED}[15m]))"
"""The uploads that lost data; Prometheus extrapolates one to a little more or less."""

_KEYSTONE_REASONS = list_reasons(TOKEN_FAILURES.record)

CALL_ALERTS = (
    *(burn.alert() for burn in _BURNS),
    Alert(
        "GlanceConnectionFailed",
        "ticket",
        # Of many calls a few always fail: a tenth of what the objective allows is no trouble.
        f"{at_least(3, _GAVE_UP)}\nunless\n{_GAVE_UP} < 0.1 * {_BUDGET} * {ALL_CALLS.record}",
        "2m",
        "{{ $labels.job }} gave up calls to Glance: every server that they tried failed.",
        "About {{ $value | humanize }} calls of {{ $labels.job }} ended in GlanceConnectionFailed"
        f" in the last 5 minutes. Their last servers: {listed(CONNECTION_FAILED.record)}.",
    ),
    Alert(
        "GlanceKeystoneFailing",
        "page",
        at_least(3, f"sum without (error_type) ({TOKEN_FAILURES.record})"),
        "1m",
        "Keystone gives {{ $labels.job }} no token, so that its own calls to Glance fail.",
        "About {{ $value | humanize }} calls of {{ $labels.job }} got no token in the last 5"
        " minutes, and asked no Glance server: none of those is at fault. Keystone's reasons:"
        f" {_KEYSTONE_REASONS}.",
    ),
    Alert(
        "GlanceImageDataLost",
        "page",
        f"{_LOST} > 0.5",
        "0m",
        "{{ $labels.job }} reported an image as uploaded, and it may lack data.",
        "The client of {{ $labels.job }} repeated an upload whose data it had read already, and"
        " sent less than the first time. Such uploads in the last 15 minutes: about"
        " {{ $value | humanize }}. Compare the images' sizes before their sources are deleted.",
        board=BoardOfAlert(SERVERS),
    ),
    Alert(
        "GlanceRetryRateHigh",
        "ticket",
        f"{_RETRIED} / ({ALL_CALLS.record} > 0) > 0.2\nand\n{at_least(5, _RETRIED)}",
        "10m",
        "{{ $labels.job }} retries {{ $value | humanizePercentage }} of its calls to Glance.",
        "A process may retry a fifth of its calls and ten more a second; beyond that, calls fail"
        f" with budget_exhausted. {{{{ $labels.job }}}} retries after: {listed(RETRIES.record)}.",
    ),
    Alert(
        "GlanceRetriesMaskingFailures",
        "ticket",
        f"{_FAILED} / ({_ATTEMPTED} > 0) - {error_ratio('5m').record} > 0.1"
        f"\nand\n{at_least(5, _FAILED)}",
        "15m",
        "Retries hide from {{ $labels.job }} that attempts on Glance fail.",
        "The share of failures among the attempts is {{ $value | humanizePercentage }} higher than"
        " among the calls: retries have less and less left to hide it with. Attempts of"
        f" {{{{ $labels.job }}}} fail on: {BLAMED}.",
    ),
)
