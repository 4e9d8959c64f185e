"""Programs that make calls in a process of their own, when they are told to."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
THIS = (sys.executable,)
"""The command of this Python."""


@dataclass(slots=True)
class Driver:
    """A process that makes calls and times them; `peer.py` is the program.

    Attributes:
        grown: MiB by which its most memory so far is above that before the first call.
    """

    process: subprocess.Popen[str]
    grown: float = 0.0

    def run(self, calls: int) -> list[float]:
        """Have it make so many calls now; how long each took, in seconds.

        Raises:
            SystemExit: It ended before it answered.
        """
        print(calls, file=self.process.stdin, flush=True)
        answer = json.loads(self._line())
        self.grown = answer["grown"]
        seconds: list[float] = answer["seconds"]
        return seconds

    def _line(self) -> str:
        line: str = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise SystemExit(f"{' '.join(map(str, self.process.args))} ended early")  # type: ignore[arg-type]
        return line


@contextmanager
def started(program: str, *arguments: str, python: Sequence[str] = THIS) -> Iterator[Driver]:
    """Start a program of this folder, which ends as soon as its standard input does.

    Args:
        program: The name of its file.
        arguments: Its arguments.
        python: The command of the Python that runs it.
    """
    process = subprocess.Popen(
        [*python, str(HERE / program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Driver(process)
    finally:
        process.stdin.close()  # type: ignore[union-attr]
        process.wait()


@contextmanager
def broken(fault: str) -> Iterator[str]:
    """The URL of a lab server with a fault, in a process of its own: see `hostile.py`."""
    with started("hostile.py", fault) as driver:
        yield driver.process.stdout.readline().strip()  # type: ignore[union-attr]


def nova_python() -> list[str] | None:
    """The command of a Python that has nova 34; None, with a word about it, if there is none."""
    return _install("NOVA")


def observed_nova_python() -> list[str] | None:
    """The same of one that also has what instruments nova."""
    return _install("OBSERVED_NOVA")


@functools.cache
def _install(part: str) -> list[str] | None:
    """Install a part in an environment of its own, once; the tests with real servers share it.

    To install it, pip may need variables that `small_environment` removes: call this before.
    """
    sys.path.insert(0, str(HERE.parent / "tests/real"))
    from parts import cache

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    try:
        return cache.python(cache.install(getattr(cache, part), say))
    except (cache.PartUnavailableError, cache.PartCommandError) as error:
        say(f"nova is left out of the table: {error}")
        return None
