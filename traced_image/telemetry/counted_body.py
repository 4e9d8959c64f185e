"""The body of an upload, whose bytes are counted when they are read to be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import attach, detach, get_current

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .stream_record import StreamRecord


class CountedBody:
    """The body of an upload, whose bytes are counted when they are read.

    The caller's code that reads the data runs in the caller's context: requests that it makes have
    nothing to do with the request that sends the data.

    Attributes:
        record: The stream that counts the bytes.
        sent: Whether at least one chunk was read.
    """

    def __init__(self, body: Iterable[bytes], record: StreamRecord) -> None:
        self._body = body
        self._context = get_current()
        self.record = record
        self.sent = False

    def __iter__(self) -> Iterator[bytes]:
        chunks = iter(self._body)
        while (chunk := self._read(chunks)) is not None:
            self.sent = True
            self.record.add(len(chunk))
            yield chunk

    def _read(self, chunks: Iterator[bytes]) -> bytes | None:
        token = attach(self._context)
        try:
            return next(chunks, None)
        finally:
            detach(token)
