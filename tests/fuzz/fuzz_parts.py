"""Parts of the 20,000 operations, with what the process holds before and after each.

`FUZZ=7 python -m pytest tests/fuzz` takes another seed than the usual one, and `FUZZ=7:1200` or
`FUZZ=7:1200-1300` only these operations. A failure shows the variable that repeats it.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing import Fuzzer, Report

from traced_image import lab

SEED = 10

LARGEST = 100 * 2**20
"""Bytes by which a part's operations may make the process grow."""


@dataclass(frozen=True)
class Part:
    """Some operations, over http or TLS."""

    scheme: str
    first: int
    count: int

    def __str__(self) -> str:
        return f"{self.scheme}-{self.first}"


@dataclass
class Fuzzed:
    """What came of a part.

    Attributes:
        report: The findings.
        grown: By how many bytes the process has grown at most.
        left: Threads and file descriptors that are still there.
    """

    report: Report
    grown: int
    left: dict[str, int] = field(default_factory=dict)


def fuzz(part: Part) -> Fuzzed:
    """Perform the operations of a part, or those that the environment names."""
    seed, _, numbers = os.environ.get("FUZZ", str(SEED)).partition(":")
    first, _, last = numbers.partition("-")
    end = int(last or first) + 1 if first else part.first + part.count
    chosen = range(int(first or part.first), end)
    tls = lab.TLS.trusted() if part.scheme == "https" else None
    # Thousands of failures are logged here, and pytest would keep them all.
    logging.disable(logging.CRITICAL)
    try:
        return _fuzz(int(seed), tls, chosen)
    finally:
        logging.disable(logging.NOTSET)


def _fuzz(seed, tls, numbers):
    before, held = _count_held(), _begin_to_measure()
    with Fuzzer(seed, tls) as fuzzer:
        fuzzer.perform(numbers)
    grown = _read_memory("VmHWM") - held
    return Fuzzed(fuzzer.report, grown, _wait_for_release(before))


def _count_held():
    gc.collect()
    descriptors = len(list(Path("/dev/fd").iterdir()))
    return {"threads": threading.active_count(), "descriptors": descriptors}


def _wait_for_release(before):
    """What the process holds more than before, after some seconds at most."""
    ends = time.monotonic() + 10
    while True:
        left = {
            what: now - before[what] for what, now in _count_held().items() if now > before[what]
        }
        if not left or time.monotonic() > ends:
            return left
        time.sleep(0.05)


def _begin_to_measure():
    """Forget the highest use of memory so far (proc(5), clear_refs); return the present one."""
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    return _read_memory("VmHWM")


def _read_memory(name):
    """A figure of the process in bytes; 0 on a machine that does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text("ascii").splitlines() if status.exists() else ()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
