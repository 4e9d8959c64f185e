"""The command ``servers``: probes each server once; its exit status is a check plugin's."""

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
from .exit_status import DONE, REFUSED, UNREACHABLE
from .options import json_output, verbose, with_choice
from .output import make_line, make_table, open_output, print_json, write
from .probe_observers import describe
from .signals import run_in_loop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import Server
    from ..exporter.probing.result import Canary, ProbeResult
    from .options import Choice


_HEADINGS = ("server", "state", "why", "ms", "api", "health", "certificate")
_DAY = 86400.0
_SOON = 14
"""A certificate that expires within so many days is shown in yellow."""


@click.command(short_help="Probe each server once.")
@options.image
@options.timeout
@json_output
@verbose
@with_choice
def servers(choice: Choice, *, image: str | None, timeout: float, as_json: bool) -> int:
    """Probe each server once; the exit status is that of a check plugin.

    0 if all servers answer, 1 if some fail, 2 if all fail, 3 if the configuration is invalid.
    """
    config = choice.config(retries=False)

    async def probed() -> tuple[ProbeResult, ...]:
        kind = _AttemptPrinter if choice.verbose else Probe
        return await probe_once(kind(config, image=image, timeout=timeout))

    results = run_in_loop(probed())
    if as_json:
        print_json([_to_json(result) for result in results])
    else:
        _print(results)
    failed = sum(bool(result.reason) for result in results)
    if not failed:
        return DONE
    return UNREACHABLE if failed == len(results) else REFUSED


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


def _print(results: Iterable[ProbeResult]) -> None:
    console, now = open_output(), time.time()
    write(console, make_table(console, _HEADINGS, [_make_row(result, now) for result in results]))
    for result in results:
        if result.reason:
            click.echo(make_line(result.error))


def _make_row(result: ProbeResult, now: float) -> tuple[object, ...]:
    health = {None: "", True: "passes", False: Text("fails", "yellow")}[result.healthcheck]
    return (
        result.server.netloc,
        name_state(result.reason),
        result.reason,
        f"{result.seconds * 1000:.1f}",
        result.version or "",
        health,
        _describe_certificate(result.certificate_expiry, now),
    )


def name_state(reason: str | None) -> Text:
    """Return a server's host state after its latest probe, as the exporter reports it.

    Args:
        reason: Why the probe failed; empty if it succeeded, None if there was no probe so far.
    """
    if reason is None:
        return Text("waiting", "dim")
    return Text("cooling", "red") if reason else Text("healthy", "green")


def _describe_certificate(expiry: float | None, now: float) -> Text:
    if expiry is None:
        return Text()
    days = (expiry - now) / _DAY
    if days < 0:
        return Text("expired", "red")
    return Text(f"{days:.0f} days", "" if days > _SOON else "yellow")
