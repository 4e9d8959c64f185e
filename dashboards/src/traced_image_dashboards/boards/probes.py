"""The results of the exporter's probes of each server, apart from the callers' own calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

from traced_image.telemetry.catalogue import probe_metrics

from .. import recording
from ..promql import selector
from . import links
from .panels import BAD, GOOD, ODD, About, levels, lines, query, row, stacked, states
from .queries import BY_SERVER, CHOSEN, SERVER_NAME, SERVERS, of, top
from .tables import Column, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import statetimeline, table, timeseries
    from grafana_foundation_sdk.cog.builder import Builder

    from traced_image.telemetry.catalogue.metrics import Metric

_NONE = "No exporter probes these servers: docs/how-to/deploy.md says how to run one"
_DAY = 24 * 60 * 60


def parts() -> tuple[Builder[Any], ...]:
    """Build the row of the probes and its panels."""
    return (
        *(row("Probes"), results(), latest_probes(), phases(), certificates()),
        *(canaries(), canary_times()),
    )


def results() -> statetimeline.Panel:
    """Build the panel of the results of probes."""
    about = About(
        "Probes",
        "Red: a probe of the server failed. If probes fail and callers' attempts do not, check the "
        "network between the exporter and the server. If attempts fail and probes do not, check "
        "the callers. At most 50 servers, the failing ones first.",
        "short",
        _NONE,
        "GlanceProbeFailing",
    )
    # A failed probe is 0, and bottomk takes the least values first.
    worst = f"bottomk(50, min {BY_SERVER} ({of(recording.PROBES, SERVERS)}))"
    return (
        states(about, query(worst, SERVER_NAME))
        .thresholds(levels((1, GOOD), base=BAD))
        .mappings([_words({"0": ("failed", BAD), "1": ("succeeded", GOOD)})])
        .data_links([links.server_of_series()])
    )


def _words(of_value: dict[str, tuple[str, str]]) -> ValueMap:
    return ValueMap(
        {value: ValueMappingResult(text=text, color=to) for value, (text, to) in of_value.items()}
    )


def _each(metric: Metric, by: str = BY_SERVER, how: str = "max") -> str:
    return f"{how} {by} ({selector(metric, CHOSEN, SERVERS)})"


def _by(*labels: str) -> str:
    return BY_SERVER.replace(")", f", {', '.join(labels)})")


def latest_probes() -> table.Panel:
    """Build the table of the latest probe of each server."""
    about = About(
        "Latest probes",
        "Reason: why the probe failed. Wrong: the setting of the probe that the server refuses, "
        "while it is up. Status: the answer to GET /versions; 200 is Glance. Healthcheck 0: the "
        "server's own health check fails, as it does when an operator disables the server. If the "
        "probe was long ago, the exporter hangs.",
        "short",
        _NONE,
        "GlanceProbeFailing",
    )
    named = {
        "server_address": "Server",
        "server_port": "Port",
        "error_type": "Reason",
        "setting": "Wrong",
        "version": "API",
    }
    return table_of(
        about,
        named,
        Column("Probed", f"1000 * {_each(probe_metrics.TIME)}", "dateTimeFromNow"),
        Column(
            "Succeeded",
            _each(probe_metrics.SUCCESS, how="min"),
            "none",
            levels((1, GOOD), base=BAD),
        ),
        Column("Status", _each(probe_metrics.STATUS_CODE), "none"),
        Column("Healthcheck", _each(probe_metrics.HEALTHCHECK, how="min"), "none"),
        # The values of these three are in their labels.
        Column("", _each(probe_metrics.FAILURE, _by("error_type"))),
        Column("", f"{_each(probe_metrics.MISCONFIGURED, _by('setting'))} == 1"),
        Column("", _each(probe_metrics.API_VERSION, _by("version"))),
        link=("server_address", links.server_of_row()),
    )


def phases() -> timeseries.Panel:
    """Build the panel of the phases of probes."""
    meanings = "; ".join(f"{phase}: {meaning}" for phase, meaning in probe_metrics.PHASES.items())
    about = About(
        "Duration of a probe's phases",
        f"The slowest of the chosen servers. {meanings}. A long first_byte is the server or its "
        "database; a long connect is the network.",
        "s",
        _NONE,
        "GlanceAttemptLatencyHigh",
    )
    return stacked(lines(about, query(_each(probe_metrics.DURATION, "by (phase)"), "{{phase}}")))


def certificates() -> timeseries.Panel:
    """Build the panel of the expiry of certificates."""
    about = About(
        "Days until a certificate expires",
        "The 20 servers with the fewest. Renew one before it reaches 0: callers then fail with "
        "tls_error.",
        "d",
        "No probed server has a certificate",
        "GlanceCertificateExpiring",
    )
    left = f"({_each(probe_metrics.CERTIFICATE_EXPIRY, how='min')} - time()) / {_DAY}"
    soonest = query(f"bottomk(20, {left})", SERVER_NAME)
    return lines(about, soonest).thresholds(levels((7, ODD), (30, GOOD), base=BAD))


def canaries() -> timeseries.Panel:
    """Build the panel of the checks with an image."""
    about = About(
        "Checks with an image",
        "1: the server sent the image's record (show) or its first megabyte (download). If only "
        "download fails, the server answers and its image store fails. The 20 worst.",
        "short",
        "The exporter has no image to check with: set one to test more than the API",
        "GlanceCanaryFailing",
    )
    worst = f"bottomk(20, {_each(probe_metrics.CANARY_SUCCESS, _by('check'), how='min')})"
    return lines(about, query(worst, f"{{{{check}}}} {SERVER_NAME}")).min(0).max(1)


def canary_times() -> timeseries.Panel:
    """Build the panel of the durations of checks with an image."""
    about = About(
        "How long checks with an image take",
        "The 20 slowest. If show is slow, check the database; if download is slow, check the image "
        "store and the network.",
        "s",
        "The exporter has no image to check with: set one to test more than the API",
        "GlanceCanaryFailing",
    )
    slowest = top(20, _each(probe_metrics.CANARY_DURATION, _by("check")))
    return lines(about, query(slowest, f"{{{{check}}}} {SERVER_NAME}"))
