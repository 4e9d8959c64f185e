"""The access log of a lab server: one entry per request, with the fields that tests need."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """One request whose request line and headers arrived.

    Attributes:
        time: When the request was answered or dropped, in seconds since the epoch.
        method: The HTTP method.
        path: The path with the query, as sent.
        status: The HTTP status of the reply; None for no reply.
        request_id: The reply's ``X-OpenStack-Request-ID``; None for none.
        global_request_id: The request's ``X-OpenStack-Request-ID``; None for none.
        traceparent: The request's W3C trace context; None for none.
        token_present: Whether the request has an ``X-Auth-Token``; its value is not kept.
        body_bytes: How many bytes of the request's body arrived.
        fault: The name of the fault that affected the request; None for none.
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
