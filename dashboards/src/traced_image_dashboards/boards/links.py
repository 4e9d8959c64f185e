"""The links of panels: to other dashboards, and to the runbook."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

from ..alerts.alert import ROUTES
from ..links import runbook as to_runbook

TAG = "traced-image"

OVERVIEW = "traced-image-overview"
SERVERS = "traced-image-servers"
CALLERS = "traced-image-callers"
PIPELINE = "traced-image-pipeline"

_KEPT = "&".join(
    [
        *(f"${{{name}:queryparam}}" for name in ("datasource", *ROUTES, "job")),
        "${__url_time_range}",
    ]
)


def all_boards() -> DashboardLink:
    """Build the links to the other dashboards, which keep the variables and the time range."""
    return (
        DashboardLink("Glance")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )


def runbook(section: str) -> DashboardLink:
    """Build the link to the section of the runbook that a panel belongs to."""
    return (
        DashboardLink("Runbook")
        .type(DashboardLinkType.LINK)
        .url(to_runbook(section, "${runbooks:raw}"))
        .target_blank(target_blank=True)
    )


def server_of_row() -> DashboardLink:
    """Build the link from a table's row to its server."""
    return _to_server("${__data.fields.server_address}", "${__data.fields.server_port}")


def server_of_series() -> DashboardLink:
    """Build the link from a line to its server."""
    return _to_server("${__field.labels.server_address}", "${__field.labels.server_port}")


def _to_server(address: str, port: str) -> DashboardLink:
    chosen = f"var-server={address}&var-port={port}"
    return DashboardLink("Show this server").url(f"/d/{SERVERS}?{chosen}&{_KEPT}")


def caller_of_row() -> DashboardLink:
    """Build the link from a table's row to its caller."""
    return _to_caller("${__data.fields.instance}")


def caller_of_series() -> DashboardLink:
    """Build the link from a line to its caller."""
    return _to_caller("${__field.labels.instance}")


def _to_caller(instance: str) -> DashboardLink:
    return DashboardLink("Show this caller").url(f"/d/{CALLERS}?var-caller={instance}&{_KEPT}")
