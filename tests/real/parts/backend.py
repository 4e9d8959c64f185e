"""A backend behind the collector: what it was sent is kept in files, and read from there."""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .ports import free_port
from .process import Process

_SERVE = Path(__file__).with_name("inside") / "backend.py"
_LIMIT = 30.0
_MESSAGES = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


@dataclass(frozen=True)
class Span:
    """A span as it arrived.

    Attributes:
        trace_id: In hex digits.
        span_id: In hex digits.
        name: Its name.
        attributes: Its own.
        text: All of it as text, its events and status message among it.
    """

    trace_id: str
    span_id: str
    name: str
    attributes: Mapping[str, Any]
    text: str


class Backend(Process):
    """A backend that may be down: its port stays, and so does what it was sent.

    Args:
        name: What messages call it.
        folder: Where its files are; made if need be.
    """

    def __init__(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._port = folder, free_port()
        command = [sys.executable, str(_SERVE), str(folder), str(self._port)]
        super().__init__(name, command, folder / "log")

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables by which a collector finds it."""
        signals = ("TRACES", "METRICS", "LOGS")
        return {f"COLLECTOR_{each}_ENDPOINT": f"http://127.0.0.1:{self._port}" for each in signals}

    def open(self) -> "Backend":
        """Start it, and wait until it listens."""
        self.start()
        end = time.monotonic() + _LIMIT
        while not (self._folder / f"ready-{self.pid}").exists():
            if not self.running or time.monotonic() > end:
                raise self.failed("did not listen")
            time.sleep(0.02)
        return self

    def size(self, signal: str) -> int:
        """How many bytes of a signal it has."""
        file = self._folder / signal
        return file.stat().st_size if file.exists() else 0

    def messages(self, signal: str) -> Iterator[Any]:
        """What it was sent of a signal, in the order in which it came."""
        for body in self._bodies(signal):
            yield _MESSAGES[signal].FromString(body)

    def _bodies(self, signal: str) -> Iterator[bytes]:
        # It may be written to at the end.
        data, at = self._read(signal), 0
        while len(data) >= at + 8:
            end = at + 8 + int.from_bytes(data[at : at + 8], "big")
            if len(data) < end:
                return
            yield data[at + 8 : end]
            at = end

    def _read(self, signal: str) -> bytes:
        file = self._folder / signal
        return file.read_bytes() if file.exists() else b""

    def everything(self) -> str:
        """All that it was ever sent, as text; what is not ASCII is replaced."""
        return "".join(self._read(name).decode("ascii", "replace") for name in _MESSAGES)

    def spans(self) -> Iterator[Span]:
        """The spans that it has, each as often as it came."""
        for message in self.messages("traces"):
            for resourced in message.resource_spans:
                for scoped in resourced.scope_spans:
                    for span in scoped.spans:
                        yield _span(span)

    def ids(self) -> Mapping[str, list[str]]:
        """The ids of the spans that it has, each as often as it came, by their traces' ids."""
        found: dict[str, list[str]] = {}
        for message in self.messages("traces"):
            for resourced in message.resource_spans:
                for scoped in resourced.scope_spans:
                    for span in scoped.spans:
                        found.setdefault(span.trace_id.hex(), []).append(span.span_id.hex())
        return found

    def points(self, name: str) -> Iterator[tuple[Mapping[str, Any], Any]]:
        """The points of a metric in the order in which they came, each with its labels."""
        for message in self.messages("metrics"):
            for resourced in message.resource_metrics:
                resource = attributes(resourced.resource)
                for scoped in resourced.scope_metrics:
                    for metric in scoped.metrics:
                        if metric.name == name:
                            for point in getattr(metric, metric.WhichOneof("data")).data_points:
                                yield {**resource, **attributes(point)}, point


def attributes(thing: Any) -> dict[str, Any]:
    """The attributes of a span, a resource or a point."""
    return {each.key: _value(each.value) for each in thing.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(map(_value, value.array_value.values))
    return getattr(value, kind)


def _span(span: Any) -> Span:
    return Span(span.trace_id.hex(), span.span_id.hex(), span.name, attributes(span), str(span))
