"""PromQL built from the catalogue's names: selectors, and which failures count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry.catalogue import REFUSED

if TYPE_CHECKING:
    from traced_image.telemetry.catalogue.metrics import Metric

SERVER = "server_address, server_port"
"""The two labels that together name a server."""

NO_PROBES = 'operation!="probe"'
"""A matcher that leaves out the exporter's probes, which no service level covers."""

_REFUSALS = f"{REFUSED}|40[0-79]|41.|42[02-46-8]|4[3-9]."
"""The reasons in `REFUSALS`: each 4xx except 408, 421, 425 and 429, after which a call retries."""

AT_FAULT = f'error_type!~"|{_REFUSALS}"'
"""A matcher of attempts that failed because of their server: no successes and no refusals."""

BAD_CALLS = ('outcome="exhausted"', f'outcome="non_retryable", {AT_FAULT}')
"""Matchers of calls that failed and are not their caller's fault, in two parts.

The first part gave up after its attempts. The second is not retried, such as after a 500.
"""


def selector(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """Build the selector of a metric's series, such as ``name_count{outcome="exhausted"}``."""
    name = f"{metric.name}{suffix}"
    return f"{name}{{{', '.join(matchers)}}}" if matchers else name


def rate(metric: Metric, *matchers: str, suffix: str = "", window: str = "5m") -> str:
    """Build the query of how fast a counter or histogram grows, per second."""
    return f"rate({selector(metric, *matchers, suffix=suffix)}[{window}])"
