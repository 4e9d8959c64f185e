"""OpenTelemetry's SDK set up for a program from ``OTEL_*`` variables (extra ``otlp``)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from opentelemetry import metrics, trace
from opentelemetry.sdk import environment_variables
from opentelemetry.sdk.version import __version__

from ..config.checks import format_value
from ..errors import ConfigError, InvalidOption, MissingExtra
from ..redact import hide_in_text

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider


@dataclass(frozen=True, slots=True)
class Providers:
    """The process's global providers, as `set_up` installs them.

    Attributes:
        tracer: Where spans go.
        meter: Where metrics go.
    """

    tracer: TracerProvider
    meter: MeterProvider

    def shutdown(self) -> None:
        """Export what is left, and stop; the SDK also does this when the program ends."""
        for provider in (self.tracer, self.meter):
            # A file named by OTEL_CONFIG_FILE may configure only one of the two.
            if hasattr(provider, "shutdown"):
                provider.shutdown()


def set_up() -> Providers:
    """Set up the SDK, as `traced_image.telemetry.setup` documents."""
    try:
        return _configure()
    except ConfigError:
        raise
    except Exception as error:  # the SDK's errors are of many types
        detail = hide_in_text(str(error)) or type(error).__name__
        problem = f"OpenTelemetry's SDK can't be set up: {detail}".rstrip(".")
        fix = "correct the variable, or install the package that it names"
        raise InvalidOption(
            _find_variables(str(error)), problem, source="environment", fix=fix
        ) from error


def _find_variables(message: str) -> str:
    """Return the names of the ``OTEL_*`` variables whose values an error shows, or else of all."""
    given = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
    shown = [
        name
        for name, value in given.items()
        if any(part and part in message for part in map(str.strip, value.split(",")))
    ]
    return ", ".join(sorted(shown or given)) or "OTEL_*"


def _configure() -> Providers:
    _check_file()
    try:
        # The SDK has this class for distributions of OpenTelemetry, which build on it.
        from opentelemetry.sdk._configuration import _OTelSDKConfigurator as Configurator

        names = {
            "trace_exporter_names": _find_exporters("TRACES"),
            "metric_exporter_names": _find_exporters("METRICS"),
        }
    except ImportError as error:
        problem, fix = f"{error.name} is not installed", "pip install 'traced-image[otlp]'"
        raise MissingExtra("telemetry.setup", problem, fix=fix) from error
    import_module("opentelemetry.propagate")  # reads OTEL_PROPAGATORS; older SDKs do not import it
    implied = {key: value for key, value in names.items() if value}
    Configurator().configure(**implied)  # type: ignore[no-untyped-call]
    return Providers(
        cast("TracerProvider", trace.get_tracer_provider()),
        cast("MeterProvider", metrics.get_meter_provider()),
    )


def _check_file() -> None:
    """Refuse a configuration file if the SDK does not read one.

    Raises:
        InvalidOption: The SDK is older than its support of ``OTEL_CONFIG_FILE``.
    """
    name = "OTEL_CONFIG_FILE"
    if os.environ.get(name) and not hasattr(environment_variables, name):
        problem = f"opentelemetry-sdk {__version__} reads no configuration file"
        fix = f"unset {name}, or install opentelemetry-sdk 1.44 and opentelemetry-configuration"
        raise InvalidOption(name, problem, source="environment", fix=fix)


def _find_exporters(signal: str) -> list[str]:
    """Return the OTLP exporter's name, if an endpoint is set and no exporter is named.

    The protocol is gRPC unless a variable sets another, as in the SDK.

    Raises:
        ImportError: The exporter's package is not installed.
        InvalidOption: The protocol is unknown.
    """

    def variable(name: str) -> str | None:
        common, own = f"OTEL_EXPORTER_OTLP_{name}", f"OTEL_EXPORTER_OTLP_{signal}_{name}"
        return os.environ.get(own) or os.environ.get(common)

    named = os.environ.get(f"OTEL_{signal}_EXPORTER") or os.environ.get("OTEL_CONFIG_FILE")
    if named or not variable("ENDPOINT"):
        return []
    protocol = (variable("PROTOCOL") or "grpc").strip()
    if protocol not in _EXPORTERS:
        problem = f"{format_value(protocol)} is unknown"
        fix = f"use {' or '.join(_EXPORTERS)}"
        raise InvalidOption("protocol", problem, source="OTEL_EXPORTER_OTLP_PROTOCOL", fix=fix)
    exporter = _EXPORTERS[protocol]
    # If the package is missing, this raises an ImportError; the SDK would raise its own error.
    import_module(f"opentelemetry.exporter.otlp.proto.{exporter}")
    return [f"otlp_proto_{exporter}"]


_EXPORTERS = {"grpc": "grpc", "http/protobuf": "http"}
