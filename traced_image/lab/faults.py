"""The faults that a lab server can be told to have, as frozen values."""

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
    """One way in which a server fails, made by this module's functions.

    Attributes:
        name: Its kind, for tables and the access log.
        interval: Seconds between two bytes, where the fault is slowness.
        code: The status that is answered, where the fault is a status.
        retry_after: The ``Retry-After`` sent with it.
        value: The JSON that is answered, where that is of a wrong type.
        by: The error in ``Content-Length``, in bytes.
        sequence: One fault per request, over and over; None is a healthy answer.
        carried_out: Whether the request takes effect all the same.
        method: Only requests with this method are met by it.
        path: Only requests whose path this regular expression is found in.
        limit: After so many requests (or connections) the server is healthy again.
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
        """Whether it meets some requests only, so that a request must be read first."""
        return self.method is not None or self.path is not None

    @property
    def meets_connections(self) -> bool:
        """Whether it strikes when a connection is accepted, before any request."""
        return self.name in _CONNECTION_ONLY or (
            self.name == "reset" and not self.is_narrowed and not self.carried_out
        )

    def meets(self, request: ReceivedRequest) -> bool:
        """Whether this request is one of those that it was narrowed to."""
        return (self.method is None or self.method == request.method) and (
            self.path is None or re.search(self.path, request.path) is not None
        )

    def only(self, *, method: str | None = None, path: str | None = None) -> Fault:
        """The same fault for some requests only.

        Args:
            method: An HTTP method.
            path: A regular expression, searched for in the path without its query.

        Raises:
            InvalidArgument: If the fault strikes before a request is read.
        """
        if self.name in _CONNECTION_ONLY:
            raise InvalidArgument(f"{self.name} strikes before a request is read; don't narrow it.")
        method = self.method if method is None else method.upper()
        return replace(self, method=method, path=self.path if path is None else path)

    def times(self, count: int) -> Fault:
        """The same fault for the next `count` requests (or connections) that it meets.

        Raises:
            InvalidArgument: If `count` is not positive, or if the fault is `refuse`: a
                connection that is refused is seen by nobody who could count it.
        """
        if count < 1:
            raise InvalidArgument(f"times({count}) of {self.name}: give a number from 1.")
        if self.name == "refuse":
            raise InvalidArgument("Nobody can count refused connections; use heal() instead.")
        return replace(self, limit=count)

    def after_effect(self) -> Fault:
        """The same fault, but the request is carried out first: the ambiguous kind.

        Raises:
            InvalidArgument: If the fault strikes before a request is read.
        """
        if self.name in _CONNECTION_ONLY:
            raise InvalidArgument(f"{self.name} strikes before there is a request to carry out.")
        return replace(self, carried_out=True)


def refuse() -> Fault:
    """Connections are refused, and open ones are closed; the port stays the server's."""
    return Fault("refuse")


def reset() -> Fault:
    """Connections are accepted and reset; narrowed, each request that it meets is."""
    return Fault("reset", carried_out=False)


def never_answer() -> Fault:
    """Requests are read and not answered; when the server is healed, the connection closes."""
    return Fault("never_answer", carried_out=False)


def lost_reply() -> Fault:
    """Requests are carried out, and the connection is closed without an answer."""
    return Fault("lost_reply")


def slow_headers(interval: float) -> Fault:
    """The status line and headers come one byte every `interval` seconds."""
    return Fault("slow_headers", interval=interval)


def slow_body(interval: float) -> Fault:
    """The body comes one byte every `interval` seconds."""
    return Fault("slow_body", interval=interval)


def cut_body() -> Fault:
    """The connection is closed after half of the body."""
    return Fault("cut_body")


def wrong_length(by: int = 1) -> Fault:
    """``Content-Length`` is wrong by `by` bytes.

    Args:
        by: Above 0, the body ends early and the connection closes; below 0, bytes are left
            over, and the connection stays open.
    """
    return Fault("wrong_length", by=by)


def garbage_headers() -> Fault:
    """A line that is no header stands before the headers, then the connection closes."""
    return Fault("garbage_headers")


def not_json() -> Fault:
    """200 with text that claims to be JSON."""
    return Fault("not_json")


def wrong_type(value: JSON = 42) -> Fault:
    """200 with `value`, JSON that is not of the shape that the request asks for."""
    return Fault("wrong_type", value=value)


def status(code: int, retry_after: int | str | None = None) -> Fault:
    """An error, or any status.

    Args:
        code: The HTTP status.
        retry_after: Seconds, or an HTTP date, sent as ``Retry-After``.
    """
    return Fault("status", code=code, retry_after=retry_after, carried_out=False)


def redirect_loop() -> Fault:
    """302 to the request's own address."""
    return Fault("redirect_loop", carried_out=False)


def corrupt_data() -> Fault:
    """Image data is sent with one bit wrong, so that it does not have its checksum."""
    return Fault("corrupt_data", method="GET", path=_DATA)


def untrusted_tls() -> Fault:
    """The certificate is from a CA that no client knows."""
    return Fault("untrusted_tls")


def broken_tls() -> Fault:
    """What is said on the TLS port is not TLS."""
    return Fault("broken_tls")


def flapping(*sequence: Fault | None) -> Fault:
    """One fault per request, over and over; None is a healthy answer.

    Raises:
        InvalidArgument: If there is none, or one of them strikes before a request is read,
            has a limit of its own, or flaps itself.
    """
    for fault in filter(None, sequence):
        if fault.name in _CONNECTION_ONLY or fault.limit or fault.sequence:
            raise InvalidArgument(f"{fault.name} can't be one of flapping's faults as it is.")
    if not sequence:
        raise InvalidArgument("flapping() needs at least one fault or None.")
    return Fault("flapping", sequence=sequence)
