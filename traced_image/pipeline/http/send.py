"""The requests of one attempt: headers, token, redirects and deadline."""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from ..._version import make_user_agent
from ...config.options import READ_TIMEOUT
from ...errors import (
    AttemptError,
    CommunicationError,
    Invalid,
    InvalidEndpoint,
    ProtocolError,
    Reason,
    Unauthorized,
)
from ...reasons import ProxyRefusedError, classify
from ..api.operation import Reply, Request
from ..api.upload import SourceError, UploadBody
from ..attempts.retry_loop import DEADLINE_EXCEEDED
from ..attempts.seams import Answer, Attempt, SendPrepared, T
from .auth import RequestTokens, find_request_id
from .exchange import READS
from .reply import (
    BROKEN,
    BodyChunks,
    build_error,
    check_coding,
    describe_prefix,
    read_body,
    request_id_of,
)
from .time_limits import TimeLimits
from .transport import make_transports

if TYPE_CHECKING:
    from ...config import Config
    from ..clock import Clock
    from ..context import SentTokens
    from .exchange import HTTPReply


MAX_REDIRECTS = 5
"""Redirects that one request may follow; Glance itself sends none."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER = 303
_MULTIPLE_CHOICES = 300
_REQUEST_TIMEOUT = 408
_NOT_CARRIED_OUT = frozenset({421, 425})
_NO_CONTENT = 204
_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})
_PROXY_REFUSES = 407  # Proxy Authentication Required
_QUOTED = "%!$&'()*+,/:;=?@[]~"  # the characters that a path and a query may have as they are
_SUCCESSES = range(200, 300)
_SCHEME_PORTS = {"http": 80, "https": 443}
_BASE_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}


REQUEST_TIMEOUT = 30.0
"""Seconds for one request without image data, and its reply, if the configuration sets none."""


def find_request_timeout(config: Config) -> float:
    """Return the seconds for one request: as set, or 30, or a longer ``read_timeout`` if set."""
    if config.request_timeout is not None:
        return config.request_timeout
    if config.read_timeout == READ_TIMEOUT:
        return REQUEST_TIMEOUT
    return max(REQUEST_TIMEOUT, config.read_timeout)


class HTTPSend:
    """A function that makes one attempt over HTTP: the innermost `Send`.

    Args:
        config: The configuration; its TLS, timeouts, sizes and authentication count here.
        clock: The source of time.
        send: Sends a prepared request over an exchange.
    """

    def __init__(self, config: Config, clock: Clock, send: SendPrepared) -> None:
        self.config = config
        self.clock = clock
        self.credentials = RequestTokens(config)
        self.transports = make_transports(config, send)
        self.request_timeout = find_request_timeout(config)
        self.headers = {"User-Agent": make_user_agent(), **_BASE_HEADERS}

    def __call__(self, attempt: Attempt[T], /) -> Answer[T]:
        """Perform the attempt's operation on its server."""
        wire = _ServerWire(self, attempt)
        try:
            value = attempt.call.operation.perform(wire)
        except AttemptError as error:
            error.request_id = error.request_id or wire.request_id
            error.token_seconds = wire.token_seconds
            raise
        return Answer(value, wire.status, wire.request_id)

    def close(self) -> None:
        """Close the idle connections."""
        for transport in self.transports.values():
            transport.close()


class _ServerWire:
    """A function that sends the requests of one attempt to its server: a `Wire`."""

    __slots__ = (
        *("_attempt", "_origin", "_parts", "_tokens", "_transport"),
        *("request_id", "status", "token_seconds"),
    )

    def __init__(self, parts: HTTPSend, attempt: Attempt[object]) -> None:
        self._parts = parts
        self._attempt = attempt
        self._transport = parts.transports[attempt.server]
        self._origin = attempt.server.netloc
        self._tokens = attempt.tokens
        self.status = 0
        self.request_id: str | None = None
        self.token_seconds = 0.0

    def __call__(self, request: Request) -> Reply:
        tokens = self._tokens
        try:
            return self._reply(request, self._follow(request, tokens), tokens)
        except Unauthorized:
            renewed = self._renew(tokens)
            if renewed is None or not _rewind(request):
                raise
        self._tokens = renewed
        return self._reply(request, self._follow(request, renewed), renewed)

    def _renew(self, tokens: SentTokens) -> SentTokens | None:
        """Return new tokens, if there are any; count the seconds that this takes."""
        parts, context = self._parts, self._attempt.call.context
        begun = parts.clock.monotonic()
        renewed = parts.credentials.renew(tokens, context, self._left())
        self.token_seconds += parts.clock.monotonic() - begun
        return renewed

    def _follow(self, request: Request, tokens: SentTokens) -> HTTPReply:
        """Send a request, and follow the redirects of its server."""
        headers = self._headers(request, tokens)
        path = request.path
        for _ in range(MAX_REDIRECTS + 1):
            response = self._exchange(request, path, headers)
            if response.status not in _REDIRECTS:
                return response
            response.body.close()
            location = response.headers.get("location")
            path = self._redirected(request, path, response.status, location)
        raise ProtocolError(
            f"{self._origin}: more than {MAX_REDIRECTS} redirects: check the proxy before it",
            reason=Reason("too_many_redirects"),
        )

    def _headers(self, request: Request, tokens: SentTokens) -> dict[str, str]:
        headers = {**self._parts.headers, **request.headers}
        if tokens.token is not None:
            headers["X-Auth-Token"] = tokens.token
        if tokens.service is not None:
            headers["X-Service-Token"] = tokens.service
        sent_id = find_request_id(self._attempt.call.context)
        if sent_id is not None:
            headers["X-OpenStack-Request-ID"] = sent_id
        body = request.body
        length = None if body is None else len(body) if isinstance(body, bytes) else body.length
        if length is not None:
            headers["Content-Length"] = str(length)
        elif body is not None:
            headers["Transfer-Encoding"] = "chunked"
        elif request.method in _WITH_BODY:
            headers["Content-Length"] = "0"
        return headers

    def _redirected(self, request: Request, path: str, status: int, location: str | None) -> str:
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
                " instead",
                # 303 alone says that the server has carried out the request (RFC 9110, 15.4.4).
                reached=status == _SEE_OTHER or request.method in READS,
            )
        query = f"?{target.query}" if target.query else ""
        return quote(target.path.removeprefix(server.path) + query, safe=_QUOTED)

    def _exchange(self, request: Request, path: str, headers: dict[str, str]) -> HTTPReply:
        limits = self._limits(request)
        try:
            response = self._transport.send(request.method, path, headers, request.body, limits)
        except SourceError as error:
            failure = error.failure
        except BROKEN as error:
            raise self._failure(error) from error
        else:
            self._check(response)
            return response
        raise failure

    def _check(self, response: HTTPReply) -> None:
        """Check that a reply is the server's, and that it came after the whole request."""
        status = response.status
        if status == _PROXY_REFUSES and self._transport.has_proxy:
            response.body.close()
            raise classify(ProxyRefusedError(f"it answered HTTP {status}"), self._origin)
        if response.cut and status < Invalid.status:
            response.body.close()
            raise ProtocolError(
                f"{self._origin}: HTTP {status} came before all of the data was sent: check the"
                " server, and a proxy before it"
            )

    def _limits(self, request: Request) -> TimeLimits:
        """Return the limits in time of one request."""
        config, left, trial = self._parts.config, self._left(), self._attempt.timeout
        if left <= 0:
            raise CommunicationError(
                f"{self._origin}: the call's deadline passed",
                reason=DEADLINE_EXCEEDED,
                reached=False,
            )
        limits = TimeLimits(config.connect_timeout, config.read_timeout)
        longest = self._parts.request_timeout
        if isinstance(request.body, UploadBody):
            limits.answer = config.upload_timeout
        elif request.stream:
            left = min(left, max(longest, config.read_timeout))
        else:
            left = min(left, longest)
        limits.until = monotonic() + (left if trial is None else min(left, trial))
        return limits

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

    def _reply(self, request: Request, response: HTTPReply, tokens: SentTokens) -> Reply:
        status = self.status = response.status
        headers = response.headers
        self.request_id = request_id_of(headers, tokens)
        if status >= Invalid.status:
            now = self._parts.clock.time()
            prefix = self._attempt.server.path
            error = build_error(response, self._origin, now=now, secrets=tokens, prefix=prefix)
            error.reached = _is_carried_out(status, cut=response.cut)
            raise error
        if status not in _SUCCESSES:
            response.body.close()
            # Glance answers 300 to each path that it does not know.
            told = status == _MULTIPLE_CHOICES
            hint = describe_prefix(self._attempt.server.path) if told else ""
            raise ProtocolError(
                f"{self._origin}: HTTP {status} is neither a success nor an error{hint}",
                reached=status != _MULTIPLE_CHOICES,
            )
        if request.stream and status != _NO_CONTENT:
            check_coding(response, self._origin)
            # The limits are those of the wait for the reply's head, not of the data's transfer.
            response.body.limits.lift()
            chunks = BodyChunks(response.body, self._origin)
            return Reply(status, headers, b"", self._attempt.server, self.request_id, chunks)
        try:
            body = read_body(response, self._parts.config.max_metadata_size, self._origin)
        except BROKEN as error:
            raise self._failure(error) from error
        return Reply(status, headers, body, self._attempt.server, self.request_id)


def _is_carried_out(status: int, *, cut: bool) -> bool:
    """Return whether a server may have carried out a request that it answered with an error.

    421 and 425 say that it did not (RFC 9110, 15.5.20; RFC 8470, 5.2). 408 says that the request
    did not come completely, which only a client that has not sent it all can trust.
    """
    return status not in _NOT_CARRIED_OUT and not (status == _REQUEST_TIMEOUT and cut)


def _rewind(request: Request) -> bool:
    return not isinstance(request.body, UploadBody) or request.body.rewind()
