"""A service with traced_image and OpenTelemetry's SDK, whose calls go by OTLP to collectors.

Run as a program with the file that the truth is written to, and how many calls; the collectors'
addresses are lines on its standard input. It writes `half` when half of the calls are done.
"""

import json
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode

import traced_image
from traced_image import RetryPolicy, Telemetry, TracedImageError, lab
from traced_image.lab import faults

SLOW = 0.6  # seconds that a slow call takes at least
A_SECOND = 500  # calls


@dataclass
class Trace:
    """A trace as this process knows it.

    Attributes:
        spans: The ids of its spans.
        failed: Whether one of them is an error.
        attempts: How many attempts its calls took at most.
        longest: Seconds that its longest call took.
        ended: When its latest span ended, in seconds since the epoch.
    """

    spans: list[str] = field(default_factory=list)
    failed: bool = False
    attempts: int = 0
    longest: float = 0.0
    ended: float = 0.0


class Truth(SpanProcessor):
    """Knows every span, whatever becomes of it."""

    def __init__(self) -> None:
        self.traces: dict[str, Trace] = {}

    def on_end(self, span: ReadableSpan) -> None:
        context, attributes = span.get_span_context(), span.attributes or {}
        trace = self.traces.setdefault(f"{context.trace_id:032x}", Trace())
        trace.spans.append(f"{context.span_id:016x}")
        trace.failed |= span.status.status_code is StatusCode.ERROR
        if "glance.call.outcome" in attributes:
            trace.attempts = max(trace.attempts, attributes["glance.call.attempts"])
            trace.longest = max(trace.longest, (span.end_time - span.start_time) / 1e9)
        trace.ended = max(trace.ended, span.end_time / 1e9)


def providing(truth: Truth, endpoints: list[str]) -> TracerProvider:
    """Every span goes to each of the collectors."""
    provider = TracerProvider(resource=Resource({"service.name": "traffic"}))
    provider.add_span_processor(truth)
    for endpoint in endpoints:
        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True, timeout=30)
        # None is dropped here: what is lost is to be the collectors' doing.
        batches = BatchSpanProcessor(exporter, max_queue_size=1 << 20, schedule_delay_millis=1000)
        provider.add_span_processor(batches)
    return provider


def call(service, servers, image_id: str, number: int) -> None:
    """One call; of a hundred, one fails: it recovers, gives up, or asks for what is not there."""
    if number % 100 != 50:
        service.show(None, image_id)
        return
    kind = number // 100 % 3
    for server in servers if kind < 2 else []:
        server.break_with((faults.status(503).times(1), faults.status(503))[kind])
    with suppress(TracedImageError):
        service.show(None, image_id if kind < 2 else "absent")
    for server in servers:
        server.heal()


def traffic(service, servers, count: int) -> None:
    image_id = servers[0].images.add(name="cirros", data=b"data", visibility="public")
    for server in servers:
        server.break_with(faults.slow_headers(SLOW / 100))
    slow = [threading.Thread(target=service.show, args=(None, image_id)) for _ in range(5)]
    for thread in slow:
        thread.start()
    for thread in slow:
        thread.join()
    for server in servers:
        server.heal()
    began = time.monotonic()
    for number in range(count - len(slow)):
        if number == count // 2:
            sys.stdout.write("half\n")
            sys.stdout.flush()
        time.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
        call(service, servers, image_id, number)


def main(file: str, count: str) -> None:
    truth = Truth()
    provider = providing(truth, sys.stdin.read().split())
    with lab.cluster(3) as servers:
        service = traced_image.connect(
            servers=[server.url for server in servers],
            num_retries=3,
            # None waits, and none is spared a server that failed.
            retry=RetryPolicy(backoff_base=0.0, budget_share=None, cooldown_base=0.0),
            telemetry=Telemetry(tracer_provider=provider, registry=False, meter_provider=False),
        )
        traffic(service, servers, int(count))
        service.close()
    provider.shutdown()
    told = {trace_id: asdict(trace) for trace_id, trace in truth.traces.items()}
    Path(file).write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
