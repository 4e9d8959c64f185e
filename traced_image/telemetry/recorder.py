"""The recorder: it turns calls, attempts and streams of any client into spans and metrics.

It does not depend on this package's pipeline, because it also records other libraries' calls.
"""

from __future__ import annotations

import re
import sys
from contextvars import ContextVar
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING

from ..config import Server
from ..errors import (
    AttemptError,
    GlanceConnectionFailed,
    ImageUnacceptable,
    InvalidServer,
    TokenUnavailable,
    TracedImageError,
)
from ..reasons import OTHER, find_reason
from .attempt_record import AttemptRecord
from .catalogue import FAILED_OUTCOMES, close_reason
from .reporting import Reporting, find_exemplar
from .stream_record import StreamRecord
from .updates import EndedCall
from .verdicts import TOKEN_UNAVAILABLE, decide_verdict, is_cancelled

if TYPE_CHECKING:
    from typing_extensions import Self

    from .catalogue import Direction, HazardKind, Outcome, RecordKind
    from .reporting import UnderWay
    from .spans import Active, HTTPRequest
    from .updates import Exemplar, ServerKey


_NOT_FAILED: tuple[Outcome, ...] = ("success_after_retry", "refused")
"""The outcomes of a call after a retry that got what a healthy server answers."""

MOST_ENDPOINTS = 1024
"""How many parsed endpoints are cached."""


class Recorder(Reporting):
    """Records the calls of any client as spans and metrics, with the catalogue's names.

    This package's pipeline, its probes and the adapters of other clients all report operations,
    servers and outcomes to a recorder. It counts exceptions of spans and metrics, and never
    raises them::

        recorder = telemetry.make_recorder()
        with recorder.call("images.get") as call:
            with call.attempt("http://glance-1:9292") as attempt:
                response = session.get(...)
                attempt.status = response.status_code

    Args:
        spans: Starts and ends the spans.
        metrics: Counts everything, including failures of telemetry.
    """

    def call(
        self,
        operation: str,
        gave_up: tuple[type[BaseException], ...] = (GlanceConnectionFailed,),
    ) -> CallRecord:
        """Start a call; it ends with its ``with`` block, or when `CallRecord.end` is called.

        Args:
            operation: What the call asks of Glance, such as ``images.get``.
            gave_up: The exception types by which the call says that no attempt succeeded.
        """
        return CallRecord(self, operation, gave_up)

    def find_server(self, endpoint: str) -> Server | None:
        """Return the server of a URL or a ``host:port``; None if the text is neither.

        The first 1,000 servers get their own series.
        """
        server = _parse_endpoint(endpoint)
        if server is not None:
            self.metrics.known((server,))
        return server

    def skipped_records(self, kind: RecordKind, count: int) -> None:
        """Record that a list left records out.

        Args:
            kind: What the records are: ``image`` or ``member``.
            count: How many.
        """
        with self.guard_metrics:
            self.metrics.skipped_records(kind, count)

    def hazard(self, kind: HazardKind, span: Active | None, server: Server | None) -> None:
        """Record what a stock client did with a call and its caller does not see.

        Args:
            kind: What it did.
            span: The span of the call or of the stream; None if it has none.
            server: The server of the last attempt; None if unknown.
        """
        with self.guard_metrics:
            self.metrics.hazard(kind, find_exemplar(span))
        if span is not None:
            with self.guard_spans:
                self.spans.hazard(span, kind, server)

    def stream(
        self,
        operation: str,
        server: Server | None,
        direction: Direction,
        parent: Active | None = None,
    ) -> StreamRecord:
        """Start to record a stream of image data.

        Args:
            operation: The operation of the call that opened the stream.
            server: The server that sends or receives the data; None if unknown.
            direction: ``download`` or ``upload``.
            parent: The span of the stream's call.
        """
        span = None
        with self.guard_spans:
            span = self.spans.start_stream(operation, server, parent)
        return StreamRecord(self, server, direction, span)


@lru_cache(maxsize=MOST_ENDPOINTS)
def _parse_endpoint(endpoint: str) -> Server | None:
    """Parse an endpoint's URL; drop its credentials, query and fragment, which may be secret."""
    head, slashes, rest = endpoint.rpartition("//")
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    try:
        return Server.parse(f"{head}{slashes}{authority.rpartition('@')[2]}{slash}{path}")
    except InvalidServer:
        return None


class CallRecord:
    """A call under way, from its start to its `end`, in the thread or task that makes it.

    Attributes:
        recorder: Records the call.
        operation: The operation, such as ``images.get``.
        span: The call's span; None if the span could not be started.
        servers: The server of each attempt, in order.
        delay: Seconds waited between attempts so far.
        cost: Seconds that retries have added so far: from the start of each attempt that a retry
            followed, or from the last bytes of a stream that broke, to the start of the retry.
        lost: Seconds of the last attempt, or since the last bytes of its stream, which broke.
        broken: Why the stream of the last attempt broke; empty for no reason.
        failed: The server of the last attempt that failed; None for none.
        cancelled: Whether the caller ended the last attempt.
        ended: Whether the call has ended.
        under_way: The attempt under way; None between attempts.
        sent: How often each request was sent, by its method and the part after the server's URL.
    """

    __slots__ = (
        *("_costs", "_gave_up", "_handled", "_started", "_token"),
        *(
            "broken",
            "cancelled",
            "cost",
            "delay",
            "ended",
            "failed",
            "lost",
            "operation",
            "recorder",
            "sent",
            "under_way",
        ),
        *("servers", "span"),
    )

    def __init__(
        self, recorder: Recorder, operation: str, gave_up: tuple[type[BaseException], ...]
    ) -> None:
        self.recorder = recorder
        self.operation = operation
        self._gave_up = gave_up
        # Python chains a new exception to the one that the caller handles already. That one is
        # no cause of this call's failure: `find_reason` must ignore it.
        self._handled = sys.exc_info()[1]
        self.ended = False
        self.servers: list[Server | None] = []
        self.failed: Server | None = None
        self.cancelled = False
        self.under_way: UnderWay | None = None
        self.delay = self.cost = self.lost = 0.0
        self.broken = ""
        self.sent: dict[tuple[str | None, str], int] = {}
        self._costs: dict[tuple[Server | None, str], float] = {}
        self.span: Active | None = None
        self._started = perf_counter()
        try:
            self.span = recorder.spans.start_call(operation)
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            recorder.note_spans(error)
        # Last, because the caller may be interrupted before, and then never ends this call.
        self._token = CURRENT.set(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self.ended:
            return
        if error is None:
            self.end()
            return
        reason: str = find_reason(error, self._handled)
        if isinstance(error, TokenUnavailable):
            self._count_token_failure(reason)
            reason = TOKEN_UNAVAILABLE
        elif isinstance(error, AttemptError) and isinstance(error.__cause__, TokenUnavailable):
            # A stream broke, and there was no token to ask another server for the rest.
            self._count_token_failure(find_reason(error.__cause__, self._handled))
        self.end(
            self._find_outcome(error, reason),
            reason,
            # Other libraries' messages may contain a secret, such as a URL with a password.
            str(error) if isinstance(error, TracedImageError) else "",
        )

    def _find_outcome(self, error: BaseException, reason: str) -> Outcome:
        # Not the error itself, if a stream broke and no server sent the rest.
        last = error.__cause__ if isinstance(error, AttemptError) else None
        if isinstance(error, self._gave_up) or isinstance(last, self._gave_up):
            return "exhausted"
        if self.cancelled or is_cancelled(error):
            return "cancelled"
        if isinstance(error, ImageUnacceptable):  # an image without data has none on any server
            return "refused"
        verdict = error.verdict if isinstance(error, AttemptError) else None
        refused = (verdict or decide_verdict(close_reason(reason))) == "refused"
        return "refused" if refused else "non_retryable"

    def _count_token_failure(self, reason: str) -> None:
        try:
            self.recorder.metrics.token_failed(close_reason(reason), find_exemplar(self.span))
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            self.recorder.note_metrics(error)

    def attempt(
        self,
        server: Server | str | None,
        number: int = 0,
        maximum: int = 0,
        *,
        trial: bool = False,
        request: HTTPRequest | None = None,
        parent: Active | None = None,
    ) -> AttemptRecord:
        """Start an attempt on one server; it ends with its ``with`` block, or with its `end`.

        Args:
            server: The server, or its endpoint as text; None if unknown.
            number: The attempt's number, from 1; 0 for one more than the attempts so far.
            maximum: How many attempts the call may make; 0 if unknown.
            trial: Whether the server is on trial after a cool-down.
            request: The HTTP request, for the attempt's span if there are no wire spans.
            parent: The span above the attempt's; None for the current one.
        """
        if isinstance(server, str):
            server = self.recorder.find_server(server)
        if self.broken:
            self.retry(self.broken, 0.0, server)
            self.broken = ""
        self.servers.append(server)
        self.cancelled = False
        number = number or len(self.servers)
        record = AttemptRecord(self.recorder, self, server)
        try:
            record.span = self.recorder.spans.start_attempt(
                self.operation,
                server,
                number,
                maximum,
                trial=trial,
                request=request,
                parent=parent,
            )
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            self._note_start(record, error)
        return record

    def _note_start(self, record: AttemptRecord, error: Exception) -> None:
        """Note that the span of an attempt did not start; end the attempt if it can't go on."""
        try:
            self.recorder.note_spans(error)
        except BaseException:  # a signal handler's: nobody gets the record, to end it
            record.cancel()
            raise

    @property
    def attempting(self) -> bool:
        """Whether an attempt is under way."""
        return self.under_way is not None

    def idle(self, seconds: float) -> None:
        """Take time out of the duration that its caller spent, such as between a list's pages.

        Args:
            seconds: How long the caller took.
        """
        self._started += seconds

    def retry(self, reason: str, delay: float, next_server: Server | None = None) -> None:
        """Record that another attempt follows a failed one.

        Args:
            reason: Why the last attempt failed.
            delay: Seconds until the next one.
            next_server: The server of the next one; None if unknown.
        """
        recorder, span, reason = self.recorder, self.span, close_reason(reason)
        server = self.servers[-1] if self.servers else None
        cost = self.lost + delay
        self.delay += delay
        self.cost += cost
        self._costs[server, reason] = self._costs.get((server, reason), 0.0) + cost
        with recorder.guard_metrics:
            recorder.metrics.retry(self.operation, server, reason, delay, find_exemplar(span))
        if span is not None:
            with recorder.guard_spans:
                recorder.spans.retry(span, server, next_server, reason, delay)

    def stream(self, server: Server | None, direction: Direction) -> StreamRecord:
        """Start to record a stream of the call's data, which may go on after the call's end.

        If it breaks while the call is under way, an attempt after that is a retry.

        Args:
            server: The server of the stream; None if unknown.
            direction: ``download`` or ``upload``.
        """
        stream = self.recorder.stream(self.operation, server, direction, self.span)
        stream.call = self
        return stream

    def end(
        self,
        outcome: Outcome | None = None,
        reason: str = "",
        message: str = "",
    ) -> None:
        """End the call.

        Args:
            outcome: How it ended; None for success, after any number of attempts. If the caller
                cancelled it, its span has an error only with a message.
            reason: Why it failed; empty for success.
            message: The description in the span's status; it must not contain a secret.
        """
        seconds = perf_counter() - self._started
        self.ended = True
        if self.under_way is not None:  # what a signal handler raised kept it from ending
            self.under_way.leave()
        try:  # noqa: SIM105 unlike `suppress`, it costs nothing if nothing is raised
            CURRENT.reset(self._token)
        # RuntimeError: `end` was called before. ValueError: it is called in another context.
        except (RuntimeError, ValueError):
            pass
        reason = close_reason(reason)
        if outcome is None:
            outcome = "success_first_try" if len(self.servers) <= 1 else "success_after_retry"
        try:
            self._count(outcome, reason, seconds)
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            self.recorder.note_metrics(error)
        finally:  # also if a signal handler raised: no span stays current
            cancelled = outcome == "cancelled" and not message
            self._end_span(outcome, "" if cancelled else reason, message)

    def abandon(self) -> None:
        """End the call if it has not ended, as one that its caller cancelled.

        Nothing of it stays current, even if what a signal handler raised interrupted its `end`.
        """
        if not self.ended:
            self.end("cancelled", OTHER)
            return
        if CURRENT.get(None) is self:
            CURRENT.reset(self._token)
        if self.span is not None:
            self.span.abandon()

    def _end_span(self, outcome: Outcome, reason: str, message: str) -> None:
        if self.span is None:
            return
        spans = self.recorder.spans
        try:
            spans.end_call(self.span, outcome, reason, message, self.servers, self.delay, self.cost)
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            self.recorder.note_spans(error)

    def _count(self, outcome: Outcome, reason: str, seconds: float) -> None:
        metrics, exemplar = self.recorder.metrics, find_exemplar(self.span)
        metrics.call(self.operation, outcome, reason, seconds, exemplar)
        if outcome != "success_first_try":
            self._count_trouble(outcome, reason, seconds, exemplar)

    def _count_trouble(
        self, outcome: Outcome, reason: str, seconds: float, exemplar: Exemplar | None
    ) -> None:
        metrics, attempts = self.recorder.metrics, len(self.servers)
        if attempts > 1:
            metrics.call_retries(self.operation, attempts - 1, exemplar)
        saved = self._costs and outcome in _NOT_FAILED
        if saved:
            metrics.saved(self._costs, exemplar)
        if outcome == "exhausted" and self.servers:
            metrics.connection_failed(self.operation, self.failed, reason, exemplar)
        if saved or outcome in FAILED_OUTCOMES:
            failures = self._list_failures("" if saved else reason)
            call = EndedCall(self.operation, outcome, reason, seconds, attempts, failures, exemplar)
            metrics.keep_call(call)

    def _list_failures(self, last: str) -> tuple[tuple[ServerKey, str, float], ...]:
        """Return the servers that failed the call; the last attempt counts if it has a reason."""
        costs = dict(self._costs)
        if last and self.failed is not None and self.failed is self.servers[-1]:
            costs[self.failed, last] = costs.get((self.failed, last), 0.0) + self.lost
        find = self.recorder.metrics.find_place
        return tuple((find(server), reason, cost) for (server, reason), cost in costs.items())


CURRENT: ContextVar[CallRecord] = ContextVar("traced_image_call")
"""The call under way in this thread or task."""


def current_call() -> CallRecord | None:
    """Return the call under way in this thread or task; None if there is no call."""
    call = CURRENT.get(None)
    # A context that was copied during a call, such as a task's, keeps it after its end.
    return None if call is None or call.ended else call
