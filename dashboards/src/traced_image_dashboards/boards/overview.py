"""Overview: is it well, and if not, which server is it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import recording
from ..promql import SERVER
from . import calls, links, variables
from .board import Board
from .calls import NO_CALLS
from .panels import BAD, GOOD, ODD, About, latest, levels, number, row
from .queries import (
    CALLS,
    OBJECTIVE,
    SUCCESS_OF_CALLS,
    by_server,
    error_ratio,
    of,
    share_out,
    top,
    total,
)
from .tables import Column, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table


def board() -> Board:
    """The dashboard to begin with."""
    return Board(
        uid=links.OVERVIEW,
        title="Glance clients / Overview",
        about="Whether calls to Glance succeed, what retries hide, and which servers fail.",
        variables=(variables.job(),),
        parts=(
            *(row("Is it well?"), budget(), success(), rate(), given_up(), servers_out()),
            *(callers(), alerts(), worst_servers()),
            *calls.parts(),
        ),
    )


def budget() -> stat.Panel:
    """How much of what may fail has not failed."""
    about = About(
        "Error budget left",
        "Of the calls that the objective lets fail in 3 days, the share that has not failed "
        "yet, for the ten jobs with the least. Below 0 the objective is missed: find the server "
        "that fails in the table, and take it out of api_servers if it can't be fixed soon.",
        "percentunit",
        "No calls in the last 3 days",
        "GlanceClientErrorBudgetBurn",
    )
    ratio = of(recording.error_ratio("3d"))
    left = f"bottomk(10, 1 - {ratio} / (1 - {OBJECTIVE}))"
    colours = levels((0, ODD), (0.25, GOOD), base=BAD)
    return number(about, latest(left, "{{job}}")).decimals(1).thresholds(colours)


def success() -> stat.Panel:
    """How many calls succeed."""
    about = About(
        "Calls that succeed",
        "What callers got, retries included, in the last 5 minutes; what a caller asked in vain (a "
        "4xx) is not a failure. Below the objective, see which servers fail, and why.",
        "percentunit",
        NO_CALLS,
        "GlanceClientErrorBudgetBurn",
    )
    colours = levels((0.99, ODD), (0.999, GOOD), base=BAD)
    return number(about, latest(SUCCESS_OF_CALLS)).decimals(2).thresholds(colours)


def rate() -> stat.Panel:
    """How many calls there are."""
    about = About(
        "Calls",
        "Calls to Glance each second, probes left out. If it fell to nothing, look whether "
        "callers are up, in Pipeline, before you trust what else is here.",
        "reqps",
        NO_CALLS,
        "GlanceTelemetryAbsent",
    )
    return number(about, latest(CALLS))


def given_up() -> stat.Panel:
    """How many calls gave up."""
    about = About(
        "Calls that gave up",
        "GlanceConnectionFailed each second: calls for which no server answered, though they were "
        "tried one after another. Anything above 0 is a caller that got nothing.",
        "reqps",
        "No caller is scraped",
        "GlanceConnectionFailed",
    )
    failed = latest(total(of(recording.CONNECTION_FAILED)))
    return number(about, failed).thresholds(levels((0.000001, BAD)))


def servers_out() -> stat.Panel:
    """How many servers are out."""
    about = About(
        "Servers out",
        "Servers that at least half of their callers have left because they failed. Follow the "
        "link of the table below to see one.",
        "short",
        "No server is known: is a caller scraped?",
        "GlanceServerFailing",
    )
    seen = share_out()
    out = f"count({seen} >= 0.5) or 0 * count({seen})"
    return number(about, latest(out)).thresholds(levels((1, BAD)))


def callers() -> stat.Panel:
    """How many processes tell."""
    about = About(
        "Callers",
        "Processes with traced_image that are scraped. If some are missing, see Pipeline.",
        "short",
        "No process with traced_image is scraped",
        "GlanceTelemetryAbsent",
    )
    return number(about, latest(total(of(recording.CALLERS))))


def alerts() -> table.Panel:
    """What fires."""
    about = About(
        "Alerts that fire",
        "Alerts of the rules beside these dashboards; each has a runbook. Begin with those of "
        "severity page.",
        "short",
        "No alert fires",
        "GlanceClientErrorBudgetBurn",
    )
    # The alert for telemetry that is absent is of no job that there is.
    found = 'ALERTS{alertname=~"Glance.+", alertstate="firing", job=~"$job|"}'
    firing = f"max by (alertname, severity, job, {SERVER}) ({found})"
    labels = {
        "alertname": "Alert",
        "severity": "Severity",
        "job": "Job",
        "server_address": "Server",
        "server_port": "Port",
    }
    return table_of(about, labels, Column("Firing", firing), width=12)


def worst_servers() -> table.Panel:
    """Which servers fail."""
    about = About(
        "Servers that fail most",
        "The ten servers with the greatest share of failed attempts in the last 5 minutes. Follow "
        "a server's link to see since when and why.",
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
        width=12,
    )
