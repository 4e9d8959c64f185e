"""Where an image's data is written: a file object, a file that appears whole, or a device."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from io import FileIO, RawIOBase, TextIOBase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ...errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .download import Download


_DESCRIPTOR = re.compile(r"(/dev/fd|/proc/([0-9]+)(/task/[0-9]+)?/fd)/([0-9]{1,9})")
_LINKS = 40
"""The most symbolic links that Linux follows in one path (``path_resolution(7)``)."""


def check_destination(data: object, dst_path: object) -> None:
    """Check the types of a destination.

    Raises:
        InvalidArgument: `data` is not a binary file, or `dst_path` is not a path.
    """
    if data is not None and (not hasattr(data, "write") or isinstance(data, TextIOBase)):
        raise InvalidArgument("data is not a binary file: open one with mode 'wb'")
    if not (dst_path is None or isinstance(dst_path, (str, os.PathLike))) or "\0" in str(dst_path):
        raise InvalidArgument("dst_path is not a path: give the name of a file")


def save(download: Download, file: BinaryIO) -> None:
    """Write all of an image's data to a file, and flush it; close the download.

    Raises:
        OSError: The file does not take all of the data.
    """
    try:
        for chunk in download:
            write_all(file, chunk)
        # What a buffer holds is not written: it may still meet a full disk.
        if callable(flush := getattr(file, "flush", None)):
            flush()
    finally:
        download.close()


def write_all(file: BinaryIO, chunk: bytes) -> None:
    """Write all of a chunk, also to a file that takes a part of it at a time.

    Raises:
        BlockingIOError: The file takes nothing now, because it does not block.
        OSError: The file can't be written.
    """
    left: bytes | memoryview = chunk
    while left:
        taken = file.write(left)
        # Writers of applications often return nothing and take all. For a raw file, None says
        # that nothing was taken (``io.RawIOBase.write``).
        if not (isinstance(file, RawIOBase) or _is_count(taken)):
            return
        if not taken or taken < 0:
            raise BlockingIOError(
                errno.EAGAIN, "the file takes no more data: give one that blocks until it does"
            )
        left = memoryview(left)[taken:]


def _is_count(taken: object) -> bool:
    # By `__index__`, because an integer of numpy's is no `int`.
    return hasattr(taken, "__index__") and not isinstance(taken, bool)


@contextmanager
def open_destination(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for an image's data, which has its name only if the block ends well.

    The data goes to a temporary file in the same folder. At the end, it is synced to the disk and
    renamed. So the file at `path` is the old one, or the new one in whole. A rename keeps the mode
    of the old file, and its owner if this process may set it. Its other hard links keep the old
    data. Symbolic links stay: the file to which they lead is replaced.

    Pipes, devices, and open files such as ``/dev/stdout`` are written directly.

    Raises:
        InvalidArgument: No file can be written there. Nothing was changed.
        OSError: The data can't be written. The old file is unchanged.
    """
    try:
        place = _find_place(os.fspath(path))
    except OSError as error:
        raise InvalidArgument(f"dst_path: {error.strerror}: {path}: name another file") from error
    try:
        with place as file:
            yield file
            place.finish()
    except OSError as error:
        # An error without a number is not the system's: a signal handler may raise TimeoutError.
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


class _Direct:
    """A pipe, a device or an open file, which is written in place."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    def __enter__(self) -> FileIO:
        return self._file

    def finish(self) -> None:
        """Do nothing: the data is where it belongs, and pipes can't be synced."""

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _Replacement:
    """A temporary file that replaces another file when it is complete.

    Args:
        target: The file to replace, which need not exist.
        old: The status of that file; None if there is none.
    """

    def __init__(self, target: Path, old: os.stat_result | None) -> None:
        self._target = target
        self._old = old
        # Not named after the target: its name may have as many characters as names can have.
        self._path = target.with_name(f".traced-image-{secrets.token_hex(8)}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        # The system applies the umask to a new file. What replaces a file is private till its end.
        descriptor = os.open(self._path, flags, 0o666 if old is None else 0o600)
        self._file = FileIO(descriptor, "wb")

    def __enter__(self) -> FileIO:
        return self._file

    def finish(self) -> None:
        """Sync the data to the disk, and move it to its name."""
        if self._old is not None:
            copy_mode(self._old, self._file.fileno())
        # Without fsync, a crash after the rename could leave a file with missing data.
        os.fsync(self._file.fileno())
        self._path.replace(self._target)
        sync_folder(self._target)

    def __exit__(self, *_: object) -> None:
        self._file.close()
        with suppress(FileNotFoundError):  # after `finish`, the file has another name
            self._path.unlink()


def _find_place(path: str) -> _Direct | _Replacement:
    """Find out how to write to a path, and open what is written to.

    Raises:
        OSError: It can't be written.
    """
    descriptor = find_descriptor(path)
    if descriptor is not None:
        # Its position is shared: a second opening would overwrite what the process has written.
        return _Direct(FileIO(os.dup(descriptor), "wb"))
    try:
        old = Path(path).stat()
    except FileNotFoundError:
        if path.endswith(os.sep):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        return _Replacement(Path(os.path.realpath(path)), None)
    if not stat.S_ISREG(old.st_mode):
        return _Direct(FileIO(path, "wb"))
    # A rename would replace a file that is read-only, and whose owner means it.
    os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    return _Replacement(Path(os.path.realpath(path)), old)


def find_descriptor(path: str) -> int | None:
    """Return the descriptor that a path names, such as 1 for ``/dev/stdout``; None if none."""
    link = Path(path)
    for _ in range(_LINKS):
        folder = Path(os.path.realpath(link.parent))
        found = _DESCRIPTOR.fullmatch(str(folder / link.name))
        if found:
            # What another process has open can be opened by its name alone.
            return int(found[4]) if found[2] in (None, str(os.getpid())) else None
        if not link.is_symlink():
            return None
        link = folder / link.readlink()
    return None


def copy_mode(old: os.stat_result, descriptor: int) -> None:
    """Give an open file the permissions of another, and its owner if this process may do so."""
    with suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o777)


def sync_folder(path: Path) -> None:
    """Sync the name of a file to the disk, where the file system can."""
    # The data is on the disk already. Folders that can't be opened or synced have no remedy.
    with suppress(OSError):
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
