"""Classification of exceptions into reasons and errors, by type and errno, not by their text.

``ssl``, ``socket`` and ``http.client`` raise an exception, ``urllib3`` wraps it, and ``requests``
wraps it again. The innermost exception has the details, so this module examines the whole chain.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple

import urllib3.exceptions

from .errors import (
    AttemptError,
    CommunicationError,
    HTTPStatusError,
    InvalidEndpoint,
    ProtocolError,
    Reason,
    TLSError,
    TracedImageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class NotConnectedError(OSError):
    """No connection was opened, so no request was sent."""


class ProxyRefusedError(NotConnectedError):
    """The proxy in front of a server could not be reached, or opened no tunnel to the server."""


class MalformedReplyError(Exception):
    """A reply is not valid HTTP/1.1, or ends too early; its text says how, as "it …"."""


# After these no byte of a request was sent, so even an operation that changes something is safe
# to repeat.
_NOT_CONNECTED = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.LocationValueError,
    NotConnectedError,
)

_PROXY = (urllib3.exceptions.ProxyError, ProxyRefusedError)

OTHER = Reason("_OTHER")
"""The reason for a failure that no other reason of the closed set describes.

OpenTelemetry's conventions for ``error.type`` use the same word.
"""

_STATUSES = range(400, 600)

_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


class _Rule(NamedTuple):
    """A rule: an exception of one of `kinds` in the chain means `error` with `reason`."""

    kinds: tuple[type[BaseException], ...]
    error: type[AttemptError]
    reason: str
    words: str


# The first rule that matches counts. For example, http.client's RemoteDisconnected is both a
# ConnectionResetError and an HTTPException, and must become "connection_reset".
_RULES = (
    _Rule((socket.gaierror,), InvalidEndpoint, "dns_error", "its name does not resolve"),
    _Rule(
        (urllib3.exceptions.LocationValueError,),
        InvalidEndpoint,
        "invalid_endpoint",
        "not a usable address",
    ),
    _Rule(
        (ConnectionRefusedError,), CommunicationError, "connection_refused", "connection refused"
    ),
    _Rule(
        (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, ssl.SSLZeroReturnError),
        CommunicationError,
        "connection_reset",
        "connection closed by the server",
    ),
    _Rule((ssl.SSLError,), TLSError, "tls_error", "TLS failed"),
    _Rule(
        (
            MalformedReplyError,
            http.client.HTTPException,
            urllib3.exceptions.HeaderParsingError,
            urllib3.exceptions.InvalidHeader,
            urllib3.exceptions.ProtocolError,
        ),
        ProtocolError,
        "protocol_error",
        "the reply is cut short or is not HTTP",
    ),
)


def unwrap(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and all exceptions that it wraps, as causes or in its arguments.

    Do not follow ``__context__``: it leads to exceptions that the caller was already handling.
    """
    return _unwrap_by(error, lambda link: (link.__cause__, *link.args))


def _unwrap_by(
    error: BaseException,
    wrapped: Callable[[BaseException], tuple[object, ...]],
    but: BaseException | None = None,
) -> Iterator[BaseException]:
    # urllib3 puts the inner exception in ``args``, and chains may contain cycles.
    seen = set() if but is None or but is error else {id(but)}
    pending: list[BaseException] = [error]
    while pending:
        current = pending.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            pending.extend(item for item in wrapped(current) if isinstance(item, BaseException))


def find_reason(error: BaseException, handled: BaseException | None = None) -> Reason:
    """Find the reason for an error that this package or another client library raised.

    Other libraries raise without ``from``, so only ``__context__`` leads to the original
    exception (python-glanceclient's ``CommunicationError``, keystoneauth1's ``ConnectFailure``).

    Args:
        error: The exception that was raised.
        handled: The exception that the caller was handling when the call began. It and all that
            it wraps are ignored, because they happened before the call.
    """
    status = find_status(error)
    if status:
        return Reason(str(status))
    if isinstance(error, TracedImageError):
        return OTHER if isinstance(error, HTTPStatusError) else getattr(error, "reason", OTHER)
    links = tuple(
        _unwrap_by(error, lambda link: (link.__cause__, link.__context__, *link.args), handled)
    )
    return Reason(_find_rule(links, reached=_has_reached(links))[1])


def find_status(error: BaseException) -> int:
    """Find the HTTP status in an error of any client library; return 0 if it has none.

    The attribute is ``status`` in this package, ``code`` in python-glanceclient, ``http_status``
    in keystoneauth1, and ``status_code`` in openstacksdk and in the response of ``requests``.
    """
    response = getattr(error, "response", None)
    for value in (
        *(getattr(error, name, None) for name in ("status", "http_status", "status_code", "code")),
        getattr(response, "status_code", None),
    ):
        if isinstance(value, int) and value in _STATUSES:
            return value
    return 0


def _has_reached(links: Iterable[BaseException]) -> bool:
    return not any(isinstance(link, _NOT_CONNECTED) for link in links)


def classify(error: Exception, server: str) -> AttemptError:
    """Build the error for an exception that ended a request.

    Args:
        error: What ``requests``, ``urllib3`` or the standard library raised.
        server: ``host:port`` of the server, for the message.

    Returns:
        The error, with its reason and whether the request may have reached the server.
    """
    links = tuple(unwrap(error))
    reached = _has_reached(links)
    kind, reason, words = _find_rule(links, reached=reached)
    return kind(f"{server}: {words}", reason=Reason(reason), reached=reached)


def _find_rule(
    links: tuple[BaseException, ...], *, reached: bool
) -> tuple[type[AttemptError], str, str]:
    proxy = next((link for link in links if isinstance(link, _PROXY)), None)
    if proxy is not None:
        detail = f": {proxy}" if isinstance(proxy, ProxyRefusedError) else ""
        return CommunicationError, "proxy_error", f"its proxy failed{detail}"
    # Before the rules: a timeout and an unreachable network may be wrapped in any other type.
    if any(isinstance(link, TimeoutError) for link in links):
        if reached:
            return CommunicationError, "read_timeout", "no answer in time"
        return CommunicationError, "connect_timeout", "no connection in time"
    if any(isinstance(link, OSError) and link.errno in _UNREACHABLE for link in links):
        return CommunicationError, "network_unreachable", "network unreachable"
    for rule in _RULES:
        if any(isinstance(link, rule.kinds) for link in links):
            return rule.error, rule.reason, f"{rule.words}{_find_detail(links)}"
    return CommunicationError, OTHER, f"{type(links[0]).__name__} (see its cause)"


def _find_detail(links: tuple[BaseException, ...]) -> str:
    """Return what is wrong with a reply, or why a certificate was rejected."""
    for link in links:
        if isinstance(link, MalformedReplyError):
            return f": {link}"
    refusals = (link for link in links if isinstance(link, ssl.SSLCertVerificationError))
    return next((f": {refusal.verify_message}" for refusal in refusals), "")
