"""Callers: is it one job or one process that suffers, and what does a single one see?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry import catalogue

from .. import recording
from ..promql import SERVER, selector
from . import caller, links, variables
from .board import Board
from .panels import BAD, ODD, About, latest, levels, lines, number, query, row
from .queries import (
    BY_CALLER,
    CALLER_NAME,
    INSTANCE,
    JOB,
    of,
    share,
    top,
    total,
)
from .tables import Column, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table, timeseries

_NO_CALLS = "None of these processes called in the last 5 minutes"


def board() -> Board:
    """The dashboard of the callers."""
    return Board(
        uid=links.CALLERS,
        title="Glance clients / Callers",
        about=(
            "Which job or process suffers. The lower half is of one process: choose it as Caller."
        ),
        variables=(variables.job(), variables.instance(), variables.caller()),
        parts=(
            *(row("Jobs"), processes(), versions(), calls_by_job(), failures_by_job()),
            *(row("Processes"), busiest(), failing(), attempts(), worst(), who_sees_what()),
            *caller.parts(),
        ),
    )


_CALLS = total(of(recording.CALLS_BY_INSTANCE, INSTANCE), BY_CALLER)
_FAILED = total(of(recording.ERRORS_BY_INSTANCE, INSTANCE), BY_CALLER)
_ATTEMPTS = total(of(recording.ATTEMPTS_PER_CALL, INSTANCE), BY_CALLER)

# --- jobs --------------------------------------------------------------------------------------


def processes() -> stat.Panel:
    """How many there are."""
    about = About(
        "Processes",
        "By job, the ten with the most. Fewer than run: some are not scraped, see Pipeline.",
        "short",
        "No process with traced_image is scraped",
        "GlanceTelemetryAbsent",
    )
    return number(about, latest(top(10, of(recording.CALLERS)), "{{job}}"), width=6)


def versions() -> stat.Panel:
    """What they run."""
    about = About(
        "Versions",
        "Processes by their version of traced_image. Two while an upgrade is under way; an old one "
        "that stays is a process that nobody restarted.",
        "short",
        "No process with traced_image is scraped",
        "GlanceTelemetryAbsent",
    )
    by_version = f"count by (version) ({selector(catalogue.BUILD_INFO, JOB, INSTANCE)})"
    return number(about, latest(by_version, "{{version}}"), width=6)


def calls_by_job() -> timeseries.Panel:
    """Who calls."""
    about = About(
        "Calls by job",
        "The 20 jobs that call most. A job that falls to nothing while the others go on has a "
        "trouble of its own.",
        "reqps",
        _NO_CALLS,
        "GlanceTelemetryAbsent",
    )
    return lines(about, query(top(20, of(recording.ALL_CALLS)), "{{job}}"))


def failures_by_job() -> timeseries.Panel:
    """Whose calls fail."""
    about = About(
        "Failed calls by job",
        "The share of each job's calls that failed, the 20 worst. If one job fails and the "
        "others do not, look at its configuration: its servers, its credentials, its network.",
        "percentunit",
        _NO_CALLS,
        "GlanceClientErrorBudgetBurn",
    )
    return lines(about, query(top(20, of(recording.error_ratio("5m"))), "{{job}}"), width=24)


# --- processes ---------------------------------------------------------------------------------


def busiest() -> timeseries.Panel:
    """Which processes call most."""
    about = About(
        "Calls, the busiest processes",
        "The 20 that call most. One far above the others may be in a loop.",
        "reqps",
        _NO_CALLS,
        "GlanceRetryRateHigh",
    )
    shown = query(top(20, _CALLS), CALLER_NAME)
    return lines(about, shown).data_links([links.caller_of_series()])


def failing() -> timeseries.Panel:
    """Which processes' calls fail."""
    about = About(
        "Failed calls, the worst processes",
        "The share of a process's calls that failed, the 20 worst. A few processes of many: "
        "look at their hosts. All of them: look at the servers.",
        "percentunit",
        _NO_CALLS,
        "GlanceClientErrorBudgetBurn",
    )
    shown = query(top(20, _FAILED), CALLER_NAME)
    return lines(about, shown).data_links([links.caller_of_series()])


def attempts() -> timeseries.Panel:
    """Which processes retry most."""
    about = About(
        "Attempts per call, by process",
        "1 is none retried; the 20 highest. A process that alone retries can't reach a server that "
        "the others reach. One that only probes has no calls and is not here.",
        "short",
        _NO_CALLS,
        "GlanceRetryRateHigh",
    )
    shown = query(top(20, _ATTEMPTS), CALLER_NAME)
    return lines(about, shown, width=24).data_links([links.caller_of_series()])


def worst() -> table.Panel:
    """Which processes to look at."""
    about = About(
        "Processes whose calls fail most",
        "The 50 worst now. Follow a process's link to see what it sees.",
        "short",
        _NO_CALLS,
        "GlanceClientErrorBudgetBurn",
    )
    failed = top(50, _FAILED)
    return table_of(
        about,
        {"job": "Job", "instance": "Process"},
        Column("Calls/s", f"{_CALLS} and {failed}", "reqps"),
        Column("Failed", failed, "percentunit", levels((0.001, ODD), (0.01, BAD))),
        link=("instance", links.caller_of_row()),
        width=12,
    )


def who_sees_what() -> table.Panel:
    """Who can't reach which server."""
    about = About(
        "Which process sees which server fail",
        "The 50 pairs with the greatest share of failed attempts. One server with many "
        "processes: the server. One process with many servers: the process or its network. One "
        "pair: the way between.",
        "short",
        _NO_CALLS,
        "GlanceServerFailing",
    )
    ratio = top(
        50,
        share(
            of(recording.FAILED_BY_INSTANCE, INSTANCE), of(recording.ATTEMPTS_BY_INSTANCE, INSTANCE)
        ),
    )
    keys = f"by (job, instance, {SERVER})"
    tried = total(of(recording.ATTEMPTS_BY_INSTANCE, INSTANCE), keys)
    return table_of(
        about,
        {
            "job": "Job",
            "instance": "Process",
            "server_address": "Server",
            "server_port": "Port",
        },
        Column("Attempts/s", f"{tried} and on (job, instance, {SERVER}) {ratio}", "reqps"),
        Column("Failed", ratio, "percentunit", levels((0.01, ODD), (0.5, BAD))),
        link=("server_address", links.server_of_row()),
        width=12,
    )
