"""Starts the exporter in a service: in a thread, or as an application to mount."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from .. import _forks
from ..errors import InvalidOption, MissingExtra
from ..telemetry.multiprocess import find_folder, shows_files
from ..telemetry.shared_metrics import attach
from .answers import ExporterAnswers
from .app import make_app
from .journal import Journal
from .report import check_trace_url
from .shared_journal import SharedJournal
from .web.listening import listen
from .web.wsgi_server import ThreadedServer
from .wsgi import make_wsgi_app

if TYPE_CHECKING:
    import os
    from pathlib import Path
    from wsgiref.types import WSGIApplication

    from starlette.types import ASGIApp

    from ..telemetry.catalogue import Metric
    from ..telemetry.updates import Update
    from .web.handle import ExporterHandle


class _PerRegistry:
    """The journal and the gauges of each registry.

    There is one of each, even if a program starts several exporters. A second journal would record
    every call twice, and a registry refuses a second gauge of the same name. In prometheus_client's
    multiprocess mode, all registries have one journal, which shows all processes.
    """

    def __init__(self) -> None:
        self._journals: WeakKeyDictionary[CollectorRegistry, Journal] = WeakKeyDictionary()
        self._gauges: WeakKeyDictionary[CollectorRegistry, dict[str, Gauge]] = WeakKeyDictionary()
        self._shared: dict[Path, SharedJournal] = {}
        self._lock = threading.Lock()
        _forks.track(self)

    def journal(self, registry: CollectorRegistry) -> Journal:
        with self._lock:
            return self._journal(registry)

    def _journal(self, registry: CollectorRegistry) -> Journal:
        journal = self._journals.get(registry)
        if journal is None:
            folder = find_folder(registry)
            journal = Journal() if folder is None else self._share(folder)
            self._journals[registry] = journal
            attach(registry, journal)
            if shows_files(registry):
                # It only shows what services count elsewhere: in the default registry.
                self._journal(REGISTRY)
        return journal

    def _share(self, folder: Path) -> Journal:
        if folder not in self._shared:
            self._shared[folder] = SharedJournal(folder)
        return self._shared[folder]

    def gauge(self, registry: CollectorRegistry, metric: Metric) -> Gauge:
        with self._lock:
            gauges = self._gauges.setdefault(registry, {})
            if metric.name not in gauges:
                gauges[metric.name] = _make_gauge(registry, metric)
            return gauges[metric.name]

    def after_fork(self) -> None:
        """Replace the lock in a forked child, because no thread there can release the old one."""
        self._lock = threading.Lock()


def _make_gauge(registry: CollectorRegistry, metric: Metric) -> Gauge:
    # A registry that shows all processes' files shows this gauge's, too.
    place = None if shows_files(registry) else registry
    mode = metric.merge
    try:
        return Gauge(metric.name, metric.help, registry=place, multiprocess_mode=mode)
    except ValueError as error:
        problem = f"it has a metric {metric.name} already"
        fix = "give the exporter another registry, or your metric another name"
        raise InvalidOption("registry", problem, source="argument", fix=fix) from error


_shown = _PerRegistry()


def start(
    *,
    registry: CollectorRegistry | None = None,
    host: str = "127.0.0.1",
    port: int = 9293,
    web_config: str | os.PathLike[str] | None = None,
    trace_url: str | None = None,
) -> ExporterHandle:
    """Serve this process's metrics and the report of the last hour, until it is stopped.

    The journal records from the first start on. It records the calls of all services of this
    process that count in the registry.

    Args:
        registry: The registry that services count in; None for prometheus_client's default.
        host: The address to listen on. Use one beyond loopback only with `web_config`.
        port: The port to listen on; 0 for any free port.
        web_config: A web configuration file in the format of Prometheus's exporter-toolkit. The
            exporter reads it again after a change. Needs the extra ``exporter``; without a file,
            the exporter needs no extra.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.

    Raises:
        ExporterError: The exporter can't listen on the address.
        ConfigError: The web configuration file, `trace_url` or `registry` can't be used
            (`InvalidOption`), or `web_config` is given and the packages of the extra ``exporter``
            are not installed (`MissingExtra`).
    """
    if web_config is not None:
        return _start_protected(web_config, registry, host, port, trace_url)
    application = wsgi_app(registry=registry, trace_url=trace_url)
    return ThreadedServer(application, listen(host, port)).run_in_thread()


def _start_protected(
    web_config: str | os.PathLike[str],
    registry: CollectorRegistry | None,
    host: str,
    port: int,
    trace_url: str | None,
) -> ExporterHandle:
    _check_packages()
    from ..telemetry.catalogue.probe_metrics import RELOADED
    from .web.config_file import WebConfigFile
    from .web.server import ExporterServer

    gauge = _shown.gauge(REGISTRY if registry is None else registry, RELOADED)
    web = WebConfigFile(web_config, record=make_setter(gauge))
    application = asgi_app(registry=registry, trace_url=trace_url)
    return ExporterServer(application, listen(host, port), web).run_in_thread()


def asgi_app(*, registry: CollectorRegistry | None = None, trace_url: str | None = None) -> ASGIApp:
    """Build the exporter's ASGI application, for a service to mount in its own.

    It answers every client. The service that mounts it must restrict the access. It needs no extra.

    Args:
        registry: The registry that services count in; None for prometheus_client's default.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.

    Raises:
        ConfigError: `trace_url` or the folder of prometheus_client's multiprocess mode can't be
            used (`InvalidOption`).
    """
    check_trace_url(trace_url)
    registry = REGISTRY if registry is None else registry
    return make_app(registry, _shown.journal(registry), trace_url=trace_url)


def wsgi_app(
    *, registry: CollectorRegistry | None = None, trace_url: str | None = None
) -> WSGIApplication:
    """Build the exporter's WSGI application, for a service to mount in its own.

    It answers every client. The service that mounts it must restrict the access. It needs no extra.

    Args:
        registry: The registry that services count in; None for prometheus_client's default.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.

    Raises:
        ConfigError: `trace_url` or the folder of prometheus_client's multiprocess mode can't be
            used (`InvalidOption`).
    """
    check_trace_url(trace_url)
    registry = REGISTRY if registry is None else registry
    return make_wsgi_app(ExporterAnswers(registry, _shown.journal(registry), trace_url=trace_url))


def _check_packages() -> None:
    try:
        import_module(".web.server", __package__)
        import_module(".web.config_file", __package__)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        problem = f"web_config needs {package}, one of the packages of the extra 'exporter'"
        fix = "pip install 'traced-image[exporter]'"
        raise MissingExtra("exporter", problem, fix=fix) from error


def make_setter(gauge: Gauge) -> Update:
    """Return what sets a gauge without labels."""
    return lambda value, _exemplar: gauge.set(value)
