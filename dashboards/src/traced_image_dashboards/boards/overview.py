"""Overview: do calls succeed, and if not, which server fails?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import links as addresses
from .. import recording
from ..promql import ROUTES, SERVER
from . import calls, links, variables
from .board import Board
from .calls import NO_CALLS
from .failing import failing_now
from .panels import BAD, GOOD, ODD, About, latest, levels, number, row
from .queries import (
    CALLS,
    JOB_KEYS,
    JOB_NAME,
    SUCCESS_OF_CALLS,
    by_server,
    error_ratio,
    of,
    quantile,
    share_out,
    top,
    total,
)
from .tables import ROUTE_HEADINGS, Column, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table


def board() -> Board:
    """Build the dashboard to begin with."""
    return Board(
        uid=addresses.OVERVIEW,
        title="Glance clients / Overview",
        about="Whether calls to Glance succeed, what retries hide, and which servers fail.",
        variables=(*variables.routes(), variables.job()),
        parts=(
            *(row("What fails?"), failing_now(), alerts(), worst_servers(), slowest_servers()),
            *(row("Do calls succeed?"), budget(), success(), rate(), given_up(), servers_out()),
            *(callers(), month()),
            *calls.parts(),
        ),
    )


def budget() -> stat.Panel:
    """Build the panel of the error budget that is left."""
    about = About(
        "Error budget left",
        "The objective allows some calls to fail in 3 days. This is the share of them that has not "
        "failed so far, for the ten jobs with the least. Below 0, the objective is missed: find "
        "the server that fails in the table, and remove it from api_servers if you can't fix it "
        "soon.",
        "percentunit",
        "No calls in the last 3 days",
        "GlanceClientErrorBudgetBurn",
        next_board=addresses.CALLERS,
    )
    ratio = of(recording.error_ratio("3d"))
    left = f"bottomk(10, 1 - {ratio} / (1 - {of(recording.OBJECTIVES)}))"
    colours = levels((0, ODD), (0.25, GOOD), base=BAD)
    return number(about, latest(left, JOB_NAME)).decimals(1).thresholds(colours)


def month() -> table.Panel:
    """Build the table of the service level of 30 days."""
    about = About(
        "Service level of 30 days",
        "For each job, the objective, the share of calls that succeeded, and how much of the "
        "failures that the objective allows is left; the 50 jobs with the least. Below 0, the "
        "objective is missed: put what makes calls reliable before new features. If days are fewer "
        "than 30, Prometheus keeps less (15 days by default) or has not run for as long.",
        "percentunit",
        "No calls so far, or the rules have been loaded for less than 5 minutes",
        "GlanceClientErrorBudgetBurn",
        next_board=addresses.CALLERS,
    )
    achieved, objective = of(recording.SUCCESS), of(recording.OBJECTIVES)
    left = f"bottomk(50, 1 - (1 - {achieved}) / (1 - {objective}))"
    return table_of(
        about,
        {"job": "Job", **ROUTE_HEADINGS},
        Column("Objective", f"{objective} and {left}", "percentunit", decimals=3),
        Column("Budget left", left, "percentunit", levels((0, ODD), (0.25, GOOD), base=BAD)),
        Column("Achieved", f"{achieved} and {left}", "percentunit", decimals=3),
        Column("Days", f"{of(recording.DAYS)} and {left}", "d"),
        least_first=True,
    ).height(7)


def success() -> stat.Panel:
    """Build the panel of the share of calls that succeed."""
    about = About(
        "Calls that succeed",
        "The share that succeeded in the last 5 minutes, retries included. A refusal (4xx) is not "
        "a failure. If it is below the objective, see which servers fail, and why.",
        "percentunit",
        NO_CALLS,
        "GlanceClientErrorBudgetBurn",
        next_board=addresses.CALLERS,
    )
    colours = levels((0.99, ODD), (0.999, GOOD), base=BAD)
    return number(about, latest(SUCCESS_OF_CALLS)).decimals(2).thresholds(colours)


def rate() -> stat.Panel:
    """Build the panel of the number of calls."""
    about = About(
        "Calls",
        "Calls to Glance each second, without probes. If it fell to 0, check in Pipeline whether "
        "callers are up, before you trust the other panels.",
        "reqps",
        NO_CALLS,
        "GlanceTelemetryAbsent",
        next_board=addresses.PIPELINE,
    )
    return number(about, latest(CALLS))


def given_up() -> stat.Panel:
    """Build the panel of the calls that gave up."""
    about = About(
        "Calls that gave up",
        "GlanceConnectionFailed each second: calls that tried one server after another, and each "
        "failed. Above 0, callers get errors.",
        "reqps",
        "No caller is scraped",
        "GlanceConnectionFailed",
        next_board=addresses.SERVERS,
    )
    failed = latest(total(of(recording.CONNECTION_FAILED)))
    return number(about, failed).thresholds(levels((0.000001, BAD)))


def servers_out() -> stat.Panel:
    """Build the panel of the number of servers that are not healthy."""
    about = About(
        "Servers not healthy",
        "Servers that are failing, cooling or on trial for at least half of their callers. "
        "The links of the table below show each server.",
        "short",
        "No server is known: is a caller scraped?",
        "GlanceServerFailing",
        next_board=addresses.SERVERS,
    )
    seen = share_out()
    out = f"count({seen} >= 0.5) or 0 * count({seen})"
    return number(about, latest(out)).thresholds(levels((1, BAD)))


def callers() -> stat.Panel:
    """Build the panel of the number of callers."""
    about = About(
        "Callers",
        "Processes with traced_image that are scraped. If some are missing, see Pipeline.",
        "short",
        "No process with traced_image is scraped",
        "GlanceTelemetryAbsent",
        next_board=addresses.PIPELINE,
    )
    return number(about, latest(total(of(recording.CALLERS))))


def alerts() -> table.Panel:
    """Build the table of the alerts that fire or will soon."""
    about = About(
        "Alerts",
        "Alerts of the rules that belong to these dashboards; each has a runbook. Begin with those "
        "of severity page that fire. A pending alert fires if its condition holds on: it shows a "
        "failure minutes before anybody is notified.",
        "short",
        "No alert fires or is pending",
        "GlanceClientErrorBudgetBurn",
    )
    # GlanceTelemetryAbsent may fire for a job that has no series, or with no job at all.
    chosen = ", ".join(f'{label}=~"${label}|"' for label in ("job", *ROUTES))
    found = f'ALERTS{{alertname=~"Glance.+", severity!="none", {chosen}}}'
    raised = f"max by (alertstate, alertname, severity, {JOB_KEYS}, {SERVER}) ({found})"
    labels = {
        "alertstate": "State",
        "alertname": "Alert",
        "severity": "Severity",
        "job": "Job",
        "server_address": "Server",
        "server_port": "Port",
        **ROUTE_HEADINGS,
    }
    return table_of(about, labels, Column("Alerts", raised), width=10)


def worst_servers() -> table.Panel:
    """Build the table of the servers that fail most."""
    about = About(
        "Servers that fail most",
        "The ten servers with the greatest share of failed attempts in the last 5 minutes. A "
        "server's link shows since when it fails, and why.",
        "short",
        "No attempts in the last 5 minutes",
        "GlanceServerFailing",
    )
    ratio = top(10, error_ratio())
    return table_of(
        about,
        {"server_address": "Server", "server_port": "Port"},
        Column("Attempts/s", f"{by_server(recording.ATTEMPTS)} and {ratio}", "reqps"),
        Column("Failed", ratio, "percentunit", levels((0.01, ODD), (0.5, BAD))),
        link=("server_address", links.server_of_row()),
        width=7,
    )


def slowest_servers() -> table.Panel:
    """Build the table of the servers whose attempts take longest."""
    about = About(
        "Slowest servers",
        "The ten longest durations that 95 % of a job's attempts on a server did not exceed in the "
        "last 5 minutes. If one server takes many times what the others take, it is slow, and "
        "calls on it wait: no failure shows it. If all take as long, suspect what they share. "
        "Follow the server's link.",
        "s",
        "No attempts in the last 5 minutes",
        "GlanceAttemptLatencyHigh",
    )
    by = f"{JOB_KEYS}, {SERVER}"
    slow = top(10, quantile(0.95, of(recording.ATTEMPT_BUCKETS), f"le, {by}") + " >= 0")
    rate = total(of(recording.ATTEMPTS), f"by ({by})")
    return table_of(
        about,
        {"server_address": "Server", "server_port": "Port", "job": "Job", **ROUTE_HEADINGS},
        Column("Attempts/s", f"{rate} and {slow}", "reqps"),
        Column("p95", slow, "s", levels((1, ODD), (5, BAD))),
        link=("server_address", links.server_of_row()),
        width=7,
    )
