"""Image data on its way from the servers, checked against what its record claims."""

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
"""Is told who failed, how, and how many bytes are there; asks for the rest, or gives up: None.

After a `ChecksumMismatch` there is no rest to ask for.
"""


class Download:
    """An image's data, to be read once, chunk by chunk.

    Where the stream breaks, the rest is asked of another server. Reading raises
    `CommunicationError` or `ProtocolError` where that does not help, and `ChecksumMismatch` at the
    end where the data is not what the image's record says.

    Attributes:
        chunks: What one server sends, checked at its end; telemetry may be put around it.
        server: The server that it comes from.
        length: Bytes to come, or None if the server did not say.
        resume: How to get the rest from another server.
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
        """Take over a streamed reply, from `offset` on; None if the image has no data.

        Raises:
            ProtocolError: It is a part of the data that was not asked for.
        """
        chunks = reply.chunks
        if chunks is None:
            return None
        length = reply.headers.get("Content-Length", "")
        size = int(length) if _LENGTH.fullmatch(length) else None
        if reply.status == _PARTIAL:
            _check_part(reply, chunks, offset)
        elif offset:
            chunks = _RestChunks(chunks, offset)
            size = None if size is None else max(0, size - offset)
        return cls(chunks, reply.server, size, Digest(record, reply.headers.get("Content-MD5")))

    @classmethod
    def at_end(cls, server: Server, record: Record) -> Download:
        """Data of which nothing is left to come, but which is still to be checked."""
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
        """Add a failed stream to the history that the error carries."""
        self._history.append(
            FailedAttempt(
                self.server.url, error.reason, monotonic() - self._since, error.request_id
            )
        )
        error.attempts = tuple(self._history)

    def _continue(self, error: AttemptError, done: int) -> None:
        """Go on with the rest from another server, or raise `error`."""
        self._note(error)
        try:
            rest = None if self.resume is None else self.resume(self.server, error, done)
        except TracedImageError as failed:
            error.attempts += failed.attempts
            raise error from failed
        if rest is None:
            raise error
        if not rest.continues(self):
            rest.close()
            raise error
        self.server = rest.server
        self.chunks = rest.chunks
        self._since = monotonic()

    @property
    def has_checksum(self) -> bool:
        """Whether the data can be told from other data of the same size."""
        return self._digest.has_checksum

    def begin(self, file: BinaryIO) -> None:
        """Take what a file has for the data before that to come; it counts in the check."""
        file.seek(0)
        while chunk := file.read(CHUNK):
            self._digest.update(chunk)

    def continues(self, other: Download) -> bool:
        """Take over what `other` has read, if this is the rest of the same data."""
        return self._digest.continues(other._digest)

    def close(self) -> None:
        """Give up the rest of the data."""
        self.chunks.close()


def _check_part(reply: Reply, chunks: Chunks, offset: int) -> None:
    claimed = reply.headers.get("Content-Range", "")
    if not offset or not claimed.startswith(f"bytes {offset}-"):
        chunks.close()
        raise ProtocolError(
            f"{reply.origin}: the reply is not the part of the data that was requested"
        )


class _VerifiedChunks:
    """The chunks of a body, at whose end the data must be what the record says."""

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
    """No chunks."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """There is nothing to close."""


class _RestChunks:
    """The chunks of a whole body from an offset on, for servers that know no ranges."""

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
    """The best check of data that a record allows, in python-glanceclient's order.

    Without a checksum, the size that the record claims is all that can be checked.
    """

    def __init__(self, record: Record, content_md5: str | None) -> None:
        self._hash, self._expected = _make_hash(record, content_md5)
        size = record.get("size")
        # Glance knows no size of some data that lies elsewhere, and says 0.
        self._size = size if isinstance(size, int) and size else None
        self._updated = record.get("updated_at")
        self._done = 0

    @property
    def has_checksum(self) -> bool:
        """Whether there is more than a size to check by."""
        return self._hash is not None

    def update(self, chunk: bytes) -> None:
        """Take in more data."""
        self._done += len(chunk)
        if self._hash is not None:
            self._hash.update(chunk)

    def matches(self) -> bool:
        """Whether the data is what the record says, as far as that can be told."""
        if self._hash is None:
            return self._size in (None, self._done)
        return self._hash.hexdigest() == self._expected

    def continues(self, other: Digest) -> bool:
        """Go on where `other` is, and return True, if both expect the same data."""
        if self._hash is None and other._hash is None:
            same = (self._size, self._updated) == (other._size, other._updated)
        else:
            same = self._expected == other._expected
        if same:
            self._hash, self._done = other._hash, other._done
        return same


def _make_hash(record: Record, content_md5: str | None) -> tuple[hashlib._Hash | None, str]:
    """The hash to compute, by the record's multihash, else its checksum, else Content-MD5."""
    for algorithm, expected in (
        (record.get("os_hash_algo"), record.get("os_hash_value")),
        ("md5", record.get("checksum")),
        ("md5", content_md5),
    ):
        if isinstance(algorithm, str) and isinstance(expected, str) and expected:
            try:
                found = hashlib.new(algorithm, usedforsecurity=False)
            except (TypeError, ValueError):  # the first for a name with a null character
                continue
            if found.digest_size:
                return found, expected
    return None, ""


def check_destination(data: object, dst_path: object) -> None:
    """Refuse what can't be written to, before anything is fetched.

    Raises:
        InvalidArgument: `data` is no binary file, or `dst_path` no path.
    """
    if data is not None and (not hasattr(data, "write") or isinstance(data, TextIOBase)):
        raise InvalidArgument("data is not a binary file: open one with mode 'wb'")
    if not (dst_path is None or isinstance(dst_path, (str, os.PathLike))) or "\0" in str(dst_path):
        raise InvalidArgument("dst_path is not a path: give the name of a file")


def save(download: Download, data: BinaryIO | None, dst_path: str | os.PathLike[str]) -> None:
    """Write an image's data to `data`, or to a file at `dst_path` that is synced to disk.

    What is left of a file that could not be completed is emptied, so that nobody takes it for
    the image.
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
