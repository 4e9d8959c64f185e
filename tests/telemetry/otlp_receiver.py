"""OTLP receivers for tests, over gRPC and over HTTP, which keep what they are sent, decoded.

Run as a program it is the gRPC receiver: gRPC's threads would mind the forks of other tests.
"""

from __future__ import annotations

import base64
import gzip
import json
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from waiting import LIMIT

MESSAGES = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest}
SIGNALS = {
    "/v1/traces": "traces",
    "/v1/metrics": "metrics",
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
}


@dataclass(frozen=True)
class Request:
    """What an exporter sent: headers by lower-case name, and the decoded message."""

    signal: str
    headers: dict
    message: ExportTraceServiceRequest | ExportMetricsServiceRequest


@dataclass(frozen=True)
class Span:
    """A span as it arrived, its ids in hex digits, empty for no parent."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    attributes: dict
    events: tuple
    failed: bool
    scope: tuple
    resource: dict


@dataclass(frozen=True)
class Metric:
    """A metric as it last arrived; its points by their attributes."""

    unit: str
    kind: str
    points: dict
    exemplars: frozenset
    scope: tuple
    resource: dict


@dataclass
class Received:
    """What a receiver has got so far."""

    requests: list = field(default_factory=list)

    def add(self, path, headers, body):
        signal = SIGNALS[path]
        headers = {name.lower(): value for name, value in headers}
        self.requests.append(Request(signal, headers, MESSAGES[signal].FromString(body)))

    def of(self, signal):
        return [request for request in self.requests if request.signal == signal]

    @property
    def signals(self):
        return {request.signal for request in self.requests}

    @property
    def spans(self):
        """All spans in the order in which they started."""
        found = [
            _span(span, scoped, resourced)
            for request in self.of("traces")
            for resourced in request.message.resource_spans
            for scoped in resourced.scope_spans
            for span in scoped.spans
        ]
        return sorted(found, key=lambda span: span.start)

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def tree(self, parent_id=""):
        """Names with what is below them."""
        below = [span for span in self.spans if span.parent_id == parent_id]
        return [(span.name, self.tree(span.span_id)) for span in below]

    @property
    def metrics(self):
        """Each metric by its name; a later message tells of all that earlier ones have told."""
        return {
            metric.name: _metric(metric, scoped, resourced)
            for request in self.of("metrics")
            for resourced in request.message.resource_metrics
            for scoped in resourced.scope_metrics
            for metric in scoped.metrics
        }


def _span(span, scoped, resourced):
    return Span(
        span.name,
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        _attributes(span),
        tuple((event.name, _attributes(event)) for event in span.events),
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        (scoped.scope.name, scoped.schema_url),
        _attributes(resourced.resource),
    )


def _metric(metric, scoped, resourced):
    kind = metric.WhichOneof("data")
    points = getattr(metric, kind).data_points
    return Metric(
        metric.unit,
        kind,
        {frozenset(_attributes(point).items()): _number(point) for point in points},
        frozenset(
            (exemplar.trace_id.hex(), exemplar.span_id.hex())
            for point in points
            for exemplar in point.exemplars
        ),
        (scoped.scope.name, scoped.schema_url),
        _attributes(resourced.resource),
    )


def _number(point):
    """A histogram's count, or what another point is."""
    return point.count if hasattr(point, "count") else getattr(point, point.WhichOneof("value"))


def _attributes(thing):
    return {item.key: _value(item.value) for item in thing.attributes}


def _value(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(each) for each in value.array_value.values)
    return getattr(value, kind)


class Receiver:
    """A receiver whose port is its own before it listens there: until then it refuses.

    Args:
        protocol: As in ``OTEL_EXPORTER_OTLP_PROTOCOL``.
    """

    def __init__(self, protocol):
        self.received = Received()
        self._receiving = {"grpc": _GRPC, "http/protobuf": _HTTP}[protocol]
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self._running = None
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._running is not None:
            self._running.close()
        self._socket.close()

    def start(self):
        """Listen from now on."""
        self._running = self._receiving(self._socket, self.received.add)
        return self


class _HTTP:
    def __init__(self, bound, add):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                add(self.path, self.headers.items(), body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(bound.getsockname(), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = bound
        self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _GRPC:
    def __init__(self, bound, add):
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(bound.getsockname()[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert "listening\n" == self._process.stdout.readline()
        self._thread = threading.Thread(target=self._read, args=(add,))
        self._thread.start()

    def _read(self, add):
        for line in self._process.stdout:
            path, headers, body = json.loads(line)
            add(path, headers, base64.b64decode(body))

    def close(self):
        self._process.stdin.close()
        self._thread.join()
        self._process.stdout.close()
        self._process.wait(LIMIT)


def _serve_grpc(port):
    """Receive until the standard input ends, and tell of each request in a line."""
    import grpc

    writing = threading.Lock()

    def tell(line):
        with writing:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    class Exports(grpc.GenericRpcHandler):
        def service(self, details):
            def export(body, context):
                headers = [tuple(item) for item in context.invocation_metadata()]
                text = [item for item in headers if not item[0].endswith("-bin")]
                tell(json.dumps([details.method, text, base64.b64encode(body).decode()]))
                return b""

            return (
                grpc.unary_unary_rpc_method_handler(export) if details.method in SIGNALS else None
            )

    server = grpc.server(ThreadPoolExecutor(4), [Exports()], options=[("grpc.so_reuseport", 1)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    tell("listening")
    sys.stdin.read()
    server.stop(None).wait()


if __name__ == "__main__":
    _serve_grpc(int(sys.argv[1]))
