"""The requests of one attempt: headers, token, redirects and deadline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast
from urllib.parse import urljoin, urlsplit

from ...errors import (
    AttemptError,
    CommunicationError,
    Invalid,
    InvalidEndpoint,
    ProtocolError,
    Reason,
    Unauthorized,
)
from ...reasons import classify
from ..api.operation import Reply, Request
from ..api.upload import SourceError, UploadBody
from ..attempts.retry_loop import DEADLINE_EXCEEDED
from ..attempts.seams import Answer, Attempt, SendPrepared, T
from .auth import RequestTokens, find_request_id
from .connection import READS, Until, make_timeout
from .reply import BROKEN, BodyChunks, build_error, read_body, request_id_of
from .transport import make_transports

if TYPE_CHECKING:
    import requests
    from urllib3 import Timeout

    from ...config import Config
    from ..clock import Clock


MAX_REDIRECTS = 5
"""Redirects that one request may follow; Glance itself sends none."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_CONTENT = 204
_SUCCESSES = range(200, 300)
_SCHEME_PORTS = {"http": 80, "https": 443}
_BASE_HEADERS = {"User-Agent": "traced-image", "Accept": "*/*", "Accept-Encoding": "identity"}


class HTTPSend:
    """A function that makes one attempt over HTTP: the innermost `Send`.

    Args:
        config: The configuration; its TLS, timeouts, sizes and authentication count here.
        clock: The source of time.
        send: Sends a prepared request over a session.
    """

    def __init__(self, config: Config, clock: Clock, send: SendPrepared) -> None:
        self.config = config
        self.clock = clock
        self.credentials = RequestTokens(config)
        self.transports = make_transports(config, send)

    def __call__(self, attempt: Attempt[T], /) -> Answer[T]:
        """Perform the attempt's operation on its server."""
        wire = _ServerWire(self, attempt)
        try:
            value = attempt.call.operation.perform(wire)
        except AttemptError as error:
            error.request_id = error.request_id or wire.request_id
            raise
        return Answer(value, wire.status, wire.request_id)

    def close(self) -> None:
        """Close the idle connections."""
        for transport in self.transports.values():
            transport.close()


class _ServerWire:
    """A function that sends the requests of one attempt to its server: a `Wire`."""

    __slots__ = ("_attempt", "_origin", "_parts", "_transport", "_until", "request_id", "status")

    def __init__(self, parts: HTTPSend, attempt: Attempt[object]) -> None:
        self._parts = parts
        self._attempt = attempt
        self._transport = parts.transports[attempt.server]
        self._origin = attempt.server.netloc
        self.status = 0
        self.request_id: str | None = None

    def __call__(self, request: Request) -> Reply:
        credentials = self._parts.credentials
        own = credentials.caller_token(self._attempt.call.context)
        token = own or credentials.service_token()
        try:
            return self._reply(request, self._follow(request, token), token)
        except Unauthorized:
            # Only the service's own token can be renewed: a caller's token belongs to the caller.
            renewed = None if own or token is None else credentials.renew(token)
            if renewed is None or not _rewind(request):
                raise
        return self._reply(request, self._follow(request, renewed), renewed)

    def _follow(self, request: Request, token: str | None) -> requests.Response:
        """Send a request, and follow the redirects of its server."""
        headers = self._headers(request, token)
        path = request.path
        for _ in range(MAX_REDIRECTS + 1):
            response = self._exchange(request, path, headers)
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            path = self._redirected(request, path, response.headers.get("Location"))
        raise ProtocolError(
            f"{self._origin}: more than {MAX_REDIRECTS} redirects: check the proxy before it",
            reason=Reason("too_many_redirects"),
        )

    def _headers(self, request: Request, token: str | None) -> dict[str, str]:
        headers = {**_BASE_HEADERS, **request.headers}
        if token is not None:
            headers["X-Auth-Token"] = token
        sent_id = find_request_id(self._attempt.call.context)
        if sent_id is not None:
            headers["X-OpenStack-Request-ID"] = sent_id
        body = request.body
        length = None if body is None else len(body) if isinstance(body, bytes) else body.length
        if length is not None:
            headers["Content-Length"] = str(length)
        return headers

    def _redirected(self, request: Request, path: str, location: str | None) -> str:
        """Return the path of a redirect, which must be for a read and on the same server."""
        # A request for another server would send the token there.
        server = self._attempt.server
        try:
            target = urlsplit(urljoin(server.url + path, location or ""))
            port = target.port or _SCHEME_PORTS.get(target.scheme)
        except ValueError:
            target, port = urlsplit(""), None
        same = (target.scheme, target.hostname, port) == (server.scheme, server.host, server.port)
        below = target.path.startswith(f"{server.path}/")
        if request.method not in READS or not location or not same or not below:
            raise InvalidEndpoint(
                f"{self._origin}: the redirect can't be followed: list the server that it leads to"
                " instead"
            )
        query = f"?{target.query}" if target.query else ""
        return target.path.removeprefix(server.path) + query

    def _exchange(self, request: Request, path: str, headers: dict[str, str]) -> requests.Response:
        try:
            return self._transport.send(request.method, path, headers, request.body, self._timeout)
        except SourceError as error:
            failure = error.failure
        except BROKEN as error:
            raise self._failure(error) from error
        raise failure

    def _timeout(self) -> Timeout:
        config, left = self._parts.config, self._left()
        if left <= 0:
            raise CommunicationError(
                f"{self._origin}: the call's deadline passed",
                reason=DEADLINE_EXCEEDED,
                reached=False,
            )
        timeout = make_timeout(config.connect_timeout, config.read_timeout, left)
        self._until = cast("Until", timeout.read_timeout)
        return timeout

    def _left(self) -> float:
        """Return the seconds that are left until the call's deadline."""
        deadline = self._attempt.deadline
        return math.inf if deadline is None else deadline - self._parts.clock.monotonic()

    def _failure(self, error: Exception) -> AttemptError:
        """Classify an exception; distinguish the call's deadline from a slow server."""
        found = classify(error, self._origin)
        if self._left() <= 0:
            found.reason = DEADLINE_EXCEEDED
        return found

    def _reply(self, request: Request, response: requests.Response, token: str | None) -> Reply:
        status = self.status = response.status_code
        headers = response.raw.headers
        self.request_id = request_id_of(headers, token)
        if status >= Invalid.status:
            now = self._parts.clock.time()
            raise build_error(response, self._origin, now=now, secret=token)
        if status not in _SUCCESSES:
            response.close()
            raise ProtocolError(f"{self._origin}: HTTP {status} is neither a success nor an error")
        if request.stream and status != _NO_CONTENT:
            # The deadline limits the wait for the reply's headers, not the transfer of its data.
            self._until.lift()
            chunks = BodyChunks(response, self._origin)
            return Reply(status, headers, b"", self._attempt.server, self.request_id, chunks)
        try:
            body = read_body(response, self._parts.config.max_metadata_size, self._origin)
        except BROKEN as error:
            raise self._failure(error) from error
        return Reply(status, headers, body, self._attempt.server, self.request_id)


def _rewind(request: Request) -> bool:
    return not isinstance(request.body, UploadBody) or request.body.rewind()
