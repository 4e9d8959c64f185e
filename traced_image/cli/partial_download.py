"""The part of a download that has come: beside its file, until it is whole."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from io import FileIO
from typing import TYPE_CHECKING, BinaryIO

from ..errors import ChecksumMismatch, TracedImageError
from .exit_status import FILE, EndedError, build_end_error
from .signals import Terminated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class PartialFile:
    """A file with the first bytes of what another is to have.

    Attributes:
        target: The other.
        path: The file's own place.
        file: The file, at its end.
    """

    def __init__(self, target: Path, path: Path, file: BinaryIO) -> None:
        self.target = target
        self.path = path
        self.file = file

    @property
    def size(self) -> int:
        """Bytes that it has."""
        return self.file.seek(0, os.SEEK_END)

    def clear(self) -> None:
        """Begin anew."""
        self.file.truncate(0)

    def finish(self) -> None:
        """Put it, on the disk as a whole, in the place of the file that it is for."""
        os.fsync(self.file.fileno())
        self.path.replace(self.target)

    @contextmanager
    def guard_writes(self) -> Iterator[None]:
        """Write to it: where the data was wrong or can't be written, none of it is left.

        Raises:
            EndedError: It was interrupted, and can be gone on with.
            OSError: It can't be written.
        """
        try:
            yield
        except ChecksumMismatch:
            self.clear()
            raise
        except OSError as error:
            self.clear()
            raise OSError(error.errno, error.strerror, str(self.target)) from error
        except (TracedImageError, KeyboardInterrupt, Terminated) as error:
            hint = f"; to go on from {self.path}, say the same again"
            raise build_end_error(error, hint if self.size else "") from error


def _open_file(path: Path) -> FileIO:
    """The file of a part, which nobody else has put there as a link to another, or as a pipe."""
    words = f"{path} is no regular file: move it away, or name another file"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = FileIO(os.open(path, flags, 0o666), "a+b")
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise EndedError(words, FILE) from error
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise EndedError(words, FILE)
    return file


@contextmanager
def open_part(target: Path) -> Iterator[PartialFile]:
    """The part beside a file, as a download has left it or new; it goes if it has nothing.

    Raises:
        EndedError: Another process writes to it.
        OSError: It can't be written.
    """
    path = target.with_name(f"{target.name}.part")
    with _open_file(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            words = f"another download writes to {path}: let it end, or name another file"
            raise EndedError(words, FILE) from error
        part = PartialFile(target, path, file)
        try:
            yield part
        finally:
            with suppress(OSError):
                if not part.size:
                    path.unlink()
