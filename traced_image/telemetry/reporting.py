"""Where records report to: spans, metrics, and what counts the failures of both."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from .updates import format_span_id, format_trace_id

if TYPE_CHECKING:
    from ..config import Server
    from ..errors import AttemptError
    from .metrics import Metrics
    from .spans import Active, Spans
    from .updates import Exemplar


class Reporting:
    """The spans and the metrics of a recorder.

    Args:
        spans: Starts and ends the spans.
        metrics: Counts everything, including failures of telemetry.
    """

    def __init__(self, spans: Spans, metrics: Metrics) -> None:
        self.spans = spans
        self.metrics = metrics
        self.guard_spans = metrics.errors.guard("spans")
        self.guard_metrics = metrics.errors.guard("metrics")
        # For what each call does: a `try` costs nothing if nothing is raised, a guard does.
        self.note_spans = partial(metrics.errors.note, "spans")
        self.note_metrics = partial(metrics.errors.note, "metrics")


class UnderWay(Protocol):
    """An attempt under way."""

    def leave(self) -> None:
        """Count the attempt as no longer under way."""


class CallState(Protocol):
    """What attempts and streams tell their call.

    Attributes:
        operation: The operation, such as ``images.get``.
        lost: Seconds of the last attempt, or since the last bytes of its stream, which broke.
        broken: Why the stream of the last attempt broke; empty for no reason.
        failed: The server of the last attempt that failed; None for none.
        cancelled: Whether the caller ended the last attempt.
        under_way: The attempt under way; None between attempts.
    """

    operation: str
    lost: float
    broken: str
    failed: Server | None
    cancelled: bool
    under_way: UnderWay | None


def set_trace_ids(error: AttemptError, active: Active | None) -> None:
    """Store the ids of a span in an error, in hex digits, for log lines to show them."""
    context = None if active is None else active.span.get_span_context()
    if context is not None and context.is_valid:
        error.trace_id = format_trace_id(context.trace_id)
        error.span_id = format_span_id(context.span_id)


def find_exemplar(active: Active | None) -> Exemplar | None:
    """Return a span's context for a metric's exemplar; None if there is none, or not sampled."""
    return None if active is None else active.exemplar()
