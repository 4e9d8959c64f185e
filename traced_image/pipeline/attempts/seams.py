"""Calls and attempts as values, and the seams at which layers observe them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ..api.operation import Operation, SkippedRecord, T_co
from ..context import NO_TOKENS, SentTokens

if TYPE_CHECKING:
    from requests import PreparedRequest

    from ...config import Server
    from ...errors import AttemptError, GlanceConnectionFailed
    from ..context import Context
    from .host_state import HostState


F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

Layer = Callable[[F], F]
"""A function that takes a callable and returns one of the same type, which observes it."""


def layered(inner: F, layers: Iterable[Layer[F]]) -> F:
    """Wrap `inner` in `layers`, the first one outermost.

    Without layers this returns `inner` itself, so that telemetry that is off costs no time.
    """
    for layer in reversed(tuple(layers)):
        inner = layer(inner)
    return inner


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One call: what its caller asks for once, however many attempts it takes.

    Attributes:
        operation: What to ask of Glance.
        context: On whose behalf.
        finish: Called with the operation's result, and a function that performs more operations as
            part of this call, with attempts of their own. It returns the call's result; no
            server is responsible for what it raises. None if the operation's result is the call's.
    """

    operation: Operation[T_co]
    context: Context
    finish: Callable[[T_co, Perform], T_co] | None = None


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T_co]):
    """One try of a call on one server.

    Attributes:
        call: The call.
        server: The server to try.
        number: 1 for the call's first attempt.
        maximum: The number that the last attempt would have if all of them failed.
        started: When it started, in monotonic seconds.
        tokens: The tokens for its requests.
        trial: Whether the server is on trial after a cool-down.
        deadline: When the call must end, in monotonic seconds; None for no limit.
        timeout: Seconds that each of its requests may take, if those of the configuration are not
            fewer; None for those of the configuration alone.
    """

    call: Call[T_co]
    server: Server
    number: int
    maximum: int
    started: float = 0.0
    tokens: SentTokens = NO_TOKENS
    trial: bool = False
    deadline: float | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """The result of a successful attempt.

    Attributes:
        value: The operation's result.
        status: The HTTP status of the last reply.
        request_id: The ``X-OpenStack-Request-ID`` of the last reply, if it had one.
    """

    value: T_co
    status: int
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt, and what follows it.

    Attributes:
        attempt: The attempt that failed.
        error: The attempt's error.
        delay: Seconds until the next attempt; None if no attempt follows.
        next_server: The server of the next attempt; None if no attempt follows.
        given_up: The error that ends the call, if the call gives up.
    """

    attempt: Attempt[object]
    error: AttemptError
    delay: float | None = None
    next_server: Server | None = None
    given_up: GlanceConnectionFailed | None = None


class Send(Protocol):
    """A function that makes one attempt; attempt layers wrap it."""

    def __call__(self, attempt: Attempt[T], /) -> Answer[T]:
        """Make one attempt on its server."""


class Perform(Protocol):
    """A function that makes one call; call layers wrap it."""

    def __call__(self, call: Call[T], /) -> T:
        """Make the call, and return the result of its operation."""


Finish = Callable[[T, Perform], T]
"""A function that ends a call: its arguments are those of `Call.finish`."""

Authorize = Callable[["Context", float], SentTokens]
"""A function that finds the tokens of a call: on whose behalf, and within how many seconds."""

Announce = Callable[[Failure], None]
"""A function that reports a failed attempt or a call that gave up; failure layers wrap it."""


@dataclass(frozen=True, slots=True)
class Skips:
    """The records that a list left out.

    Attributes:
        operation: The list, such as ``images.list``.
        records: Them, in their order.
    """

    operation: str
    records: Sequence[SkippedRecord]


AnnounceSkips = Callable[[Skips], None]
"""A function that reports what a list left out; skip layers wrap it."""


class UnreadReply(Protocol):
    """A reply whose body is unread.

    Attributes:
        status: The HTTP status.
        version: The version of HTTP, such as ``1.1``.
    """

    status: int
    version: str

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names in lower case."""


U = TypeVar("U", bound=UnreadReply)
U_co = TypeVar("U_co", bound=UnreadReply, covariant=True)


class Exchange(Protocol[U_co]):
    """One request and its reply on one connection.

    Attributes:
        peer: The address and port of the connection's other end; None before there is one.
    """

    peer: tuple[str, int] | None

    def send(self, prepared: PreparedRequest, /) -> U_co:
        """Send a request; return the reply with its body unread."""


class SendPrepared(Protocol):
    """A function that sends a prepared request over an exchange; wire layers wrap it."""

    def __call__(self, exchange: Exchange[U], prepared: PreparedRequest, /) -> U:
        """Send the request once."""


Watch = Callable[["HostState"], None]
"""A function that the cycle calls, under its lock, after each change of a server's state."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The functions that observe a pipeline; none, unless telemetry adds them."""

    call: tuple[Layer[Perform], ...] = ()
    attempt: tuple[Layer[Send], ...] = ()
    failure: tuple[Layer[Announce], ...] = ()
    skips: tuple[Layer[AnnounceSkips], ...] = ()
    wire: tuple[Layer[SendPrepared], ...] = ()
    hosts: tuple[Watch, ...] = ()
