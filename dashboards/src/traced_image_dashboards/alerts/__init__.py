"""The alerts, by the groups in which they are evaluated."""

from __future__ import annotations

from .alert import Alert
from .calls import CALL_ALERTS
from .probes import PROBE_ALERTS
from .servers import SERVER_ALERTS
from .telemetry import TELEMETRY_ALERTS

GROUPS: dict[str, tuple[Alert, ...]] = {
    "glance_alerts_calls": CALL_ALERTS,
    "glance_alerts_servers": SERVER_ALERTS,
    "glance_alerts_probes": PROBE_ALERTS,
    "glance_alerts_telemetry": TELEMETRY_ALERTS,
}

__all__ = ["GROUPS", "Alert"]
