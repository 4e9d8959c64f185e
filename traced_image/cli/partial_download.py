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
from ..pipeline.api.destination import copy_mode, sync_folder
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
        """Write all data to the disk, then move the file to its target, whose mode it keeps."""
        with suppress(FileNotFoundError):
            copy_mode(self.target.stat(), self.file.fileno())
        # Without fsync, a crash after the rename could leave a target with missing data.
        os.fsync(self.file.fileno())
        self.path.replace(self.target)
        sync_folder(self.target)

    def is_current(self) -> bool:
        """Return whether the path still names this file, and not that of another process."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self.file.fileno()))

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
        EndedError: The path is not a regular file, or is a hard link.
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
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return file
    file.close()
    if stat.S_ISREG(status.st_mode):
        # To write to it, or to empty it, would change the other file.
        words = f"{path} is a hard link of another file: remove it, or name another file"
    raise EndedError(words, FILE)


def _lock(path: Path) -> FileIO:
    """Open and lock the file of a part.

    Raises:
        EndedError: Another process writes to it.
    """
    file = _open_file(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        words = f"another download writes to {path}: wait for its end, or name another file"
        raise EndedError(words, FILE) from error
    return file


def _open_current(target: Path, path: Path) -> PartialFile:
    """Open and lock the part that the path names now.

    Between opening and locking, another process may have renamed the part to the finished file.
    Writing to that would damage it.
    """
    while True:
        part = PartialFile(target, path, _lock(path))
        if part.is_current():
            return part
        part.file.close()


@contextmanager
def open_part(target: Path) -> Iterator[PartialFile]:
    """Open the part beside a file: the one of an earlier download, or a new one.

    An empty part is removed at the end.

    Raises:
        EndedError: Another process writes to it, or it is not a regular file of its own.
        OSError: It can't be written.
    """
    part = _open_current(target, target.with_name(f"{target.name}.part"))
    with part.file:
        try:
            yield part
        finally:
            with suppress(OSError):
                # After `finish`, the path may name the part of another process.
                if not part.size and part.is_current():
                    part.path.unlink()
