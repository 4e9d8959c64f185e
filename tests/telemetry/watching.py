"""What a test sees of telemetry: spans that ended, samples, and the servers' state in both."""

from __future__ import annotations

import random
import time as clocks
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from traced_image.pipeline.clock import Clock

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

SERVER = ("server_address", "server_port")
LIMIT = 10.0
"""Seconds after which a test that waits has failed."""


class InOrder(random.Random):
    """No shuffle, and the longest wait that the jitter allows."""

    def shuffle(self, x):
        """Leave the servers as they are listed."""

    def uniform(self, a, b):
        return max(a, b)


@dataclass
class Time:
    """Time that passes when a test says so; the sleeps are noted."""

    now: float = 1000.0
    slept: list = field(default_factory=list)

    def clock(self):
        return Clock(monotonic=lambda: self.now, sleep=self.slept.append)


class Open(SpanProcessor):
    """The names of the spans that have started and not ended."""

    def __init__(self):
        self.spans = {}

    def on_start(self, span, parent_context=None):
        self.spans[span.context.span_id] = span.name

    def on_end(self, span):
        del self.spans[span.context.span_id]


class Trace:
    """The spans that ended so far."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self._open = Open()
        self.provider.add_span_processor(self._open)

    @property
    def open(self):
        """The names of the spans that have not ended."""
        return set(self._open.spans.values())

    @property
    def spans(self):
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time)

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def below(self, parent):
        """The children of a span, in order; of None, the roots."""
        parent_id = None if parent is None else parent.context.span_id
        return [
            span
            for span in self.spans
            if (None if span.parent is None else span.parent.span_id) == parent_id
        ]

    def tree(self, parent=None):
        """Names with what is below them."""
        return [(span.name, self.tree(span)) for span in self.below(parent)]

    def one(self, name):
        (span,) = self.named(name)
        return span


@dataclass
class Counts:
    """The samples of a registry."""

    registry: CollectorRegistry

    def of(self, name, *labels, zeros=False):
        """The samples called `name`, by the values of `labels`; those of 0 if asked for."""
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == name and (sample.value or zeros)
        }

    def series(self):
        """Every series, without those that tell when another one began."""
        return {
            (sample.name, *sorted(sample.labels.items()))
            for metric in self.registry.collect()
            for sample in metric.samples
            if not sample.name.endswith("_created")
        }


def by_api(service):
    """What a service says of each server."""
    return {
        (health.server.host, str(health.server.port)): (
            [health.state],
            float(health.consecutive_failures),
            health.last_success or 0.0,
            health.last_failure or 0.0,
            float(health.active_attempts),
        )
        for health in service.servers()
    }


def by_gauges(counts):
    """What the metrics say of each server, whose state is any that is 1."""
    states = counts.of("glance_client_server_state", *SERVER, "state")
    numbers = [
        counts.of(name, *SERVER, zeros=True)
        for name in (
            "glance_client_server_consecutive_failures",
            "glance_client_server_last_success_timestamp_seconds",
            "glance_client_server_last_failure_timestamp_seconds",
            "glance_client_active_attempts",
        )
    ]
    return {
        place: (
            [state for *where, state in states if tuple(where) == place],
            *(number[place] for number in numbers),
        )
        for place in numbers[0]
    }


def until(condition):
    """Wait for something that another thread does."""
    end = clocks.monotonic() + LIMIT
    while not condition():
        assert clocks.monotonic() < end, "it did not happen in time"
        clocks.sleep(0.005)
