"""The entry point ``traced-image``, which runs even if packages of the extras are missing."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from .signals import INTERRUPTED, terminate


def main() -> NoReturn:
    """Run the program, and end with its exit status."""
    signal.signal(signal.SIGTERM, terminate)
    _put_streams()
    try:
        sys.exit(_run())
    except KeyboardInterrupt:  # Ctrl-C before or after the command
        sys.exit(INTERRUPTED)


def _put_streams() -> None:
    """Replace closed standard streams by os.devnull.

    Reading such an input, or printing to such an output, fails as it does in a shell's commands,
    because the file is open for the other direction only. And no file that is opened later gets
    the number 0, 1 or 2, which other code would read or write by mistake.
    """
    for name, mode, flags in (
        ("stdin", "r", os.O_WRONLY),
        ("stdout", "w", os.O_RDONLY),
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))


def _run() -> int:
    try:
        from .commands import traced_image
        from .exit_status import run
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"traced-image: it needs {error.name}, one of the packages of the extra 'cli':"
            " pip install 'traced-image[cli]'\n"
        )
        return 3
    return run(traced_image)
