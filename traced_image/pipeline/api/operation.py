"""What to ask of Glance, and what a reply brings: requests, replies and operations as values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from ...config import Server
    from .upload import UploadBody


Version = Literal[1, 2]
Method = Literal["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
T_co = TypeVar("T_co", covariant=True)


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
