"""The command ``diagnose``: what fails, since when, why, who is hit, and what it costs."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from ..config.checks import format_value
from ..diagnosis import answer, exporter, findings, prometheus, trace
from ..diagnosis.prometheus_api import PrometheusAPI
from ..diagnosis.requests_of_sources import SourceReader
from .exit_status import DONE, REFUSED, UNREACHABLE
from .options import json_output, read_duration
from .output import make_printable, print_json
from .source_options import open_readers, with_credentials

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from ..diagnosis.findings import DiagnosisFinding
    from ..diagnosis.observations import Observations
    from ..diagnosis.requests_of_sources import SourceAccess
    from .source_options import SourceCredentials

_HOUR = 3600.0


def read_time(text: str) -> float:
    """Return the seconds since the epoch of a time: ISO 8601, in UTC unless it names a zone.

    Raises:
        BadParameter: The text is not a time.
    """
    try:
        # Python before 3.11 knows no Z.
        told = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        fix = "write it like 2026-11-29T15:56 or 2026-11-29T15:56:27+01:00"
        raise click.BadParameter(f"{format_value(text)} is not a time: {fix}") from None
    return (told if told.tzinfo else told.replace(tzinfo=timezone.utc)).timestamp()


@click.command(short_help="Say which server fails, why, since when, and what it costs.")
@click.option("--prometheus", "url", metavar="URL", help="A Prometheus that scrapes the callers.")
@click.option(
    "--exporter",
    "exporters",
    multiple=True,
    metavar="URL",
    help="An exporter of a process that calls Glance; repeatable.",
)
@click.option(
    "--trace",
    "traces",
    type=click.File(encoding="utf-8", errors="replace"),
    metavar="FILE",
    help="A trace in JSON: OTLP's, Jaeger's, or that of the SDK's console; - for standard input.",
)
@click.option(
    "--since",
    type=read_duration,
    metavar="DURATION",
    help="With --prometheus: how far to look back, 1h by default.",
)
@click.option(
    "--at",
    type=read_time,
    metavar="TIME",
    help="With --prometheus: the time to look back from, in ISO 8601, UTC by default.",
)
@click.option("--job", "jobs", multiple=True, metavar="NAME", help="Only this job; repeatable.")
@with_credentials
@click.option(
    "--cafile", metavar="FILE", help="Certificate authorities to trust for https, in PEM."
)
@json_output
def diagnose(
    *,
    url: str | None,
    exporters: tuple[str, ...],
    traces: TextIO | None,
    since: float | None,
    at: float | None,
    jobs: tuple[str, ...],
    credentials: SourceCredentials,
    cafile: str | None,
    as_json: bool,
) -> int:
    """Say which server fails, why, since when, who is hit, and what it costs; worst first.

    It asks one source: a Prometheus, exporters, or a trace. It also says what this source can't
    know. The exit status is that of a check plugin: 0 if nothing fails now, 1 if something fails or
    is slow and no call fails by it, 2 if calls fail, 3 if the source can't be read.
    """
    if sum((url is not None, bool(exporters), traces is not None)) != 1:
        raise click.UsageError("name one source: --prometheus, --exporter or --trace")
    if url is None and (since, at) != (None, None):
        raise click.UsageError("--since and --at need --prometheus: the others tell what they have")
    access = credentials.read(cafile)
    if traces is not None:
        seen = trace.observe(traces.read(), traces.name, jobs=jobs)
    elif url is not None:
        end = time.time() if at is None else at
        seen = _ask_prometheus(url, access, end, since or _HOUR, jobs)
    else:
        seen = _ask_exporters(exporters, access, jobs)
    found = findings.find(seen)
    _print(found, seen, as_json=as_json)
    return find_status(found, seen)


def _ask_prometheus(
    url: str, access: SourceAccess, end: float, window: float, jobs: Sequence[str]
) -> Observations:
    with SourceReader(url, access, "Prometheus") as reader:
        return prometheus.observe(PrometheusAPI(reader), end=end, window=window, jobs=jobs)


def _ask_exporters(urls: Sequence[str], access: SourceAccess, jobs: Sequence[str]) -> Observations:
    with open_readers(urls, access) as readers:
        return exporter.observe(readers, jobs=jobs)


def _print(found: Sequence[DiagnosisFinding], seen: Observations, *, as_json: bool) -> None:
    if as_json:
        print_json(answer.make_json(found, seen))
        return
    for line in answer.make_lines(found, seen):
        click.echo(make_printable(line))


def find_status(found: Sequence[DiagnosisFinding], seen: Observations) -> int:
    """Return the exit status of what was found; what has ended does not count.

    A call of a trace may fail although no attempt on a server did.
    """
    ongoing = [each for each in found if each.is_ongoing]
    lost = not found and any(each.has_failed for each in seen.calls)
    if lost or any(each.calls_failed for each in ongoing):
        return UNREACHABLE
    return REFUSED if ongoing else DONE
