"""The links of panels: to other dashboards, and to the runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models import dashboard as model

from ..links import CALLERS, OVERVIEW, PIPELINE, SERVERS
from ..links import runbook as runbook_of
from ..promql import ROUTES

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder

TAG = "traced-image"

_TITLES = {CALLERS: "Callers", OVERVIEW: "Overview", PIPELINE: "Pipeline", SERVERS: "Servers"}

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
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )


def of_panel(section: str, next_board: str) -> list[Builder[model.DashboardLink]]:
    """Build the links of a panel.

    Args:
        section: The section of the runbook that belongs to it.
        next_board: The uid of the dashboard that comes next, with the same jobs and time range;
            empty for none.
    """
    runbook = (
        DashboardLink("Runbook")
        .type(model.DashboardLinkType.LINK)
        .url(runbook_of(section, "${runbooks:raw}"))
        .target_blank(target_blank=True)
    )
    if not next_board:
        return [runbook]
    on = DashboardLink(_TITLES[next_board]).type(model.DashboardLinkType.LINK)
    return [runbook, on.url(f"/d/{next_board}?{_KEPT}")]


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
