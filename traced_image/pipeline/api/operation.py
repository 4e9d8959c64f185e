"""Requests, replies and operations as values: what to ask of Glance, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from ...errors import ProtocolError

if TYPE_CHECKING:
    from ...config import Server
    from .upload import UploadBody


Version = Literal[1, 2]
Method = Literal["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; the attempt decides which server gets it.

    Attributes:
        method: The HTTP method.
        path: The quoted path and query, from ``/v1`` or ``/v2`` on.
        headers: Headers beside those that every request has.
        body: Bytes, or image data that is read while it is sent.
        stream: Whether ``Reply.chunks`` has the reply's body, unread.
    """

    method: Method
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | UploadBody | None = None
    stream: bool = False


class Chunks(Protocol):
    """A reply's body, piece by piece as it arrives."""

    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None:
        """Discard the rest of the body, and release the connection."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply with a status below 400.

    Attributes:
        status: The HTTP status code.
        headers: The headers by their names in lower case.
        body: The body; empty if `chunks` has it.
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


class ReplyTooLargeError(ProtocolError):
    """A reply has more bytes than ``max_metadata_size``.

    Attributes:
        begin: The first bytes of its body.
    """

    def __init__(self, message: str, begin: bytes) -> None:
        super().__init__(message)
        self.begin = begin


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A record that a list leaves out, because it can't be shown.

    Attributes:
        image_id: The image's id, or what the record has in its place; None for nothing.
        field: The field that can't be read; ``record`` if the record is no object.
    """

    image_id: object
    field: str


Wire = Callable[[Request], Reply]
"""A function that sends a request to the server of one attempt, and raises `AttemptError`."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[T_co]):
    """One thing to ask of Glance; any server of the cycle can perform it.

    Attributes:
        name: The controller and method in python-glanceclient, such as ``images.get``.
        method: The HTTP method of its first request.
        path: The path of its first request.
        perform: Sends the requests and reads the replies. It may keep results between attempts,
            as a list keeps the pages that it has read.
        repeatable: Whether it is safe to perform the operation twice.
        transfer: Whether its request has image data, to which no deadline applies.
        rewind: Prepares the operation for another attempt, or returns False if that is not
            possible. None if the operation needs no preparation.
        check: Called after the attempt that succeeded; it raises an error that fails the call, and
            that no server is responsible for. None if there is nothing to check.
        skipped: The records that a list has left out; `perform` adds them.
    """

    name: str
    method: Method
    path: str
    perform: Callable[[Wire], T_co]
    repeatable: bool = True
    transfer: bool = False
    rewind: Callable[[], bool] | None = None
    check: Callable[[], None] | None = None
    skipped: Sequence[SkippedRecord] = ()

    @property
    def action(self) -> str:
        """The method's name in nova's log line, such as ``get``."""
        return self.name.rpartition(".")[2]


def raise_first(errors: Sequence[Exception]) -> None:
    """Raise the first of these errors, if there is one; for an operation's `check`."""
    if errors:
        raise errors[0]
