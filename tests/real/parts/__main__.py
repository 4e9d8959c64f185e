"""Runs real parts until it is interrupted: `cd tests/real && python -m parts glances keystone`."""

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .start import STARTERS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m parts", description=__doc__)
    parser.add_argument("part", nargs="+", choices=sorted(STARTERS))
    names = parser.parse_args().part
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="traced-image-"))
        for name in names:
            part = stack.enter_context(STARTERS[name](Path(scratch) / name, _say))
            _say(f"{name}: {part}")
        _say("running until Ctrl-C")
        try:
            signal.pause()
        except KeyboardInterrupt:
            _say("stopping")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
