"""What a backend of the metrics does: it binds each series to the function that updates it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from .catalogue import Metric, Outcome


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


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that failed, or that retries saved.

    Attributes:
        operation: What it asked of Glance.
        outcome: How it ended.
        reason: Why it failed; empty if it did not.
        seconds: How long it took.
        attempts: How many attempts it made.
        failures: The servers that failed it, why, and the seconds that each took of it.
        exemplar: Its trace; None if it was not sampled.
    """

    operation: str
    outcome: Outcome
    reason: str
    seconds: float
    attempts: int
    failures: tuple[tuple[ServerKey, str, float], ...]
    exemplar: Exemplar | None


@runtime_checkable
class DetailKeeper(Protocol):
    """A backend that also keeps what no metric has."""

    def keep_call(self, call: EndedCall) -> None:
        """Keep a call that failed, or that retries saved."""

    def keep_trial(self, place: ServerKey, when: float | None) -> None:
        """Keep when a server's cool-down ends, in seconds since the epoch; None for none."""


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
