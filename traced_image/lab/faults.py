"""The faults of lab servers, as frozen values, and the functions that make them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import InvalidArgument

if TYPE_CHECKING:
    from .http1 import JSON, ReceivedRequest

_CONNECTION_ONLY = frozenset({"broken_tls", "refuse", "untrusted_tls"})
_DATA = r"/v2/images/[^/]+/file$|/v1/images/(?!detail$)[^/]+$"


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
        return self.name in _CONNECTION_ONLY or (
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
            InvalidArgument: The fault affects connections, before a request is read.
        """
        if self.name in _CONNECTION_ONLY:
            raise InvalidArgument(f"{self.name} affects connections; don't narrow it to requests.")
        method = self.method if method is None else method.upper()
        return replace(self, method=method, path=self.path if path is None else path)

    def times(self, count: int) -> Fault:
        """Return the same fault, for the next `count` requests (or connections) that it affects.

        Raises:
            InvalidArgument: `count` is not positive, or the fault is `refuse`: the kernel refuses
                those connections, so that the server can't count them.
        """
        if count < 1:
            raise InvalidArgument(f"times({count}) of {self.name}: give a number from 1.")
        if self.name == "refuse":
            raise InvalidArgument("A server can't count refused connections; use heal() instead.")
        return replace(self, limit=count)

    def after_effect(self) -> Fault:
        """Return the same fault, but the server carries out the request before it fails.

        This failure is ambiguous: the client can't know whether the request took effect.

        Raises:
            InvalidArgument: The fault affects connections, before a request is read.
        """
        if self.name in _CONNECTION_ONLY:
            raise InvalidArgument(f"{self.name} affects connections: no request is carried out.")
        return replace(self, carried_out=True)


def refuse() -> Fault:
    """Refuse connections and close the open ones; the server keeps its port."""
    return Fault("refuse")


def reset() -> Fault:
    """Accept connections and reset them; with `Fault.only`, reset after each such request."""
    return Fault("reset", carried_out=False)


def never_answer() -> Fault:
    """Read requests and never answer them; the connection closes when the server is healed."""
    return Fault("never_answer", carried_out=False)


def lost_reply() -> Fault:
    """Carry out requests, and close the connection without a reply."""
    return Fault("lost_reply")


def slow_headers(interval: float) -> Fault:
    """Send the status line and headers slowly, one byte every `interval` seconds."""
    return Fault("slow_headers", interval=interval)


def slow_body(interval: float) -> Fault:
    """Send the body slowly, one byte every `interval` seconds."""
    return Fault("slow_body", interval=interval)


def cut_body() -> Fault:
    """Close the connection after half of the body."""
    return Fault("cut_body")


def wrong_length(by: int = 1) -> Fault:
    """Send a ``Content-Length`` that is wrong by `by` bytes.

    Args:
        by: Above 0, the body ends early and the connection closes. Below 0, the body has more
            bytes than announced, and the connection stays open.
    """
    return Fault("wrong_length", by=by)


def garbage_headers() -> Fault:
    """Send a line that is not a header before the headers; then close the connection."""
    return Fault("garbage_headers")


def not_json() -> Fault:
    """Answer 200 with text that is not JSON, and the content type of JSON."""
    return Fault("not_json")


def wrong_type(value: JSON = 42) -> Fault:
    """Answer 200 with JSON of another shape than the request asks for.

    Args:
        value: The JSON to send.
    """
    return Fault("wrong_type", value=value)


def status(code: int, retry_after: int | str | None = None) -> Fault:
    """Answer with an error, or with any other status.

    Args:
        code: The HTTP status.
        retry_after: The value of ``Retry-After``: seconds, or an HTTP date; None for none.
    """
    return Fault("status", code=code, retry_after=retry_after, carried_out=False)


def redirect_loop() -> Fault:
    """Answer 302 with the request's own path as the Location."""
    return Fault("redirect_loop", carried_out=False)


def corrupt_data() -> Fault:
    """Send image data with one wrong bit, so that it does not match its checksum."""
    return Fault("corrupt_data", method="GET", path=_DATA)


def untrusted_tls() -> Fault:
    """Send a certificate from a CA that no client trusts."""
    return Fault("untrusted_tls")


def broken_tls() -> Fault:
    """Send plain text, and not TLS, on the TLS port."""
    return Fault("broken_tls")


def flapping(*sequence: Fault | None) -> Fault:
    """Apply one fault per request, and repeat the sequence for ever.

    Args:
        *sequence: The faults; None is a healthy reply.

    Raises:
        InvalidArgument: The sequence is empty, or one of its faults affects connections, has its
            own limit, or is itself `flapping`.
    """
    for fault in filter(None, sequence):
        if fault.name in _CONNECTION_ONLY or fault.limit or fault.sequence:
            raise InvalidArgument(f"{fault.name} can't be one of flapping's faults as it is.")
    if not sequence:
        raise InvalidArgument("flapping() needs at least one fault or None.")
    return Fault("flapping", sequence=sequence)
