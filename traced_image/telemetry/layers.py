"""The layers that observe this package's pipeline: what happens in it, told to a recorder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import AttemptError
from ..pipeline.api.download import Download
from ..pipeline.attempts.seams import Layers, T
from . import options
from .options import Telemetry
from .recorder import CURRENT, set_trace_ids
from .requests_spans import make_quiet_layer, make_wire_layer
from .shared_metrics import make_recorder, share_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..config import Server
    from ..pipeline.api.operation import Chunks
    from ..pipeline.attempts.seams import (
        Announce,
        Answer,
        Attempt,
        Call,
        Failure,
        Layer,
        Perform,
        Send,
        SendPrepared,
    )
    from .recorder import AttemptRecord, Recorder, StreamRecord
    from .telemetry_errors import TelemetryErrors


class Observer:
    """Tells a recorder what a pipeline does.

    Args:
        recorder: What is told.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def call_layer(self, perform: Perform) -> Perform:
        """Observe logical calls."""
        start = self._recorder.call

        def observed(call: Call[T]) -> T:
            with start(call.operation.name):
                return perform(call)

        return observed

    def attempt_layer(self, send: Send) -> Send:
        """Observe attempts, each on one server."""

        def observed(attempt: Attempt[T]) -> Answer[T]:
            with _start(attempt) as record:
                answer = send(attempt)
                record.status, record.request_id = answer.status, answer.request_id
            if isinstance(answer.value, Download):
                self._watch(answer.value, record)
            return answer

        return observed

    def _watch(self, download: Download, record: AttemptRecord) -> None:
        stream = self._recorder.stream("images.data", download.server, "download", record.span)
        download.chunks = ObservedChunks(download.chunks, stream)

    def failure_layer(self, announce: Announce) -> Announce:
        """Observe what comes after failed attempts."""
        guard = self._recorder.metrics.errors.guard("logs")

        def observed(failure: Failure) -> None:
            if failure.delay is not None:
                CURRENT.get().retry(failure.error.reason, failure.delay)
            with guard:
                announce(failure)

        return observed


class ObservedChunks:
    """What one server sends of a download, told to a record.

    The record ends when all has come, when the stream breaks, when it is closed, and when it is
    dropped, whichever comes first. No span is current while its reader has a chunk.
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
            record.end(complete=False)

    def close(self) -> None:
        """Give up what has not been read."""
        self._record.end(complete=False)
        self._chunks.close()

    def __del__(self) -> None:
        self._record.end(complete=False)


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
        telemetry: Where to tell of it; None is `Telemetry` with its defaults.
        servers: The servers that have series of their own, at zero from now on.

    Raises:
        InvalidOption: It is not a `Telemetry`.
    """
    telemetry = Telemetry() if telemetry is None else telemetry
    options.check_type("telemetry", telemetry, fits=isinstance(telemetry, Telemetry))
    metrics = share_metrics(telemetry)
    wire = _make_wire_layer(telemetry, metrics.errors)
    telemetry = replace(telemetry, wire_spans=wire is not None)
    observer = Observer(make_recorder(telemetry, servers))
    return Layers(
        call=(observer.call_layer,),
        attempt=(observer.attempt_layer,),
        failure=(observer.failure_layer,),
        wire=(wire or make_quiet_layer(metrics.errors),),
        hosts=(metrics.host,),
    )


def _make_wire_layer(telemetry: Telemetry, errors: TelemetryErrors) -> Layer[SendPrepared] | None:
    """The layer of wire spans, unless they are not wanted or can't be had."""
    if not telemetry.wire_spans:
        return None
    try:
        return make_wire_layer(telemetry.tracer_provider, errors)
    except Exception as error:  # noqa: BLE001 its private parts may change in any way
        errors.note("wire", error)
        return None
