"""Programs that make calls in a process of their own, when they are told to."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from peer_telemetry import SINK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
THIS = (sys.executable,)
"""The command of this Python."""

SERVICES = {"nova": "SENDING_NOVA", "cinder": "SENDING_CINDER"}
"""The services that are compared, and the environments that have them."""


@dataclass(slots=True)
class Driver:
    """A process that makes calls and times them; `peer.py` is the program.

    Attributes:
        grown: MiB by which its most memory so far is above that before the first call.
        cores: Seconds of a core that each of the last calls took, in the thread that called.
        cpu: Those of all its threads together.
        wall: Seconds that the last calls took by the clock, with the pauses between them.
    """

    process: subprocess.Popen[str]
    grown: float = 0.0
    cores: list[float] = field(default_factory=list)
    cpu: float = 0.0
    wall: float = 0.0

    def run(self, calls: int, rate: float = 0.0) -> list[float]:
        """Have it make so many calls now; how long each took, in seconds.

        Args:
            calls: How many.
            rate: Calls a second; 0 for one after the other.

        Raises:
            SystemExit: It ended before it answered.
        """
        print(calls, rate, file=self.process.stdin, flush=True)
        answer = json.loads(self._line())
        self.grown, self.cores = answer["grown"], answer["cores"]
        self.cpu, self.wall = answer["cpu"], answer["wall"]
        seconds: list[float] = answer["seconds"]
        return seconds

    def _line(self) -> str:
        line: str = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise SystemExit(f"{' '.join(map(str, self.process.args))} ended early")  # type: ignore[arg-type]
        return line


@contextmanager
def started(
    program: str, *arguments: str, python: Sequence[str] = THIS, sink: str = ""
) -> Iterator[Driver]:
    """Start a program of this folder, which ends as soon as its standard input does.

    Args:
        program: The name of its file.
        arguments: Its arguments.
        python: The command of the Python that runs it.
        sink: The URL that it sends OTLP to.
    """
    process = subprocess.Popen(
        [*python, str(HERE / program), *arguments],
        env={**os.environ, **({SINK: sink} if sink else {})},
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
    with _serving("hostile.py", fault) as url:
        yield url


@contextmanager
def sink() -> Iterator[str]:
    """The URL of a server that takes all that is sent to it: see `sink.py`."""
    with _serving("sink.py") as url:
        yield url


@contextmanager
def _serving(program: str, *arguments: str) -> Iterator[str]:
    with started(program, *arguments) as driver:
        yield driver.process.stdout.readline().strip()  # type: ignore[union-attr]


def service_pythons() -> dict[str, list[str]]:
    """The commands of the Pythons that have nova 34 and cinder 29, and what instruments them.

    Those that can't be installed are left out, with a word about it.
    """
    found = {name: _install(part) for name, part in SERVICES.items()}
    return {name: command for name, command in found.items() if command}


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
        say(f"{part} is left out of the tables: {error}")
        return None
