"""Calls from several threads; the program can end without waiting for them."""

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
    """Start work in a daemon thread, and return a future of its result.

    The interpreter waits at exit for the threads of an executor, so that Ctrl-C would take as long
    as a server hangs. It does not wait for daemon threads.
    """
    future: Future[_T] = Future()
    _start(work, future)
    return future


def _start(work: Callable[[], _T], future: Future[_T]) -> None:
    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 the waiting thread raises it
            future.set_exception(error)

    Thread(target=run, daemon=True).start()


class Traffic:
    """Repeats one call from several threads.

    Args:
        call: The function to call.
        pause: Seconds that each thread waits after a call.
        most: The number of calls; None for no limit.

    Attributes:
        begun: The number of started calls.
        failed: The number of calls that raised a `TracedImageError`.
    """

    def __init__(
        self, call: Callable[[], object], *, pause: float = 0.0, most: int | None = None
    ) -> None:
        self.begun = 0
        self.failed = 0
        self._call = call
        self._pause = pause
        # One iterator for all threads: next() of a built-in iterator is atomic under the GIL.
        self._numbers = iter(count(1) if most is None else range(1, most + 1))
        self._over = Event()
        self._lock = Lock()

    def run(self, going: Callable[[], bool], refresh: Callable[[], None]) -> None:
        """Make calls while `going` returns true, and return when the last call has ended.

        After an exception, such as Ctrl-C, it waits at most half a second for calls under way.

        Args:
            going: A function that returns whether to continue.
            refresh: A function to call about 10 times a second meanwhile.
        """
        # Futures exist before their threads start: Ctrl-C may come between a start and its return.
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
            # Calls that are about to end must not appear in the report as calls that hang.
            wait(threads, _GRACE_SECONDS)
            raise

    def _work(self) -> None:
        for number in self._numbers:
            self.begun = number
            try:
                self._call()
            except TracedImageError:  # its span has the reason
                with self._lock:
                    self.failed += 1
            if self._over.wait(self._pause):
                return
