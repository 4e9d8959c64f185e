"""The use of a keystoneauth1 plugin by one thread at a time; no thread waits too long."""

from __future__ import annotations

import math
import threading
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from .. import _forks
from ..errors import Reason, TokenUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from keystoneauth1.session import Session

    from .keystone_session import KeystoneSession

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _SessionNeeded(BaseException):
    """The plugin has to ask Keystone.

    It is not an `Exception`, so that no plugin takes it for a failure of Keystone.
    """


class _NoSession:
    """A session with which a plugin can only return what it already has."""

    def __getattr__(self, name: str) -> object:
        raise _SessionNeeded(name)


_NO_SESSION = cast("Session", _NoSession())


class Turn:
    """The right to use one plugin, which one thread has at a time."""

    def __init__(self) -> None:
        self._lock = _forks.make_lock()
        self._request: _KeystoneRequest[object] | None = None

    def take(
        self,
        use: Callable[[Session], T],
        connect: Callable[[], KeystoneSession],
        limit: float | None,
        left: float,
    ) -> T:
        """Use the plugin; ask Keystone in a thread of its own if that is necessary.

        Args:
            use: Uses the plugin with a session.
            connect: Opens a session.
            limit: Seconds for Keystone to answer; None for no limit.
            left: Seconds that the caller can wait.

        Raises:
            TokenUnavailable: A limit passed first, or Keystone redirects.
        """
        until = monotonic() + left
        self._wait(until)
        request = None
        try:
            return use(_NO_SESSION)
        except _SessionNeeded:
            request = _KeystoneRequest(use, connect, limit, self._end)
            self._request = request
        finally:
            if request is None:
                self._lock.release()
        # The thread of the request releases the lock.
        request.start()
        return request.result(until)

    def _wait(self, until: float) -> None:
        """Acquire the lock.

        Raises:
            Exception: The request to Keystone that was under way failed. Its failure is that of
                all who waited for it, or else each would ask the same Keystone after the other.
        """
        request = self._request
        if request is not None:
            until = min(until, request.until)
        if not self._lock.acquire(timeout=_seconds_to(until)):
            raise _make_late_error()
        if request is not None and request.failure is not None:
            self._lock.release()
            raise request.failure

    def _end(self) -> None:
        self._request = None
        self._lock.release()


class _KeystoneRequest(Generic[T_co]):
    """A use of a plugin that asks Keystone, in a thread of its own.

    The thread is a daemon, so that a Keystone that hangs keeps no process alive.

    Args:
        use: Uses the plugin with a session.
        connect: Opens a session.
        limit: Seconds for Keystone to answer; None for no limit.
        end: Ends the turn.

    Attributes:
        until: When Keystone must have answered, in monotonic seconds.
        failure: Why there is no result.
    """

    def __init__(
        self,
        use: Callable[[Session], T_co],
        connect: Callable[[], KeystoneSession],
        limit: float | None,
        end: Callable[[], None],
    ) -> None:
        self._use = use
        self._connect = connect
        self._limit = math.inf if limit is None else limit
        self._end = end
        self._done = threading.Event()
        self._value: T_co
        self.until = monotonic() + self._limit
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start the thread."""
        # Its spans, if the application has instrumented requests, belong to the caller's.
        work = copy_context().run
        thread = threading.Thread(
            target=work, args=(self._work,), name="traced-image-keystone", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # The process has no thread left, or is about to end: the caller's must do.
            work(self._work)

    def result(self, until: float) -> T_co:
        """Wait for the result until a moment in monotonic seconds."""
        seconds = _seconds_to(min(until, self.until))
        if not self._done.wait(None if seconds < 0 else seconds):
            raise _make_late_error()
        if self.failure is not None:
            raise self.failure
        return self._value

    def _work(self) -> None:
        try:
            with self._connect() as session:
                self._value = session.run(self._use, self.until)
        except TimeoutError as error:
            self.failure = _make_late_error()
            self.failure.__cause__ = error
        except BaseException as error:  # noqa: BLE001 those that wait get it
            # What they are handling, if anything, replaces its context where they raise it.
            error.__cause__ = error.__cause__ or error.__context__
            self.failure = error
        finally:
            self._end()
            self._done.set()


def _make_late_error() -> TokenUnavailable:
    return TokenUnavailable(
        "Keystone gave no token in time: check that Keystone answers, or allow it more time by"
        " deadline and read_timeout",
        reason=Reason("read_timeout"),
    )


def _seconds_to(until: float) -> float:
    """Return the seconds until a moment, at least 0; -1 if it never comes, as a lock wants it."""
    return -1 if until == math.inf else min(max(until - monotonic(), 0), threading.TIMEOUT_MAX)
