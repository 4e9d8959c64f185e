"""What a backend of the metrics does: it binds each series to the function that updates it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .catalogue import Metric


class Exemplar(Protocol):
    """The ids of a sampled span; its ``SpanContext``, so that an update formats nothing."""

    @property
    def trace_id(self) -> int:
        """The trace's id."""

    @property
    def span_id(self) -> int:
        """The span's id."""


Update = Callable[[float, Exemplar | None], object]
"""Adds to a counter, sets a gauge, or observes a value of a histogram."""

ServerKey = tuple[str, str]
"""A server's address and port, as in the labels of the metrics."""

Labels = tuple[str, ...]
"""The values of a metric's labels, in the metric's order; an empty value means no label."""


class Backend(Protocol):
    """A place that keeps the catalogue's metrics."""

    def bind(self, metric: Metric, labels: Labels) -> Update | None:
        """Return what updates one series; None if this backend does not keep the series.

        An update by 0 creates the series.
        """

    def forget(self, address: str, port: str) -> None:
        """Drop all series of a server, if the backend can."""


def format_trace_id(trace_id: int) -> str:
    """Return a trace's id in 32 hex digits."""
    return format(trace_id, "032x")


def format_span_id(span_id: int) -> str:
    """Return a span's id in 16 hex digits."""
    return format(span_id, "016x")


def format_exemplar(exemplar: Exemplar) -> dict[str, str]:
    """Return an exemplar's labels, as Prometheus and OpenMetrics have them."""
    return {
        "trace_id": format_trace_id(exemplar.trace_id),
        "span_id": format_span_id(exemplar.span_id),
    }
