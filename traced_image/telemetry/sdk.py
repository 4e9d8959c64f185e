"""OpenTelemetry's SDK set up for a program from ``OTEL_*`` variables (extra ``otlp``)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from opentelemetry import metrics, trace

from ..errors import MissingExtra

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
        self.tracer.shutdown()
        self.meter.shutdown()


def set_up() -> Providers:
    """As `traced_image.telemetry.setup` says."""
    try:
        from opentelemetry.distro import OpenTelemetryConfigurator
    except ImportError as error:
        mend = "pip install 'traced-image[otlp]'"
        raise MissingExtra("telemetry.setup", "no SDK distribution", mend=mend) from error
    names = {
        "trace_exporter_names": _implied("TRACES"),
        "metric_exporter_names": _implied("METRICS"),
    }
    implied = {key: value for key, value in names.items() if value}
    OpenTelemetryConfigurator().configure(**implied)  # type: ignore[no-untyped-call]
    return Providers(
        cast("TracerProvider", trace.get_tracer_provider()),
        cast("MeterProvider", metrics.get_meter_provider()),
    )


def _implied(signal: str) -> list[str]:
    """The exporter that nobody has named, but an endpoint asks for; by gRPC, as the SDK has it."""

    def variable(name: str) -> str | None:
        common, own = f"OTEL_EXPORTER_OTLP_{name}", f"OTEL_EXPORTER_OTLP_{signal}_{name}"
        return os.environ.get(own) or os.environ.get(common)

    named = os.environ.get(f"OTEL_{signal}_EXPORTER") or os.environ.get("OTEL_CONFIG_FILE")
    if named or not variable("ENDPOINT"):
        return []
    http = variable("PROTOCOL") == "http/protobuf"
    return ["otlp_proto_http" if http else "otlp_proto_grpc"]
