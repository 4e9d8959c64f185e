"""Image data as a stream from the servers, which checks it against the image's record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO

from ...errors import (
    AttemptError,
    ChecksumMismatch,
    FailedAttempt,
    ProtocolError,
    StreamConsumed,
    TracedImageError,
)
from .chunks import NoChunks, RestChunks, UnconfirmedEndError
from .digest import Digest
from .representation import Representation, check_without_data, read_representation
from .upload import CHUNK

if TYPE_CHECKING:
    from ...config import Server
    from .operation import Chunks, Reply
    from .records import Record


_PARTIAL = 206

_CONSUMED = (
    "the data was already read, or the download was closed, and it can be read only once: call"
    " download() again"
)

Resume = Callable[["Server", AttemptError, int], "Download | None"]
"""A function that fetches the rest of a download, or returns None to give up.

Its arguments are the server that failed, the error, and how many bytes have arrived. After a
`ChecksumMismatch` there is no rest to fetch.
"""


class Download:
    """An image's data, which can be read once, chunk by chunk, in the process that requested it.

    A second iteration raises `StreamConsumed`, also after the first one was left early.

    If the stream breaks, another server sends the rest. If no server does, reading raises
    `CommunicationError` or `ProtocolError`. At the end, reading raises `ChecksumMismatch` if the
    data does not match the image's record.

    Attributes:
        chunks: The data from one server, checked at its end; telemetry may wrap it.
        server: The server that sends the data.
        length: Bytes to come, or None if the server did not announce them.
        resume: Fetches the rest from another server; None to give up at the first failure.
        representation: What the reply said of the whole data; the rest is held against it.
    """

    def __init__(
        self,
        chunks: Chunks,
        server: Server,
        length: int | None,
        digest: Digest,
        representation: Representation,
    ) -> None:
        self.server = server
        self.length = length
        self.resume: Resume | None = None
        self.chunks: Chunks = _VerifiedChunks(chunks, digest, server)
        self.representation = representation
        self._digest = digest
        self._history: list[FailedAttempt] = []
        self._since = monotonic()
        self._first = b""
        self._pieces: Iterator[bytes] | None = None
        self._begun = False
        self._closed = False
        self._process = os.getpid()

    @classmethod
    def of(
        cls, reply: Reply, record: Record, offset: int = 0, first: Representation | None = None
    ) -> Download | None:
        """Build a download from a streamed reply; return None if the image has no data.

        Args:
            reply: The reply to the request for the data.
            record: The image's record.
            offset: The first byte that is needed.
            first: What the first reply said of the data, if this one continues it.

        Raises:
            ProtocolError: The reply is not the data, or not the part that was requested, or it has
                no data although the record says that there is some.
        """
        chunks = reply.chunks
        if chunks is None:
            check_without_data(reply, record)
            return None
        try:
            found = read_representation(reply, offset)
            digest = Digest(record, reply.headers.get("content-md5"), found.total)
            found.check_total(reply, digest.record_size, first)
        except ProtocolError:
            chunks.close()
            raise
        size = None if found.total is None else max(0, found.total - offset)
        if offset and reply.status != _PARTIAL:
            # A server may ignore Range and answer 200 with all of the data (RFC 9110, 14.2).
            chunks = RestChunks(chunks, offset, reply.origin)
        return cls(chunks, reply.server, size, digest, found)

    @classmethod
    def at_end(cls, server: Server, record: Record) -> Download:
        """Build a download with no bytes to come, whose data is still to be checked."""
        return cls(NoChunks(), server, 0, Digest(record), Representation())

    def __iter__(self) -> Iterator[bytes]:
        if self._begun:
            raise StreamConsumed(_CONSUMED)
        self._check_open()
        self._begun = True
        try:
            yield from self._read()
        finally:
            # Nobody can read the rest, so that the connection is of no more use.
            self.close()

    def _read(self) -> Iterator[bytes]:
        done = 0
        while True:
            try:
                for chunk in self._take_pieces():
                    done += len(chunk)
                    yield chunk
                    self._check_open()
            except AttemptError as error:
                self._check_open()
                self._continue(error, done)
            else:
                break

    def wait(self) -> None:
        """Wait for the first bytes, from whichever server sends them, and keep them."""
        while self._pieces is None:
            # Not `_read`: a download that referred to itself would keep its connection until the
            # garbage collector runs.
            pieces = iter(self.chunks)
            try:
                self._first = next(pieces, b"")
            except AttemptError as error:
                self._continue(error, 0)
            else:
                self._pieces = pieces

    def _take_pieces(self) -> Iterator[bytes]:
        """Return the pieces from one server; the first one may be there already."""
        pieces, self._pieces = self._pieces, None
        if pieces is None:
            return iter(self.chunks)
        first, self._first = self._first, b""
        return chain((first,) if first else (), pieces)

    def _check_open(self) -> None:
        """Check that this object can still be read, here: no server is to blame if it can't."""
        if self._closed:
            raise StreamConsumed(_CONSUMED)
        # Two processes that read from one connection would each get a part of the bytes.
        if self._process != os.getpid():
            raise StreamConsumed(
                "the data was requested before a fork, in another process: call download() after"
                " the fork"
            )

    def _note(self, error: AttemptError) -> None:
        """Add a failed stream to the history, and put the history into the error."""
        self._history.append(
            FailedAttempt(
                self.server.url, error.reason, monotonic() - self._since, error.request_id
            )
        )
        error.attempts = tuple(self._history)

    def _continue(self, error: AttemptError, done: int) -> None:
        """Continue with the rest from another server, or raise `error`."""
        self._note(error)
        try:
            rest = None if self.resume is None else self.resume(self.server, error, done)
        except TracedImageError as failed:
            error.attempts += failed.attempts
            raise error from failed
        if rest is None:
            raise error
        # The image may have changed meanwhile: two halves of different data must not be joined.
        if not rest.continues(self):
            rest.close()
            raise error
        self._take_over(rest)

    def _take_over(self, rest: Download) -> None:
        self.server = rest.server
        self.chunks = rest.chunks
        # It counts all of the data, which the next rest has to continue.
        self._digest = rest._digest
        self._since = monotonic()

    @property
    def has_checksum(self) -> bool:
        """Whether the image has a checksum, so that its data differs from other data visibly."""
        return self._digest.has_checksum

    def begin(self, file: BinaryIO) -> None:
        """Add a file's content to the check, as the data before the bytes to come."""
        file.seek(0)
        while chunk := file.read(CHUNK):
            self._digest.update(chunk)

    def continues(self, other: Download) -> bool:
        """Continue the check of `other`; return False if this is not the rest of its data."""
        # A checksum shows more than validators, which differ between servers.
        known = self.has_checksum or self.representation.matches(other.representation)
        return known and self._digest.continues(other._digest)

    def close(self) -> None:
        """Discard the rest of the data, and release the connection.

        A thread that still reads gets an error. No server is asked for the rest, or blamed.
        """
        self._closed = True
        self.chunks.close()


class _VerifiedChunks:
    """The chunks of a body; at the end, the data must match the image's record."""

    def __init__(self, chunks: Chunks, digest: Digest, server: Server) -> None:
        self._chunks = chunks
        self._digest = digest
        self._server = server

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._take()
        except UnconfirmedEndError:
            if not self._digest.is_whole:
                raise
        self._check_end()

    def _take(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if self._digest.is_too_long(chunk):
                raise ChecksumMismatch(
                    f"{self._server.netloc}: the data has more than {self._digest.size} bytes,"
                    " which the image's record says: check the server's store"
                )
            self._digest.update(chunk)
            yield chunk

    def _check_end(self) -> None:
        if self._digest.is_too_short:
            # The connection does not show it: the end was not announced. Another server may send
            # the rest.
            raise ProtocolError(
                f"{self._server.netloc}: the data ends before its {self._digest.size} bytes: check"
                " the server, and a proxy before it"
            )
        if not self._digest.matches():
            raise ChecksumMismatch(
                f"{self._server.netloc}: the data does not match the image's record: download it"
                " again, and check the server's store if the error repeats"
            )

    def close(self) -> None:
        self._chunks.close()
