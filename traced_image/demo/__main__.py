"""The demonstration of faults and of what telemetry reports about them: ``make demo``.

It starts three embedded servers, calls to them, and the exporter with its page. A script breaks
one server after the other and heals it again: dead, slow, 503, TLS. At the end, the demonstration
compares these faults with what spans, metrics and the log reported. The exit status is 0 if the
reports were right, 1 if not, 130 after Ctrl-C.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import webbrowser
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    import click
    from rich.console import Console
    from rich.markup import escape
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    sys.exit(f"Error: {missing.name} is not installed; install traced-image[cli,lab]")

from ..errors import TracedImageError
from .traffic import start_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..pipeline.service import GlanceImageService
    from .evidence import Evidence, Log, SpanLog
    from .scenario import Scenario
    from .screen import Screen


SECONDS = 40
"""The default duration."""

_MOST_SECONDS = 3600

_DISAGREED = 1
_INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended, as in shells: 128 + SIGINT."""

_READ_ELSEWHERE = ("OTEL_", "PROMETHEUS_")
"""Prefixes of the variables that OpenTelemetry and prometheus_client read."""


@dataclass(frozen=True, slots=True)
class _DemoOptions:
    """The options of the command line."""

    urls: Sequence[str]
    seconds: int | None
    json: bool
    open: bool


@click.command(help=__doc__)
@click.option(
    "--seconds",
    type=click.IntRange(1, _MOST_SECONDS),
    metavar="N",
    help=f"The approximate duration; default: {SECONDS}, or with --server the time of 60 calls.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--server",
    "urls",
    multiple=True,
    metavar="URL",
    help="The URL of a Glance server of yours, which the script does not break; repeatable.",
)
@click.pass_context
def main(
    ctx: click.Context, *, seconds: int | None, as_json: bool, opened: bool, urls: Sequence[str]
) -> None:
    """Run the demonstration."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The marks ✓ and ✗ are missing in some encodings.
        sys.stdout.reconfigure(errors="replace")
    status = _INTERRUPTED
    try:
        with ExitStack() as stack:
            stack.enter_context(_hide_variables())
            status = _perform(_DemoOptions(urls, seconds, as_json, opened), stack)
    except TracedImageError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        pass
    ctx.exit(status)


@contextmanager
def _hide_variables() -> Iterator[None]:
    """Hide the environment variables of OpenTelemetry and prometheus_client.

    They must not change the demonstration's own providers and registry.
    """
    before = dict(os.environ)
    for name in before:
        if name.upper().startswith(_READ_ELSEWHERE):
            del os.environ[name]
    os.environ["OTEL_SERVICE_NAME"] = "demo"  # the name of the caller on the page
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True, slots=True)
class _Scene:
    """The parts of a running demonstration."""

    play: Scenario
    service: GlanceImageService
    spans: SpanLog
    witnesses: Evidence
    screen: Screen
    page: str


def _perform(wish: _DemoOptions, stack: ExitStack) -> int:
    """Run the scenario, report on it however it ends, and return the exit status."""
    console = Console(highlight=False, stderr=wish.json)
    scene = _set(wish, console, stack)
    interrupted = False
    if wish.open:
        _open(scene.page, scene.screen)
    try:
        with scene.screen:
            scene.play.perform(scene.service, scene.screen, scene.witnesses)
    except BaseException as error:
        interrupted = not isinstance(error, Exception)
        if interrupted:
            # Calls in daemon threads go on until the process ends; their log must not mix with the
            # report.
            logging.disable()
        if not isinstance(error, KeyboardInterrupt):
            raise
    finally:
        scene.spans.shutdown()
        agreed = _report(wish, scene, console, interrupted=interrupted)
    if interrupted:
        return _INTERRUPTED
    return 0 if agreed else _DISAGREED


def _set(wish: _DemoOptions, console: Console, stack: ExitStack) -> _Scene:
    # Imported here, because OpenTelemetry and prometheus_client read variables at import.
    from opentelemetry.sdk.trace import TracerProvider
    from prometheus_client import CollectorRegistry

    from ..exporter import start
    from ..telemetry import Telemetry
    from .evidence import Evidence, Log, SpanLog
    from .screen import Screen

    registry, spans = CollectorRegistry(), SpanLog()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(spans)
    page = stack.enter_context(start(registry=registry, port=0))
    play = _play(wish, stack)
    service = play.connect(
        Telemetry(tracer_provider=provider, registry=registry, meter_provider=False)
    )
    stack.callback(service.close)
    _introduce(play, service, page.url, console)
    live = console.is_interactive and not wish.json and sys.stdout.isatty()
    screen = Screen(console, play, service, spans, page.url, live=live)
    log = stack.enter_context(_listen(Log(screen.log)))
    return _Scene(play, service, spans, Evidence(spans, log, page), screen, page.url)


def _play(wish: _DemoOptions, stack: ExitStack) -> Scenario:
    from .scenario import FaultScript, OwnServers

    if not wish.urls:
        return FaultScript(stack, wish.seconds or SECONDS)
    # The page must stay for a while if a browser opens it.
    return OwnServers(wish.urls, wish.seconds or (SECONDS if wish.open else None))


def _introduce(play: Scenario, service: GlanceImageService, url: str, console: Console) -> None:
    names = sorted(health.server.netloc for health in service.servers())
    console.print(f"{'Servers' if len(names) > 1 else 'Server'}: {escape(', '.join(names))}")
    if play.seconds is not None:
        console.print(f"The page, for about {play.seconds} s: {url}")


def _open(url: str, screen: Screen) -> None:
    """Open the page in a browser, from a thread: some browsers return only when they are closed."""

    def work() -> None:
        if not webbrowser.open(url):
            screen.tell("found no browser: open the page yourself")

    start_daemon(work)


@contextmanager
def _listen(log: Log) -> Iterator[Log]:
    """Add a handler to the package's logger for a while."""
    logger = logging.getLogger("traced_image")
    logger.addHandler(log)
    try:
        yield log
    finally:
        logger.removeHandler(log)


def _report(wish: _DemoOptions, scene: _Scene, console: Console, *, interrupted: bool) -> bool:
    """Print the report, and return whether telemetry was right."""
    from .report import DemoReport, make_document, print_report

    servers = sorted(scene.service.servers(), key=lambda health: health.server.netloc)
    report = DemoReport(scene.play, scene.spans, servers, scene.page, interrupted=interrupted)
    if wish.json:
        click.echo(json.dumps(make_document(report), indent=2))
    else:
        print_report(report, console)
    return not report.complaints


if __name__ == "__main__":
    main()
