"""The body of a reply: read to its end, in part, or piece by piece."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..._signals import raise_if_from_signal_handler
from ...reasons import MalformedReplyError
from .connection import HEAD_SIZE
from .reply_parser import (
    CHUNKED,
    LARGEST_HEAD,
    UNTIL_CLOSE,
    check_trailers,
    check_unfinished,
    parse_chunk_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .connection import OpenConnection
    from .time_limits import TimeLimits


PIECE = 128 * 1024
"""The most bytes to receive at once of a body that is long."""


_BEGIN = 4096  # bytes of a body that is too long
_PLAUSIBLE = 1 << 32  # bytes of a body; a longer one is announced by mistake or malice


class OversizedReplyError(MalformedReplyError):
    """A body is longer than the reader allows.

    Attributes:
        begin: Some bytes of it; those of its begin, if `Body.read` raised this. Empty if its
            length is not plausible.
    """

    def __init__(self, begin: bytes) -> None:
        super().__init__("it is longer than allowed")
        self.begin = begin[:_BEGIN]


class Body:
    """The body of one reply, which can be read once.

    Args:
        connection: The connection; the body comes next on it.
        length: The bytes of the body, or `CHUNKED` or `UNTIL_CLOSE`.
        limits: The limits in time.
        release: Takes the connection back if it may serve another request after the body; None if
            it may not.

    Attributes:
        length: As given.
        limits: As given.
        unannounced_end: Whether the body ended with the connection, and TLS did not announce that,
            so that the body may be cut short.
    """

    __slots__ = ("_connection", "_release", "length", "limits", "unannounced_end")

    def __init__(
        self,
        connection: OpenConnection,
        length: int,
        limits: TimeLimits,
        release: Callable[[OpenConnection], None] | None,
    ) -> None:
        self._connection: OpenConnection | None = connection
        self._release = release
        self.length = length
        self.limits = limits
        self.unannounced_end = False

    def read(self, most: int) -> bytes:
        """Read the whole body.

        Raises:
            OversizedReplyError: The body has more than `most` bytes.
            MalformedReplyError: The body is cut short, or its chunks are malformed.
            OSError: The connection broke, or the time has passed.
        """
        connection, length = self._connection, self.length
        if connection is not None and 0 <= length <= min(most, len(connection.buffer)):
            # The common case: all of the body came with its head.
            body, connection.buffer = connection.buffer[:length], connection.buffer[length:]
            self._finish()
            return body
        pieces: list[bytes] = []
        try:
            pieces += self.iterate(PIECE, most)
        except OversizedReplyError as error:
            if pieces and error.begin:
                error.begin = pieces[0][:_BEGIN]
            raise
        return b"".join(pieces)

    def read_part(self, most: int, seconds: float) -> bytes:
        """Read at most `most` bytes in at most so many seconds, and close the connection.

        If it breaks or the time passes, return what has come.
        """
        found: list[bytes] = []
        self.limits.shorten(seconds)
        try:
            for piece in self.iterate(most):
                found.append(piece)
                most -= len(piece)
                if most <= 0:
                    break
        except (OSError, MalformedReplyError) as error:
            raise_if_from_signal_handler(error)
        self.close()
        return b"".join(found)

    def iterate(self, size: int, most: float = math.inf) -> Iterator[bytes]:
        """Yield the body in pieces of at most `size` bytes, as they come.

        Args:
            size: The most bytes of a piece.
            most: The most bytes of the body.

        Raises:
            OversizedReplyError: The body has more than `most` bytes.
            MalformedReplyError: The body is cut short, or its chunks are malformed.
            OSError: The connection broke, or the time has passed.
        """
        connection = self._connection
        if connection is None:
            return
        try:
            if self.length == CHUNKED:
                yield from self._iterate_chunks(connection, size, most)
            elif self.length == UNTIL_CLOSE:
                while piece := connection.receive(size, self.limits):
                    most -= len(piece)
                    if most < 0:
                        raise OversizedReplyError(piece)
                    yield piece
                self.unannounced_end = connection.unannounced_end
            else:
                self._check_size(connection, most - self.length)
                yield from self._iterate_exactly(connection, self.length, size)
            self._finish()
        finally:
            self.close()

    def _check_size(self, connection: OpenConnection, left: float) -> None:
        """Check how many more bytes a body may have."""
        if left < -_PLAUSIBLE:
            raise OversizedReplyError(b"")
        if left < 0:
            raise OversizedReplyError(connection.receive(_BEGIN, self.limits))

    def _iterate_exactly(self, connection: OpenConnection, left: int, size: int) -> Iterator[bytes]:
        while left:
            piece = connection.receive(min(size, left), self.limits)
            if not piece:
                raise MalformedReplyError("it is cut short")
            left -= len(piece)
            yield piece

    def _iterate_chunks(
        self, connection: OpenConnection, size: int, most: float
    ) -> Iterator[bytes]:
        while length := parse_chunk_size(self._read_line(connection)):
            most -= length
            self._check_size(connection, most)
            yield from self._iterate_exactly(connection, length, size)
            if self._read_line(connection):
                raise MalformedReplyError("a chunk does not end where it said")
        trailers = b""
        while line := self._read_line(connection):
            trailers += line + b"\r\n"
            if len(trailers) > LARGEST_HEAD:
                raise MalformedReplyError("its trailers are too long")
        check_trailers(trailers)

    def _read_line(self, connection: OpenConnection) -> bytes:
        """Return the next line, without its end."""
        while (end := connection.buffer.find(b"\r\n")) < 0:
            check_unfinished(connection.buffer)
            if len(connection.buffer) > LARGEST_HEAD:
                raise MalformedReplyError("a line between its chunks is too long")
            if not connection.fill(HEAD_SIZE, self.limits):
                raise MalformedReplyError("it is cut short")
        line = connection.buffer[:end]
        connection.buffer = connection.buffer[end + 2 :]
        return line

    def _finish(self) -> None:
        """Give the connection back if nothing is left over on it; close it otherwise."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._release is not None and connection.finish():
            self._release(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the connection if the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
