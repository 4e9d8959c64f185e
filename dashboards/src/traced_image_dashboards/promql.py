"""PromQL built from the catalogue's names: selectors, and which failures count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry.catalogue import FAILED_OUTCOMES

if TYPE_CHECKING:
    from traced_image.telemetry.catalogue.metrics import Metric

SERVER = "server_address, server_port"
"""The two labels that together name a server."""

NO_PROBES = 'operation!="probe"'
"""A matcher that leaves out the exporter's probes, which no service level covers."""

FAILED = 'verdict="failed"'
"""A matcher of attempts that failed because of their server: no successes and no refusals."""

NOT_FAILED = 'verdict!="failed"'
"""A matcher of attempts that their server answered as it should, even if by a refusal."""

BAD_CALLS = f'outcome=~"{"|".join(FAILED_OUTCOMES)}"'
"""A matcher of calls that failed, and that are not their caller's fault."""


def selector(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """Build the selector of a metric's series, such as ``name_count{outcome="exhausted"}``."""
    name = f"{metric.name}{suffix}"
    return f"{name}{{{', '.join(matchers)}}}" if matchers else name


def rate(metric: Metric, *matchers: str, suffix: str = "", window: str = "5m") -> str:
    """Build the query of how fast a counter or histogram grows, per second."""
    return f"rate({selector(metric, *matchers, suffix=suffix)}[{window}])"
