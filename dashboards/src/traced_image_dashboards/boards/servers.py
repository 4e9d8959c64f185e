"""Servers: which one fails, since when and why, and what the exporter's probes report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    RangeMap,
    ValueMappingResult,
)

from traced_image.telemetry import catalogue

from .. import links as addresses
from .. import recording
from ..promql import FAILED, SERVER, selector
from . import links, load, probes, variables
from .board import Board
from .failing import failing_now
from .load import NO_ATTEMPTS, NO_SERVERS
from .panels import (
    BAD,
    GOOD,
    ODD,
    About,
    history,
    levels,
    lines,
    query,
    row,
    stacked,
    states,
)
from .queries import (
    BY_SERVER,
    CHOSEN,
    SERVER_NAME,
    SERVERS,
    by_server,
    error_ratio,
    of,
    quantile,
    share_out,
    shown_exemplars,
    some,
    top,
    total,
)
from .tables import Column, table_of

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import (
        statetimeline,
        statushistory,
        table,
        timeseries,
    )


def board() -> Board:
    """Build the dashboard of the servers."""
    return Board(
        uid=addresses.SERVERS,
        title="Glance clients / Servers",
        about=(
            "Each Glance server as its callers and the exporter's probes see it. A server is an "
            "address and a port; choose both if several share an address."
        ),
        variables=(
            *variables.routes(),
            variables.job(),
            variables.server(),
            variables.port(),
        ),
        parts=(
            *(row("State"), state(), failing_now(SERVERS), all_servers()),
            *(row("Failures"), failures(), reasons(), in_a_row()),
            *load.parts(),
            *probes.parts(),
        ),
    )


# --- state -------------------------------------------------------------------------------------


def state() -> statetimeline.Panel:
    """Build the timeline of the servers' host states."""
    about = About(
        "Servers by host state",
        "Green: the server is healthy for all callers. Orange: it is failing, cooling or on trial "
        "for some. Red: for all of them. If orange stays, only some callers "
        "can't reach it: compare callers. At most 50 servers, those that are healthy for the "
        "fewest first.",
        "percentunit",
        NO_SERVERS,
        "GlanceServerFailing",
        next_board=addresses.CALLERS,
    )
    shares = query(top(50, share_out(SERVERS)), SERVER_NAME)
    colours = levels((0.000001, ODD), (1, BAD))
    words = [
        _range(0, 0, "healthy for all callers", GOOD),
        _range(0.000001, 0.999999, "healthy for some callers", ODD),
        _range(1, 1, "healthy for no caller", BAD),
    ]
    return (
        states(about, shares)
        .thresholds(colours)
        .mappings([*words])
        .data_links([links.server_of_series()])
    )


def _range(least: float, most: float, text: str, colour: str) -> RangeMap:
    result = ValueMappingResult(text=text, color=colour)
    return RangeMap(DashboardRangeMapOptions(least, most, result))


def all_servers() -> table.Panel:
    """Build the table of all servers."""
    about = About(
        "All servers",
        "The last 5 minutes of each server. One that fails while its peers do not is broken; if "
        "all fail alike, check what they have in common: the network, Keystone, the image store. "
        "Choose one by its link.",
        "short",
        NO_SERVERS,
        "GlanceServerFailing",
    )
    buckets = of(recording.ATTEMPT_BUCKETS, SERVERS)
    attempts = by_server(recording.ATTEMPTS, SERVERS)
    last = f"max {BY_SERVER} ({of(recording.LAST_SUCCESS, SERVERS)}) > 0"
    in_row = f"max {BY_SERVER} ({of(recording.CONSECUTIVE_FAILURES, SERVERS)})"
    each = f"le, {SERVER}"
    return table_of(
        about,
        {"server_address": "Server", "server_port": "Port"},
        Column("Attempts/s", attempts, "reqps"),
        Column("Failed", error_ratio(SERVERS), "percentunit", levels((0.01, ODD), (0.5, BAD))),
        Column(
            "Not healthy for", share_out(SERVERS), "percentunit", levels((0.000001, ODD), (1, BAD))
        ),
        # Grafana's dateTimeFromNow takes milliseconds.
        Column("Last success", f"1000 * ({last})", "dateTimeFromNow"),
        Column("Failures in a row", in_row, "short", levels((1, ODD), (5, BAD))),
        Column("p95", quantile(0.95, buckets, each), "s"),
        Column("p99.9", quantile(0.999, buckets, each), "s"),
        Column("Longest, at most", quantile(1, buckets, each), "s"),
        link=("server_address", links.server_of_row()),
    )


# --- failures ----------------------------------------------------------------------------------


def failures() -> statushistory.Panel:
    """Build the history of failed attempts by server."""
    about = About(
        "Failed attempts by server",
        "The share of attempts that failed, over time; refusals such as 404 are not failures. The "
        "50 worst at each moment. If several rows turn red together, they have a common cause.",
        "percentunit",
        NO_ATTEMPTS,
        "GlanceServerFailing",
        next_board=addresses.CALLERS,
    )
    ratios = query(top(50, error_ratio(SERVERS)), SERVER_NAME)
    return (
        history(about, ratios)
        .thresholds(levels((0.01, "yellow"), (0.1, ODD), (0.5, BAD)))
        .data_links([links.server_of_series()])
    )


def reasons() -> timeseries.Panel:
    """Build the panel of the reasons of failed attempts."""
    about = About(
        "Failed attempts by reason",
        "connection_refused: no process listens; connect_timeout and network_unreachable: the "
        "network fails; read_timeout: the server hangs; 5xx: the server reports a failure of its "
        "own. docs/reference/diagnosis.md says what to check for each. A dot is a failed "
        "attempt's trace.",
        "reqps",
        "No attempt on these servers failed",
        "GlanceServerFailing",
    )
    failed = some(total(of(recording.FAILURES, SERVERS), "by (error_type)"))
    bad = selector(catalogue.ATTEMPT_DURATION, CHOSEN, SERVERS, FAILED, suffix="_bucket")
    return stacked(
        lines(
            about,
            query(failed, "{{error_type}}"),
            query(shown_exemplars(bad), "attempts with a trace", exemplars=True),
        )
    )


def in_a_row() -> timeseries.Panel:
    """Build the panel of failures in a row."""
    about = About(
        "Failures in a row",
        "The most failed attempts of any caller on a server since the last success; the 20 "
        "highest. If a line only rises, at least one caller can't reach its server.",
        "short",
        NO_SERVERS,
        "GlanceServerNoSuccess",
    )
    worst = top(20, f"max {BY_SERVER} ({of(recording.CONSECUTIVE_FAILURES, SERVERS)})")
    return lines(about, query(worst, SERVER_NAME)).data_links([links.server_of_series()])
