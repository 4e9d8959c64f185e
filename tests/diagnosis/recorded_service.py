"""A service whose servers come in order, with all that is told of its calls: the witnesses."""

from __future__ import annotations

import io
import logging
import random
import threading
import time
from dataclasses import dataclass, field

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from reconciliation import Books

from traced_image import Config, GlanceClientWrapper, GlanceImageService, RetryPolicy, Telemetry
from traced_image.pipeline.attempts.fleet import Fleet
from traced_image.pipeline.clock import Clock
from traced_image.telemetry.layers import make_layers

POLICY = RetryPolicy(backoff_base=0.0, budget_share=None)
"""No wait before a retry, and as many as a test asks for."""

LIMIT = 10.0
"""Seconds after which what a test waits for has failed to come."""

DATA = b"0123456789"


class InOrder(random.Random):
    """No shuffle, and the longest wait that the jitter allows."""

    def shuffle(self, x):
        """Leave the servers as they are listed."""

    def uniform(self, a, b):
        return max(a, b)


@dataclass
class Time:
    """Time that stands still; the sleeps are noted."""

    now: float = 1000.0
    slept: list = field(default_factory=list)

    def clock(self):
        return Clock(monotonic=lambda: self.now, sleep=self.slept.append)


class Records(logging.Handler):
    """Keeps the records of a logger, those of one thread if given."""

    def __init__(self, name, thread=None):
        super().__init__()
        self.records = []
        self._logger = logging.getLogger(name)
        self._thread = thread

    def emit(self, record):
        if self._thread in (None, record.thread):
            self.records.append(record)

    def __enter__(self):
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_):
        self._logger.removeHandler(self)


class Watched:
    """A service and its witnesses: spans, metrics, log and host state.

    Args:
        urls: The servers, in the order in which they are taken.
        clock: Where time comes from; by default, it stands still.
        wire_spans: Whether requests have spans of their own.
        alone: Whether calls are made in this thread only, while other threads use others.
        fields: Of the configuration.
    """

    def __init__(self, urls, *, clock=None, wire_spans=True, alone=False, **fields):
        config = Config(**{"servers": urls, "retry": POLICY, **fields})
        self.netlocs = [server.netloc for server in config.servers]
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.registry = CollectorRegistry()
        telemetry = Telemetry(
            tracer_provider=provider,
            registry=self.registry,
            meter_provider=False,
            wire_spans=wire_spans,
        )
        clock, rng = clock or Time().clock(), InOrder()
        self.client = GlanceClientWrapper(
            config,
            make_layers(telemetry, config.servers),
            fleet=Fleet.of(config.servers, config.retry, clock, rng),
            clock=clock,
            rng=rng,
        )
        self.service = GlanceImageService(self.client)
        self._log = Records("traced_image.pipeline.log", threading.get_ident() if alone else None)

    def __enter__(self):
        self._log.__enter__()
        return self

    def __exit__(self, *_):
        self._log.__exit__()
        self.service.close()

    @property
    def records(self):
        """The log's records so far."""
        return list(self._log.records)

    @property
    def spans(self):
        """The spans that ended so far, by their start."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time)

    @property
    def health(self):
        """What the service knows of its servers."""
        return self.service.servers()

    def books(self, logs=None):
        """What they all say now, and the servers' access logs by ``host:port``."""
        return Books(self.spans, self.registry, self.records, self.health, logs)

    # --- the operations ------------------------------------------------------------------------

    def show(self, image_id):
        self.service.show(None, image_id)

    def detail(self, image_id):
        assert image_id in [image["id"] for image in self.service.detail(None)]

    def download(self, image_id):
        file = io.BytesIO()
        self.service.download(None, image_id, data=file)
        assert file.getvalue() == DATA

    def iterate(self, image_id):
        assert b"".join(self.service.download(None, image_id)) == DATA

    def upload(self, image_id):
        """Store the data of an image that has none yet: one call, where the service makes two."""
        self.client.call(None, 2, "upload", image_id, DATA)

    def create(self, _):
        self.service.create(None, {"name": "new"})


OPERATIONS = ("show", "detail", "download", "upload", "create")
"""The names of methods of `Watched`, each of which makes one call."""


def wait_for(condition, limit=LIMIT):
    """Come back when the condition holds, or after so many seconds."""
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
