"""Calls and attempts as values, and the seams at which layers observe them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ..api.operation import Operation, T_co

if TYPE_CHECKING:
    import requests

    from ...config import Server
    from ...errors import AttemptError, GlanceConnectionFailed
    from ..context import Context
    from .host_state import HostState


F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

Layer = Callable[[F], F]
"""Takes a callable and returns one of the same shape; where it is put gives it its meaning."""


def layered(inner: F, layers: Iterable[Layer[F]]) -> F:
    """Wrap `inner` in `layers`, the first one outermost.

    Without layers this is `inner` itself, so that what is switched off costs nothing.
    """
    for layer in reversed(tuple(layers)):
        inner = layer(inner)
    return inner


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One logical call: what its caller asked for, however many attempts it takes."""

    operation: Operation[T_co]
    context: Context


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T_co]):
    """One try of a call on one server.

    Attributes:
        call: The call that it belongs to.
        server: The server that is tried.
        number: 1 for the first attempt.
        maximum: How many attempts the call has at most.
        trial: Whether the server is on trial after a cool-down.
        deadline: When the call must be over, on the monotonic clock in seconds.
    """

    call: Call[T_co]
    server: Server
    number: int
    maximum: int
    trial: bool = False
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """What a successful attempt brought.

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
    """A failed attempt, and what comes after it.

    Attributes:
        attempt: The attempt that failed.
        error: What it met.
        delay: Seconds until the next attempt; None when there is none.
        given_up: What the call ends with, if no attempt succeeded and none may follow.
        blamed: Whether it speaks against the server; it does not where the call's own deadline
            left it no time.
    """

    attempt: Attempt[object]
    error: AttemptError
    delay: float | None = None
    given_up: GlanceConnectionFailed | None = None
    blamed: bool = True


class Send(Protocol):
    """Tries once; the seam of the attempt layers."""

    def __call__(self, attempt: Attempt[T], /) -> Answer[T]:
        """Make one attempt on its server."""


class Perform(Protocol):
    """Makes one logical call; the seam of the call layers."""

    def __call__(self, call: Call[T], /) -> T:
        """Return what the call's operation brings."""


Announce = Callable[[Failure], None]
"""Tells of a failed attempt that speaks against its server; the seam of the failure layers."""

SendPrepared = Callable[..., "requests.Response"]
"""``requests.Session.send``: session, prepared request, options; the seam of the wire layers."""


Watch = Callable[["HostState"], None]
"""Is shown a server whenever what is known of it has changed, under the cycle's lock."""


@dataclass(frozen=True, slots=True)
class Layers:
    """What observes a pipeline: nothing, unless telemetry is composed around it."""

    call: tuple[Layer[Perform], ...] = ()
    attempt: tuple[Layer[Send], ...] = ()
    failure: tuple[Layer[Announce], ...] = ()
    wire: tuple[Layer[SendPrepared], ...] = ()
    hosts: tuple[Watch, ...] = ()
