"""The command ``exporter``: probes the servers, and serves metrics, JSON and a page."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from prometheus_client import Gauge, ProcessCollector

from ..config.environment import CLOUD, CONFIG_FILE
from ..exporter.app import make_app
from ..exporter.probing.probe_route import Allowed, make_probe_route
from ..exporter.probing.reload import Reloader
from ..exporter.report import check_trace_url
from ..exporter.web.config_file import WebConfigFile
from ..exporter.web.listening import listen
from ..exporter.web.server import ExporterServer
from ..telemetry.catalogue.probe_metrics import RELOADED
from . import options
from .exit_status import DONE
from .options import ListenAddress, read_address, read_duration, set_up_log, verbose, with_choice
from .probe_observers import describe, make_observers
from .signals import Terminated, run_in_loop

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Iterator

    from prometheus_client import CollectorRegistry

    from ..config import Config
    from ..exporter.probing.result import ProbeResult
    from ..telemetry.updates import Update
    from .options import Choice


LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _ExporterOptions:
    """The options of the command line, except those that name the servers."""

    image: str | None
    interval: float
    timeout: float
    listen: ListenAddress
    web_config: str | None
    trace_url: str | None
    allow_target: tuple[str, ...]


@click.command(short_help="Serve metrics and a page of probes.")
@options.image
@click.option(
    "--interval",
    type=read_duration,
    default="15s",
    show_default=True,
    metavar="DURATION",
    help="Time between two probes of a server.",
)
@options.timeout
@click.option(
    "--listen",
    type=read_address,
    default="127.0.0.1:9293",
    show_default=True,
    metavar="HOST:PORT",
    help="The address to serve on; :PORT for all addresses.",
)
@click.option(
    "--web.config.file",
    "web_config",
    type=click.Path(path_type=str),
    metavar="FILE",
    help="TLS and users, in the format of Prometheus's exporter-toolkit.",
)
@click.option(
    "--trace-url",
    metavar="URL",
    help="The address that shows a trace; {trace_id} stands for its id.",
)
@click.option(
    "--allow-target",
    multiple=True,
    metavar="TARGET",
    help="One more target that /probe?target= accepts: a name, address, name:port or network; "
    "repeatable.",
)
@verbose
@with_choice
def exporter(choice: Choice, **asked: object) -> int:
    """Probe the servers at an interval, and serve the results as metrics, JSON and a page.

    The exporter reads its configuration again on SIGHUP and if one of its files changes. SIGTERM
    ends it with status 0. /readyz answers 200 after the first probe of each server.
    """
    # The default action of SIGHUP ends the process; ignore it until the handler is set.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    set_up_log(logging.INFO)
    wanted = _ExporterOptions(**asked)  # type: ignore[arg-type]
    check_trace_url(wanted.trace_url, "--trace-url")
    allowed = Allowed.parse(wanted.allow_target, "--allow-target")
    config = choice.config(retries=False)
    try:
        run_in_loop(_run(choice, config, wanted, allowed))
    except Terminated:
        LOG.info("ended")
    return DONE


class _CommandServer(ExporterServer):
    """An HTTP server that leaves signals to the command, since uvicorn would raise them again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _run(choice: Choice, config: Config, asked: _ExporterOptions, allowed: Allowed) -> None:
    def tell(result: ProbeResult) -> None:
        if choice.verbose:
            LOG.info(describe(result))

    on = make_observers(
        config, image=asked.image, interval=asked.interval, timeout=asked.timeout, tell=tell
    )
    ProcessCollector(registry=on.registry)
    prober, reloads = on.prober, _Reloads(on.registry)
    web = None
    if asked.web_config is not None:
        web = WebConfigFile(asked.web_config, record=reloads.record())
    reloader = Reloader(
        lambda: choice.config(retries=False), prober.replace, config, record=reloads.record()
    )
    application = make_app(
        on.registry,
        on.journal,
        trace_url=asked.trace_url,
        probed=prober.results.summarize,
        ready=lambda: prober.ready,
        routes=make_probe_route(lambda: prober.probe, allowed),
    )
    # Listening comes before probing, so that an address in use ends the command at once.
    with listen(*asked.listen) as sock:
        server = _CommandServer(application, sock, web)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.ask)
        scheme = "http" if web is None or web.in_force.context is None else "https"
        LOG.info("serving %s://%s/", scheme, _format_address(sock))
        async with prober:
            await _serve(server, reloader.watch(_list_watched_files(choice)))


async def _serve(server: _CommandServer, watch: Coroutine[object, object, None]) -> None:
    """Serve until cancelled, and run `watch` at the same time; the end of either ends both."""
    looking = asyncio.ensure_future(watch)
    serving = asyncio.ensure_future(server.serve(sockets=[server.sock]))
    try:
        await asyncio.wait({looking, serving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        looking.cancel()
        server.should_exit = True
        await asyncio.wait({looking, serving})
    serving.result()


def _list_watched_files(choice: Choice) -> list[str]:
    """List the configuration files to watch; some of them may not exist."""
    named = [choice.config_file] if choice.config_file else []
    if not named:
        named = [each for each in os.environ.get(CONFIG_FILE, "").split(os.pathsep) if each]
    if choice.cloud or os.environ.get(CLOUD):
        named += _list_cloud_files()
    return named


def _list_cloud_files() -> list[str]:
    from openstack.config.loader import CONFIG_FILES, SECURE_FILES

    variables = (("OS_CLIENT_CONFIG_FILE", CONFIG_FILES), ("OS_CLIENT_SECURE_FILE", SECURE_FILES))
    return [
        path
        for variable, usual in variables
        for path in ([os.environ[variable]] if os.environ.get(variable) else usual)
    ]


def _format_address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Reloads:
    """One gauge for all reloaded files: 1 if the latest reload of each succeeded, else 0.

    Args:
        registry: The registry of the gauge.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(RELOADED.name, RELOADED.help, registry=registry)
        self._gauge.set(1)
        self._values: list[float] = []

    def record(self) -> Update:
        """Return a function that records the latest result of one more reader of files."""
        number = len(self._values)
        self._values.append(1.0)

        def record(value: float, _exemplar: object) -> None:
            self._values[number] = value
            self._gauge.set(min(self._values))

        return record
