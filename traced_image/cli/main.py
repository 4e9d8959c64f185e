"""The program ``traced-image``, as the shell starts it: with whatever is installed."""

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
    except KeyboardInterrupt:  # before or after the command
        sys.exit(INTERRUPTED)


def _put_streams() -> None:
    """Put something in place of standard streams that are closed; what is told there is lost.

    To read from such an input, or print to such an output, is the same error as for a shell's
    commands. And no file that is opened later has its number, to be written to by mistake.
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
