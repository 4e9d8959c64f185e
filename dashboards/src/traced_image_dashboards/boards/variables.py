"""What is chosen at the top of a dashboard."""

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
from ..promql import selector
from .queries import JOB, of

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_ALL = VariableOption(selected=True, text="All", value="$__all")
_COLLECTOR = "otelcol_process_uptime.*"


def datasource() -> DatasourceVariable:
    """The Prometheus that has the recording rules."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def job() -> QueryVariable:
    """Which kinds of callers; the exporter that probes is one of them."""
    return _several("job", "Job", f"label_values({recording.CALLERS.record}, job)")


def job_of_pipeline() -> QueryVariable:
    """Callers, and collectors beside; All is each of these, not whatever else is scraped."""
    names = f'{{__name__=~"{catalogue.BUILD_INFO.name}|{_COLLECTOR}"}}'
    return _chosen("job", "Job", f"label_values({names}, job)")


def instance() -> QueryVariable:
    """Which processes of a job."""
    found = selector(catalogue.BUILD_INFO, JOB)
    return _several("instance", "Instance", f"label_values({found}, instance)")


def instance_of_pipeline() -> QueryVariable:
    """Which processes, collectors among them."""
    return _several("instance", "Instance", f"label_values(up{{{JOB}}}, instance)")


def caller() -> QueryVariable:
    """One process, of which more is shown than could be of all."""
    found = selector(catalogue.BUILD_INFO, JOB)
    return _query("caller", "Caller", f"label_values({found}, instance)")


def server() -> QueryVariable:
    """The servers' addresses; with `port` they name servers, since several may share an address."""
    return _several("server", "Server", f"label_values({of(recording.STATES)}, server_address)")


def port() -> QueryVariable:
    """The ports of the chosen servers."""
    found = of(recording.STATES, 'server_address=~"$server"')
    return _several("port", "Port", f"label_values({found}, server_port)")


def runbooks(page: str) -> TextBoxVariable:
    """Where the links to the runbook lead; nothing that a reader has to see."""
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
