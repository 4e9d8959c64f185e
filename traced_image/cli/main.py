"""The program ``traced-image``, as the shell starts it: with whatever is installed."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from .signals import INTERRUPTED, terminate


def main() -> NoReturn:
    """Run the program, and end with its exit status."""
    signal.signal(signal.SIGTERM, terminate)
    try:
        sys.exit(_run())
    except KeyboardInterrupt:  # before or after the command
        sys.exit(INTERRUPTED)


def _run() -> int:
    try:
        from .commands import traced_image
        from .outcome import run
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"traced-image: it needs {error.name}, one of the packages of the extra 'cli':"
            " pip install 'traced-image[cli]'\n"
        )
        return 3
    return run(traced_image)
