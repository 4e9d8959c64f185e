"""Starts the exporter in a service: in a thread, or as an ASGI application to mount."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from .. import _forks
from ..errors import MissingExtra
from ..telemetry.shared_metrics import attach
from .journal import Journal

if TYPE_CHECKING:
    import os

    from starlette.types import ASGIApp

    from ..telemetry.catalogue import Metric
    from ..telemetry.updates import Update
    from .web.server import ExporterHandle


class _PerRegistry:
    """The journal and the gauges of each registry.

    There is one of each, even if a program starts several exporters. A second journal would record
    every call twice, and a registry refuses a second gauge of the same name.
    """

    def __init__(self) -> None:
        self._journals: WeakKeyDictionary[CollectorRegistry, Journal] = WeakKeyDictionary()
        self._gauges: WeakKeyDictionary[CollectorRegistry, dict[str, Gauge]] = WeakKeyDictionary()
        self._lock = threading.Lock()
        _forks.track(self)

    def journal(self, registry: CollectorRegistry) -> Journal:
        with self._lock:
            journal = self._journals.get(registry)
            if journal is None:
                journal = self._journals[registry] = Journal()
                attach(registry, journal)
            return journal

    def gauge(self, registry: CollectorRegistry, metric: Metric) -> Gauge:
        with self._lock:
            gauges = self._gauges.setdefault(registry, {})
            if metric.name not in gauges:
                gauges[metric.name] = Gauge(
                    metric.name, metric.help, registry=registry, multiprocess_mode=metric.merge
                )
            return gauges[metric.name]

    def after_fork(self) -> None:
        """Replace the lock in a forked child, because no thread there can release the old one."""
        self._lock = threading.Lock()


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
            exporter reads it again after a change.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.

    Raises:
        ExporterError: The exporter can't listen on the address.
        ConfigError: The web configuration file or `trace_url` can't be used (`InvalidOption`), or
            the packages of the extra ``exporter`` are not installed (`MissingExtra`).
    """
    _check_packages()
    from ..telemetry.catalogue.probe_metrics import RELOADED
    from .web.config_file import WebConfigFile
    from .web.server import ExporterServer, listen

    registry = REGISTRY if registry is None else registry
    web = None
    if web_config is not None:
        web = WebConfigFile(web_config, record=make_setter(_shown.gauge(registry, RELOADED)))
    application = asgi_app(registry=registry, trace_url=trace_url)
    return ExporterServer(application, listen(host, port), web).run_in_thread()


def asgi_app(*, registry: CollectorRegistry | None = None, trace_url: str | None = None) -> ASGIApp:
    """Build the exporter's ASGI application, for a service to mount in its own.

    It answers every client. The service that mounts it must restrict the access.

    Args:
        registry: The registry that services count in; None for prometheus_client's default.
        trace_url: The URL of a trace in a tracing UI, with ``{trace_id}`` as a placeholder.

    Raises:
        ConfigError: `trace_url` can't be used (`InvalidOption`), or the packages of the extra
            ``exporter`` are not installed (`MissingExtra`).
    """
    _check_packages()
    from .app import make_app
    from .report import check_trace_url

    registry = REGISTRY if registry is None else registry
    check_trace_url(trace_url)
    return make_app(registry, _shown.journal(registry), trace_url=trace_url)


def _check_packages() -> None:
    try:
        import_module(".web.server", __package__)
        import_module(".web.config_file", __package__)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        problem = f"it needs {package}, one of the packages of the extra 'exporter'"
        fix = "pip install 'traced-image[exporter]'"
        raise MissingExtra("exporter", problem, fix=fix) from error


def make_setter(gauge: Gauge) -> Update:
    """Return what sets a gauge without labels."""
    return lambda value, _exemplar: gauge.set(value)
