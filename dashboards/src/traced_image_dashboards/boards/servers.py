"""Servers: which one fails, since when and why; and what the exporter's probes say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    RangeMap,
    ValueMappingResult,
)

from traced_image.telemetry import catalogue

from .. import recording
from ..promql import AT_FAULT, SERVER, selector
from . import links, load, probes, variables
from .board import Board
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
    JOB,
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
    """The dashboard of the servers."""
    return Board(
        uid=links.SERVERS,
        title="Glance clients / Servers",
        about=(
            "Each Glance server as its callers and the exporter's probes see it. A server is an "
            "address and a port; choose both where several share an address."
        ),
        variables=(variables.job(), variables.server(), variables.port()),
        parts=(
            *(row("State"), state(), all_servers()),
            *(row("Failures"), failures(), reasons(), in_a_row()),
            *load.parts(),
            *probes.parts(),
        ),
    )


# --- state -------------------------------------------------------------------------------------


def state() -> statetimeline.Panel:
    """Who is out, and since when."""
    about = About(
        "Servers in use and out",
        "Green: every caller uses the server. Orange: some have left it, because it failed for "
        "them. Red: all have. Orange that stays means that only some can't reach it: compare "
        "callers. At most 50 servers are shown, those that most callers have left.",
        "percentunit",
        NO_SERVERS,
        "GlanceServerFailing",
    )
    shares = query(top(50, share_out(SERVERS)), SERVER_NAME)
    colours = levels((0.000001, ODD), (1, BAD))
    words = [
        _range(0, 0, "in use", GOOD),
        _range(0.000001, 0.999999, "left by some callers", ODD),
        _range(1, 1, "left by all callers", BAD),
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
    """Everything about each."""
    about = About(
        "All servers",
        "The last 5 minutes of each server. One that fails while its peers do not is broken; if "
        "all fail alike, look at what they have in common: the network, Keystone, the image store. "
        "Choose one by its link.",
        "short",
        NO_SERVERS,
        "GlanceServerFailing",
    )
    buckets = of(recording.ATTEMPT_BUCKETS, SERVERS)
    attempts = by_server(recording.ATTEMPTS, SERVERS)
    last = f"max {BY_SERVER} ({of(recording.LAST_SUCCESS, SERVERS)}) > 0"
    in_row = f"max {BY_SERVER} ({of(recording.CONSECUTIVE_FAILURES, SERVERS)})"
    slowest = quantile(0.95, buckets, f"le, {SERVER}")
    return table_of(
        about,
        {"server_address": "Server", "server_port": "Port"},
        Column("Attempts/s", attempts, "reqps"),
        Column("Failed", error_ratio(SERVERS), "percentunit", levels((0.01, ODD), (0.5, BAD))),
        Column("Callers out", share_out(SERVERS), "percentunit", levels((0.000001, ODD), (1, BAD))),
        # Grafana counts milliseconds.
        Column("Last success", f"1000 * ({last})", "dateTimeFromNow"),
        Column("Failures in a row", in_row, "short", levels((1, ODD), (5, BAD))),
        Column("p95", slowest, "s"),
        link=("server_address", links.server_of_row()),
    )


# --- failures ----------------------------------------------------------------------------------


def failures() -> statushistory.Panel:
    """Which server failed when."""
    about = About(
        "Failed attempts by server",
        "The share of attempts that failed, over time; refusals such as 404 are not failures. The "
        "50 worst at each moment. Several rows that turn red together have a cause in common.",
        "percentunit",
        NO_ATTEMPTS,
        "GlanceServerFailing",
    )
    ratios = query(top(50, error_ratio(SERVERS)), SERVER_NAME)
    return (
        history(about, ratios)
        .thresholds(levels((0.01, "yellow"), (0.1, ODD), (0.5, BAD)))
        .data_links([links.server_of_series()])
    )


def reasons() -> timeseries.Panel:
    """What attempts fail of."""
    about = About(
        "Failed attempts by reason",
        "connection_refused: nothing listens; connect_timeout and network_unreachable: the way "
        "to it; read_timeout: it hangs; 5xx: it says itself that it fails. "
        "docs/reference/diagnosis.md tells what to look at for each. A dot is a failed "
        "attempt's trace.",
        "reqps",
        "No attempt on these servers failed",
        "GlanceServerFailing",
    )
    failed = some(total(of(recording.FAILURES, SERVERS), "by (error_type)"))
    bad = selector(catalogue.ATTEMPT_DURATION, JOB, SERVERS, AT_FAULT, suffix="_bucket")
    return stacked(
        lines(
            about,
            query(failed, "{{error_type}}"),
            query(shown_exemplars(bad), "attempts with a trace", exemplars=True),
        )
    )


def in_a_row() -> timeseries.Panel:
    """Who has not succeeded for long."""
    about = About(
        "Failures in a row",
        "The most that any caller had from a server since one succeeded; the 20 highest. A line "
        "that only rises is a server that is dead for at least one caller.",
        "short",
        NO_SERVERS,
        "GlanceServerNoSuccess",
    )
    worst = top(20, f"max {BY_SERVER} ({of(recording.CONSECUTIVE_FAILURES, SERVERS)})")
    return lines(about, query(worst, SERVER_NAME)).data_links([links.server_of_series()])
