"""The alerts, by the groups in which they are evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from ..recording import BY_CALLER, INTERVAL, OUTAGES, Recording
from . import outages
from .alert import Alert
from .calls import CALL_ALERTS
from .probes import PROBE_ALERTS
from .servers import SERVER_ALERTS
from .telemetry import TELEMETRY_ALERTS


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """Alerts that are evaluated together.

    Attributes:
        name: Its name.
        alerts: The alerts.
        interval: Seconds between two evaluations.
        recordings: What the alerts alone read; it is evaluated just before them.
    """

    name: str
    alerts: tuple[Alert, ...]
    interval: int = INTERVAL
    recordings: tuple[Recording, ...] = ()


GROUPS = (
    AlertGroup("glance_alerts_calls", CALL_ALERTS),
    AlertGroup(
        "glance_alerts_outages",
        outages.OUTAGE_ALERTS,
        outages.INTERVAL,
        OUTAGES,
    ),
    AlertGroup("glance_alerts_callers", outages.CALLER_ALERTS, outages.CALLERS_INTERVAL, BY_CALLER),
    AlertGroup("glance_alerts_servers", SERVER_ALERTS),
    AlertGroup("glance_alerts_probes", PROBE_ALERTS),
    AlertGroup("glance_alerts_telemetry", TELEMETRY_ALERTS),
)

__all__ = ["GROUPS", "Alert", "AlertGroup"]
