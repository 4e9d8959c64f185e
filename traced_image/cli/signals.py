"""Ctrl-C, SIGTERM and SIGHUP: how they end a command, with and without an event loop."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

_LOOK_SECONDS = 0.2
"""Seconds between two looks at a thread: the longest delay of a signal that no wait has seen."""

_T = TypeVar("_T")


class Terminated(SystemExit):
    """SIGTERM asked the process to end."""


def terminate(_number: int, _frame: object) -> NoReturn:
    """End the command; a handler of SIGTERM.

    Raises:
        Terminated: Always.
    """
    raise Terminated(TERMINATED)


def end_on_hangup() -> None:
    """Let SIGHUP end the command as SIGTERM does, unless it is ignored, such as by nohup."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, terminate)


def start_work(work: Callable[[], _T]) -> Future[_T]:
    """Start blocking work in a thread that the end of the process does not wait for.

    Args:
        work: A function without arguments; its result or its error becomes that of the future.
    """
    future: Future[_T] = Future()
    future.set_running_or_notify_cancel()  # so that nobody who gives up waiting can cancel it

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 the waiting thread raises it
            future.set_exception(error)

    threading.Thread(target=run, name="traced-image-work", daemon=True).start()
    return future


def run_interruptibly(work: Callable[[], _T], look: Callable[[], object] = bool) -> _T:
    """Run blocking work in a thread, and abandon the thread if a signal comes.

    An exception that a signal raises in the middle of the work could leave a lock held for ever.
    And some calls, such as the resolver's, return only when they end, whatever signal comes.

    Args:
        work: A function without arguments; its result or its error is the result or error here.
        look: A function that this thread calls again and again while it waits.

    Raises:
        KeyboardInterrupt: Ctrl-C came.
        Terminated: SIGTERM came.
    """
    future = start_work(work)
    # A signal that comes just before the wait begins, or to another thread, does not wake the wait.
    # So the wait is short: Python runs a signal's handler in the main thread between two waits.
    while not wait({future}, _LOOK_SECONDS).done:
        look()
    return future.result()


def run_in_loop(main: Coroutine[object, object, _T]) -> _T:
    """Run a coroutine to its end in an event loop; a signal cancels it at its next await.

    Raises:
        KeyboardInterrupt: Ctrl-C cancelled it.
        Terminated: SIGTERM cancelled it, or SIGHUP after `end_on_hangup`.
    """
    received: list[BaseException] = []
    ends = _list_ends()

    async def cancellable() -> _T:
        loop = asyncio.get_running_loop()
        task = cast("asyncio.Task[_T]", asyncio.current_task())

        def end(why: BaseException) -> None:
            received.append(why)
            task.cancel()

        for number, why in ends.items():
            loop.add_signal_handler(number, end, why)
        if received:  # before the loop ran
            raise asyncio.CancelledError
        return await main

    try:
        with _noted(ends, received):
            return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise received[0] from None
    finally:
        main.close()  # if a signal came before it ran


def _list_ends() -> dict[int, BaseException]:
    ends: dict[int, BaseException] = {
        signal.SIGINT: KeyboardInterrupt(),
        signal.SIGTERM: Terminated(TERMINATED),
    }
    if signal.getsignal(signal.SIGHUP) is terminate:
        ends[signal.SIGHUP] = Terminated(TERMINATED)
    return ends


@contextmanager
def _noted(ends: Mapping[int, BaseException], received: list[BaseException]) -> Iterator[None]:
    """Note signals that come before an event loop runs; an exception would leave half a loop."""
    # When a loop closes, it resets signals to the default, not to the handler before.
    before = {number: signal.getsignal(number) for number in ends}
    try:
        for number in ends:
            signal.signal(number, lambda number, _: received.append(ends[number]))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
