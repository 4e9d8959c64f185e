"""Image data on its way to a server: read in pieces, and rewound where it can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from requests.utils import super_len

from ..errors import InvalidMetadata

CHUNK = 64 * 1024
"""Bytes a piece, as python-glanceclient reads and writes them."""


@runtime_checkable
class Readable(Protocol):
    """A binary file, or anything that is read like one."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none at the end."""


Data = bytes | bytearray | memoryview | str | Readable | Iterable[bytes]
"""What may be uploaded. Text is there for nova, which activates an empty image with ``""``."""


class UploadBody:
    """The body of an upload, of which it is known how far it was read.

    Attributes:
        length: Bytes to send, or None if that is not known before.
        failure: What reading the data raised, if it did: no server is to blame for that.
    """

    def __init__(self, data: Data) -> None:
        if isinstance(data, str):
            data = data.encode()
        self._data: bytes | Readable | Iterable[bytes]
        self._data = bytes(data) if isinstance(data, (bytearray, memoryview)) else data
        self._start = _position(self._data)
        self._started = False
        self.length = _length(self._data)
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        self._started = True
        try:
            for chunk in self._chunks():
                yield _bytes(chunk)
        except Exception as error:
            self.failure = error
            raise

    def _chunks(self) -> Iterator[object]:
        if isinstance(self._data, bytes):
            for start in range(0, len(self._data), CHUNK):
                yield self._data[start : start + CHUNK]
        elif isinstance(self._data, Readable):
            while chunk := self._data.read(CHUNK):
                yield chunk
        else:
            yield from self._data

    def rewind(self) -> bool:
        """Make the data ready to be sent from its start; return False where that can't be."""
        if not self._started:
            return True
        if self._start is not None and hasattr(self._data, "seek"):
            try:
                self._data.seek(self._start)
            except (OSError, ValueError):
                return False
        elif not isinstance(self._data, (bytes, list, tuple)):
            return False
        self._started = False
        return True


def _bytes(chunk: object) -> bytes:
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise InvalidMetadata(
        f"data gave {type(chunk).__name__}, not bytes: open the file in binary mode"
    )


def _position(data: object) -> int | None:
    """Where a seekable file stands; None for anything else."""
    if isinstance(data, Readable) and hasattr(data, "seek") and hasattr(data, "tell"):
        try:
            return int(data.tell())
        except (OSError, ValueError):
            return None
    return None


def _length(data: object) -> int | None:
    """Bytes from where the data stands to its end, if its kind tells."""
    if isinstance(data, bytes):
        return len(data)
    if isinstance(data, (list, tuple)):
        return None
    return int(super_len(data)) if _position(data) is not None else None  # type: ignore[no-untyped-call]
