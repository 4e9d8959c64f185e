"""Children of this process, forked while its threads are in the middle of calls."""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import tempfile
import threading
import time
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .records import KILLED, Made, Spanned

if TYPE_CHECKING:
    from collections.abc import Callable

    from .callers import Caller, Journal
    from .observing import Observer

LIMIT = 60.0
"""Seconds in which a child must make its call."""

_BEAT = 0.02
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@dataclass(frozen=True)
class Forker:
    """Forks, and collects what children did.

    Attributes:
        make_caller: Makes a caller of a child that notes its calls in a journal.
        journal: The parent's, which gets the calls of children, too.
        observer: What the child's telemetry is collected by.
        release: Closes in the child what belongs to the servers of this process.
    """

    make_caller: Callable[[Journal, random.Random], Caller]
    journal: Journal
    observer: Observer
    release: Callable[[], None]

    def call_once(self, seed: int) -> None:
        """Have a child make one call and end."""
        with tempfile.NamedTemporaryFile() as file:
            child = self._fork(Path(file.name), seed, calls=1)
            if not _wait(child):
                _kill(child)  # its call is without an end, which a check finds
            self._collect(Path(file.name), lost=None)

    def call_and_die(self, seed: int, seconds: float) -> None:
        """Kill a child while it makes one call after the other."""
        with tempfile.NamedTemporaryFile() as file:
            child = self._fork(Path(file.name), seed, calls=None)
            end = time.monotonic() + LIMIT
            while not Path(file.name).stat().st_size and time.monotonic() < end:
                time.sleep(_BEAT)
            time.sleep(seconds)
            _kill(child)
            self._collect(Path(file.name), lost=KILLED)

    def _fork(self, place: Path, seed: int, calls: int | None) -> int:
        child = os.fork()
        if child == 0:
            try:
                # It ends with its parent, however that does, and by the terminal's interrupt.
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)
                self.release()
                self._work(place, random.Random(seed), calls)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - nothing may leave a child but by its end
                traceback.print_exc()
            finally:
                os._exit(1)
        return child

    def _work(self, place: Path, rng: random.Random, calls: int | None) -> None:
        """Make calls, and write each before it begins and after it has ended."""
        self.observer.restart()
        written = os.open(place, os.O_WRONLY | os.O_APPEND)
        journal = replace(self.journal, made=_Reported(written, self.observer))
        caller = self.make_caller(journal, rng)
        if calls is None:
            caller.repeat(threading.Event())
        for _ in range(calls or 0):
            caller.call("show")

    def _collect(self, place: Path, lost: str | None) -> None:
        for line in place.read_text().splitlines():
            told = json.loads(line)
            made = Made(**told["made"])
            if lost is not None and made.ended is None:
                made = replace(made, error=lost)
            self.journal.note(made)
            spans = [Spanned(**each) for each in told["spans"]]
            self.observer.spans += [replace(each, is_counted=False) for each in spans]


class _Reported(dict[str, Made]):
    """A child's calls, each written to a file by one system call."""

    def __init__(self, file: int, observer: Observer) -> None:
        super().__init__()
        self._file, self._observer = file, observer

    def __setitem__(self, trace: str, made: Made) -> None:
        super().__setitem__(trace, made)
        spans = [asdict(span) for span in self._observer.take()]
        line = json.dumps({"made": asdict(made), "spans": spans})
        os.write(self._file, f"{line}\n".encode())


def _wait(child: int) -> bool:
    """Wait for the end of a child; return whether it came in time.

    Raises:
        ChildProcessError: The child has failed.
    """
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise ChildProcessError(f"a forked child ended with status {status}")
            return True
        time.sleep(_BEAT)
    return False


def _kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
