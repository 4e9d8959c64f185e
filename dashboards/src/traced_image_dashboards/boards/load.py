"""Load: how attempts and image data spread over servers, and how long they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traced_image.telemetry import catalogue

from .. import recording
from ..promql import SERVER, selector
from . import links
from .panels import (
    About,
    lines,
    query,
    row,
    spread,
)
from .queries import (
    CHOSEN,
    SERVER_NAME,
    SERVERS,
    WINDOW,
    by_server,
    of,
    quantile,
    shown_exemplars,
    some,
    top,
    total,
)

if TYPE_CHECKING:
    from typing import Any

    from grafana_foundation_sdk.builders import (
        heatmap,
        timeseries,
    )
    from grafana_foundation_sdk.cog.builder import Builder


NO_ATTEMPTS = "No attempts on these servers in the last 5 minutes"
NO_SERVERS = "No server is known: is a caller scraped, and are the recording rules loaded?"


def parts() -> tuple[Builder[Any], ...]:
    """Build the rows of load, time and image data, and their panels."""
    return (
        *(row("Load and time"), picks(), times(), time_spread(), under_way()),
        *(row("Image data"), broken_streams(), streamed(), skipped_records(), hazards()),
    )


# --- load and time -----------------------------------------------------------------------------


def picks() -> timeseries.Panel:
    """Build the panel of each server's share of attempts."""
    about = About(
        "Share of attempts",
        "Of all attempts, the share on each server; the 20 busiest. The shares should be equal. A "
        "server that is cooling gets only a trial now and then. One that gets more than the others "
        "is twice in api_servers, or the others are cooling.",
        "percentunit",
        NO_ATTEMPTS,
        "GlanceServerFailing",
    )
    whole = f"scalar({total(of(recording.ATTEMPTS))})"
    shares = top(20, f"{by_server(recording.ATTEMPTS, SERVERS)} / {whole}")
    return lines(about, query(shares, SERVER_NAME)).data_links([links.server_of_series()])


def times() -> timeseries.Panel:
    """Build the panel of slow servers."""
    about = About(
        "How long attempts take, 95th percentile",
        "By server, the 20 slowest. One line above the others: its server has a slow disk, store "
        "or network. All lines rise: the cause is load or the database. A dot is an attempt's "
        "trace.",
        "s",
        NO_ATTEMPTS,
        "GlanceAttemptLatencyHigh",
    )
    slowest = quantile(0.95, of(recording.ATTEMPT_BUCKETS, SERVERS), f"le, {SERVER}")
    each = selector(catalogue.ATTEMPT_DURATION, CHOSEN, SERVERS, suffix="_bucket")
    return lines(
        about,
        query(top(20, slowest), SERVER_NAME),
        query(shown_exemplars(each), "attempts with a trace", exemplars=True),
    ).data_links([links.server_of_series()])


def time_spread() -> heatmap.Panel:
    """Build the heatmap of attempts' durations."""
    about = About(
        "How attempts' times spread",
        "Attempts on the chosen servers by how long they took. Two bands are two kinds of calls or "
        "two kinds of servers; a band at the top edge is a timeout.",
        "s",
        NO_ATTEMPTS,
        "GlanceAttemptLatencyHigh",
    )
    return spread(about, query(total(of(recording.ATTEMPT_BUCKETS, SERVERS), "by (le)")))


def under_way() -> timeseries.Panel:
    """Build the panel of attempts under way."""
    about = About(
        "Attempts under way",
        "By server, the 20 with the most. If a line rises and does not fall, its server accepts "
        "requests and answers none: restart it.",
        "short",
        NO_SERVERS,
        "GlanceAttemptLatencyHigh",
    )
    most = top(20, by_server(recording.ACTIVE_ATTEMPTS, SERVERS))
    return lines(about, query(most, SERVER_NAME)).data_links([links.server_of_series()])


# --- image data --------------------------------------------------------------------------------


def broken_streams() -> timeseries.Panel:
    """Build the panel of broken transfers."""
    about = About(
        "Image data that broke off",
        "Downloads and uploads each second that ended early or brought other data than the image's "
        "record says, by server; the 20 with the most. A download continues from another server "
        "that has the same data. Check for a proxy's timeout or a failing store.",
        "ops",
        "No image data broke off",
        "GlanceStreamErrors",
    )
    broken = top(20, some(by_server(recording.STREAM_ERRORS, SERVERS)))
    return lines(about, query(broken, SERVER_NAME)).data_links([links.server_of_series()])


def streamed() -> timeseries.Panel:
    """Build the panel of transferred bytes."""
    about = About(
        "Image data",
        "Bytes each second from and to the chosen servers. If it is 0 while attempts are under "
        "way, the image store is slow.",
        "Bps",
        "No image data so far",
        "GlanceStreamErrors",
    )
    by_direction = total(of(recording.STREAM_BYTES, SERVERS), "by (direction)")
    return lines(about, query(by_direction, "{{direction}}"))


def skipped_records() -> timeseries.Panel:
    """Build the panel of records that lists left out."""
    about = About(
        "Records that lists left out",
        "Each second, by job. A field of the image's record can't be read, such as a date. The "
        "caller's log names the image and the field: correct the record in Glance's database. No "
        "server is the cause.",
        "ops",
        "No list left a record out",
        "GlanceStreamErrors",
    )
    counted = f"rate({selector(catalogue.SKIPPED_RECORDS, CHOSEN)}[{WINDOW}])"
    return lines(about, query(some(total(counted, "by (job)")), "{{job}}"))


def hazards() -> timeseries.Panel:
    """Build the panel of what stock clients do and their callers do not see."""
    about = About(
        "Hazards of stock clients",
        "Each second, by kind. A client such as nova's did what its caller does not see: "
        "`upload_truncated` means that an image may lack data. The caller's log and the event "
        "`glance.hazard` of the trace name the call: follow the runbook of its kind.",
        "ops",
        "No stock client hid anything",
        "GlanceImageDataLost",
    )
    counted = f"rate({selector(catalogue.HAZARDS, CHOSEN)}[{WINDOW}])"
    return lines(about, query(some(total(counted, "by (kind)")), "{{kind}}"))
