"""The access log of a lab server: one entry per request, with the fields that tests need."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ..redact import MARK, SECRET_FIELDS, hide_in_text
from .met_faults import HEALTHY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .http1 import ReceivedRequest, Response
    from .met_faults import MetFaults

REQUEST_ID = "X-Openstack-Request-Id"

_LONGEST = 200
"""Characters of a path or an error in a line."""
_SECRET = frozenset({*SECRET_FIELDS, "cookie", "proxy-authorization"})


@dataclass(frozen=True)
class Access:
    """One request whose request line and headers arrived, or a connection that failed before one.

    Attributes:
        time: When the request was answered or dropped, in seconds since the epoch.
        method: The HTTP method; empty for a connection.
        path: The path with the query, as sent; empty for a connection.
        status: The HTTP status of the reply; None for no reply.
        request_id: The reply's ``X-OpenStack-Request-ID``; None for none.
        global_request_id: The request's ``X-OpenStack-Request-ID``; None for none.
        traceparent: The request's W3C trace context; None for none.
        token_present: Whether the request has an ``X-Auth-Token``; its value is not kept.
        body_bytes: How many bytes of the request's body arrived.
        fault: The name of the fault that affected the request, or ``delay|status`` for two; None
            for none.
        headers: The request's headers by lower-case name; the values of secret ones are
            ``REDACTED``.
        body_sha256: The SHA-256 of the bytes of the request's body that arrived, in hex digits;
            None for no body.
        client: The client's address and port.
        error: What went wrong beside the fault: an internal error of the lab, which is answered
            with 500, bytes that are no request, a failed TLS handshake, or too many connections;
            None for nothing.
    """

    time: float
    method: str
    path: str
    status: int | None
    request_id: str | None
    global_request_id: str | None
    traceparent: str | None
    token_present: bool
    body_bytes: int
    fault: str | None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    body_sha256: str | None = None
    client: str = ""
    error: str | None = None

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The names and values in the query, in order."""
        return tuple(parse_qsl(self.path.partition("?")[2], keep_blank_values=True))

    def __str__(self) -> str:
        asked = f"{self.method} {_shorten(self.path)}" if self.method else "connection"
        body = f" ({self.body_bytes} bytes)" if self.body_bytes else ""
        notes = [self.fault and f"fault {self.fault}", self.error and f"error {self.error}"]
        after = "".join(f", {note}" for note in notes if note)
        return f"{asked}{body} from {self.client} -> {self.status or 'no reply'}{after}"


def make_access(
    request: ReceivedRequest,
    answer: Response | None,
    met: MetFaults = HEALTHY,
    *,
    client: str = "",
    error: str | None = None,
) -> Access:
    """Build the entry of a request.

    Args:
        request: The request, with as much of its body as arrived.
        answer: The reply; None for no reply. Its status is 0 if the reply's bytes have none.
        met: The faults that affected the request.
        client: The client's address and port.
        error: What went wrong beside the fault; None for nothing.
    """
    headers = request.headers
    return Access(
        time=time.time(),
        method=request.method,
        path=request.target,
        status=(answer.status or None) if answer is not None else None,
        request_id=None if answer is None else answer.header(REQUEST_ID),
        global_request_id=headers.get("x-openstack-request-id"),
        traceparent=headers.get("traceparent"),
        token_present="x-auth-token" in headers,
        body_bytes=len(request.body),
        fault=met.name,
        headers={name: MARK if name in _SECRET else text for name, text in headers.items()},
        body_sha256=hashlib.sha256(request.body).hexdigest() if request.body else None,
        client=client,
        error=None if error is None else _shorten(hide_in_text(error)),
    )


def make_connection_access(
    client: str, met: MetFaults = HEALTHY, *, status: int | None = None, error: str | None = None
) -> Access:
    """Build the entry of a connection on which no request was read.

    Args:
        client: The client's address and port.
        met: The faults that affected the connection.
        status: The HTTP status of the reply; None for no reply.
        error: What went wrong beside the fault; None for nothing.
    """
    return Access(
        time=time.time(),
        method="",
        path="",
        status=status,
        request_id=None,
        global_request_id=None,
        traceparent=None,
        token_present=False,
        body_bytes=0,
        fault=met.name,
        client=client,
        error=None if error is None else _shorten(hide_in_text(error)),
    )


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
