"""A service that shows its attempts as they happen, and its traces at the end."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from prometheus_client import CollectorRegistry

from .. import connect
from ..telemetry import Telemetry
from ..terminal import format_trace_id, make_trace_tree
from .output import open_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from ..pipeline.service import GlanceImageService
    from .options import Choice
    from .wait_line import WaitLine

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TracedService:
    """A service, and the line that says for whom a call waits.

    Attributes:
        service: The service.
        line: The line.
    """

    service: GlanceImageService
    line: WaitLine

    def call(self, work: Callable[[GlanceImageService], _T]) -> _T:
        """Run a function with the service; a signal ends the wait for it."""
        config = self.service.config
        return self.line.run(
            lambda: work(self.service), "Keystone" if config.auth is not None else "an answer"
        )


@contextmanager
def connect_traced(choice: Choice, *, trace: bool = False) -> Iterator[TracedService]:
    """Connect a service; at the end, if `trace`, print the trace of each call on standard error.

    Raises:
        ConfigError: The configuration is invalid.
    """
    with _hide_variables():
        # Imported here, because OpenTelemetry reads some environment variables at import.
        from .wait_line import open_wait_line

        line = open_wait_line(verbose=choice.verbose)
    config = choice.config(run=partial(line.run, name="Keystone"))
    spans: list[ReadableSpan] = []
    with _hide_variables():
        telemetry = _make_telemetry(choice, line, spans if trace else None)
        service = connect(config=config, telemetry=telemetry)
    try:
        yield TracedService(service, line)
    finally:
        service.close()
        _draw(spans)


def _make_telemetry(
    choice: Choice, line: WaitLine, kept: list[ReadableSpan] | None
) -> Telemetry | Literal[False]:
    if kept is None and not choice.verbose and not line.is_shown:
        return False
    from .spans import make_provider

    tracker = line.tracker if line.is_shown else None
    return Telemetry(
        tracer_provider=make_provider(kept, attempts=choice.verbose, tracker=tracker),
        registry=CollectorRegistry(),
        meter_provider=False,
        wire_spans=kept is not None,
    )


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
