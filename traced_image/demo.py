"""Real calls through the pipeline, and what telemetry tells of them: ``make demo``.

Without servers of one's own, three embedded ones are started, of which one stops answering in the
middle and one is slow.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections import Counter
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

import click
from rich.console import Console
from rich.markup import escape

from . import lab
from ._connect import connect
from .config import Config, Server
from .errors import TracedImageError
from .telemetry import Telemetry, catalogue
from .terminal import ServerTally, milliseconds, servers_table, tally, trace_id, trace_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from .pipeline.cycle import ServerHealth
    from .pipeline.service import GlanceImageService

CALLS = 60
"""Calls in all; after half of them, one of the embedded servers dies."""

_THREADS = 4
_SECONDS_A_BYTE = 0.0002
_INTERRUPTED = 130
"""The status of a program that Ctrl-C ended, by the shells' convention."""

_T = TypeVar("_T")


@click.command(help=__doc__)
@click.option("--server", "urls", multiple=True, metavar="URL", help="A Glance; once for each.")
def main(urls: Sequence[str]) -> None:
    """Run the demonstration."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Not all that is told can be written in every encoding.
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
    try:
        with ExitStack() as stack:
            stack.enter_context(_undisturbed())
            stage = _Own(urls) if urls else _embedded(console, stack)
            _perform(console, stage, stack)
    except TracedImageError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let OpenTelemetry's variables change nothing: the demonstration has providers of its own."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("OTEL_"):
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _perform(console: Console, stage: _Own | _Embedded, stack: ExitStack) -> None:
    """Make the calls, and report on them however they end."""
    telemetry, exporter = _telemetry()
    service = stage.connect(telemetry)
    stack.callback(service.close)
    try:
        stage.play(service)
    except KeyboardInterrupt:
        # Calls may go on until the process ends; they must not write while it does.
        logging.disable()
        raise
    finally:
        _report(console, service.servers(), exporter.get_finished_spans())


def _telemetry() -> tuple[Telemetry, InMemorySpanExporter]:
    """Telemetry of which every span is kept, whole."""
    # Imported here, since OpenTelemetry reads some of its variables when it is imported.
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # Metrics would go where the environment says, and nobody reads them here.
    return Telemetry(tracer_provider=provider, registry=False, meter_provider=False), exporter


class _Own:
    """Servers that are there already: nothing is broken, and their first image is asked for."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls

    def connect(self, telemetry: Telemetry) -> GlanceImageService:
        """Build a service as a user would, with what the environment says of credentials."""
        return connect(servers=list(self._urls), telemetry=telemetry)

    def play(self, service: GlanceImageService) -> None:
        """Make the calls."""
        images = _started(lambda: service.detail(None, limit=1)).result()
        if not images:
            raise click.ClickException("these servers have no image: upload one first")
        _show(service, str(images[0]["id"]), CALLS)


class _Embedded:
    """Three embedded servers, of which one is slow and one dies half-way."""

    def __init__(self, servers: Sequence[lab.GlanceServer], image_id: str) -> None:
        self._servers = servers
        self._image_id = image_id

    def connect(self, telemetry: Telemetry) -> GlanceImageService:
        """Build a service for which the environment has no servers, retries or proxies."""
        os.environ["no_proxy"] = self._servers[0].host  # `_undisturbed` takes it back
        config = Config(servers=tuple(Server.parse(server.url) for server in self._servers))
        return connect(config=config, telemetry=telemetry)

    def play(self, service: GlanceImageService) -> None:
        """Make the calls."""
        _, slow, dying = self._servers
        slow.break_with(lab.faults.slow_headers(_SECONDS_A_BYTE))
        _show(service, self._image_id, CALLS // 2)
        dying.break_with(lab.faults.refuse())
        _show(service, self._image_id, CALLS // 2)


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


def _show(service: GlanceImageService, image_id: str, count: int) -> None:
    """Ask for an image `count` times, from several threads."""
    numbers = iter(range(count))

    def work() -> None:
        for _ in numbers:
            with suppress(TracedImageError):  # the call's span tells of it
                service.show(None, image_id)

    for each in [_started(work) for _ in range(_THREADS)]:
        each.result()


def _started(work: Callable[[], _T]) -> Future[_T]:
    """Start work in a thread that the end of the program does not wait for.

    An executor's threads are waited for, so that Ctrl-C would take as long as a server hangs.
    """
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 whoever waits for it raises it
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def _report(
    console: Console, servers: Sequence[ServerHealth], spans: Sequence[ReadableSpan]
) -> None:
    """Print one trace, the servers, and what is to be learnt of them."""
    calls = [span for span in spans if catalogue.OUTCOME in (span.attributes or {})]
    if calls:
        title, call = _telling(calls)
        console.print(f"\n[bold]{title}[/]")
        console.print(trace_tree(_trace_of(call, spans), ascii_only=console.options.ascii_only))
    tallies = tally(spans)
    console.print()
    console.print(servers_table(servers, tallies, console))
    outcomes = Counter(str((span.attributes or {})[catalogue.OUTCOME]) for span in calls)
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    console.print(f"{_counted(len(calls), 'call')}{': ' if told else ''}{told}")
    failed = sum(catalogue.ERROR_TYPE in (span.attributes or {}) for span in calls)
    for line in _verdict(servers, tallies, failed):
        console.print(line)


def _telling(calls: Sequence[ReadableSpan]) -> tuple[str, ReadableSpan]:
    """The call whose trace tells most: one that recovered, or else the slowest."""
    for span in calls:
        if (span.attributes or {})[catalogue.OUTCOME] == "success_after_retry":
            return "A call that recovered", span
    return "The slowest call", max(calls, key=milliseconds)


def _trace_of(call: ReadableSpan, spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    return [span for span in spans if trace_id(span) == trace_id(call)]


def _verdict(
    servers: Sequence[ServerHealth], tallies: Mapping[str, ServerTally], failed_calls: int
) -> list[str]:
    """Which servers fail and why, and whether their failures reached the callers."""
    failing = [line for health in servers for line in _failing(health, tallies)]
    waiting = [line for health in servers for line in _waiting(health)]
    lines = failing + waiting
    if failed_calls:
        whose = "its caller" if failed_calls == 1 else "their callers"
        lines.append(f"[red]{_counted(failed_calls, 'call')} failed for {whose}.[/]")
    elif failing and not waiting:
        lines.append("[green]Retries hid it: no caller saw a failure.[/]")
    elif not waiting:
        lines.append("[green]No server fails.[/]")
    return lines


def _failing(health: ServerHealth, tallies: Mapping[str, ServerTally]) -> Iterator[str]:
    """How often a server failed, and why; or else that it cools down since an earlier failure."""
    name = escape(health.server.netloc)
    known = tallies.get(health.server.netloc, ServerTally())
    if known.reasons:
        tries = _counted(len(known.durations), "attempt")
        reasons = known.reasons.most_common()
        why = ", ".join(f"{reason} ({count} of {tries})" for reason, count in reasons)
        yield f"[red]{name} fails[/]: {why}"
    elif health.state != "healthy":
        yield f"[red]{name} fails[/]: {health.last_reason}"


def _waiting(health: ServerHealth) -> Iterator[str]:
    """What a server that hangs owes, where Ctrl-C was sooner."""
    if health.active_attempts:
        owed = _counted(health.active_attempts, "attempt")
        yield f"[yellow]{escape(health.server.netloc)} has not answered[/]: {owed} under way"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


if __name__ == "__main__":
    main()
