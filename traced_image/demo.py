"""Real calls through the pipeline, and what telemetry tells of them: ``make demo``.

Without servers of one's own, three embedded ones are started, of which one stops answering in the
middle and one is slow.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from rich.console import Console

from . import lab
from ._connect import connect
from .errors import TracedImageError
from .telemetry import Telemetry, catalogue
from .terminal import ServerTally, milliseconds, servers_table, tally, trace_id, trace_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from .pipeline.service import GlanceImageService

CALLS = 60
"""Calls in all; after half of them, one of the embedded servers dies."""

_THREADS = 4
_SECONDS_A_BYTE = 0.0002


@click.command(help=__doc__)
@click.option("--server", "urls", multiple=True, metavar="URL", help="A Glance; once for each.")
def main(urls: Sequence[str]) -> None:
    """Run the demonstration."""
    console = Console(highlight=False)
    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
    exporter = InMemorySpanExporter()
    try:
        with ExitStack() as stack:
            stage = _Own(urls) if urls else _embedded(console, stack)
            service = connect(servers=stage.urls, telemetry=_telemetry(exporter))
            stack.callback(service.close)
            errors = stage.play(service)
            _report(console, service, exporter.get_finished_spans(), errors)
    except TracedImageError as error:
        raise click.ClickException(str(error)) from error


def _telemetry(exporter: InMemorySpanExporter) -> Telemetry:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Telemetry(tracer_provider=provider, registry=CollectorRegistry())


class _Own:
    """Servers that are there already: nothing is broken, and their first image is asked for."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = list(urls)

    def play(self, service: GlanceImageService) -> list[TracedImageError]:
        """Make the calls; return the errors that reached the caller."""
        images = service.detail(None, limit=1)
        if not images:
            raise click.ClickException("these servers have no image: upload one first")
        return _calls(service, str(images[0]["id"]), CALLS)


class _Embedded:
    """Three embedded servers, of which one is slow and one dies half-way."""

    def __init__(self, servers: Sequence[lab.GlanceServer], image_id: str) -> None:
        self.urls = [server.url for server in servers]
        self._servers = servers
        self._image_id = image_id

    def play(self, service: GlanceImageService) -> list[TracedImageError]:
        """Make the calls; return the errors that reached the caller."""
        _, slow, dying = self._servers
        slow.break_with(lab.faults.slow_headers(_SECONDS_A_BYTE))
        errors = _calls(service, self._image_id, CALLS // 2)
        dying.break_with(lab.faults.refuse())
        return errors + _calls(service, self._image_id, CALLS // 2)


def _embedded(console: Console, stack: ExitStack) -> _Embedded:
    servers = stack.enter_context(lab.cluster(3))
    image_id = servers[0].images.add(name="cirros", data=b"...", visibility="public")
    well, slow, dying = (server.url for server in servers)
    console.print("Three Glance servers:")
    console.print(f"  {well} is well,")
    console.print(f"  {slow} is slow,")
    console.print(f"  {dying} dies after {CALLS // 2} of {CALLS} calls.")
    console.print("\n[bold]The log[/]")
    return _Embedded(servers, image_id)


def _calls(service: GlanceImageService, image_id: str, count: int) -> list[TracedImageError]:
    def show(_number: int) -> TracedImageError | None:
        try:
            service.show(None, image_id)
        except TracedImageError as error:
            return error
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        return [error for error in pool.map(show, range(count)) if error is not None]


def _report(
    console: Console,
    service: GlanceImageService,
    spans: Sequence[ReadableSpan],
    errors: Sequence[TracedImageError],
) -> None:
    """Print one trace, the servers, and what is to be learnt of them."""
    calls = [span for span in spans if catalogue.OUTCOME in (span.attributes or {})]
    outcomes = Counter(str((span.attributes or {})[catalogue.OUTCOME]) for span in calls)
    title, call = _telling(calls)
    console.print(f"\n[bold]{title}[/]")
    console.print(trace_tree(_trace_of(call, spans)))
    console.print()
    tallies = tally(spans)
    console.print(servers_table(service.servers(), tallies))
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    console.print(f"{len(calls)} calls: {told}")
    for line in _verdict(tallies, len(errors)):
        console.print(line)


def _telling(calls: Sequence[ReadableSpan]) -> tuple[str, ReadableSpan]:
    """The call whose trace tells most: one that recovered, or else the slowest."""
    for span in calls:
        if (span.attributes or {})[catalogue.OUTCOME] == "success_after_retry":
            return "A call that recovered", span
    return "The slowest call", max(calls, key=milliseconds)


def _trace_of(call: ReadableSpan, spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    return [span for span in spans if trace_id(span) == trace_id(call)]


def _verdict(tallies: Mapping[str, ServerTally], failed_calls: int) -> list[str]:
    """Which servers fail and why, and whether their failures reached the callers."""
    failing = {server: known for server, known in tallies.items() if known.reasons}
    lines = [
        f"[red]{server} fails[/]: {', '.join(known.reasons)}" for server, known in failing.items()
    ]
    if failed_calls:
        lines.append(f"[red]{failed_calls} calls failed for their callers.[/]")
    elif failing:
        lines.append("[green]Retries hid it: no caller saw a failure.[/]")
    else:
        lines.append("[green]No server fails.[/]")
    return lines


if __name__ == "__main__":
    main()
