"""The access log of a lab server: one entry per request, with the fields that tests need."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fault import Fault
    from .http1 import ReceivedRequest, Response

REQUEST_ID = "X-Openstack-Request-Id"


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


def make_access(
    request: ReceivedRequest, answer: Response | None, fault: Fault | None = None
) -> Access:
    """Build the entry of a request.

    Args:
        request: The request, with as much of its body as arrived.
        answer: The reply; None for no reply. Its status is 0 if the reply's bytes have none.
        fault: The fault that affected the request; None for none.
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
        fault=None if fault is None else fault.name,
    )
