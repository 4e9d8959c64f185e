"""The body of an upload: image data that is read in pieces and rewound for a retry."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from ...errors import InvalidArgument, InvalidMetadata, StreamConsumed, TracedImageError

CHUNK = 64 * 1024
"""Bytes per piece, as in python-glanceclient."""


@runtime_checkable
class Readable(Protocol):
    """A binary file, or any object with the same `read`."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; return no bytes at the end."""


Data = bytes | bytearray | memoryview | str | Readable | Iterable[bytes]
"""The types of data to upload. Text is for nova, which activates an empty image with ``""``."""


class SourceError(Exception):
    """The data to upload could not be read; the server did not cause this.

    The class is not an `OSError`, because urllib3 would treat that as a failed connection.

    Attributes:
        failure: The exception to raise to the caller.
    """

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure = failure


class UploadBody:
    """The body of an upload, which remembers whether any of it was read.

    Attributes:
        length: Bytes to send, or None if the number is not known in advance.
        sent: Bytes that were handed out since the last rewind.

    Raises:
        InvalidMetadata: The data is of a type that can't be read.
    """

    def __init__(self, data: Data) -> None:
        data = _encode(data) if isinstance(data, str) else data
        _check(data)
        self._data: bytes | Readable | Iterable[bytes]
        self._data = bytes(data) if isinstance(data, (bytearray, memoryview)) else data
        # The length is measured before the first request: it becomes Content-Length.
        self._start, self.length = _measure(self._data)
        self.sent = 0
        self._started = False
        self._ended = False

    @classmethod
    def of(cls, data: Data | UploadBody) -> UploadBody:
        """Return the body for `data`, which may be one already.

        Raises:
            InvalidMetadata: The data is of a type that can't be read.
        """
        return data if isinstance(data, UploadBody) else cls(data)

    @property
    def complete(self) -> bool:
        """Whether all of the data was handed out."""
        return self._ended or self.sent == self.length

    def __iter__(self) -> Iterator[bytes]:
        self._started = True
        try:
            yield from self._exactly()
        except (InvalidArgument, StreamConsumed) as error:
            raise SourceError(error) from error
        except TracedImageError as error:
            # The source is a download. Its server or Keystone failed, and the server of this
            # upload has not answered: the error must not count as its answer.
            failure = InvalidArgument(f"the data to upload could not be read: {error}")
            failure.__cause__ = error
            raise SourceError(failure) from error
        except Exception as error:
            raise SourceError(error) from error

    def _exactly(self) -> Iterator[bytes]:
        """Yield the data; raise an error if its length differs from ``Content-Length``."""
        # More or fewer bytes would desynchronize the connection: the server would read the excess
        # as the next request (RFC 9112, 6.3), or wait for the bytes that are missing.
        self.sent = 0
        for chunk in self._chunks():
            self.sent += len(chunk)
            if self.length is not None and self.sent > self.length:
                break
            yield chunk
        if self.length not in (None, self.sent):
            raise InvalidArgument(
                f"data no longer has the {self.length} bytes that it had at first: let nothing"
                " write to it during the upload"
            )
        self._ended = True

    def _chunks(self) -> Iterator[bytes]:
        if isinstance(self._data, bytes):
            for start in range(0, len(self._data), CHUNK):
                yield self._data[start : start + CHUNK]
        elif isinstance(self._data, Readable):
            while chunk := _to_bytes(self._data.read(CHUNK)):
                yield chunk
        else:
            for chunk in self._data:
                yield _to_bytes(chunk)

    def rewind(self) -> bool:
        """Prepare the data to be sent from its start; return False if that is not possible."""
        if not self._started:
            return True
        if self._start is not None and hasattr(self._data, "seek"):
            try:
                self._data.seek(self._start)
            except (OSError, ValueError):
                return False
        elif not isinstance(self._data, (bytes, list, tuple)):
            return False
        self._started = self._ended = False
        self.sent = 0
        return True


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidMetadata("data is text that UTF-8 can't hold: pass bytes") from error


def _check(data: object) -> None:
    known = isinstance(data, (bytes, bytearray, memoryview, Readable, Iterable))
    if not known or isinstance(data, io.TextIOBase):
        raise InvalidMetadata(
            f"data is {type(data).__name__}: pass bytes, a binary file or an iterable of bytes"
        )


def _to_bytes(chunk: object) -> bytes:
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise InvalidMetadata(
        f"data gave {type(chunk).__name__}, not bytes: open the file in binary mode"
    )


def _measure(data: object) -> tuple[int | None, int | None]:
    """Return a seekable file's position and the bytes from there to its end; None if unknown."""
    # Not by the size of the file's descriptor: for a ``gzip`` file that is the compressed size.
    if isinstance(data, bytes):
        return None, len(data)
    if not (isinstance(data, Readable) and hasattr(data, "seek") and hasattr(data, "tell")):
        return None, None
    try:
        start = data.tell()
        data.seek(0, os.SEEK_END)
        end = data.tell()
        data.seek(start)
    except (OSError, ValueError):
        return None, None
    return start, max(0, end - start)
