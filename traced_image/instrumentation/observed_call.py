"""A call of a stock client under way: a call, an attempt or both in the recorder.

An attempt starts with the first HTTP request of a call, when the server is known. So a call that
fails before any request, by its caller's arguments or by Keystone, accuses no server. If the
library sends a request again after a failure, that is another attempt.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.context import get_current

from ..telemetry.recorder import current_call
from .client_call import CLIENT_CALL, ClientCall, open_call
from .failures import find_blame
from .hazards import report_hazard
from .hooks import ClientRequest
from .observed_attempt import ObservedAttempt

if TYPE_CHECKING:
    from collections.abc import Collection, MutableMapping

    from ..telemetry.recorder import Recorder
    from ..telemetry.stream_record import StreamRecord
    from .client_call import GaveUp
    from .observed_attempt import Shared
    from .patching import Foreign
    from .upload_progress import UploadProgress

_UNQUOTED = re.compile(r"[A-Za-z0-9_.~/:-]*")
"""The values of headers that the library sends as they are, such as `traceparent`: it quotes them
as parts of a URL."""


class ObservedCall:
    """A call of a stock client under way.

    Attributes:
        guard: Counts what fails because the library is not as expected.
        operation: The operation, such as ``images.get``.
        recorder: Records it.
        attempt: Its attempt, under way or the last one; None before its first HTTP request, and
            after a failure until the library sends the request again.
        source_error: What the caller's own data raised while it was read; None for nothing.
        discovering: Whether a session asks the server which versions of the API it has.
        ended: Whether it has ended; a context that was copied before keeps it.
        ignored: The HTTP status that is no failure if the call returns after it; 0 for none.
    """

    __slots__ = (
        *("_before", "_call", "_owned", "_request", "_shared", "_skipped"),
        *("attempt", "discovering", "ended", "guard", "ignored", "operation", "recorder"),
        "source_error",
    )

    def __init__(self, shared: Shared, recorder: Recorder, operation: str, gave_up: GaveUp) -> None:
        self.recorder = recorder
        self.operation = operation
        self.attempt: ObservedAttempt | None = None
        self.source_error: BaseException | None = None
        self.discovering = False
        self.ended = False
        self.ignored = 0
        self._owned = current_call() is None
        self.guard = shared.guard
        self._shared = shared
        self._skipped: int | None = None
        self._request: ClientRequest | None = None
        self._before: ObservedAttempt | None = None
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
            endpoint: The server's URL; None if a session of keystoneauth1 tells it, by
                `start_request`.
            request: The request.
            wrapped: The library's function that sends it, and returns the response first.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        with self.guard:
            self._request = request
            if endpoint is not None:
                self._begin(endpoint, request)
                kwargs = self._propagate(kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            if self.attempt is not None:
                self.attempt.note_failure(error)
            raise
        with self.guard:
            if self.attempt is not None:
                self.attempt.note_reply(result[0])
        return result

    def _begin(self, endpoint: str, request: ClientRequest) -> ObservedAttempt:
        """Start the attempt, if it has not started, and a request of it."""
        if self.attempt is None:
            self.attempt = ObservedAttempt(
                self._shared, self._call, endpoint, request, self._skipped, self._before
            )
        self.attempt.begin(endpoint, request, discovering=self.discovering)
        return self.attempt

    def _propagate(self, kwargs: Foreign) -> Foreign:
        """Return a request's arguments with the headers that name the current span to the server.

        If each request has a span of its own, the instrumentation that makes it does this.
        """
        if self.recorder.spans.wire_spans:
            return kwargs
        told = self._shared.propagation.collect(get_current())
        sent = {name: value for name, value in told.items() if _UNQUOTED.fullmatch(value)}
        return {**kwargs, "headers": {**(kwargs.get("headers") or {}), **sent}} if sent else kwargs

    def locate(self, method: str, url: str) -> tuple[str, ClientRequest] | None:
        """Return the server and the request that a session sends; None for one to Keystone.

        Args:
            method: The HTTP method.
            url: The whole URL.
        """
        request = self._request
        if request is not None and request.method == method and url.endswith(request.path):
            return self._split(url.removesuffix(request.path) or url, url, request)
        if self.discovering:
            parts = urlsplit(url)
            return f"{parts.scheme}://{parts.netloc}", ClientRequest(method, parts.path)
        return None

    def _split(self, endpoint: str, url: str, request: ClientRequest) -> tuple[str, ClientRequest]:
        """Return a request with the path after the URL that a server has in spans and metrics.

        An endpoint may end in the version of the API, which is then no part of the server's URL.
        """
        server = self.recorder.find_server(endpoint)
        if server is None or not url.startswith(server.url):
            return endpoint, request
        return endpoint, ClientRequest(request.method, url.removeprefix(server.url))

    def start_request(
        self, endpoint: str, request: ClientRequest, headers: MutableMapping[str, str]
    ) -> None:
        """Record that a session sends a request, for the first time or again.

        Args:
            endpoint: The server's URL.
            request: The request.
            headers: Its headers; those that name the attempt's span to the server are added.
        """
        self._begin(endpoint, request).enter()
        if not self.recorder.spans.wire_spans:
            self._shared.propagation.add_to(headers, get_current())

    def note_response(self, response: Foreign) -> None:
        """Record what the headers of a session's response say."""
        if self.attempt is not None:
            self.attempt.note_response(response)

    def end_request(self, error: BaseException | None, statuses: Collection[int]) -> None:
        """Record that a session has sent the request once; then no attempt's span is current.

        Args:
            error: What it raised; None for a response.
            statuses: After a response with one of these the session sends the request again, or
                another one in its place.
        """
        attempt = self.attempt
        if attempt is None:
            return
        attempt.leave()
        status = attempt.record.status
        if error is not None:
            attempt.fail(error, find_blame(error, attempt.handled), self.source_error)
        elif status in statuses:
            attempt.end(str(status))
        else:
            return
        if attempt.sent is not None:
            self._skipped = attempt.skipped + attempt.sent
        self._before, self.attempt = attempt, None

    def resume_upload(self, progress: UploadProgress) -> UploadProgress | None:
        """Return the progress of the service's attempt before; keep this one for the next one."""
        earlier, self._call.uploaded = self._call.uploaded, progress
        return earlier

    def skip(self, count: int) -> None:
        """Record that attempts before have read `count` bytes of the same data."""
        self._skipped = count

    def sent(self, count: int) -> None:
        """Record that `count` more bytes of an upload's data were read to be sent."""
        with self.guard:
            if self.attempt is not None:
                self.attempt.note_sent(count)

    def open_download(self) -> StreamRecord:
        """Start to record the data that the server sends after the call has ended."""
        attempt = self.attempt
        server, span = (None, None) if attempt is None else (attempt.server, attempt.span)
        return self.recorder.stream(self.operation, server, "download", span)

    def report_break(self, stream: StreamRecord, error: BaseException) -> None:
        """Record that a download breaks, which is still to be ended.

        Args:
            stream: The download.
            error: What it raises.
        """
        if self.attempt is not None and self.attempt.record.verdict is None:
            self.attempt.note_failure(error)  # the library reads the data within the call
            return
        server = None if self.attempt is None else self.attempt.server
        report_hazard(self.recorder, self.operation, "download_broken", server, stream.span)

    def idle(self, seconds: float) -> None:
        """Take time out of the durations that the call's caller spent."""
        if self._owned:
            self._call.record.idle(seconds)
        if self.attempt is not None:
            self.attempt.record.idle(seconds)

    def end(self, error: BaseException | None = None) -> None:
        """End the attempt and the call.

        Args:
            error: What the call raised; None for success.
        """
        self.ended = True
        try:
            with self.guard:
                self._end_attempt(error)
        finally:  # also if a signal handler raised: no call stays current
            try:
                if self._owned:
                    with self.guard:
                        self._call.end(error, self.source_error)
            finally:
                self._forget_errors()

    def _forget_errors(self) -> None:
        """Let go of exceptions and responses.

        A traceback leads back to this call, and to all variables of its caller: these would live
        until the next garbage collection.
        """
        self.source_error = None
        if self.attempt is not None:
            self.attempt.failures.forget()

    def _end_attempt(self, error: BaseException | None) -> None:
        if self.attempt is None:
            return
        blame = self._call.find_blame(error)
        failure = self.attempt.failures.find(error, blame, self.ignored)
        if failure is None:
            # What else the library raises after a good response is no failure of the server.
            self.attempt.end("checksum_mismatch" if blame.checksum else "")
        else:
            self.attempt.fail_by(failure, blame, self.source_error)


def _find_call(recorder: Recorder, operation: str, gave_up: GaveUp) -> ClientCall:
    """Return the call that a new one belongs to, which may be a new one."""
    outer = current_call()
    if outer is None:
        return open_call(recorder, operation, gave_up)
    call = CLIENT_CALL.get()
    if call is not None and call.record is outer:
        return call
    return ClientCall(recorder, operation, gave_up, outer)
