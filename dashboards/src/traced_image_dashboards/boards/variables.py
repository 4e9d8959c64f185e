"""The variables at the top of a dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import (
    DatasourceVariable,
    QueryVariable,
    TextBoxVariable,
)
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from traced_image.telemetry import catalogue

from .. import recording
from ..promql import ROUTES, selector
from .queries import CHOSEN, IN_ROUTES, of

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_ALL = VariableOption(selected=True, text="All", value="$__all")
_PIPELINE = f'{{__name__=~"{catalogue.BUILD_INFO.name}|otelcol_process_uptime.*"}}'


def datasource() -> DatasourceVariable:
    """Build the variable of the Prometheus with the recording rules."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def routes(found: str = recording.CALLERS.record) -> tuple[QueryVariable, ...]:
    """Build the variables of the labels that one routes by; none need be there.

    Args:
        found: The series that have them.
    """
    return tuple(
        _chosen(label, label.title(), f"label_values({found}, {label})").all_value(".*")
        for label in ROUTES
    )


def job() -> QueryVariable:
    """Build the variable of the callers' jobs; an exporter that probes is a caller, too."""
    found = f"{recording.CALLERS.record}{{{IN_ROUTES}}}"
    return _several("job", "Job", f"label_values({found}, job)")


def of_pipeline() -> tuple[QueryVariable, ...]:
    """Build the variables of callers and collectors; All jobs leaves out other targets."""
    named = _PIPELINE.replace("}", f", {IN_ROUTES}}}")
    return (
        *routes(_PIPELINE),
        _chosen("job", "Job", f"label_values({named}, job)"),
        _several("instance", "Instance", f"label_values(up{{{CHOSEN}}}, instance)"),
    )


def instance() -> QueryVariable:
    """Build the variable of the processes of a job."""
    found = selector(catalogue.BUILD_INFO, CHOSEN)
    return _several("instance", "Instance", f"label_values({found}, instance)")


def caller() -> QueryVariable:
    """Build the variable of the one process that the lower half of Callers shows, or agent."""
    names = f"{catalogue.BUILD_INFO.name}|{catalogue.AGGREGATED_PROCESSES}"
    found = f'{{__name__=~"{names}", {CHOSEN}}}'
    return _query("caller", "Caller", f"label_values({found}, instance)")


def server() -> QueryVariable:
    """Build the variable of the servers' addresses; several servers may share one, see `port`."""
    return _several("server", "Server", f"label_values({of(recording.STATES)}, server_address)")


def port() -> QueryVariable:
    """Build the variable of the ports of the chosen servers."""
    found = of(recording.STATES, 'server_address=~"$server"')
    return _several("port", "Port", f"label_values({found}, server_port)")


def runbooks(page: str) -> TextBoxVariable:
    """Build the hidden variable with the address of the runbooks, for the panels' links."""
    here = VariableOption(text=page, value=page, selected=True)
    return (
        TextBoxVariable("runbooks")
        .label("Runbooks")
        .default_value(page)
        .current(here)
        .hide(VariableHide.HIDE_VARIABLE)
    )


def _query(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .definition(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _several(name: str, label: str, query: str) -> QueryVariable:
    return _chosen(name, label, query).all_value(".+")


def _chosen(name: str, label: str, query: str) -> QueryVariable:
    several = _query(name, label, query).multi(multi=True).include_all(include_all=True)
    return several.current(_ALL)
