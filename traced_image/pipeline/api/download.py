"""Image data as a stream from the servers, which checks it against the image's record."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from io import TextIOBase
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO

from ...errors import (
    AttemptError,
    ChecksumMismatch,
    FailedAttempt,
    InvalidArgument,
    ProtocolError,
    TracedImageError,
)
from .upload import CHUNK

if TYPE_CHECKING:
    from ...config import Server
    from .operation import Chunks, Reply
    from .records import Record


_PARTIAL = 206
_LENGTH = re.compile("[0-9]{1,19}")

Resume = Callable[["Server", AttemptError, int], "Download | None"]
"""A function that fetches the rest of a download, or returns None to give up.

Its arguments are the server that failed, the error, and how many bytes have arrived. After a
`ChecksumMismatch` there is no rest to fetch.
"""


class Download:
    """An image's data, which can be read once, chunk by chunk.

    If the stream breaks, another server sends the rest. If no server does, reading raises
    `CommunicationError` or `ProtocolError`. At the end, reading raises `ChecksumMismatch` if the
    data does not match the image's record.

    Attributes:
        chunks: The data from one server, checked at its end; telemetry may wrap it.
        server: The server that sends the data.
        length: Bytes to come, or None if the server did not announce them.
        resume: Fetches the rest from another server; None to give up at the first failure.
    """

    def __init__(self, chunks: Chunks, server: Server, length: int | None, digest: Digest) -> None:
        self.server = server
        self.length = length
        self.resume: Resume | None = None
        self.chunks: Chunks = _VerifiedChunks(chunks, digest, server)
        self._digest = digest
        self._history: list[FailedAttempt] = []
        self._since = monotonic()

    @classmethod
    def of(cls, reply: Reply, record: Record, offset: int = 0) -> Download | None:
        """Build a download from a streamed reply; return None if the image has no data.

        Args:
            reply: The reply to the request for the data.
            record: The image's record.
            offset: The first byte that is needed.

        Raises:
            ProtocolError: The reply has a part of the data that was not requested.
        """
        chunks = reply.chunks
        if chunks is None:
            return None
        length = reply.headers.get("content-length", "")
        size = int(length) if _LENGTH.fullmatch(length) else None
        if reply.status == _PARTIAL:
            _check_part(reply, chunks, offset)
        elif offset:
            # A server may ignore Range and answer 200 with all of the data (RFC 9110, 14.2).
            chunks = _RestChunks(chunks, offset)
            size = None if size is None else max(0, size - offset)
        return cls(chunks, reply.server, size, Digest(record, reply.headers.get("content-md5")))

    @classmethod
    def at_end(cls, server: Server, record: Record) -> Download:
        """Build a download with no bytes to come, whose data is still to be checked."""
        return cls(_NoChunks(), server, 0, Digest(record, None))

    def __iter__(self) -> Iterator[bytes]:
        done = 0
        while True:
            try:
                for chunk in self.chunks:
                    done += len(chunk)
                    yield chunk
            except AttemptError as error:
                self._continue(error, done)
            else:
                break

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
        self.server = rest.server
        self.chunks = rest.chunks
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
        return self._digest.continues(other._digest)

    def close(self) -> None:
        """Discard the rest of the data, and release the connection.

        A thread that still reads gets an error. No server is asked for the rest, or blamed.
        """
        self.resume = None
        self.chunks.close()


def _check_part(reply: Reply, chunks: Chunks, offset: int) -> None:
    claimed = reply.headers.get("content-range", "")
    if not offset or not claimed.startswith(f"bytes {offset}-"):
        chunks.close()
        raise ProtocolError(
            f"{reply.origin}: the reply is not the part of the data that was requested"
        )


class _VerifiedChunks:
    """The chunks of a body; at the end, the data must match the image's record."""

    def __init__(self, chunks: Chunks, digest: Digest, server: Server) -> None:
        self._chunks = chunks
        self._digest = digest
        self._server = server

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._digest.update(chunk)
            yield chunk
        if not self._digest.matches():
            raise ChecksumMismatch(
                f"{self._server.netloc}: the data does not match the image's record: download it"
                " again, and check the server's store if the error repeats"
            )

    def close(self) -> None:
        self._chunks.close()


class _NoChunks:
    """An empty body."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class _RestChunks:
    """The chunks of a whole body from an offset on, for servers that ignore ``Range``."""

    def __init__(self, chunks: Chunks, offset: int) -> None:
        self._chunks = chunks
        self._offset = offset

    def __iter__(self) -> Iterator[bytes]:
        skip = self._offset
        for chunk in self._chunks:
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))

    def close(self) -> None:
        self._chunks.close()


class Digest:
    """The strongest check of data that a record allows, in python-glanceclient's order.

    If the record has no checksum, the check compares only the size.
    """

    def __init__(self, record: Record, content_md5: str | None) -> None:
        self._hash, self._expected = _make_hash(record, content_md5)
        size = record.get("size")
        # For data at an external location, Glance may not know the size and reports 0.
        self._size = size if isinstance(size, int) and size else None
        self._updated = record.get("updated_at")
        self._done = 0

    @property
    def has_checksum(self) -> bool:
        """Whether the check uses a checksum, and not only the size."""
        return self._hash is not None

    def update(self, chunk: bytes) -> None:
        """Add more data to the check."""
        self._done += len(chunk)
        if self._hash is not None:
            self._hash.update(chunk)

    def matches(self) -> bool:
        """Return whether the data matches the record, as far as the record allows a check."""
        if self._hash is None:
            return self._size in (None, self._done)
        return self._hash.hexdigest() == self._expected

    def continues(self, other: Digest) -> bool:
        """Continue from the state of `other` if both expect the same data; return whether."""
        # Without a checksum, an equal size and time of change are the best sign of equal data.
        if self._hash is None and other._hash is None:
            same = (self._size, self._updated) == (other._size, other._updated)
        else:
            same = self._expected == other._expected
        if same:
            self._hash, self._done = other._hash, other._done
        return same


def _make_hash(record: Record, content_md5: str | None) -> tuple[hashlib._Hash | None, str]:
    """Return the hash to compute and its expected value in hex digits; None and "" for neither.

    The record's multihash comes first, then its checksum, then ``Content-MD5``.
    """
    for algorithm, expected in (
        (record.get("os_hash_algo"), record.get("os_hash_value")),
        ("md5", record.get("checksum")),
        ("md5", content_md5),
    ):
        if isinstance(algorithm, str) and isinstance(expected, str) and expected:
            try:
                found = hashlib.new(algorithm, usedforsecurity=False)
            except (TypeError, ValueError):  # TypeError for a name with a null character
                continue
            # An extendable hash such as SHAKE has no size of its own, and `hexdigest` needs one.
            if found.digest_size:
                return found, expected
    return None, ""


def check_destination(data: object, dst_path: object) -> None:
    """Check that the destination can be written to, before any request.

    Raises:
        InvalidArgument: `data` is not a binary file, or `dst_path` is not a path.
    """
    if data is not None and (not hasattr(data, "write") or isinstance(data, TextIOBase)):
        raise InvalidArgument("data is not a binary file: open one with mode 'wb'")
    if not (dst_path is None or isinstance(dst_path, (str, os.PathLike))) or "\0" in str(dst_path):
        raise InvalidArgument("dst_path is not a path: give the name of a file")


def save(download: Download, data: BinaryIO | None, dst_path: str | os.PathLike[str]) -> None:
    """Write an image's data to `data`, or to a file at `dst_path` and sync it to disk.

    If the download fails, truncate the file at `dst_path`, so that nobody mistakes a part of the
    data for the image.
    """
    try:
        if data is None:
            _save_at(download, Path(dst_path))
        else:
            for chunk in download:
                data.write(chunk)
    finally:
        download.close()


def _save_at(download: Download, path: Path) -> None:
    with path.open("wb") as file:
        # Devices and pipes such as /dev/stdout can be neither truncated nor synced.
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        try:
            for chunk in download:
                file.write(chunk)
            file.flush()
        except BaseException:
            if regular:
                file.truncate(0)
            raise
        if regular:
            os.fsync(file.fileno())
