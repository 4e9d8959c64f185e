"""Sends traces whose roots are elsewhere to collectors, at a rate; says how that went.

Run as a program with calls a second, seconds, and the seconds after which late failures come; the
collectors' addresses are lines on its standard input. Of a hundred calls, one fails, and one was
followed by another call in the same trace, which fails late. What it writes is JSON: the ids of
the traces that failed at once and late, how long the slowest export took, how many exports failed,
and how long all took.
"""

import json
import os
import sys
import time
from collections import deque
from contextlib import suppress

import grpc
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import traced_image
from traced_image import RetryPolicy, Telemetry, TracedImageError, lab
from traced_image.lab import faults

PATIENCE = 10.0  # seconds that OpenTelemetry's SDK waits for an export
A_SECOND = 10  # exports
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PLACEHOLDER = b"\xa5 16 bytes of ids"[:16]


class Call:
    """The spans of one call of a service, as OTLP has them, for any trace."""

    def __init__(self, *, fails: bool) -> None:
        memory, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(memory))
        telemetry = Telemetry(tracer_provider=provider, registry=False, meter_provider=False)
        number = int.from_bytes(PLACEHOLDER, "big")
        root = SpanContext(number, 7, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        with lab.cluster(2) as servers:
            image_id = servers[0].images.add(name="cirros", data=b"data", visibility="public")
            for server in servers if fails else []:
                server.break_with(faults.status(503))
            service = traced_image.connect(
                servers=[server.url for server in servers],
                retry=RetryPolicy(backoff_base=0.0),
                telemetry=telemetry,
            )
            token = context.attach(trace.set_span_in_context(NonRecordingSpan(root)))
            with suppress(TracedImageError):
                service.show(None, image_id)
            context.detach(token)
            service.close()
        self._message = encode_spans(memory.get_finished_spans()).SerializeToString()

    def of(self, trace_id: bytes) -> bytes:
        """The message with the spans of this trace; several one after the other are one message."""
        return self._message.replace(PLACEHOLDER, trace_id)


class Exporter:
    """Exports to a collector, and knows how that went."""

    def __init__(self, address: str) -> None:
        self.slowest, self.failed = 0.0, 0
        self._send = grpc.insecure_channel(address).unary_unary(
            EXPORT, request_serializer=bytes, response_deserializer=bytes
        )

    def export(self, message: bytes) -> None:
        began = time.monotonic()
        try:
            self._send(message, timeout=PATIENCE)
        except grpc.RpcError:
            self.failed += 1
        self.slowest = max(self.slowest, time.monotonic() - began)


def send(exporters: list[Exporter], rate: int, seconds: float, late: float) -> dict[str, object]:
    works, fails = Call(fails=False), Call(fails=True)
    at_once: list[str] = []
    followed: list[str] = []
    waiting: deque[tuple[float, bytes]] = deque()
    began = time.monotonic()
    for turn in range(int((seconds + late) * A_SECOND)):
        time.sleep(max(0.0, began + turn / A_SECOND - time.monotonic()))
        parts = []
        for number in range(rate // A_SECOND if turn < seconds * A_SECOND else 0):
            trace_id = os.urandom(16)
            parts.append((fails if number % 100 == 0 else works).of(trace_id))
            if number % 100 == 0:
                at_once.append(trace_id.hex())
            elif number % 100 == 1:
                followed.append(trace_id.hex())
                waiting.append((time.monotonic() + late, trace_id))
        while waiting and waiting[0][0] <= time.monotonic():
            parts.append(fails.of(waiting.popleft()[1]))
        for exporter in exporters if parts else ():
            exporter.export(b"".join(parts))
    for exporter in exporters if waiting else ():
        exporter.export(b"".join(fails.of(trace_id) for _, trace_id in waiting))
    return {
        "at_once": at_once,
        "late": followed,
        "slowest": [each.slowest for each in exporters],
        "failed": [each.failed for each in exporters],
        "took": time.monotonic() - began,
    }


def main(rate: str, seconds: str, late: str) -> None:
    exporters = list(map(Exporter, sys.stdin.read().split()))
    json.dump(send(exporters, int(rate), float(seconds), float(late)), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
