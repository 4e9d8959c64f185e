"""The access log: what a server was asked, as exact as a test needs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """One request whose request line and headers arrived.

    Attributes:
        time: When it was answered, or given up, in seconds since the epoch.
        method: The HTTP method.
        path: The path with the query, as sent.
        status: The status that was answered; None if none was.
        request_id: The ``X-OpenStack-Request-ID`` that was answered, if one was.
        global_request_id: The one that came with the request.
        traceparent: The W3C trace context that came with the request.
        token_present: Whether there was an ``X-Auth-Token``; which one is not kept.
        body_bytes: The bytes of the request's body that arrived.
        fault: The name of the fault that the request met.
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
