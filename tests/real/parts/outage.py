"""What callers see while one server is out: a bounded loop of calls, and what was said of it."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from .http import HTTPPart

_THREADS = 4


@contextmanager
def restored(parts: Sequence[HTTPPart]) -> Iterator[None]:
    """Have all of the parts running again afterwards."""
    try:
        yield
    finally:
        for part in parts:
            part.cont()
            if not part.running:
                part.restart()


@dataclass
class Loop:
    """The outcome of calls made by several threads.

    Attributes:
        errors: What calls raised.
        done: How many calls returned.
        lines: What the package logged meanwhile.
    """

    errors: list[Exception] = field(default_factory=list)
    done: int = 0
    lines: list[str] = field(default_factory=list)


def under_load(call: Callable[[], object], disturb: Callable[[], None], calls: int = 60) -> Loop:
    """Make `calls` in each of four threads, and `disturb` when a quarter of them are over."""
    loop = Loop()
    begun = threading.Semaphore(0)

    def repeat() -> None:
        for _ in range(calls):
            try:
                call()
                loop.done += 1
            except Exception as error:  # noqa: BLE001 - each is a finding
                loop.errors.append(error)
            begun.release()

    with _logged(loop.lines), ThreadPoolExecutor(_THREADS) as pool:
        threads = [pool.submit(repeat) for _ in range(_THREADS)]
        for _ in range(calls):
            begun.acquire()
        disturb()
        for thread in threads:
            thread.result()
    return loop


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


@contextmanager
def _logged(lines: list[str]) -> Iterator[None]:
    logger = logging.getLogger("traced_image")
    handler = _Lines(lines)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
