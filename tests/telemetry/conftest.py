"""Three servers over one image, and services whose spans and metrics can be read."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field

import pytest
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from traced_image import Config, GlanceClientWrapper, GlanceImageService, Telemetry, lab
from traced_image.pipeline.clock import Clock
from traced_image.pipeline.shared import Fleet
from traced_image.telemetry import layers_for


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


class Trace:
    """The spans that ended so far."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

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

    def of(self, name, *labels):
        """The samples called `name`, by the values of `labels`; those of 0 are left out."""
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == name and sample.value
        }


@pytest.fixture
def images():
    return lab.Images()


@pytest.fixture
def image_id(images):
    return images.add(name="cirros", data=b"0123456789")


@pytest.fixture
def servers(images):
    with lab.cluster(3, images=images) as running:
        yield running


@pytest.fixture
def trace():
    return Trace()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def counts(registry):
    return Counts(registry)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def service(servers, trace, registry, time):
    """Build a service that takes the servers in the order in which they are listed."""
    made = []

    def build(*, wire_spans=True, telemetry=None, **fields):
        config = Config(**{"servers": [server.url for server in servers], **fields})
        telemetry = telemetry or Telemetry(
            tracer_provider=trace.provider, registry=registry, wire_spans=wire_spans
        )
        clock, rng = time.clock(), InOrder()
        fleet = Fleet.of(config.servers, config.retry, clock, rng)
        client = GlanceClientWrapper(
            config, layers_for(telemetry, config.servers), fleet=fleet, clock=clock, rng=rng
        )
        made.append(GlanceImageService(client))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def application():
    """What an application sees that instruments ``requests`` itself."""
    trace = Trace()
    instrumentor = RequestsInstrumentor()
    trace.instrument = lambda: instrumentor.instrument(tracer_provider=trace.provider)
    trace.uninstrument = instrumentor.uninstrument
    yield trace
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


@pytest.fixture
def run_python():
    """Run a program of its own and return what it printed, as lines."""

    def run(program, *arguments, **environment):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **environment},
        )
        assert "" == done.stderr
        return done.stdout.splitlines()

    return run
