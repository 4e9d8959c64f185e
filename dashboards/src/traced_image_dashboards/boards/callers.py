"""Callers: does one job or one process fail, and what does a single process see?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry import catalogue

from .. import links as addresses
from .. import recording
from ..promql import SERVER, selector
from . import caller, links, variables
from .board import Board
from .panels import BAD, ODD, About, latest, levels, lines, number, query, row
from .queries import (
    BY_CALLER,
    CALLER_NAME,
    CHOSEN,
    INSTANCE,
    JOB_KEYS,
    JOB_NAME,
    of,
    share,
    top,
    total,
)
from .tables import ROUTE_HEADINGS, Column, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table, timeseries

_NO_CALLS = "None of these processes called in the last 5 minutes"


def board() -> Board:
    """Build the dashboard of the callers."""
    return Board(
        uid=addresses.CALLERS,
        title="Glance clients / Callers",
        about=(
            "Which job or process fails. The lower half shows one process: choose it as Caller."
        ),
        variables=(
            *variables.routes(),
            variables.job(),
            variables.instance(),
            variables.caller(),
        ),
        parts=(
            *(row("Jobs"), processes(), added_up(), versions(), calls_by_job(), failures_by_job()),
            *(row("Processes"), busiest(), failing(), attempts(), worst(), who_sees_what()),
            *caller.parts(),
        ),
    )


_CALLS = total(of(recording.CALLS_BY_INSTANCE, INSTANCE), BY_CALLER)
_FAILED = total(of(recording.ERRORS_BY_INSTANCE, INSTANCE), BY_CALLER)
_ATTEMPTS = total(of(recording.ATTEMPTS_PER_CALL, INSTANCE), BY_CALLER)

# --- jobs --------------------------------------------------------------------------------------


def processes() -> stat.Panel:
    """Build the panel of the number of processes."""
    about = About(
        "Processes",
        "By job, the ten with the most. If more are running, some are not scraped: see Pipeline.",
        "short",
        "No process with traced_image is scraped",
        "GlanceTelemetryAbsent",
        next_board=addresses.PIPELINE,
    )
    return number(about, latest(top(10, of(recording.CALLERS)), JOB_NAME))


def added_up() -> stat.Panel:
    """Build the panel of the processes that agents add up."""
    about = About(
        "Processes that an agent adds up",
        "Of these processes, only version and host states are kept. What they count is added up: "
        "below, the agent stands in place of its processes. docs/how-to/scale.md says more.",
        "short",
        "All processes are kept",
        "GlanceTelemetryAbsent",
    )
    sums = f"sum by ({JOB_KEYS}) ({catalogue.AGGREGATED_PROCESSES}{{{CHOSEN}}})"
    return number(about, latest(top(10, sums), f"{JOB_NAME} processes: not kept"))


def versions() -> stat.Panel:
    """Build the panel of their versions."""
    about = About(
        "Versions",
        "Processes by their version of traced_image. There are two during an upgrade. If an old "
        "one stays, restart its processes.",
        "short",
        "No process with traced_image is scraped",
        "GlanceTelemetryAbsent",
    )
    by_version = f"count by (version) ({selector(catalogue.BUILD_INFO, CHOSEN, INSTANCE)})"
    return number(about, latest(by_version, "{{version}}"))


def calls_by_job() -> timeseries.Panel:
    """Build the panel of calls by job."""
    about = About(
        "Calls by job",
        "The 20 jobs that call most. If one falls to 0 and the others do not, the cause is in this "
        "job.",
        "reqps",
        _NO_CALLS,
        "GlanceTelemetryAbsent",
        next_board=addresses.PIPELINE,
    )
    return lines(about, query(top(20, of(recording.ALL_CALLS)), JOB_NAME))


def failures_by_job() -> timeseries.Panel:
    """Build the panel of failed calls by job."""
    about = About(
        "Failed calls by job",
        "The share of each job's calls that failed, the 20 worst. If one job fails and the "
        "others do not, check its configuration: its servers, its credentials, its network.",
        "percentunit",
        _NO_CALLS,
        "GlanceClientErrorBudgetBurn",
        next_board=addresses.SERVERS,
    )
    return lines(about, query(top(20, of(recording.error_ratio("5m"))), JOB_NAME), width=24)


# --- processes ---------------------------------------------------------------------------------


def busiest() -> timeseries.Panel:
    """Build the panel of the processes that call most."""
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
    """Build the panel of the processes whose calls fail."""
    about = About(
        "Failed calls, the worst processes",
        "The share of a process's calls that failed, the 20 worst. If a few of many fail, check "
        "the machines that they run on. If all fail, check the servers.",
        "percentunit",
        _NO_CALLS,
        "GlanceClientErrorBudgetBurn",
    )
    shown = query(top(20, _FAILED), CALLER_NAME)
    return lines(about, shown).data_links([links.caller_of_series()])


def attempts() -> timeseries.Panel:
    """Build the panel of the processes that retry most."""
    about = About(
        "Attempts per call, by process",
        "1 means no retry; the 20 highest. If one process alone retries, it can't reach a server "
        "that the others reach. Exporters that only probe have no calls and are not here.",
        "short",
        _NO_CALLS,
        "GlanceRetryRateHigh",
    )
    shown = query(top(20, _ATTEMPTS), CALLER_NAME)
    return lines(about, shown, width=24).data_links([links.caller_of_series()])


def worst() -> table.Panel:
    """Build the table of the processes to look at."""
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
        {"job": "Job", "instance": "Process", **ROUTE_HEADINGS},
        Column("Calls/s", f"{_CALLS} and {failed}", "reqps"),
        Column("Failed", failed, "percentunit", levels((0.001, ODD), (0.01, BAD))),
        link=("instance", links.caller_of_row()),
        width=12,
    )


def who_sees_what() -> table.Panel:
    """Build the table of processes and the servers that fail for them."""
    about = About(
        "Which process sees which server fail",
        "The 50 pairs with the greatest share of failed attempts. One server with many processes: "
        "check the server. One process with many servers: check the process and its network. One "
        "pair: check the network between them.",
        "short",
        "No attempt failed in the last 5 minutes",
        "GlanceServerFailing",
    )
    tried = of(recording.ATTEMPTS_BY_INSTANCE, INSTANCE)
    # Most pairs are well, and of 10,000 pairs only those that fail need a quotient.
    ratio = top(50, share(f"({of(recording.FAILED_BY_INSTANCE, INSTANCE)} > 0)", tried))
    keys = f"instance, {JOB_KEYS}, {SERVER}"
    their_attempts = total(f"{tried} and on ({keys}) {ratio}", f"by ({keys})")
    return table_of(
        about,
        {
            "job": "Job",
            "instance": "Process",
            "server_address": "Server",
            "server_port": "Port",
            **ROUTE_HEADINGS,
        },
        Column("Attempts/s", their_attempts, "reqps"),
        Column("Failed", ratio, "percentunit", levels((0.01, ODD), (0.5, BAD))),
        link=("server_address", links.server_of_row()),
        width=12,
    )
