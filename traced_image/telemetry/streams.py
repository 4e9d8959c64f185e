"""Image data on its way: a download has a span of its own, an upload is counted as it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import AttemptError
from .recorder import reason_of, tell_where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..pipeline.model import Chunks
    from .recorder import StreamRecord


class ObservedChunks:
    """What one server sends of a download, told to a record.

    The record ends when all has come, when the stream breaks, when it is closed, and when it is
    dropped, whichever comes first. No span is current while its reader has a chunk.
    """

    def __init__(self, chunks: Chunks, record: StreamRecord) -> None:
        self._chunks = chunks
        self._record = record

    def __iter__(self) -> Iterator[bytes]:
        record = self._record
        try:
            for chunk in self._chunks:
                record.add(len(chunk))
                yield chunk
        except AttemptError as error:
            tell_where(error, record.span)
            record.end(reason_of(error), complete=False)
            raise
        else:
            record.end(complete=True)
        finally:
            record.end(complete=False)

    def close(self) -> None:
        """Give up what has not been read."""
        self._record.end(complete=False)
        self._chunks.close()

    def __del__(self) -> None:
        self._record.end(complete=False)


class CountedBody:
    """The body of an upload, counted as it is read.

    Attributes:
        sent: Whether any of it was read.
    """

    def __init__(self, body: Iterable[bytes], record: StreamRecord) -> None:
        self._body = body
        self._record = record
        self.sent = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._body:
            self.sent = True
            self._record.add(len(chunk))
            yield chunk
