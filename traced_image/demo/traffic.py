"""Calls from several threads, which the end of the program does not wait for."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, Future, wait
from itertools import count
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, TypeVar

from ..errors import TracedImageError

if TYPE_CHECKING:
    from collections.abc import Callable


_THREADS = 4
_REFRESH_SECONDS = 0.1
_GRACE_SECONDS = 0.5

_T = TypeVar("_T")


def start_daemon(work: Callable[[], _T]) -> Future[_T]:
    """Start work in a thread that the end of the program does not wait for.

    An executor's threads are waited for, so that Ctrl-C would take as long as a server hangs.
    """
    future: Future[_T] = Future()
    _start(work, future)
    return future


def _start(work: Callable[[], _T], future: Future[_T]) -> None:
    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 whoever waits for it raises it
            future.set_exception(error)

    Thread(target=run, daemon=True).start()


class Traffic:
    """Makes the same call over and over.

    Args:
        call: Is called.
        pause: Seconds that each thread waits after a call.
        most: After so many calls it ends; None for never.

    Attributes:
        begun: How many calls it has begun.
        failed: How many of them failed for their caller.
    """

    def __init__(
        self, call: Callable[[], object], *, pause: float = 0.0, most: int | None = None
    ) -> None:
        self.begun = 0
        self.failed = 0
        self._call = call
        self._pause = pause
        self._numbers = iter(count(1) if most is None else range(1, most + 1))
        self._over = Event()
        self._lock = Lock()

    def run(self, going: Callable[[], bool], refresh: Callable[[], None]) -> None:
        """Make calls while `going`, and come back when the last has ended.

        Where it is ended by an exception, as Ctrl-C is one, it waits for a moment only.

        Args:
            going: Whether to go on.
            refresh: Is called again and again meanwhile.
        """
        # Made before they are started: Ctrl-C may come between a start and its return.
        threads = [Future[None]() for _ in range(_THREADS)]
        try:
            for each in threads:
                _start(self._work, each)
            while going():
                refresh()
                done, left = wait(threads, _REFRESH_SECONDS, FIRST_EXCEPTION)
                if not left or any(each.exception() for each in done):
                    break
            self._over.set()
            for each in threads:
                each.result()
        except BaseException:
            self._over.set()
            # What is about to end shall not be told of as calls that hang.
            wait(threads, _GRACE_SECONDS)
            raise

    def _work(self) -> None:
        for number in self._numbers:
            self.begun = number
            try:
                self._call()
            except TracedImageError:  # its span tells why
                with self._lock:
                    self.failed += 1
            if self._over.wait(self._pause):
                return
