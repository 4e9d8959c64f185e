"""Classification of exceptions into reasons and errors, by type and errno, not by their text.

``ssl``, ``socket`` and ``http.client`` raise an exception, ``urllib3`` wraps it, and ``requests``
wraps it again. The innermost exception has the details, so this module examines the whole chain.
"""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple

import requests.exceptions
import urllib3.exceptions

from ._signals import raise_if_from_signal_handler
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


_UNUSABLE = (
    urllib3.exceptions.LocationValueError,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)

# After these no byte of a request was sent, so even an operation that changes something is safe
# to repeat.
_NOT_CONNECTED = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    *_UNUSABLE,
    NotConnectedError,
)

_PROXY = (
    urllib3.exceptions.ProxyError,
    requests.exceptions.InvalidProxyURL,
    ProxyRefusedError,
)

OTHER = Reason("_OTHER")
"""The reason for a failure that no other reason of the closed set describes.

OpenTelemetry's conventions for ``error.type`` use the same word.
"""

_NO_TLS = "the server does not speak TLS on this port (plain http?)"
_WANTS_CERTIFICATE = "the server wants a client certificate: set certfile and keyfile"
_REJECTS_CERTIFICATE = (
    "the server rejects the client certificate: check certfile, and the CA that the server trusts"
)

# By ssl's `reason`, without the version that OpenSSL writes before ALERT.
_TLS_HINTS = {
    **dict.fromkeys(
        (
            "WRONG_VERSION_NUMBER",
            "HTTP_REQUEST",
            "UNKNOWN_PROTOCOL",
            "RECORD_LAYER_FAILURE",
            "PACKET_LENGTH_TOO_LONG",
        ),
        _NO_TLS,
    ),
    "CERTIFICATE_REQUIRED": _WANTS_CERTIFICATE,
    "HANDSHAKE_FAILURE": (
        "the server accepts none of this client's ciphers, or wants a client certificate"
    ),
    **dict.fromkeys(
        (
            "ACCESS_DENIED",
            "BAD_CERTIFICATE",
            "CERTIFICATE_EXPIRED",
            "CERTIFICATE_REVOKED",
            "CERTIFICATE_UNKNOWN",
            "UNKNOWN_CA",
            "UNSUPPORTED_CERTIFICATE",
        ),
        _REJECTS_CERTIFICATE,
    ),
}

# With these alerts the server refuses the handshake. Under TLS 1.3 the client's side of it is
# over by then: the alert comes instead of a reply, and the server has not read the request.
_REFUSING_ALERTS = frozenset(name for name, hint in _TLS_HINTS.items() if hint is not _NO_TLS)

_STATUSES = range(400, 600)


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
    _Rule(_UNUSABLE, InvalidEndpoint, "invalid_endpoint", "not a usable address"),
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
        (requests.exceptions.TooManyRedirects,),
        ProtocolError,
        "too_many_redirects",
        "too many redirects",
    ),
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


# By errno, because Python has no class of its own for these. A socket has the last two if its
# other end has reset it before it was used.
_UNREACHABLE = _Rule((OSError,), CommunicationError, "network_unreachable", "network unreachable")
_RESET = _Rule(
    (OSError,), CommunicationError, "connection_reset", "connection closed by the server"
)
_ERRNOS = {
    errno.ENETUNREACH: _UNREACHABLE,
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.ENETDOWN: _UNREACHABLE,
    errno.EHOSTDOWN: _UNREACHABLE,
    errno.ENOTCONN: _RESET,
    errno.ESHUTDOWN: _RESET,
}


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
    return not any(
        isinstance(link, _NOT_CONNECTED) or _find_alert(link) in _REFUSING_ALERTS for link in links
    )


def _find_tls_reason(link: BaseException) -> str:
    """Return ssl's own reason, such as ``WRONG_VERSION_NUMBER``; empty for none.

    Some versions of Python have it in lower case with spaces.
    """
    reason = getattr(link, "reason", None) if isinstance(link, ssl.SSLError) else None
    return str(reason or "").upper().replace(" ", "_")


def _find_alert(link: BaseException) -> str:
    """Return the name of the alert that the server sent; empty for none.

    OpenSSL writes a version before it, which differs by release: ``TLSV13_ALERT_…``,
    ``SSLV3_ALERT_…``, ``SSL/TLS_ALERT_…``.
    """
    return _find_tls_reason(link).partition("ALERT_")[2]


def classify(error: Exception, server: str) -> AttemptError:
    """Build the error for an exception that ended a request.

    Args:
        error: What ``requests``, ``urllib3`` or the standard library raised.
        server: ``host:port`` of the server, for the message.

    Returns:
        The error, with its reason and whether the request may have reached the server.

    Raises:
        Exception: What a signal handler raised, such as a TimeoutError: no server raised it.
    """
    raise_if_from_signal_handler(error)
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
    for link in links:
        if isinstance(link, OSError) and link.errno in _ERRNOS:
            found = _ERRNOS[link.errno]
            return found.error, found.reason, found.words
    for rule in _RULES:
        if any(isinstance(link, rule.kinds) for link in links):
            detail = _find_detail(links) if rule.error in (ProtocolError, TLSError) else ""
            return rule.error, rule.reason, f"{rule.words}{detail}"
    return CommunicationError, OTHER, _describe_other(links)


def _describe_other(links: tuple[BaseException, ...]) -> str:
    """Return the system's words for the first error of its own, such as "Too many open files"."""
    for link in links:
        # Not the exception's own text, which may contain a secret.
        number = link.errno if isinstance(link, OSError) else None
        if number is not None and number in errno.errorcode:
            return os.strerror(number)
    return f"{type(links[0]).__name__} (see its cause)"


def _find_detail(links: tuple[BaseException, ...]) -> str:
    """Return what is wrong with a reply; or ssl's own reason, and what it usually means."""
    for link in links:
        if isinstance(link, MalformedReplyError):
            return f": {link}"
        if isinstance(link, ssl.SSLCertVerificationError):
            return f": {link.verify_message}"
        if reason := _find_tls_reason(link):
            words = reason.lower().replace("_", " ")
            hint = _TLS_HINTS.get(_find_alert(link) or reason)
            return f": {words}: {hint}" if hint else f": {words}"
    return ""
