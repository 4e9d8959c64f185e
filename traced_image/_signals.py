"""A test for exceptions that a signal handler raised: they are meant for the code it interrupted.

A time limit by ``SIGALRM``, such as a task queue's, raises an exception wherever the main thread
is. What it interrupts must not take the exception for a failure of its own.
"""

from __future__ import annotations

import inspect
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, FrameType


def is_from_signal_handler(error: BaseException) -> bool:
    """Return whether a signal handler raised an exception, as its traceback shows.

    A frame is that of a handler if its function is registered as one, or if its caller's frame is
    among its arguments: Python passes the interrupted frame to a handler, and other functions get
    no frames. The second test also finds handlers that are objects or partial functions, and those
    that are no longer registered.

    An exception that another thread sets by ``PyThreadState_SetAsyncExc`` leaves no trace of its
    origin, and is not found.
    """
    handlers = _list_handlers()
    trace = error.__traceback__
    while trace is not None:
        outer, trace = trace.tb_frame, trace.tb_next
        if trace is not None and _is_handler(trace.tb_frame, outer, handlers):
            return True
    return False


def raise_if_from_signal_handler(error: BaseException) -> None:
    """Raise an exception, or the first of its causes, that a signal handler raised.

    Only what was raised ``from`` another exception counts as caused by it. What is chained by
    itself may be an old exception that the caller is handling.
    """
    link: BaseException | None = error
    while link is not None:
        if is_from_signal_handler(link):
            raise link
        link = link.__cause__


def _list_handlers() -> set[CodeType]:
    handlers = (signal.getsignal(each) for each in signal.valid_signals())
    functions = (getattr(each, "__func__", each) for each in handlers)
    return {each.__code__ for each in functions if inspect.isfunction(each)}


def _is_handler(frame: FrameType, interrupted: FrameType, handlers: set[CodeType]) -> bool:
    if frame.f_code in handlers:
        return True
    given = inspect.getargvalues(frame)
    values = [given.locals.get(name) for name in given.args]
    values += given.locals.get(given.varargs or "", ())
    return any(each is interrupted for each in values)


class _Suppressed:
    """A context manager that swallows every exception except those of signal handlers."""

    def __enter__(self) -> None:
        """Do nothing: the object has no state."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, Exception) and not is_from_signal_handler(error)


SUPPRESSED = _Suppressed()
"""Guards a call of the application's code whose failures must not end a caller's call."""
