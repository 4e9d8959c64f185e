"""PromQL built from the catalogue's names: selectors, and which failures count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import FAILED_OUTCOMES

if TYPE_CHECKING:
    from traced_image.telemetry.catalogue.metrics import Metric

SERVER = "server_address, server_port"
"""The two labels that together name a server."""

ROUTES = ("cluster", "namespace", "region")
"""Labels by which one routes alerts, if the series have them; an empty one matches no label."""

NO_PROBES = 'operation!="probe"'
"""A matcher that leaves out the exporter's probes, which no service level covers."""

FAILED = 'verdict="failed"'
"""A matcher of attempts that failed because of their server: no successes and no refusals."""

NOT_FAILED = 'verdict!="failed"'
"""A matcher of attempts that their server answered as it should, even if by a refusal."""

_BAD_OUTCOMES = "|".join(FAILED_OUTCOMES)
BAD_CALLS, GOOD_CALLS = f'outcome=~"{_BAD_OUTCOMES}"', f'outcome!~"{_BAD_OUTCOMES}"'
"""Matchers of calls that failed, and that are not their caller's fault, and of the others."""


def selector(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """Build the selector of a metric's series, such as ``name_count{outcome="exhausted"}``."""
    name = f"{metric.name}{suffix}"
    return f"{name}{{{', '.join(matchers)}}}" if matchers else name


def rate(metric: Metric, *matchers: str, suffix: str = "", window: str = "5m") -> str:
    """Build the query of how fast a counter or histogram grows, per second."""
    return f"rate({selector(metric, *matchers, suffix=suffix)}[{window}])"


def rate_with_births(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """Build the query of how fast a counter grows over 5 minutes, its first value included.

    A series of a rare failure begins with that failure, at 1, and `rate` sees no growth. So the
    first value counts, if the series was created in these 5 minutes, or if its process, or the
    agent that adds up processes, was there before them. Otherwise Prometheus only did not scrape
    it, and the counter may be old.

    It costs several times as much as `rate`, so use it for failures only: these are few.
    """
    series = selector(metric, *matchers, suffix=suffix)
    born = f"({series} unless {series} offset 5m) / 300"
    created = selector(metric, *matchers).replace(metric.name, _created(metric), 1)
    return (
        f"({born} and {created} > time() - 300"
        f" or {born} and on (job, instance) ({catalogue.BUILD_INFO.name} offset 5m"
        f" or {catalogue.AGGREGATED_PROCESSES} offset 5m)"
        f" or {rate(metric, *matchers, suffix=suffix)})"
    )


def grown(series: str, window: str = "1m", *, after_gaps: bool = True) -> str:
    """Build the query of how much each counter grew in a window, the first sample included.

    ``rate`` does not see the failure with which a series begins, and needs two samples a minute.

    Args:
        series: The counters.
        window: The window.
        after_gaps: Whether the value before the window may be from 15 minutes before it, because
            nothing was scraped since; else a whole counter counts after such a gap. It costs more,
            so use it for failures only: these are few.
    """
    latest = f"last_over_time({series}[15m] offset {window})"
    before = latest if after_gaps else f"{series} offset {window}"
    return f"(({series} - {before}) >= 0 or {series})"


def _created(metric: Metric) -> str:
    """Return the name of the series with the time at which a counter began, as in OpenMetrics."""
    return f"{metric.name.removesuffix('_total')}_created"
