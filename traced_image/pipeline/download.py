"""Image data on its way from the servers, checked against what its record claims."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import AttemptError, ChecksumMismatch

if TYPE_CHECKING:
    from ..config import Server
    from .model import Chunks, Reply
    from .records import Record

_NO_CONTENT, _PARTIAL = 204, 206

Resume = Callable[["Server", AttemptError, int], "Download | None"]
"""Asks for the rest of the data: who failed, how, and how many bytes are there. None: give up."""


class Download:
    """An image's data, to be read once, chunk by chunk.

    Where the stream breaks, the rest is asked of another server. Reading raises
    `CommunicationError` or `ProtocolError` where that does not help, and `ChecksumMismatch` at the
    end where the data is not what the image's record says.

    Attributes:
        chunks: The body of the reply that the data comes with.
        server: The server that it comes from.
        length: Bytes to come, or None if the server did not say.
        resume: How to get the rest from another server.
    """

    def __init__(self, chunks: Chunks, server: Server, length: int | None, digest: Digest) -> None:
        self.server = server
        self.length = length
        self.resume: Resume | None = None
        self.chunks = chunks
        self._digest = digest

    @classmethod
    def of(cls, reply: Reply, record: Record, offset: int = 0) -> Download | None:
        """Take over a streamed reply, from `offset` on; None if the image has no data."""
        if reply.chunks is None or reply.status == _NO_CONTENT:
            return None
        length = reply.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else None
        chunks = reply.chunks if reply.status == _PARTIAL else _Rest(reply.chunks, offset)
        digest = Digest.of(record, reply.headers.get("Content-MD5"))
        return cls(chunks, reply.server, size, digest)

    def __iter__(self) -> Iterator[bytes]:
        done = 0
        while True:
            try:
                for chunk in self.chunks:
                    done += len(chunk)
                    self._digest.update(chunk)
                    yield chunk
            except AttemptError as error:
                self._continue(error, done)
            else:
                break
        if not self._digest.matches():
            raise ChecksumMismatch(
                f"{self.server.netloc}: the data is not that of the image's record: download it"
                " again, and look at the server's store if it repeats"
            )

    def _continue(self, error: AttemptError, done: int) -> None:
        rest = None if self.resume is None else self.resume(self.server, error, done)
        if rest is None or not rest.continues(self):
            raise error
        self.server = rest.server
        self._chunks = rest.chunks

    def continues(self, other: Download) -> bool:
        """Whether this is the rest of the same data."""
        return self._digest.same(other._digest)

    def close(self) -> None:
        """Give up the rest of the data."""
        self.chunks.close()


class _Rest:
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
    """The best check of data that a record allows, in python-glanceclient's order."""

    def __init__(self, algorithm: str | None, expected: str) -> None:
        self._hash = hashlib.new(algorithm, usedforsecurity=False) if algorithm else None
        self._expected = expected

    @classmethod
    def of(cls, record: Record, content_md5: str | None) -> Digest:
        """Choose by the record's multihash, else its checksum, else the reply's Content-MD5."""
        algorithm, value = record.get("os_hash_algo"), record.get("os_hash_value")
        known = algorithm in hashlib.algorithms_available
        if isinstance(algorithm, str) and isinstance(value, str) and known:
            return cls(algorithm, value)
        checksum = record.get("checksum") or content_md5
        return cls("md5", checksum) if isinstance(checksum, str) else cls(None, "")

    def update(self, chunk: bytes) -> None:
        """Take in more data."""
        if self._hash is not None:
            self._hash.update(chunk)

    def matches(self) -> bool:
        """Whether the data is what the record says; without a checksum it is taken to be."""
        return self._hash is None or self._hash.hexdigest() == self._expected

    def same(self, other: Digest) -> bool:
        """Whether both expect the same data."""
        return self._expected == other._expected


def save(download: Download, data: BinaryIO | None, dst_path: str | os.PathLike[str]) -> None:
    """Write an image's data to `data`, or to a file at `dst_path` that is synced to disk.

    What is left of a file that could not be completed is emptied, so that nobody takes it for
    the image.
    """
    if data is not None:
        for chunk in download:
            data.write(chunk)
        return
    with Path(dst_path).open("wb") as file:
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
