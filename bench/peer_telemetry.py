"""How `peer.py` observes clients: stock ones by instrumentation, this package's by `Telemetry`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from traced_image import GlanceImageService, Telemetry

    Call = Callable[[], object]

HOW = ("off", "sampled_out", "calls", "wire", "all", "otlp")
"""Of this package's service: nothing; with no call sampled; spans of calls and attempts, and
metrics; spans of requests too; OpenTelemetry's metrics too; and all of it sent by OTLP."""

STOCK = ("requests", "sampled_out", "calls", "wire", "otlp")
"""Of stock clients; ``requests`` is OpenTelemetry's instrumentation of requests alone."""

SINK = "BENCH_SINK"
"""The variable with the URL that OTLP is sent to."""


def tracing(how: str) -> Any:  # noqa: ANN401 - some environments have no OpenTelemetry
    """A provider with a batch processor, whose exporter does nothing unless it sends by OTLP."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

    class NoExporter(SpanExporter):
        def export(self, _spans: object) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    exporter: Any = NoExporter()
    if how == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(f"{os.environ[SINK]}/v1/traces")
    provider = TracerProvider(sampler=ALWAYS_OFF if how == "sampled_out" else ALWAYS_ON)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def meters(how: str) -> Any:  # noqa: ANN401
    """A provider of meters; None for that of the process, which does nothing."""
    if how not in {"all", "otlp"}:
        return None
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader

    if how == "all":
        return MeterProvider([InMemoryMetricReader()])
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    exporter = OTLPMetricExporter(f"{os.environ[SINK]}/v1/metrics")
    return MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=10_000)])


def observe(how: str) -> None:
    """Instrument stock clients in one of the ways of `STOCK`."""
    from opentelemetry import trace

    trace.set_tracer_provider(tracing(how))
    if how == "requests":
        from opentelemetry.instrumentation.requests import RequestsInstrumentor

        RequestsInstrumentor().instrument()
    else:
        from traced_image.instrumentation import GlanceInstrumentor

        GlanceInstrumentor().instrument(wire_spans=how in {"wire", "otlp"})


def give_cycle() -> None:
    """Give nova and cinder the cycle of servers."""
    from traced_image.stock_cycle import StockCycle

    StockCycle().install()


def telemetry(how: str) -> Telemetry | bool:
    """The telemetry of this package's service in one of the ways of `HOW`."""
    if how == "off":
        return False
    from prometheus_client import CollectorRegistry

    from traced_image import Telemetry

    return Telemetry(
        tracer_provider=tracing(how),
        registry=CollectorRegistry(),
        meter_provider=meters(how),
        wire_spans=how not in {"calls", "sampled_out"},
    )


def own_service(url: str, how: str) -> GlanceImageService:
    """This package's service."""
    import traced_image

    return traced_image.connect(servers=url.split(","), telemetry=telemetry(how))


def show(url: str, image_id: str, how: str) -> Call:
    """This package's `show`."""
    service = own_service(url, how)
    return lambda: service.show(None, image_id)


def detail(url: str, _image_id: str, how: str) -> Call:
    """This package's `detail`."""
    service = own_service(url, how)
    return lambda: service.detail(None)


def download(url: str, image_id: str, how: str) -> Call:
    """This package's `download`, to the null device."""
    service = own_service(url, how)
    service.show(None, image_id)
    sink = Path(os.devnull).open("wb")  # noqa: SIM115 - it is open for as long as this runs
    return lambda: service.download(None, image_id, data=sink)


def upload(url: str, path: str, how: str) -> Call:
    """This package's `create`, with a file."""
    service = own_service(url, how)

    def create() -> None:
        meta = {"name": "bench", "disk_format": "raw", "container_format": "bare"}
        with Path(path).open("rb") as data:
            service.create(None, meta, data)

    return create


OWN: dict[str, Callable[[str, str, str], Call]] = {
    each.__name__: each for each in (show, detail, download, upload)
}
