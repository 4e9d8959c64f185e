"""The layers that observe this package's pipeline and report what happens to a recorder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import Span, set_span_in_context

from ..errors import AttemptError, TracedImageError
from ..pipeline.api.download import Download
from ..pipeline.attempts.seams import Layers, T
from . import options
from .global_providers import find_meter_provider, find_tracer_provider
from .options import Telemetry
from .recorder import CURRENT
from .reporting import set_trace_ids
from .shared_metrics import make_recorder, share_metrics
from .wire_spans import make_quiet_layer, make_wire_layer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.context import Context

    from ..config import Server
    from ..pipeline.api.download import Resume
    from ..pipeline.api.operation import Chunks
    from ..pipeline.attempts.seams import (
        Announce,
        AnnounceSkips,
        Answer,
        Attempt,
        Call,
        Failure,
        Layer,
        Perform,
        Send,
        SendPrepared,
        Skips,
    )
    from .attempt_record import AttemptRecord
    from .recorder import CallRecord, Recorder
    from .stream_record import StreamRecord
    from .telemetry_errors import TelemetryErrors


class Observer:
    """The layers of one pipeline, which report to one recorder.

    Args:
        recorder: Records calls, attempts and streams.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def call_layer(self, perform: Perform) -> Perform:
        """Record each call, with all its attempts."""
        start = self._recorder.call

        def recorded(call: Call[T]) -> T:
            with start(call.operation.name) as record:
                try:
                    result = perform(call)
                except TracedImageError:
                    raise
                except Exception:  # of the caller's file, or a time limit: our own have types
                    record.cancelled = True
                    raise
            if isinstance(result, Download) and record.span is not None:
                # The reader may need another server when the call has ended.
                result.resume = _observe_resume(result.resume, record.span.span)
            return result

        def observed(call: Call[T]) -> T:
            outer, context = CURRENT.get(None), get_current()
            try:
                return recorded(call)
            except BaseException:
                # A signal handler may have raised while the record started or ended.
                _restore(outer, context)
                raise

        return observed

    def attempt_layer(self, send: Send) -> Send:
        """Record each attempt, and the stream of a download that it opens."""

        def observed(attempt: Attempt[T]) -> Answer[T]:
            with _start(attempt) as record:
                try:
                    answer = send(attempt)
                except TracedImageError:
                    raise
                except Exception:  # of the caller's data, or a time limit: the server's have types
                    record.cancel()
                    raise
                record.status, record.request_id = answer.status, answer.request_id
            if isinstance(answer.value, Download):
                _watch(answer.value)
            return answer

        return observed

    def failure_layer(self, announce: Announce) -> Announce:
        """Record the retry that follows a failed attempt, if one follows."""
        guard = self._recorder.metrics.errors.guard("logs")

        def observed(failure: Failure) -> None:
            if failure.delay is not None:
                CURRENT.get().retry(failure.error.reason, failure.delay, failure.next_server)
            # A broken logging handler must not fail the call.
            with guard:
                announce(failure)

        return observed

    def skips_layer(self, announce: AnnounceSkips) -> AnnounceSkips:
        """Record what a list left out."""
        guard = self._recorder.metrics.errors.guard("logs")

        def observed(skips: Skips) -> None:
            of_members = skips.operation == "image_members.list"
            self._recorder.skipped_records("member" if of_members else "image", len(skips.records))
            with guard:
                announce(skips)

        return observed


class ObservedChunks:
    """The chunks of a download from one server, counted in a record.

    The record ends when the first of these happens: the data is complete, the stream breaks, the
    reader closes it, or the garbage collector frees it. No span is current while the reader works
    on a chunk.
    """

    def __init__(self, chunks: Chunks, record: StreamRecord) -> None:
        self._chunks = chunks
        self._record = record

    def __iter__(self) -> Iterator[bytes]:
        record = self._record
        try:
            for chunk in self._chunks:
                record.add(len(chunk))
                yield chunk
        except AttemptError as error:
            set_trace_ids(error, record.span)
            record.end(error.reason, complete=False)
            raise
        else:
            record.end(complete=True)
        finally:
            # Only the first `end` counts: this one is for a reader that stops early.
            record.end(complete=False)

    def close(self) -> None:
        """Close the stream; the rest of the data is not read."""
        self._record.end(complete=False)
        self._chunks.close()

    def __del__(self) -> None:
        # A reader that never started the iteration never reaches its `finally`.
        self._record.end(complete=False)


def _watch(download: Download) -> None:
    stream = CURRENT.get().stream(download.server, "download")
    download.chunks = ObservedChunks(download.chunks, stream)


def _observe_resume(resume: Resume | None, span: Span) -> Resume | None:
    """Wrap a function that fetches the rest of a download: its call is below the first call.

    So all servers that sent a part of the data are in one trace.
    """
    if resume is None:
        return None

    def observed(server: Server, error: AttemptError, done: int) -> Download | None:
        token = attach(set_span_in_context(span))
        try:
            return resume(server, error, done)
        finally:
            detach(token)

    return observed


def _restore(outer: CallRecord | None, context: Context) -> None:
    """Make what was current before a call current again, if the call did not."""
    if CURRENT.get(None) is not outer:
        # Set and not reset, because the token may be lost. None is as good as no value.
        CURRENT.set(outer)  # type: ignore[arg-type]
    if get_current() is not context:
        attach(context)


def _start(attempt: Attempt[object]) -> AttemptRecord:
    return CURRENT.get().attempt(
        attempt.server,
        attempt.number,
        attempt.maximum,
        trial=attempt.trial,
        request=attempt.call.operation,
    )


def make_layers(telemetry: Telemetry | None, servers: Iterable[Server] = ()) -> Layers:
    """Build the layers that observe a pipeline.

    Args:
        telemetry: Where the layers report; None is `Telemetry` with its defaults.
        servers: The servers whose series exist, at zero, from now on.

    Raises:
        InvalidOption: `telemetry` is not a `Telemetry`.
    """
    telemetry = Telemetry() if telemetry is None else telemetry
    options.check_type("telemetry", telemetry, fits=isinstance(telemetry, Telemetry))
    metrics = share_metrics(telemetry)
    observer = Observer(make_recorder(telemetry, servers))
    return Layers(
        call=(observer.call_layer,),
        attempt=(observer.attempt_layer,),
        failure=(observer.failure_layer,),
        skips=(observer.skips_layer,),
        wire=(_make_wire_layer(telemetry, metrics.errors),),
        hosts=(metrics.host,),
    )


def _make_wire_layer(telemetry: Telemetry, errors: TelemetryErrors) -> Layer[SendPrepared]:
    # Where `meter_provider` is False, the metrics of this package go elsewhere. A metric of the
    # application does not, and so its durations still go to the global provider.
    meter_provider = telemetry.meter_provider or find_meter_provider()[0]
    is_global = telemetry.tracer_provider is None
    if telemetry.wire_spans:
        tracer_provider = find_tracer_provider(telemetry.tracer_provider, errors)
        return make_wire_layer(tracer_provider, meter_provider, errors, is_global=is_global)
    return make_quiet_layer(meter_provider, errors, is_global=is_global)
