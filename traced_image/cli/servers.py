"""The command ``servers``: probes each server once, or asks exporters, as a check plugin."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click
from rich.text import Text

from ..exporter.probing.probe import Probe
from ..exporter.probing.schedule import probe_once
from . import options
from .exit_status import DONE, REFUSED, UNREACHABLE, UNUSABLE
from .options import json_output, verbose, with_choice
from .output import make_line, make_table, open_output, print_json, write
from .probe_observers import describe
from .servers_of_exporters import show_exporters
from .signals import run_in_loop
from .source_options import check_exporters, instead_of_probes, open_readers, with_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config import Server
    from ..exporter.probing.result import Canary, ProbeResult
    from .options import Choice
    from .source_options import SourceCredentials


_HEADINGS = ("server", "state", "why", "ms", "api", "health", "certificate")
_DAY = 86400.0
_SOON = 14
"""A certificate that expires within so many days is shown in yellow."""


@click.command(short_help="Probe each server once, or show them as callers see them.")
@options.image
@options.timeout
@instead_of_probes
@with_credentials
@json_output
@verbose
@with_choice
def servers(
    choice: Choice,
    *,
    image: str | None,
    timeout: float,
    exporters: tuple[str, ...],
    credentials: SourceCredentials,
    as_json: bool,
) -> int:
    """Probe each server once; the exit status is that of a check plugin.

    0 if all servers answer, 1 if some fail, 2 if all fail, 3 if the configuration is invalid, or if
    no server fails but one refuses the image, the credentials or the prefix, or Keystone gives no
    token to request the image with.

    With --exporter, show what the calls of processes see: since when a server fails, why, for which
    operations and processes, and what the retries cost. --timeout is then that of an exporter's
    answer. A server fails if it does for a process, and the status is 3 if none fails but an
    exporter can't be read.
    """
    check_exporters(exporters, credentials, choice, image)
    if exporters:
        with open_readers(exporters, credentials.read(choice.cafile), timeout) as readers:
            return show_exporters(readers, timeout, as_json=as_json)
    config = choice.config(retries=False)

    async def probed() -> tuple[ProbeResult, ...]:
        kind = _AttemptPrinter if choice.verbose else Probe
        return await probe_once(kind(config, image=image, timeout=timeout))

    results = run_in_loop(probed())
    if as_json:
        print_json([_to_json(result) for result in results])
    else:
        _print(results)
    return _find_status(results, image)


def _find_status(results: Sequence[ProbeResult], image: str | None) -> int:
    failed = sum(result.failed for result in results)
    if failed:
        return UNREACHABLE if failed == len(results) else REFUSED
    unchecked = image is not None and not all(result.canary for result in results)
    return UNUSABLE if unchecked or any(result.misconfigured for result in results) else DONE


class _AttemptPrinter(Probe):
    """A probe that prints its result as soon as it ends."""

    async def __call__(
        self, server: Server, canary: Canary | None = None, *, within: float | None = None
    ) -> ProbeResult:
        result = await super().__call__(server, canary, within=within)
        click.echo(make_line(describe(result)), err=True)
        return result


def _to_json(result: ProbeResult) -> dict[str, object]:
    values: dict[str, object] = {"url": result.server.url, "ok": not result.reason}
    told = {**asdict(result), "server": result.server.netloc, "seconds": result.seconds}
    for name in ("when", "certificate_expiry"):
        if told[name] is not None:
            told[name] = datetime.fromtimestamp(told[name], timezone.utc)
    return {**values, **told}


def _print(results: Sequence[ProbeResult]) -> None:
    console, now = open_output(), time.time()
    rows = [_make_row(result, now) for result in results]
    write(console, make_table(console, _HEADINGS, rows, flexible=("server", "why")))
    for result in results:
        if result.reason:
            click.echo(make_line(result.error))


def _make_row(result: ProbeResult, now: float) -> tuple[object, ...]:
    health = {None: "", True: "passes", False: Text("fails", "yellow")}[result.healthcheck]
    return (
        result.server.netloc,
        name_state(result),
        name_why(result),
        f"{result.seconds * 1000:.1f}",
        result.version or "",
        health,
        _describe_certificate(result.certificate_expiry, now),
    )


def name_state(result: ProbeResult | None) -> Text:
    """Return a server's host state after its latest probe, as the exporter reports it.

    Args:
        result: The latest probe's result; None if there was no probe so far.
    """
    if result is None:
        return Text("waiting", "dim")
    return Text("cooling", "red") if result.failed else Text("healthy", "green")


def name_why(result: ProbeResult) -> Text:
    """Return why a probe failed, or which of its settings is wrong; empty if it succeeded."""
    if result.misconfigured is not None:
        return Text(f"wrong {result.misconfigured}", "yellow")
    return Text(result.reason)


def _describe_certificate(expiry: float | None, now: float) -> Text:
    if expiry is None:
        return Text()
    days = (expiry - now) / _DAY
    if days < 0:
        return Text("expired", "red")
    return Text(f"{days:.0f} days", "" if days > _SOON else "yellow")
