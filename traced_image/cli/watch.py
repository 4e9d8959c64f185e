"""The command ``watch``: probes the servers, or asks exporters, and keeps a table up to date."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import click

from ..exporter.probing import schedule
from . import options
from .options import read_duration, verbose, with_choice
from .output import open_output
from .probe_observers import describe_with_time, make_observers
from .signals import run_in_loop
from .source_options import check_exporters, instead_of_probes, open_readers, with_credentials
from .watch_exporters import watch_exporters
from .watch_probes import ProbeTable
from .watch_terminal import LinePrinter, run_live

if TYPE_CHECKING:
    from ..config import Config
    from ..exporter.probing.result import ProbeResult
    from .options import Choice
    from .source_options import SourceCredentials


@click.command(short_help="Show the servers by probes, or as callers see them.")
@click.option(
    "--interval",
    type=read_duration,
    default="5s",
    show_default=True,
    metavar="DURATION",
    help="Time between two probes of a server, or two readings of an exporter.",
)
@options.image
@options.timeout
@instead_of_probes
@with_credentials
@verbose
@with_choice
def watch(
    choice: Choice,
    *,
    interval: float,
    image: str | None,
    timeout: float,
    exporters: tuple[str, ...],
    credentials: SourceCredentials,
) -> None:
    """Probe the servers at an interval, and show their states; q or Ctrl-C ends it.

    With --exporter, show what the calls of processes see: since when a server fails, why, for which
    operations and processes, and what the retries cost. --timeout is then that of an exporter's
    answer.

    Those that fail come first. If not all fit on the terminal, arrows and page keys scroll.
    If the output is not a terminal, each probe prints a line; with --exporter, each change does.
    """
    check_exporters(exporters, credentials, choice, image)
    if not exporters:
        config = choice.config(retries=False)
        logging.getLogger(schedule.__name__).setLevel(logging.ERROR)  # the table says the same
        run_in_loop(_watch(config, choice, interval, image, timeout))
        return
    with open_readers(exporters, credentials.read(choice.cafile), timeout) as readers:
        run_in_loop(watch_exporters(readers, interval, timeout, verbose=choice.verbose))


async def _watch(
    config: Config, choice: Choice, interval: float, image: str | None, timeout: float
) -> None:
    console, ended = open_output(), asyncio.Event()
    printer = LinePrinter(console, ended)
    lines = choice.verbose or not console.is_interactive

    def tell(result: ProbeResult) -> None:
        if lines:
            printer.print(describe_with_time(result))

    on = make_observers(config, image=image, interval=interval, timeout=timeout, tell=tell)
    async with on.prober:
        await run_live(console, ProbeTable(on), ended)
    printer.check()
