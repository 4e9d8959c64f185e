"""A service that shows its attempts as they happen, and its traces at the end."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry

from .. import connect
from ..telemetry import Telemetry
from ..terminal import format_trace_id, make_trace_tree
from .output import open_messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from ..pipeline.service import GlanceImageService
    from .options import Choice


@contextmanager
def connect_traced(choice: Choice, *, trace: bool = False) -> Iterator[GlanceImageService]:
    """Connect a service; at the end, if `trace`, print the trace of each call on standard error.

    Raises:
        ConfigError: The configuration is invalid.
    """
    config = choice.config()
    spans: list[ReadableSpan] = []
    telemetry: Telemetry | Literal[False] = False
    if trace or choice.verbose:
        with _hide_variables():
            # Imported here, because OpenTelemetry reads some environment variables at import.
            from .spans import make_provider

            telemetry = Telemetry(
                tracer_provider=make_provider(spans if trace else None, attempts=choice.verbose),
                registry=CollectorRegistry(),
                meter_provider=False,
                wire_spans=trace,
            )
    with _hide_variables():
        service = connect(config=config, telemetry=telemetry)
    try:
        yield service
    finally:
        service.close()
        _draw(spans)


@contextmanager
def _hide_variables() -> Iterator[None]:
    """Hide OpenTelemetry's environment variables: they must not change the command's own traces."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("OTEL_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _draw(spans: Sequence[ReadableSpan]) -> None:
    console = open_messages()
    traces: dict[int, list[ReadableSpan]] = {}
    for span in spans:
        traces.setdefault(format_trace_id(span), []).append(span)
    for found in traces.values():
        if any(span.parent is None for span in found):  # a call that a signal ended has no root
            console.print(make_trace_tree(found, ascii_only=console.options.ascii_only))
