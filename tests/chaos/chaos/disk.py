"""A disk of one size for the images of all servers, which a run fills."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 192
"""MiB: several times what the callers of two minutes store."""

_BALLAST = ".ballast"
_STEP = 1 << 20


@contextmanager
def disk(place: Path) -> Iterator[None]:
    """Mount a file system in memory, as root alone may do it; the mount goes with the namespace.

    Raises:
        CalledProcessError: It is not possible here.
    """
    options = f"size={SIZE}m,mode=0755"
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "traced-image-chaos", str(place)],
        check=True,
        capture_output=True,
    )
    try:
        yield
    finally:
        # Lazily: a server may still have a file of it open.
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


def fill(place: Path) -> None:
    """Leave no byte free."""
    file = os.open(place / _BALLAST, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        _fill(file)
    finally:
        os.close(file)


def _fill(file: int) -> None:
    size = 0
    for step in (_STEP, os.sysconf("SC_PAGE_SIZE")):
        try:
            while True:
                os.posix_fallocate(file, size, step)
                size += step
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def empty(place: Path) -> None:
    """Give back what `fill` has taken."""
    (place / _BALLAST).unlink(missing_ok=True)
