"""The telemetry of a fuzzed service: its spans are counted, its counters must agree."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry
from replying_server import find_others

from traced_image import Telemetry
from traced_image.telemetry.catalogue import ATTEMPT_VERDICT


class Counted(SpanProcessor):
    """A registry and a tracer provider, and what went to them.

    Attributes:
        telemetry: What the service is given.
    """

    def __init__(self):
        self._registry = CollectorRegistry()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self)
        self.telemetry = Telemetry(
            tracer_provider=provider, registry=self._registry, meter_provider=False
        )
        self._lock = threading.Lock()
        self._local = threading.local()
        self._spans = Counter()
        self._others = []

    @contextlib.contextmanager
    def watch(self, marker):
        """Within this, spans of this thread are of the operation with this marker."""
        self._local.marker = marker
        try:
            yield
        finally:
            self._local.marker = ""

    def on_end(self, span):
        """Count a span; its reply must be of its own operation."""
        kind = span.name.rpartition(" ")[2]
        if kind not in ("attempt", "stream"):
            kind = "wire" if span.kind is SpanKind.CLIENT else "call"
        if span.attributes.get(ATTEMPT_VERDICT) == "cancelled":
            kind = "cancelled"  # for want of time, so that no metric counts it
        told = str(span.attributes.get("glance.request_id", ""))
        marker = getattr(self._local, "marker", "")
        with self._lock:
            self._spans[kind] += 1
            self._others += [(span.name, other, marker) for other in find_others(told, marker)]

    def _sum(self, name, **labels):
        return sum(
            sample.value
            for metric in self._registry.collect()
            for sample in metric.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def unbalanced(self):
        """What does not add up, in words; nothing if all does."""
        calls = self._sum("glance_client_call_duration_seconds_count")
        exhausted = self._sum("glance_client_call_duration_seconds_count", outcome="exhausted")
        attempts = self._sum("glance_client_attempt_duration_seconds_count")
        retries = self._sum("glance_client_retries_total")
        counts = {
            "calls and their spans": (calls, self._spans["call"]),
            "attempts and their spans": (attempts, self._spans["attempt"]),
            "attempts and calls with retries": (
                attempts + self._spans["cancelled"],
                calls + retries,
            ),
            "calls given up": (exhausted, self._sum("glance_client_connection_failed_total")),
            "active attempts": (self._sum("glance_client_active_attempts"), 0),
        }
        found = [f"{what}: {a} and {b}" for what, (a, b) in counts.items() if a != b]
        return found + [f"a span of another operation's reply: {one}" for one in self._others[:5]]
