"""The table of ``servers --exporter``: what the calls of processes see now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..diagnosis.live_servers import AT_TIMES
from .exit_status import DONE, REFUSED, UNREACHABLE, UNUSABLE
from .exporter_poll import ExporterPoll
from .exporter_table import (
    FLEXIBLE,
    HEADINGS,
    OPTIONAL,
    describe_exporter,
    is_server,
    make_json,
    make_row,
)
from .output import make_line, make_table, open_output, print_json, write
from .signals import run_in_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..diagnosis.live_servers import ServerNow
    from ..diagnosis.requests_of_sources import SourceReader
    from .exporter_poll import ExporterSeen


def show_exporters(readers: Sequence[SourceReader], limit: float, *, as_json: bool) -> int:
    """Read each exporter once, print the servers, and return the exit status.

    Standard error has a line for each exporter that can't be read.

    Args:
        readers: Reads each exporter.
        limit: Seconds for one answer.
        as_json: Whether to print JSON.
    """
    poll = ExporterPoll(readers, limit)
    run_in_loop(poll.read())
    servers, without = poll.servers, poll.without_servers
    if as_json:
        print_json([make_json(each) for each in servers])
    elif servers:
        console, rows = open_output(), [make_row(each, poll.now) for each in servers]
        write(console, make_table(console, HEADINGS, rows, flexible=FLEXIBLE, optional=OPTIONAL))
    for each in without:
        click.echo(make_line(describe_exporter(each)), err=as_json or bool(each.problem))
    return find_status(servers, without)


def find_status(servers: Sequence[ServerNow], without: Sequence[ExporterSeen]) -> int:
    """Return the exit status of what exporters tell.

    Args:
        servers: The servers, and Keystone if it fails.
        without: The exporters that report no server.
    """
    failing = [each for each in servers if each.fails]
    if failing:
        all_fail = all(each.fails and each.state != AT_TIMES for each in servers if is_server(each))
        return UNREACHABLE if all_fail and any(map(is_server, failing)) else REFUSED
    return UNUSABLE if any(each.problem for each in without) else DONE
