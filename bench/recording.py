"""What it costs to record a call that does nothing, beside three nested spans of the bare SDK.

``python bench/recording.py [--rounds 150]``
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from prometheus_client import CollectorRegistry
from rounds import CALLS, Timing, interleaved, timings
from variants import NoExporter

from traced_image import Server, Telemetry
from traced_image.pipeline.api.operation import Operation
from traced_image.pipeline.attempts.seams import Answer, Attempt, Call, Layers, layered
from traced_image.pipeline.context import SERVICE
from traced_image.telemetry.layers import make_layers

if TYPE_CHECKING:
    from variants import Show

    from traced_image.pipeline.attempts.seams import Perform, Send

BARE = "three nested spans of the SDK, 6 attributes"
OFF = "telemetry off"
RECORDED = "call and attempt spans, metrics with exemplars"
SAMPLED_OUT = "the same, the sampler off"
BOTH = "the same, and OpenTelemetry's metrics"
TARGETS = {RECORDED: 60.0, SAMPLED_OUT: 20.0}
"""Microseconds beyond the same call with telemetry off, on a machine where `BARE` takes 71."""

BARE_THERE = 70.6


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=150, help=f"of {CALLS} calls of each variant")
    options = parser.parse_args()
    results = {one.name: one for one in timings(interleaved(variants(), options.rounds), BARE)}
    print("| Variant | p10 µs | median µs | p90 µs | beyond off µs | scaled µs | target µs |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for result in results.values():
        print(_row(result, results))


def _row(result: Timing, results: dict[str, Timing]) -> str:
    beyond = result.median - results[OFF].median
    scaled = beyond * BARE_THERE / results[BARE].median
    target = TARGETS.get(result.name)
    verdict = "" if target is None else f"≤ {target:.0f} {'met' if scaled <= target else 'missed'}"
    return (
        f"| {result.name} | {result.p10:.1f} | {result.median:.1f} | {result.p90:.1f}"
        f" | {beyond:.1f} | {scaled:.1f} | {verdict} |"
    )


def variants() -> dict[str, Show]:
    """All that is compared, by name."""
    return {
        BARE: _nested(_provider(ALWAYS_ON)),
        OFF: _call(Layers()),
        RECORDED: _call(_layers(ALWAYS_ON)),
        SAMPLED_OUT: _call(_layers(ALWAYS_OFF)),
        BOTH: _call(_layers(ALWAYS_ON, MeterProvider([InMemoryMetricReader()]))),
    }


def _provider(sampler: Sampler) -> TracerProvider:
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(BatchSpanProcessor(NoExporter()))
    return provider


def _layers(sampler: Sampler, meters: MeterProvider | None = None) -> Layers:
    telemetry = Telemetry(
        tracer_provider=_provider(sampler),
        registry=CollectorRegistry(),
        meter_provider=meters or False,
        wire_spans=False,
    )
    return make_layers(telemetry, [SERVER])


SERVER = Server.parse("glance-1")
ANSWER: Answer[object] = Answer({}, 200, "req-6bd7eaf0-5e3d-4d5a-9c4f-2a3ddc1f54b8")


def _call(layers: Layers) -> Show:
    """A call of one attempt that is answered at once."""
    send = layered(cast("Send", lambda _attempt: ANSWER), layers.attempt)
    operation: Operation[object] = Operation("images.get", "GET", "/v2/images/x", lambda _: None)
    call = Call(operation, SERVICE)
    perform = layered(
        cast("Perform", lambda call: send(Attempt(call, SERVER, 1, 4)).value), layers.call
    )
    return lambda: perform(call)


def _nested(provider: TracerProvider) -> Show:
    tracer = provider.get_tracer("bench")
    attributes = {
        "server.address": "glance-1",
        "server.port": 9292,
        "glance.operation": "images.get",
        "glance.attempt.number": 1,
        "glance.attempt.max": 4,
        "glance.attempt.trial": False,
    }

    def nested() -> None:
        with ExitStack() as stack:
            for name in ("call", "attempt", "request"):
                stack.enter_context(tracer.start_as_current_span(name, attributes=attributes))

    return nested


if __name__ == "__main__":
    main()
