"""The received part of a download: a file beside its target, until the download is complete."""

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
    """A file with the first bytes of a download.

    Attributes:
        target: The path of the complete download.
        path: The path of this file.
        file: The open file, in append mode.
    """

    def __init__(self, target: Path, path: Path, file: BinaryIO) -> None:
        self.target = target
        self.path = path
        self.file = file

    @property
    def size(self) -> int:
        """The number of bytes in it."""
        return self.file.seek(0, os.SEEK_END)

    def clear(self) -> None:
        """Remove all data, so that the download begins again."""
        self.file.truncate(0)

    def finish(self) -> None:
        """Write all data to the disk, then move the file to its target."""
        # Without fsync, a crash after the rename could leave a target with missing data.
        os.fsync(self.file.fileno())
        self.path.replace(self.target)

    @contextmanager
    def guard_writes(self) -> Iterator[None]:
        """Guard writes to it: remove all data if the data is wrong or can't be written.

        Raises:
            ChecksumMismatch: The data differs from the image's record.
            EndedError: The download was interrupted; the same command resumes it.
            OSError: The file can't be written.
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
            hint = f"; to resume from {self.path}, run the same command again"
            raise build_end_error(error, hint if self.size else "") from error


def _open_file(path: Path) -> FileIO:
    """Open the file of a part; reject a link or a pipe, which another user may have put there.

    Raises:
        EndedError: The path is not a regular file.
        OSError: The file can't be opened.
    """
    words = f"{path} is not a regular file: move it away, or name another file"
    # O_NOFOLLOW fails with ELOOP on a symbolic link; with O_NONBLOCK, a pipe does not block.
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
    """Open the part beside a file: the one of an earlier download, or a new one.

    An empty part is removed at the end.

    Raises:
        EndedError: Another process writes to it, or it is not a regular file.
        OSError: It can't be written.
    """
    path = target.with_name(f"{target.name}.part")
    with _open_file(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            words = f"another download writes to {path}: wait for its end, or name another file"
            raise EndedError(words, FILE) from error
        part = PartialFile(target, path, file)
        try:
            yield part
        finally:
            with suppress(OSError):
                if not part.size:
                    path.unlink()
