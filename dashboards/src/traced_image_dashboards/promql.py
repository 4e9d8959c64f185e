"""PromQL from the catalogue's names: selectors, and who is to blame for a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry.catalogue import REFUSED

if TYPE_CHECKING:
    from traced_image.telemetry.catalogue.metrics import Metric

SERVER = "server_address, server_port"
"""The two labels that name a server, which are always together."""

NO_PROBES = 'operation!="probe"'
"""The exporter's probes are calls, too, but not of anybody whose service level counts."""

_REFUSALS = f"{REFUSED}|4[013-9].|42[0-8]"
"""What a caller is refused: each 4xx but 429, by which a server says that it has too much to do."""

AT_FAULT = f'error_type!~"|{_REFUSALS}"'
"""Failed attempts that speak against their server: neither successes nor refusals."""

BAD_CALLS = ('outcome="exhausted"', f'outcome="non_retryable", {AT_FAULT}')
"""Calls that failed and are not their caller's fault, in two parts.

The first are those that gave up. The second no other server would have fixed, such as 500.
"""


def selector(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """The series of a metric, such as ``name_count{outcome="exhausted"}``."""
    name = f"{metric.name}{suffix}"
    return f"{name}{{{', '.join(matchers)}}}" if matchers else name


def rate(metric: Metric, *matchers: str, suffix: str = "", window: str = "5m") -> str:
    """How fast the series of a counter or histogram grow, per second."""
    return f"rate({selector(metric, *matchers, suffix=suffix)}[{window}])"
