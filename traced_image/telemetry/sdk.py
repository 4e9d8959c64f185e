"""OpenTelemetry's SDK set up for a program from ``OTEL_*`` variables (extra ``otlp``)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from opentelemetry import metrics, trace

from ..config.checks import format_value
from ..errors import InvalidOption, MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider


@dataclass(frozen=True, slots=True)
class Providers:
    """What `set_up` has made the process's own.

    Attributes:
        tracer: Where spans go.
        meter: Where metrics go.
    """

    tracer: TracerProvider
    meter: MeterProvider

    def shutdown(self) -> None:
        """Export what is left, and stop; when the program ends the SDK does so itself."""
        for provider in (self.tracer, self.meter):
            # A file named by OTEL_CONFIG_FILE may have the SDK provide only one of them.
            if hasattr(provider, "shutdown"):
                provider.shutdown()


def set_up() -> Providers:
    """As `traced_image.telemetry.setup` says."""
    try:
        from opentelemetry.distro import OpenTelemetryConfigurator

        names = {
            "trace_exporter_names": _find_exporters("TRACES"),
            "metric_exporter_names": _find_exporters("METRICS"),
        }
    except ImportError as error:
        problem, fix = f"there is no {error.name}", "pip install 'traced-image[otlp]'"
        raise MissingExtra("telemetry.setup", problem, fix=fix) from error
    implied = {key: value for key, value in names.items() if value}
    OpenTelemetryConfigurator().configure(**implied)  # type: ignore[no-untyped-call]
    return Providers(
        cast("TracerProvider", trace.get_tracer_provider()),
        cast("MeterProvider", metrics.get_meter_provider()),
    )


def _find_exporters(signal: str) -> list[str]:
    """The exporter that nobody has named, but an endpoint asks for; by gRPC, as the SDK has it."""

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
    # Here its absence is an ImportError, which the SDK would make an error of its own.
    import_module(f"opentelemetry.exporter.otlp.proto.{exporter}")
    return [f"otlp_proto_{exporter}"]


_EXPORTERS = {"grpc": "grpc", "http/protobuf": "http"}
