"""The layers that observe a pipeline: what happens in it, told to spans and metrics.

Telemetry never changes a call's result: what it raises itself is counted, logged once for each
place, and swallowed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar, cast

from ..errors import GlanceConnectionFailed
from ..pipeline.model import Layers
from .metrics import Metrics, metrics_for
from .record import CURRENT, CallRecord, reason_of
from .spans import Spans
from .wire import quiet_layer, wire_layer

if TYPE_CHECKING:
    from ..pipeline.model import (
        Answer,
        Attempt,
        Call,
        Failure,
        Layer,
        Perform,
        Send,
        SendPrepared,
        Settle,
    )
    from .catalogue import Outcome
    from .options import Telemetry
    from .spans import Active
    from .trouble import Troubles

_Method = TypeVar("_Method", bound=Callable[..., object])


def _harmless(method: _Method) -> _Method:
    """Keep what a method raises from the caller, whose call is none of its business."""

    @functools.wraps(method)
    def safe(self: Observer, *args: object) -> object:
        try:
            return method(self, *args)
        except Exception as error:  # noqa: BLE001 processors and registries raise anything
            self.troubles.note(method.__name__, error)
            return None

    return cast("_Method", safe)


class Observer:
    """Tells spans and metrics what a pipeline does.

    Args:
        spans: Where spans are started and ended.
        metrics: Where all is counted, failures of telemetry too.
    """

    def __init__(self, spans: Spans, metrics: Metrics) -> None:
        self._spans = spans
        self._metrics = metrics
        self.troubles = metrics.troubles

    def call_layer(self, perform: Perform) -> Perform:
        """Observe logical calls."""

        def observed(call: Call[object]) -> object:
            record = CallRecord(call.operation.name, perf_counter())
            token = CURRENT.set(record)
            self.start_call(record)
            try:
                value = perform(call)
            except BaseException as error:
                self.end_call(record, error)
                raise
            else:
                self.end_call(record, None)
                return value
            finally:
                CURRENT.reset(token)

        return observed

    def attempt_layer(self, send: Send) -> Send:
        """Observe attempts, each on one server."""

        def observed(attempt: Attempt[object]) -> Answer[object]:
            active = self.start_attempt(attempt)
            started = perf_counter()
            try:
                answer = send(attempt)
            except BaseException as error:
                self.end_attempt(attempt, active, perf_counter() - started, None, error)
                raise
            self.end_attempt(attempt, active, perf_counter() - started, answer, None)
            return answer

        return observed

    def failure_layer(self, settle: Settle) -> Settle:
        """Observe what comes after failed attempts."""

        def observed(failure: Failure) -> None:
            self.failed(failure)
            settle(failure)

        return observed

    @_harmless
    def start_call(self, record: CallRecord) -> None:
        """Start a call's span."""
        record.span = self._spans.start_call(record.operation)

    @_harmless
    def end_call(self, record: CallRecord, error: BaseException | None) -> None:
        """End a call's span, and count the call once."""
        seconds = perf_counter() - record.started
        outcome = _outcome(record, error)
        reason = "" if error is None else reason_of(error)
        try:
            self._metrics.call(record.operation, outcome, reason, seconds)
            if len(record.servers) > 1:
                self._metrics.call_retries(record.operation, len(record.servers) - 1)
            if isinstance(error, GlanceConnectionFailed):
                self._metrics.connection_failed(record.operation, record.servers[-1], reason)
        finally:
            if record.span is not None:
                self._spans.end_call(record.span, record, outcome, error)

    @_harmless
    def start_attempt(self, attempt: Attempt[object]) -> Active | None:
        """Start an attempt's span."""
        record = CURRENT.get()
        record.servers.append(attempt.server)
        return self._spans.start_attempt(attempt)

    @_harmless
    def end_attempt(
        self,
        attempt: Attempt[object],
        active: Active | None,
        seconds: float,
        answer: Answer[object] | None,
        error: BaseException | None,
    ) -> None:
        """End an attempt's span, and count the attempt."""
        operation = attempt.call.operation.name
        reason = "" if error is None else reason_of(error)
        try:
            self._metrics.attempt(operation, attempt.server, reason, seconds)
        finally:
            if active is not None:
                told = answer if error is None else error
                status = getattr(told, "status", 0)
                self._spans.end_attempt(active, status, getattr(told, "request_id", None), error)

    @_harmless
    def failed(self, failure: Failure) -> None:
        """Note a retry, if there is one."""
        if failure.delay is None:
            return
        record = CURRENT.get()
        reason, operation = reason_of(failure.error), failure.attempt.call.operation.name
        try:
            self._metrics.retry(operation, failure.attempt.server, reason, failure.delay)
        finally:
            if record.span is not None:
                record.delay += failure.delay
                self._spans.retry(record.span, failure.delay, reason)


def _outcome(record: CallRecord, error: BaseException | None) -> Outcome:
    if error is None:
        return "success_first_try" if len(record.servers) <= 1 else "success_after_retry"
    return "exhausted" if isinstance(error, GlanceConnectionFailed) else "non_retryable"


def observing(telemetry: Telemetry) -> Layers:
    """Build the layers that observe a pipeline as `telemetry` says."""
    metrics = metrics_for(telemetry.registry)
    wire = _wire_layer(telemetry, metrics.troubles)
    spans = Spans(telemetry.tracer_provider, wire_spans=wire is not None)
    observer = Observer(spans, metrics)
    return Layers(
        call=(observer.call_layer,),
        attempt=(observer.attempt_layer,),
        failure=(observer.failure_layer,),
        wire=(wire or quiet_layer(metrics.troubles),),
    )


def _wire_layer(telemetry: Telemetry, troubles: Troubles) -> Layer[SendPrepared] | None:
    """The layer of wire spans, unless they are not wanted or can't be had."""
    if not telemetry.wire_spans:
        return None
    try:
        return wire_layer(telemetry.tracer_provider, troubles)
    except Exception as error:  # noqa: BLE001 its private parts may change in any way
        troubles.note("wire_layer", error)
        return None
