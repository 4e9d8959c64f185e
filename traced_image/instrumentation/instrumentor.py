"""The instrumentor that ``opentelemetry-instrument`` finds: it observes the clients it knows."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from ..redact import hide_in_record
from ..telemetry import Telemetry, make_recorder
from . import cinder, glanceclient, ironic, keystoneauth1, nova, openstacksdk
from .calls import Instrumentation, run_apart
from .configuration import DeclaredOptions
from .hooks import Hooks, find_excluded
from .hosts import TOLD, Hosts
from .patching import Patches, find_version, when_imported

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType
    from typing import Literal

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from prometheus_client import CollectorRegistry

    from .hooks import RequestHook, ResponseHook
    from .patching import Foreign

LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

LIBRARIES = (cinder, glanceclient, ironic, keystoneauth1, nova, openstacksdk)
"""The adapters, one for each library."""


class GlanceInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Records the calls that stock OpenStack clients make to Glance.

    ``opentelemetry-instrument`` finds it; a program may also call it, before or after it imports
    the clients::

        GlanceInstrumentor().instrument()

    There is one instrumentor in a process.
    """

    configuration = DeclaredOptions
    """The options in a file of OpenTelemetry's declarative configuration."""

    _patches: Patches | None = None
    _hosts: Hosts | None = None
    _wire: Foreign = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the requirements of the libraries that are installed; of all if none is."""
        requirements = {each.NAME: each.REQUIREMENT for each in LIBRARIES}
        installed = [text for name, text in requirements.items() if find_version(name)]
        return installed or list(requirements.values())

    def _instrument(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | Literal[False] | None = None,
        registry: CollectorRegistry | Literal[False] | None = None,
        request_hook: RequestHook | None = None,
        response_hook: ResponseHook | None = None,
        excluded_urls: str | None = None,
        wire_spans: bool = False,
        **_: object,
    ) -> None:
        """Observe each library that is or will be imported.

        Args:
            tracer_provider: Where spans go; None for the process's global provider.
            meter_provider: Where metrics go through OpenTelemetry's Metrics API; None for the
                process's global provider, False for none.
            registry: The registry of the Prometheus metrics; None for prometheus_client's default
                registry, False for none.
            request_hook: Called with an attempt's span and a `ClientRequest`, before each HTTP
                request.
            response_hook: Called with the same and the response after each HTTP response.
            excluded_urls: Regular expressions with commas between them: calls to servers whose
                URL matches are not recorded. None for those of the environment.
            wire_spans: Whether to instrument ``requests`` as well, for a CLIENT span of each HTTP
                request; these are all requests of the process. Without it the attempt's span is
                the CLIENT span, unless the application instruments ``requests`` itself.

        Raises:
            InvalidOption: An argument can't be used.
        """
        is_excluded = find_excluded(excluded_urls)
        recorder, below = (
            make_recorder(
                Telemetry(
                    tracer_provider=tracer_provider,
                    meter_provider=meter_provider,
                    registry=registry,
                    wire_spans=has_wire_spans,
                )
            )
            for has_wire_spans in (False, True)
        )
        apart = [hook and partial(run_apart, hook) for hook in (request_hook, response_hook)]
        hooks = Hooks(apart[0], apart[1], recorder.metrics.errors)
        if wire_spans:
            self._wire = _instrument_requests(tracer_provider, meter_provider or None)
        hosts = self._hosts = Hosts(recorder.metrics)
        TOLD.add(hosts)
        instrumentation = Instrumentation(recorder, below, hooks, hosts, is_excluded)
        patches = self._patches = Patches()
        for library in LIBRARIES:
            warned = _Warning(library.NAME, patches)
            when_imported(
                {
                    name: warned.guard(hook)
                    for name, hook in library.hooks(instrumentation, patches).items()
                }
            )

    def _uninstrument(self, **_: object) -> None:
        """Put back the very objects that were there."""
        if self._patches is not None:
            self._patches.remove()
            self._patches = None
        if self._hosts is not None:
            TOLD.remove(self._hosts)
            self._hosts = None
        if self._wire is not None:
            self._wire.uninstrument()
            self._wire = None


class _Warning:
    """Guards the hooks of one library: what they raise is logged once, and reaches nobody.

    Args:
        library: The library's name.
        patches: Tells whether the hooks are still wanted: they stay registered for ever.
    """

    def __init__(self, library: str, patches: Patches) -> None:
        self._library = library
        self._patches = patches
        self._warned = False

    def guard(self, hook: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        """Return a hook that raises nothing."""

        def guarded(module: ModuleType) -> None:
            if not self._patches.active:
                return
            try:
                hook(module)
            except Exception as error:  # noqa: BLE001 a service must start, whatever its libraries
                self._warn(error)

        return guarded

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            version = find_version(self._library) or "of unknown version"
            LOG.warning("%s %s is not fully observed: %s.", self._library, version, error)


def _instrument_requests(
    tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None
) -> Foreign:
    """Instrument ``requests``; return its instrumentor, or None if the application has done it."""
    from opentelemetry.instrumentation.requests import RequestsInstrumentor

    instrumentor = RequestsInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        return None
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
    return instrumentor
