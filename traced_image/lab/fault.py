"""A fault of a lab server as a frozen value: what fails, for which requests, and how often."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import InvalidArgument
from .checks import check_count, check_method, check_pattern, wrong

if TYPE_CHECKING:
    from .http1 import JSON, ReceivedRequest

Then = Literal["keep", "close", "half_close", "hang", "reset", "stall"]
"""What the server does with the connection after a reply.

``half_close`` ends the server's side of the connection, and reads on. ``hang`` keeps the connection
open, and reads without an answer. ``stall`` keeps it open, and does not read.
"""

THEN: tuple[str, ...] = get_args(Then)

NEEDS_TLS = frozenset(
    {"broken_tls", "demand_certificate", "plain_http", "silent_tls", "untrusted_tls"}
)
CONNECTION_ONLY = NEEDS_TLS | {"never_read", "refuse"}


@dataclass(frozen=True)
class Fault:
    """One way in which a server fails; this module's functions make them.

    Attributes:
        name: The kind of the fault, for tables and the access log.
        interval: Seconds between two bytes, if the fault is slowness.
        code: The HTTP status of the reply, if the fault is a status.
        retry_after: The value of ``Retry-After``: seconds, or an HTTP date; None for none.
        value: The JSON of the reply, if the fault is a wrong type.
        by: The error in ``Content-Length``, in bytes.
        data: The bytes of the reply, or of what goes before or after it.
        endless: Bytes that follow `data` again and again, until the client has gone.
        headers: Header lines of the reply, without their line ends.
        count: How many: interim replies, headers, or bytes; None for no end.
        then: What the server does with the connection after the reply.
        tls_1_2: Whether the server has TLS 1.2 only.
        sequence: One fault per request, repeated for ever; None is a healthy reply.
        carried_out: Whether the server still carries out the request.
        method: The fault affects requests with this method only; None for all methods.
        path: The fault affects requests only if this regular expression is found in their path;
            None for all paths.
        limit: The server is healthy again after so many requests (or connections); None for never.
    """

    name: str
    interval: float = 0.0
    code: int = 0
    retry_after: int | str | None = None
    value: JSON = None
    by: int = 0
    data: bytes = b""
    endless: bytes = b""
    headers: tuple[str, ...] = ()
    count: int | None = 1
    then: Then = "keep"
    tls_1_2: bool = False
    sequence: tuple[Fault | None, ...] = ()
    carried_out: bool = True
    method: str | None = None
    path: str | None = None
    limit: int | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether the fault affects some requests only, so that the server must read them first."""
        return self.method is not None or self.path is not None

    @property
    def meets_connections(self) -> bool:
        """Whether the fault affects connections, before any request is read."""
        return self.name in CONNECTION_ONLY or (
            self.name == "reset" and not self.is_narrowed and not self.carried_out
        )

    def meets(self, request: ReceivedRequest) -> bool:
        """Return whether the fault affects this request."""
        return (self.method is None or self.method == request.method) and (
            self.path is None or re.search(self.path, request.path) is not None
        )

    def only(self, *, method: str | None = None, path: str | None = None) -> Fault:
        """Return the same fault, for some requests only.

        Args:
            method: An HTTP method.
            path: A regular expression, searched for in the path without its query.

        Raises:
            InvalidArgument: The fault affects connections, before a request is read; or the method
                is unknown, or the path is no regular expression.
        """
        if self.name in CONNECTION_ONLY:
            raise InvalidArgument(f"{self.name} affects connections; don't narrow it to requests.")
        method = self.method if method is None else check_method("only", method)
        if path is not None:
            check_pattern("only", path)
        return replace(self, method=method, path=self.path if path is None else path)

    def times(self, count: int) -> Fault:
        """Return the same fault, for the next `count` requests (or connections) that it affects.

        Raises:
            InvalidArgument: `count` is not positive, or the fault is `refuse`: the kernel refuses
                those connections, so that the server can't count them.
        """
        check_count("times", count)
        if self.name == "refuse":
            raise InvalidArgument("A server can't count refused connections; use heal() instead.")
        return replace(self, limit=count)

    def after_effect(self) -> Fault:
        """Return the same fault, but the server carries out the request before it fails.

        This failure is ambiguous: the client can't know whether the request took effect.

        Raises:
            InvalidArgument: The fault affects connections, before a request is read, or answers
                before the request's body is read.
        """
        if self.name in CONNECTION_ONLY:
            raise InvalidArgument(f"{self.name} affects connections: no request is carried out.")
        if self.name == "early_answer":
            raise InvalidArgument("early_answer reads no body: no request is carried out.")
        return replace(self, carried_out=True)


def check_fault(call: str, value: object) -> Fault:
    """Return a fault; refuse what is none."""
    if not isinstance(value, Fault):
        raise wrong(call, value, "give a fault of lab.faults, such as lab.faults.status(503)")
    return value
