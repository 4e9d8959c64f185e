"""Pipeline: whether the other dashboards can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import probe_metrics

from .. import links as addresses
from .. import recording
from ..promql import selector
from . import collectors, variables
from .board import Board
from .panels import BAD, About, latest, levels, lines, number, query, row
from .queries import BY_CALLER, CALLER_NAME, CHOSEN, INSTANCE, JOB_KEYS, JOB_NAME, of, top, total

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, timeseries

_NOTHING = "Nothing of these jobs is scraped: see Prometheus's page of targets"


def board() -> Board:
    """Build the dashboard of the telemetry itself."""
    return Board(
        uid=addresses.PIPELINE,
        title="Glance clients / Pipeline",
        about=(
            "The telemetry itself: are all processes scraped, does it fail, does a collector "
            "lose any?"
        ),
        variables=variables.of_pipeline(),
        parts=(
            *(
                row("Scraping"),
                down(),
                reloads(),
                errors_now(),
                unscraped(),
                series(),
                scrape_time(),
            ),
            *(row("Telemetry in the processes"), errors()),
            *collectors.parts(),
        ),
    )


def _up(matchers: str = "") -> str:
    return f"up{{{CHOSEN}, {INSTANCE}}}{matchers}"


def down() -> stat.Panel:
    """Build the panel of processes that can't be scraped."""
    about = About(
        "Processes that can't be scraped",
        "No dashboard shows their calls. Are they running, and does Prometheus reach their port?",
        "short",
        _NOTHING,
        "GlanceTelemetryAbsent",
    )
    return number(about, latest(f"count({_up()}) - sum({_up()})"), width=8).thresholds(
        levels((1, BAD))
    )


def reloads() -> stat.Panel:
    """Build the panel of failed reloads of the exporter's web configuration."""
    about = About(
        "Exporters with an unusable web configuration",
        "The last reload of their web configuration file failed; the configuration from before is "
        "still in force. Their log says what is wrong with the file.",
        "short",
        "No exporter is scraped",
        "GlanceExporterConfigReloadFailed",
    )
    read = selector(probe_metrics.RELOADED, CHOSEN, INSTANCE)
    return number(about, latest(f"count({read}) - sum({read})"), width=8).thresholds(
        levels((1, BAD))
    )


def errors_now() -> stat.Panel:
    """Build the panel of processes whose telemetry fails."""
    about = About(
        "Processes whose telemetry fails",
        "In the last 15 minutes, code that observes calls failed; the calls themselves did not. "
        "The panel below says what failed.",
        "short",
        "No process with traced_image is scraped",
        "GlanceTelemetryErrors",
    )
    grown = (
        f"sum {BY_CALLER} (increase({selector(catalogue.TELEMETRY_ERRORS, CHOSEN, INSTANCE)}[15m]))"
    )
    known = f"count {BY_CALLER} ({selector(catalogue.BUILD_INFO, CHOSEN, INSTANCE)})"
    failing = f"count({grown} > 0) or 0 * count({known})"
    return number(about, latest(failing), width=8).thresholds(levels((1, BAD)))


def unscraped() -> timeseries.Panel:
    """Build the panel of each job's share of processes that can't be scraped."""
    about = About(
        "Share of each job that can't be scraped",
        "The 20 worst jobs. If a whole job fails at once, check its port, its network policy and "
        "Prometheus's configuration. If a few processes fail, check the machines that they run on.",
        "percentunit",
        _NOTHING,
        "GlanceTelemetryAbsent",
    )
    shares = top(20, f"1 - avg by ({JOB_KEYS}) ({_up()})")
    return lines(about, query(shares, JOB_NAME), width=8).min(0).max(1)


def series() -> timeseries.Panel:
    """Build the panel of the number of series of a process."""
    about = About(
        "Series of a process",
        "The 20 processes with the most. docs/reference/telemetry.md says how many to expect; if "
        "there are too many, set detail to leave out a label.",
        "short",
        _NOTHING,
        "GlanceCardinalityOverflow",
    )
    most = top(20, f"scrape_samples_scraped{{{CHOSEN}, {INSTANCE}}}")
    return lines(about, query(most, CALLER_NAME), width=8)


def scrape_time() -> timeseries.Panel:
    """Build the panel of the duration of scrapes."""
    about = About(
        "How long a scrape takes",
        "The 20 slowest processes. Near the scrape timeout, samples are about to be lost: "
        "scrape less often, or set detail to leave out a label.",
        "s",
        _NOTHING,
        "GlanceTelemetryAbsent",
    )
    slowest = top(20, f"scrape_duration_seconds{{{CHOSEN}, {INSTANCE}}}")
    return lines(about, query(slowest, CALLER_NAME), width=8)


def errors() -> timeseries.Panel:
    """Build the panel of failures of the telemetry."""
    meanings = "; ".join(
        f"{kind}: {meaning}" for kind, meaning in catalogue.TELEMETRY_ERROR_KINDS.items()
    )
    about = About(
        "Failures of the telemetry itself",
        f"By kind. {meanings}. The process's log has the first failure of each kind.",
        "ops",
        "Nothing of the telemetry has failed",
        "GlanceTelemetryErrors",
    )
    by_kind = total(of(recording.TELEMETRY_ERRORS, INSTANCE), "by (job, kind)")
    return lines(about, query(top(20, by_kind), "{{job}} {{kind}}"), width=24)
