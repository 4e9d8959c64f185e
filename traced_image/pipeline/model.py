"""The values that travel through the pipeline, and the seam at which it can be observed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    import requests

    from ..config import Server
    from ..errors import AttemptError, GlanceConnectionFailed
    from .context import Context
    from .host import Host
    from .upload import UploadBody

Version = Literal[1, 2]
Method = Literal["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]

F = TypeVar("F", bound=Callable[..., object])
T_co = TypeVar("T_co", covariant=True)

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
class Request:
    """One HTTP request to whichever server the attempt is for.

    Attributes:
        method: The HTTP method.
        path: Quoted path and query, from ``/v1`` or ``/v2`` on.
        headers: Headers beside those that every request has.
        body: Bytes, or image data that is sent as it is read.
        stream: Leave the reply's body to ``Reply.chunks``.
    """

    method: Method
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | UploadBody | None = None
    stream: bool = False


class Chunks(Protocol):
    """A reply's body as it arrives; closing it gives the connection back."""

    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None:
        """Give up what has not been read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply with a status below 400.

    Attributes:
        status: The HTTP status code.
        headers: Header names in any case, with their values.
        body: The body; empty where `chunks` has it.
        chunks: The body of a streamed reply, if it has one.
        server: The server that sent it.
        request_id: The server's ``X-OpenStack-Request-ID``, if it sent one.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    server: Server
    request_id: str | None = None
    chunks: Chunks | None = None

    @property
    def origin(self) -> str:
        """``host:port`` of the server, for messages."""
        return self.server.netloc


Wire = Callable[[Request], Reply]
"""Sends a request to the server of one attempt; raises `AttemptError`."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[T_co]):
    """One thing to ask of Glance, ready to be asked of any server of the cycle.

    Attributes:
        name: Controller and method as python-glanceclient names them: ``images.get``.
        method: The HTTP method of its (first) request.
        path: The path of its (first) request.
        perform: Makes the requests and reads the replies. It may keep what it has between
            attempts, as a list keeps the pages that it has read.
        repeatable: Whether doing it twice does no harm.
        transfer: Whether its request carries image data, to which no deadline applies.
        rewind: Makes it ready to be performed again, or returns False where that can't be;
            None where it always is.
    """

    name: str
    method: Method
    path: str
    perform: Callable[[Wire], T_co]
    repeatable: bool = True
    transfer: bool = False
    rewind: Callable[[], bool] | None = None

    @property
    def action(self) -> str:
        """The method's name in the seed's log line: ``get``."""
        return self.name.rpartition(".")[2]


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
        next_server: The server that the next attempt goes to.
        given_up: What the call ends with, if no attempt succeeded and none may follow.
        blamed: Whether it speaks against the server; it does not where the call's own deadline
            left it no time.
    """

    attempt: Attempt[object]
    error: AttemptError
    delay: float | None = None
    next_server: Server | None = None
    given_up: GlanceConnectionFailed | None = None
    blamed: bool = True


Send = Callable[[Attempt[object]], Answer[object]]
"""Tries once; the seam of the attempt layers."""

Announce = Callable[[Failure], None]
"""Tells of a failed attempt that speaks against its server; the seam of the failure layers."""

Perform = Callable[[Call[object]], object]
"""Makes one logical call; the seam of the call layers."""

SendPrepared = Callable[..., "requests.Response"]
"""``requests.Session.send``: session, prepared request, options; the seam of the wire layers."""


Watch = Callable[["Host"], None]
"""Is shown a server whenever what is known of it has changed, under the cycle's lock."""


@dataclass(frozen=True, slots=True)
class Layers:
    """What observes a pipeline: nothing, unless telemetry is composed around it."""

    call: tuple[Layer[Perform], ...] = ()
    attempt: tuple[Layer[Send], ...] = ()
    failure: tuple[Layer[Announce], ...] = ()
    wire: tuple[Layer[SendPrepared], ...] = ()
    hosts: tuple[Watch, ...] = ()
