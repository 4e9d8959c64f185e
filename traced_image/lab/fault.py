"""A fault of a lab server as a frozen value: what fails, for which requests, and how often."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import InvalidArgument
from .checks import (
    check_client,
    check_count,
    check_header_name,
    check_method,
    check_number,
    check_pattern,
    check_text,
    wrong,
)
from .schedule import Schedule, make_schedule
from .stages import check_parts

if TYPE_CHECKING:
    from .http1 import JSON, ReceivedRequest

Then = Literal["keep", "close", "half_close", "hang", "reset", "stall"]
"""What the server does with the connection after a reply.

``half_close`` ends the server's side of the connection, and reads on. ``hang`` keeps the connection
open, and reads without an answer. ``stall`` keeps it open, and does not read.
"""

THEN: tuple[str, ...] = get_args(Then)
ENDS = tuple(word for word in THEN if word != "keep")

Distribution = Literal["uniform", "normal", "exponential", "lognormal"]
"""How the durations of a delay are spread."""

DISTRIBUTIONS: tuple[str, ...] = get_args(Distribution)

NEEDS_TLS = frozenset(
    {
        *("broken_tls", "demand_certificate", "expiring_tls", "plain_http", "silent_tls"),
        "untrusted_tls",
    }
)
IN_KERNEL = frozenset({"black_hole", "refuse"})
"""Faults for which the server's kernel answers, so that the server sees no connection."""
_HEADERS_FIX = "give headers as a dict, such as {'User-Agent': '^nova'}"
CONNECTION_ONLY = NEEDS_TLS | IN_KERNEL | {"never_read"}


@dataclass(frozen=True, repr=False)
class Fault:
    """One way in which a server fails; this module's functions make them.

    ``one | other`` is both faults at once. They must concern different stages of an exchange, such
    as a delay and a status. If they concern the same stage, the first must be narrowed, and the
    second applies to what is left: ``status(503).times(2) | status(500)``.

    Attributes:
        name: The kind of the fault, for tables and the access log.
        interval: Seconds between two bytes, if the fault is slowness; the delay of `delay`.
        jitter: How far the delay's durations are spread, in seconds.
        distribution: How they are spread.
        code: The HTTP status of the reply, if the fault is a status.
        retry_after: The value of ``Retry-After``: seconds, or an HTTP date; None for none.
        value: The JSON of the reply, if the fault is a wrong type.
        by: The error in ``Content-Length``, in bytes.
        after: The bytes of a body, or the seconds of a certificate, after which the fault begins;
            None for its usual place.
        data: The bytes of the reply, or of what goes before or after it.
        endless: Bytes that follow `data` again and again, until the client has gone.
        headers: Header lines of the reply, without their line ends.
        count: How many: interim replies, headers, or bytes; None for no end.
        then: What the server does with the connection after the reply.
        tls_1_2: Whether the server has TLS 1.2 only.
        send_rate: The most bytes a second that the server sends; None for no limit.
        receive_rate: The most bytes a second that the server reads of a body; None for no limit.
        sequence: One fault per request, repeated for ever; None is a healthy reply.
        parts: The faults that apply together.
        carried_out: Whether the server still carries out the request.
        method: The fault affects requests with this method only; None for all methods.
        path: The fault affects requests only if this regular expression is found in their path;
            None for all paths.
        client: The fault affects clients of this address, or address and port; None for all.
        header_patterns: The fault affects requests only if each of these headers has a value in
            which the regular expression is found.
        token: The fault affects requests with this token only; None for all.
        limit: The server is healthy again after so many requests (or connections); None for never.
        counted_by: What has a count, a sequence and chances of its own: ``address``,
            ``connection``, ``token``, or a header; None for the server as a whole.
        probability: The share of the requests (or connections) that the fault affects.
        seed: Makes what is random the same in each run.
        schedule: When the fault is on; None for always.
    """

    name: str
    interval: float = 0.0
    jitter: float = 0.0
    distribution: Distribution = "uniform"
    code: int = 0
    retry_after: int | str | None = None
    value: JSON = None
    by: int = 0
    after: float | None = None
    data: bytes = b""
    endless: bytes = b""
    headers: tuple[str, ...] = ()
    count: int | None = 1
    then: Then = "keep"
    tls_1_2: bool = False
    send_rate: float | None = None
    receive_rate: float | None = None
    sequence: tuple[Fault | None, ...] = ()
    parts: tuple[Fault, ...] = ()
    carried_out: bool = True
    method: str | None = None
    path: str | None = None
    client: str | None = None
    header_patterns: tuple[tuple[str, str], ...] = ()
    token: str | None = field(default=None, repr=False)
    limit: int | None = None
    counted_by: str | None = None
    probability: float = 1.0
    seed: int = 0
    schedule: Schedule | None = None

    def __repr__(self) -> str:
        pairs = ((each, getattr(self, each.name)) for each in fields(self) if each.repr)
        shown = (f"{each.name}={value!r}" for each, value in pairs if value != each.default)
        return f"Fault({', '.join(shown)})"

    def __or__(self, other: Fault) -> Fault:
        """Return both faults at once.

        Raises:
            InvalidArgument: They concern the same stage, and the first affects every request.
        """
        if not isinstance(other, Fault):
            return NotImplemented
        parts = (*_split(self), *_split(other))
        check_parts(parts)
        return Fault("|".join(part.name for part in parts), parts=parts)

    @property
    def leaves(self) -> Iterator[Fault]:
        """The faults that this one is made of; for this package."""
        steps = (*self.parts, *filter(None, self.sequence))
        if not steps:
            yield self
        for step in steps:
            yield from step.leaves

    @property
    def is_narrowed(self) -> bool:
        """Whether the fault affects some requests only, so that the server must read them first."""
        asked = (self.method, self.path, self.token)
        return bool(self.header_patterns) or any(each is not None for each in asked)

    @property
    def is_partial(self) -> bool:
        """Whether the fault leaves some requests to another one; for this package."""
        if self.is_narrowed or self.client or self.limit or self.schedule or self.probability < 1:
            return True
        if self.sequence:
            return any(step is None or step.is_partial for step in self.sequence)
        return bool(self.parts) and all(part.is_partial for part in self.parts)

    @property
    def meets_connections(self) -> bool:
        """Whether the fault affects connections, before any request is read."""
        if self.parts:
            return any(part.meets_connections for part in self.parts)
        return self.name in CONNECTION_ONLY or (
            self.name == "reset" and not self.is_narrowed and not self.carried_out
        )

    @property
    def meets_requests(self) -> bool:
        """Whether the fault affects requests; for this package."""
        if self.parts:
            return any(part.meets_requests for part in self.parts)
        return not self.meets_connections

    def meets(self, request: ReceivedRequest | None, peer: str = "") -> bool:
        """Return whether the fault affects this request.

        Args:
            request: The request; None for a connection, before any request.
            peer: The client's address and port, as in `Access.client`.
        """
        if self.client is not None and self.client not in {peer, peer.rpartition(":")[0]}:
            return False
        return request is None or not self.is_narrowed or self._meets_request(request)

    def _meets_request(self, request: ReceivedRequest) -> bool:
        return (
            (self.method is None or self.method == request.method)
            and (self.path is None or re.search(self.path, request.path) is not None)
            and (self.token is None or self.token == request.headers.get("x-auth-token"))
            and all(
                name in request.headers and re.search(pattern, request.headers[name])
                for name, pattern in self.header_patterns
            )
        )

    def only(
        self,
        *,
        method: str | None = None,
        path: str | None = None,
        client: str | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Fault:
        """Return the same fault, for some requests or clients only.

        Args:
            method: An HTTP method.
            path: A regular expression, searched for in the path without its query.
            client: The client's address, such as ``127.0.0.2`` or ``[::1]``, or its address and
                port, such as ``127.0.0.1:40123``.
            headers: A regular expression for each of these headers, searched for in its value.
            token: The value of ``X-Auth-Token``.

        Raises:
            InvalidArgument: The fault affects connections, before a request is read; or the method
                is unknown, a regular expression is none, or no client has such an address.
        """
        if self.parts:
            chosen = {"method": method, "path": path, "client": client, "token": token}
            parts = (part.only(headers=headers, **chosen) for part in self.parts)
            return replace(self, parts=tuple(parts))
        narrowed = replace(
            self,
            method=self.method if method is None else check_method("only", method),
            path=self.path if path is None else check_pattern("only", path),
            client=self.client if client is None else check_client("only", client),
            header_patterns=self.header_patterns + _read_patterns(headers),
            token=self.token if token is None else check_text("only", token),
        )
        if narrowed.is_narrowed and self.name in CONNECTION_ONLY:
            raise InvalidArgument(f"{self.name} affects connections; don't narrow it to requests.")
        return _check_countable(narrowed, "only")

    def times(self, count: int) -> Fault:
        """Return the same fault, for the next `count` requests (or connections) that it affects.

        Raises:
            InvalidArgument: `count` is not positive, or the fault is one that the kernel carries
                out, such as `refuse`, so that the server can't count connections.
        """
        check_count("times", count)
        return _check_countable(replace(self, limit=count), "times")

    def with_probability(self, share: float, *, seed: int = 0) -> Fault:
        """Return the same fault, for a share of the requests (or connections).

        The same seed chooses the same ones in a sequence of requests.

        Args:
            share: Above 0, up to 1.
            seed: Chooses the requests; another seed chooses others.

        Raises:
            InvalidArgument: `share` is no such number, or the kernel carries out the fault.
        """
        fix = "give a share of the requests above 0 and up to 1, such as 0.3"
        check_number("with_probability", share, fix, least=math.ulp(0.0), most=1.0)
        check_count("with_probability", seed, least=0)
        chosen = replace(self, probability=share, seed=seed)
        return _check_countable(chosen, "with_probability")

    def per_client(self, by: str = "address") -> Fault:
        """Return the same fault, which counts requests for each client.

        Each client has its own `times`, its own sequence of `flapping` and its own chances.

        Args:
            by: What tells clients apart: ``address``, ``connection``, ``token``, or the name of a
                header.

        Raises:
            InvalidArgument: `by` is no such word or name, or the kernel carries out the fault.
        """
        fix = "give address, connection, token, or the name of a header, such as User-Agent"
        check_header_name("per_client", by, fix)
        counted = replace(self, counted_by=by)
        return _check_countable(counted, "per_client")

    def during(
        self, start: float, end: float | None = None, *, every: float | None = None
    ) -> Fault:
        """Return the same fault, from one second to another after ``break_with()``.

        A request that has met the fault keeps it, but for `limit_rate` and `black_hole`. Faults of
        connections end the open connections when they begin.

        Args:
            start: When the fault begins, in seconds.
            end: When it ends; None for never.
            every: The seconds after which it begins again; None for once.

        Raises:
            InvalidArgument: A time is no number of seconds, their order is wrong, or the fault has
                a schedule already.
        """
        schedule = make_schedule(start, end, every)
        if self.schedule is not None:
            raise InvalidArgument(f"during() of {self.name}: it has a schedule already; write one.")
        if self.parts:
            parts = tuple(part.during(start, end, every=every) for part in self.parts)
            return replace(self, parts=parts)
        return replace(self, schedule=schedule)

    def after_effect(self) -> Fault:
        """Return the same fault, but the server carries out the request before it fails.

        This failure is ambiguous: the client can't know whether the request took effect.

        Raises:
            InvalidArgument: The fault affects connections, before a request is read, or ends or
                answers the request before its body is read.
        """
        if self.parts:
            return replace(self, parts=tuple(part.after_effect() for part in self.parts))
        if self.name in CONNECTION_ONLY:
            raise InvalidArgument(f"{self.name} affects connections: no request is carried out.")
        if self.name in {"early_answer", "cut_upload"}:
            raise InvalidArgument(f"{self.name} reads no body: no request is carried out.")
        return replace(self, carried_out=True)


def _check_countable(fault: Fault, call: str) -> Fault:
    """Return the fault; refuse to count what the server does not see, or two kinds as one."""
    for leaf in fault.leaves:
        if leaf.name in IN_KERNEL:
            raise InvalidArgument(
                f"{call}() of {leaf.name}: the kernel answers these connections, so that the"
                " server can't count or choose them; use during() or heal() instead."
            )
    if fault.meets_connections and fault.meets_requests:
        raise InvalidArgument(
            f"{call}() of {fault.name}: it affects connections and requests, which are counted"
            f" apart; write {call}() on each of its faults."
        )
    return fault


def _split(fault: Fault) -> tuple[Fault, ...]:
    """Return the parts of a combination, which is one part itself if it was narrowed as a whole."""
    whole = fault == Fault(fault.name, parts=fault.parts)
    return fault.parts if whole and fault.parts else (fault,)


def _read_patterns(headers: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if not isinstance(headers or {}, Mapping):
        raise wrong("only", headers, _HEADERS_FIX)
    return tuple(
        (check_header_name("only", name, _HEADERS_FIX), check_pattern("only", pattern))
        for name, pattern in (headers or {}).items()
    )


def check_fault(call: str, value: object) -> Fault:
    """Return a fault; refuse what is none."""
    if not isinstance(value, Fault):
        raise wrong(call, value, "give a fault of lab.faults, such as lab.faults.status(503)")
    return value
