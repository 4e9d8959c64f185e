"""Ctrl-C and SIGTERM: how they end a command, with an event loop and without."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

_LOOK_SECONDS = 0.2

_T = TypeVar("_T")


class Terminated(SystemExit):
    """The process was told to end."""


def terminate(_number: int, _frame: object) -> NoReturn:
    """End what is under way; a handler of SIGTERM.

    Raises:
        Terminated: Always.
    """
    raise Terminated(TERMINATED)


def run_interruptibly(work: Callable[[], _T]) -> _T:
    """Do what blocks in a thread of its own, which is left to itself when a signal comes.

    A signal's exception in the middle of anything could leave a lock held for ever, and some calls,
    as that of the resolver, would not even see it before they return.
    """
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 whoever waits for it raises it
            future.set_exception(error)

    threading.Thread(target=run, name="traced-image-work", daemon=True).start()
    # A signal that comes just before the wait begins, or to another thread, does not end it.
    while not wait({future}, _LOOK_SECONDS).done:
        pass
    return future.result()


def run_in_loop(main: Coroutine[object, object, _T]) -> _T:
    """Run to the end in an event loop, which a signal must not be raised in the middle of.

    Raises:
        KeyboardInterrupt: Ctrl-C cancelled it.
        Terminated: SIGTERM cancelled it.
    """
    received: list[BaseException] = []
    before = signal.getsignal(signal.SIGTERM)

    async def cancellable() -> _T:
        loop = asyncio.get_running_loop()
        task = cast("asyncio.Task[_T]", asyncio.current_task())

        def end(why: BaseException) -> None:
            received.append(why)
            task.cancel()

        loop.add_signal_handler(signal.SIGINT, end, KeyboardInterrupt())
        loop.add_signal_handler(signal.SIGTERM, end, Terminated(TERMINATED))
        return await main

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise received[0] from None
    finally:
        # The loop has taken its handlers with it.
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
