"""An attempt of a stock client's call under way: one or more HTTP requests to one server."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING

from ..redact import hide_in_url
from ..telemetry import catalogue as names
from ..telemetry.stream_record import StreamRecord
from .hazards import PastAttempt
from .request_failures import RequestFailures

if TYPE_CHECKING:
    from ..telemetry.propagation import Propagation
    from ..telemetry.spans import Active
    from ..telemetry.telemetry_errors import Guard
    from .client_call import ClientCall
    from .failures import Blame
    from .hooks import ClientRequest, Hooks
    from .hosts import Hosts
    from .patching import Foreign
    from .request_failures import RequestFailure

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


class ObservedAttempt:
    """An attempt under way, from its first HTTP request to the call's end or to a failure.

    Args:
        shared: What all calls share.
        call: The call.
        endpoint: The server's URL.
        request: The first HTTP request.
        skipped: Bytes of an upload's data that attempts before have read; None if nobody has
            counted any.
        before: The attempt that failed, and whose last request this one makes again; None for none.

    Attributes:
        record: Its record.
        server: Its server; None if the URL is none.
        handled: What was being handled when it began: no failure of this attempt.
        replies: How many HTTP requests were answered, also in the attempts that it goes on from.
        sent: Bytes of an upload's data that were read to be sent; None if nobody counted them.
        skipped: Bytes of it that attempts before have read, and that it has not read again.
        failures: The HTTP requests that failed.
    """

    __slots__ = (
        *("_ahead", "_call", "_endpoint", "_request", "_response", "_resumes", "_shared", "_shown"),
        *("_upload", "failures", "handled", "record", "replies", "sent", "server", "skipped"),
    )

    def __init__(
        self,
        shared: Shared,
        call: ClientCall,
        endpoint: str,
        request: ClientRequest,
        skipped: int | None,
        before: ObservedAttempt | None = None,
    ) -> None:
        self.handled = sys.exc_info()[1]
        self.replies: int = 0 if before is None else before.replies
        self.failures = RequestFailures()
        self._resumes = before is not None
        self._shared = shared
        self._call = call
        self._request = self._shown = request
        self._ahead = False
        self._endpoint = endpoint
        self._response: Foreign = None
        self.sent = None if skipped is None else 0
        self.skipped = skipped or 0
        self._upload: StreamRecord | None = None
        self.record = call.start_attempt(endpoint, request)
        self.server = call.record.servers[-1]

    @property
    def span(self) -> Active | None:
        """Its span; None if it has none."""
        return self.record.span

    def begin(self, endpoint: str, request: ClientRequest, *, discovering: bool) -> None:
        """Record that an HTTP request is sent, which may be sent again.

        Args:
            endpoint: The server's URL, which may have another path than that of the first request.
            request: The request.
            discovering: Whether it asks for the versions of the API.
        """
        self._show_response()
        self._endpoint, self._request = endpoint, request
        if self._ahead:
            self._describe()
        if request == self._shown:
            # A client also asks for the schema of what it sends: its own request is next.
            self._ahead = discovering or request.path.startswith(_SCHEMAS)
        if self.span is not None:
            self._shared.hooks.before(self.span.span, request)

    def note_response(self, response: Foreign) -> None:
        """Record what the headers of a response say."""
        self.record.status = response.status_code
        self.record.request_id = response.headers.get("x-openstack-request-id")
        self._response = response

    def note_reply(self, response: Foreign) -> None:
        """Record that the library has got its response; openstacksdk examines the status later."""
        self.replies += 1
        self.note_response(response)
        self._show_response()
        if response.status_code < HTTPStatus.BAD_REQUEST:
            self.failures.clear()
        else:
            self.failures.hold(response, self._request)

    def note_failure(self, error: BaseException) -> None:
        """Record what an HTTP request raised, after which the library may make another one."""
        self.failures.add(error, self._request)

    def enter(self) -> None:
        """Make its span current, if it is not."""
        if self.span is not None:
            self.record.span = self.span.enter()

    def leave(self) -> None:
        """Make the span above current, which may be another instrumentation's, and end soon."""
        if self.span is not None:
            self.record.span = self.span.leave()

    def note_sent(self, count: int) -> None:
        """Record that `count` more bytes of an upload's data were read to be sent."""
        self.sent = (self.sent or 0) + count
        if self._upload is None:
            # Without a span, as in this package's pipeline: the attempt's span shows the time.
            self._upload = StreamRecord(self._call.recorder, self.server, "upload", None)
        self._upload.add(count)

    def end(self, reason: str = "") -> None:
        """End it after a response.

        Args:
            reason: Why it failed; empty for success.
        """
        if reason:
            self._describe()
        self._show_response()
        self.record.end(reason, self.record.status, self.record.request_id)
        self._close()

    def fail_by(self, failure: RequestFailure, blame: Blame, source: BaseException | None) -> None:
        """End it with an HTTP request that failed, which may not be the last one.

        Args:
            failure: That.
            blame: Whose failure it is.
            source: As for `fail`.
        """
        self._request = failure.request
        if isinstance(failure.cause, BaseException):
            self.fail(failure.cause, blame, source)
        else:
            self.note_response(failure.cause)
            self._response = None  # the application has seen it
            self.end(str(failure.cause.status_code))

    def fail(self, error: BaseException, blame: Blame, source: BaseException | None) -> None:
        """End it with what an HTTP request raised.

        Args:
            error: That.
            blame: Whose failure it is.
            source: What the caller's own data raised while it was read; None for nothing.
        """
        self._show_response()
        status = self.record.status
        if (blame.keystone or blame.lost) and status:
            # Between two requests. The server may have rejected the token of the first one.
            self.end(str(status) if status == HTTPStatus.UNAUTHORIZED else "")
            return
        if blame.keystone or blame.lost or blame.caller or blame.has(source):
            self.record.cancel()
        else:
            self._describe()
            self.record.__exit__(type(error), error, None)
        self._close()

    def _close(self) -> None:
        """Tell the call, the server's state and the stream that it has ended."""
        if self._upload is not None and self.record.reason:
            self._upload.end(self.record.reason, complete=False)
        if self.record.verdict != "cancelled":
            ended, method = perf_counter(), self._request.method
            past = (self.server, self.record.reason, self.replies, self.sent, ended, self.skipped)
            self._call.note(PastAttempt(*past, method, self._resumes))
        self._shared.hosts.note(self.server, self.record.verdict)

    def _show_response(self) -> None:
        """Show the last response to the application, if it has not seen it."""
        response, self._response = self._response, None
        if response is not None and self.span is not None:
            self._shared.hooks.after(self.span.span, self._request, response)

    def _describe(self) -> None:
        """Name the last request in the span, which may not be the first one."""
        if self.span is None or self._request == self._shown:
            return
        self._shown, recorder = self._request, self._call.recorder
        server = recorder.find_server(self._endpoint)
        if server is not None and not recorder.spans.wire_spans:
            url = hide_in_url(server.url + self._request.path)
            self.span.span.set_attributes(
                {names.HTTP_REQUEST_METHOD: self._request.method, names.URL_FULL: url}
            )
