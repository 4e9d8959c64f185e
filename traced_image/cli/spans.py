"""The spans of one command: collected for its trace, and printed as attempts happen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from ..telemetry import catalogue

if TYPE_CHECKING:
    from opentelemetry.context import Context


def make_provider(
    kept: list[ReadableSpan] | None, *, attempts: bool, tracker: SpanProcessor | None = None
) -> TracerProvider:
    """Build a tracer provider of the command's own; the process's global provider stays unchanged.

    Args:
        kept: A list that receives the ended spans; None to keep none.
        attempts: Whether to print a line at the start and at the end of each attempt.
        tracker: One more observer of the spans.
    """
    made = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    if kept is not None:
        made.add_span_processor(_SpanCollector(kept))
    if attempts:
        made.add_span_processor(_AttemptWriter())
    if tracker is not None:
        made.add_span_processor(tracker)
    return made


class _SpanCollector(SpanProcessor):
    """Collects ended spans in a list."""

    def __init__(self, spans: list[ReadableSpan]) -> None:
        self._spans = spans

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)


class _AttemptWriter(SpanProcessor):
    """Prints the start and the end of each attempt; of one that hangs, only the start shows."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        _print_attempt(span, "")

    def on_end(self, span: ReadableSpan) -> None:
        why = (span.attributes or {}).get(catalogue.ERROR_TYPE, "ok")
        milliseconds = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
        _print_attempt(span, f": {why!s}, {milliseconds:.1f} ms")


def _print_attempt(span: ReadableSpan, words: str) -> None:
    told = span.attributes or {}
    if catalogue.ATTEMPT_NUMBER not in told:
        return
    names = catalogue.SERVER_ADDRESS, catalogue.SERVER_PORT
    host, port, number, most = (
        str(told[name]) for name in (*names, catalogue.ATTEMPT_NUMBER, catalogue.ATTEMPT_MAXIMUM)
    )
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # Not a stream from before: rich replaces sys.stderr while it draws, and puts the line above.
    sys.stderr.write(f"attempt {number} of {most} on {place}{words}\n")
