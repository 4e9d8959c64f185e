"""A call of a stock client under way: a call, an attempt or both in the recorder.

An attempt starts with the first HTTP request of a call, when the server is known. So a call that
fails before any request, by its caller's arguments or by Keystone, accuses no server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.context import get_current

from ..redact import hide_in_url
from ..telemetry import catalogue as names
from ..telemetry.recorder import current_call
from ..telemetry.stream_record import StreamRecord
from .client_call import CLIENT_CALL, ClientCall, open_call
from .hazards import report_hazard

if TYPE_CHECKING:
    from ..config import Server
    from ..telemetry.attempt_record import AttemptRecord
    from ..telemetry.propagation import Propagation
    from ..telemetry.recorder import Recorder
    from ..telemetry.telemetry_errors import Guard
    from .client_call import GaveUp
    from .hooks import ClientRequest, Hooks
    from .hosts import Hosts
    from .patching import Foreign

_UNQUOTED = re.compile(r"[A-Za-z0-9_.~/:-]*")
"""The values of headers that the library sends as they are, such as `traceparent`: it quotes them
as parts of a URL."""

_SCHEMAS = "/v2/schemas/"


@dataclass(frozen=True, slots=True)
class Shared:
    """What all observed calls share.

    Attributes:
        hooks: The application's hooks.
        hosts: The state of each server.
        propagation: Adds the headers that name a span to a server.
        guard: Counts what fails because a library is not as expected.
    """

    hooks: Hooks
    hosts: Hosts
    propagation: Propagation
    guard: Guard


class ObservedCall:
    """A call of a stock client under way.

    Attributes:
        guard: Counts what fails because the library is not as expected.
        operation: The operation, such as ``images.get``.
        recorder: Records it.
        attempt: Its attempt; None before its first HTTP request.
        source_error: What the caller's own data raised while it was read; None for nothing.
    """

    __slots__ = (
        *("_call", "_failure", "_owned", "_replies", "_request", "_sent", "_server", "_shared"),
        *("_shown", "_upload"),
        *("attempt", "guard", "operation", "recorder", "source_error"),
    )

    def __init__(self, shared: Shared, recorder: Recorder, operation: str, gave_up: GaveUp) -> None:
        self.recorder = recorder
        self.operation = operation
        self.attempt: AttemptRecord | None = None
        self.source_error: BaseException | None = None
        self._owned = current_call() is None
        self.guard = shared.guard
        self._shared = shared
        self._upload: StreamRecord | None = None
        self._sent: int | None = None
        self._replies = 0
        self._request: ClientRequest | None = None
        self._shown: ClientRequest | None = None
        self._server: Server | None = None
        self._failure: BaseException | None = None
        self._call = _find_call(recorder, operation, gave_up)

    def send(
        self,
        endpoint: str | None,
        request: ClientRequest,
        wrapped: Foreign,
        args: Foreign,
        kwargs: Foreign,
    ) -> Foreign:
        """Make one HTTP request of the call.

        Args:
            endpoint: The server's URL; None if `found` will tell it.
            request: The request.
            wrapped: The library's function that sends it, and returns the response first.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        with self.guard:
            self._request = request
            if endpoint is not None:
                self.found(endpoint)
            self._begin(request)
            kwargs = self._propagate(kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            self._failure = error
            raise
        self._failure = None
        with self.guard:
            self._note(request, result[0])
        return result

    def found(self, endpoint: str) -> None:
        """Start the attempt, if it has not started: the URL of its server is known now."""
        if self.attempt is None and self._request is not None:
            self._shown = self._request
            self.attempt = self._call.start_attempt(endpoint, self._request)
            self._server = self._call.record.servers[-1]

    def _begin(self, request: ClientRequest) -> None:
        if self.attempt is None or self.attempt.span is None:
            return
        if self._shown is not None and self._shown.path.startswith(_SCHEMAS):
            # The client asks for the schema of what it sends: the attempt's own request is next.
            self._describe(request)
        self._shared.hooks.before(self.attempt.span.span, request)

    def _propagate(self, kwargs: Foreign) -> Foreign:
        """Return a request's arguments with the headers that name the current span to the server.

        If each request has a span of its own, the instrumentation that makes it does this.
        """
        if self.recorder.spans.wire_spans:
            return kwargs
        told: dict[str, str] = {}
        self._shared.propagation.add_to(told, get_current())
        sent = {name: value for name, value in told.items() if _UNQUOTED.fullmatch(value)}
        return {**kwargs, "headers": {**(kwargs.get("headers") or {}), **sent}} if sent else kwargs

    def _note(self, request: ClientRequest, response: Foreign) -> None:
        if self.attempt is None:
            return
        self._replies += 1
        self.attempt.status = response.status_code
        self.attempt.request_id = response.headers.get("x-openstack-request-id")
        if self.attempt.span is not None:
            self._shared.hooks.after(self.attempt.span.span, request, response)

    def sent(self, count: int) -> None:
        """Record that `count` more bytes of an upload's data were read to be sent."""
        with self.guard:
            self._sent = (self._sent or 0) + count
            if self._upload is None:
                # Without a span, as in this package's pipeline: the attempt's span shows the time.
                self._upload = StreamRecord(self.recorder, self._server, "upload", None)
            self._upload.add(count)

    def open_download(self) -> StreamRecord:
        """Start to record the data that the server sends after the call has ended."""
        span = None if self.attempt is None else self.attempt.span
        return self.recorder.stream(self.operation, self._server, "download", span)

    def report_break(self, stream: StreamRecord) -> None:
        """Record that a download breaks, which is still to be ended."""
        server = self._server
        report_hazard(self.recorder, self.operation, "download_broken", server, stream.span)

    def idle(self, seconds: float) -> None:
        """Take time out of the durations that the call's caller spent."""
        if self._owned:
            self._call.record.idle(seconds)
        if self.attempt is not None:
            self.attempt.idle(seconds)

    def end(self, error: BaseException | None = None) -> None:
        """End the attempt and the call.

        Args:
            error: What the call raised; None for success.
        """
        try:
            with self.guard:
                self._end_attempt(error)
        finally:  # also if a signal handler raised: no call stays current
            if self._owned:
                with self.guard:
                    self._call.end(error, self.source_error)

    def _end_attempt(self, error: BaseException | None) -> None:
        attempt = self.attempt
        if attempt is None:
            return
        blame = self._call.find_blame(error)
        if error is None or not blame.has(self._failure):
            # What the library raises after a good response is no failure of the server.
            attempt.end("", attempt.status, attempt.request_id)
        elif blame.keystone or blame.caller or blame.has(self.source_error):
            attempt.cancel()
        else:
            self._describe(self._request)  # the one that failed, which may not be the first one
            attempt.__exit__(type(error), error, None)
            if self._upload is not None and attempt.verdict != "cancelled":
                self._upload.end(self._call.find_reason(error), complete=False)
        self._call.note(self._server, attempt, self._replies, self._sent)
        self._shared.hosts.note(self._server, attempt.verdict)

    def _describe(self, request: ClientRequest | None) -> None:
        """Name another request in the attempt's span than the first one."""
        server = self._server
        if self.attempt is None or self.attempt.span is None or server is None or request is None:
            return
        if request is not self._shown and not self.recorder.spans.wire_spans:
            self._shown = request
            url = hide_in_url(server.url + request.path)
            self.attempt.span.span.set_attributes(
                {names.HTTP_REQUEST_METHOD: request.method, names.URL_FULL: url}
            )


def _find_call(recorder: Recorder, operation: str, gave_up: GaveUp) -> ClientCall:
    """Return the call that a new one belongs to, which may be a new one."""
    outer = current_call()
    if outer is None:
        return open_call(recorder, operation, gave_up)
    call = CLIENT_CALL.get()
    if call is not None and call.record is outer:
        return call
    return ClientCall(recorder, operation, gave_up, outer)
