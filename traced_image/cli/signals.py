"""Ctrl-C and SIGTERM: how they end a command, with an event loop and without."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

_T = TypeVar("_T")


class Terminated(SystemExit):
    """The process was told to end."""


def terminate(_number: int, _frame: object) -> NoReturn:
    """End what is under way; a handler of SIGTERM.

    Raises:
        Terminated: Always.
    """
    raise Terminated(TERMINATED)


def in_loop(main: Coroutine[object, object, _T]) -> _T:
    """Run to the end in an event loop, which a signal must not be raised in the middle of.

    Raises:
        KeyboardInterrupt: Ctrl-C cancelled it.
        Terminated: SIGTERM cancelled it.
    """
    received: list[BaseException] = []
    before = signal.getsignal(signal.SIGTERM)

    async def cancellable() -> _T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def end(why: BaseException) -> None:
            received.append(why)
            if task is not None:
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
