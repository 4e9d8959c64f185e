"""The calls of stock clients that are recorded, and the one that is under way."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from ..telemetry.http_instrumentation import is_instrumented
from ..telemetry.propagation import Propagation
from ..telemetry.recorder import CURRENT, current_call
from .client_call import CLIENT_CALL, open_call
from .observed_attempt import Shared
from .observed_call import ObservedCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..telemetry.recorder import Recorder
    from .client_call import ClientCall, GaveUp
    from .hooks import Hooks
    from .hosts import Hosts
    from .patching import Foreign

UNDER_WAY: ContextVar[ObservedCall | None] = ContextVar("traced_image_observed", default=None)
"""The call of a stock client under way in this thread or task."""


def run_apart(function: Foreign, *args: Foreign, **kwargs: Foreign) -> Foreign:
    """Run the application's code amid a call: what that asks of Glance is a call of its own.

    It may ask another server, such as for the data of an image that is copied from there.
    """
    under_way, current = UNDER_WAY.set(None), CURRENT.set(None)  # type: ignore[arg-type]
    try:
        return function(*args, **kwargs)
    finally:
        CURRENT.reset(current)
        UNDER_WAY.reset(under_way)


class Instrumentation:
    """Decides which calls of stock clients are recorded, and makes them.

    Args:
        recorder: Records calls whose attempts are the CLIENT spans.
        recorder_below: Records calls whose HTTP requests have CLIENT spans of their own.
        hooks: The application's hooks.
        hosts: The state of each server.
        is_excluded: Tells whether the calls to a server are not recorded, by its URL.

    Attributes:
        guard: Counts what fails because a library is not as expected.
        sees_sessions: Whether each request that a session of keystoneauth1 sends is seen.
    """

    def __init__(
        self,
        recorder: Recorder,
        recorder_below: Recorder,
        hooks: Hooks,
        hosts: Hosts,
        is_excluded: Callable[[str], object],
    ) -> None:
        self.sees_sessions = False
        self._recorder = recorder
        self._recorder_below = recorder_below
        errors = recorder.metrics.errors
        self.guard = errors.guard("instrumentation")
        self._shared = Shared(hooks, hosts, Propagation(errors), self.guard)
        self._is_excluded = is_excluded

    def start(
        self, operation: str, endpoint: str | None, gave_up: GaveUp = ()
    ) -> ObservedCall | None:
        """Start a call, or an attempt of the call that another layer has under way.

        Args:
            operation: The operation, such as ``images.get``.
            endpoint: The server's URL; None if it is not known yet.
            gave_up: The exception types of a server that can't be reached or is overloaded.

        Returns:
            The call; None if nothing is to be recorded: the application has switched it off, or
            what is above records the attempt itself.
        """
        above = UNDER_WAY.get()
        if (above is not None and not above.ended) or not is_instrumentation_enabled():
            return None
        outer = current_call()
        if outer is not None and outer.attempting:
            return None
        if endpoint is not None and self._is_excluded(endpoint):
            return None
        return ObservedCall(self._shared, self._find_recorder(), operation, gave_up)

    def _find_recorder(self) -> Recorder:
        return self._recorder_below if is_instrumented() else self._recorder

    def call(
        self,
        observed: ObservedCall,
        wrapped: Foreign,
        args: Foreign,
        kwargs: Foreign,
    ) -> Foreign:
        """Make a call, and record it from its start to its end."""
        token = UNDER_WAY.set(observed)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            observed.end(error)
            raise
        else:
            observed.end()
            return result
        finally:
            UNDER_WAY.reset(token)

    def serve(
        self,
        operation: str,
        gave_up: GaveUp,
        wrapped: Foreign,
        args: Foreign,
        kwargs: Foreign,
    ) -> Foreign:
        """Make a call of a service, whose attempts are the calls of the client below.

        Args:
            operation: The operation, such as ``images.get``.
            gave_up: The exception types by which the service says that no attempt succeeded.
            wrapped: The service's function.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        call = self._open(operation, gave_up)
        if call is None:
            return wrapped(*args, **kwargs)
        token = CLIENT_CALL.set(call)
        try:
            return self._finish(call, call.end, wrapped, args, kwargs)
        finally:
            CLIENT_CALL.reset(token)

    def prepare(
        self,
        operation: str,
        gave_up: GaveUp,
        wrapped: Foreign,
        args: Foreign,
        kwargs: Foreign,
    ) -> Foreign:
        """Make a call of a service that returns a list, which is a call of its own when it is read.

        Only if it raises, as where the service finds no server, this is a call.

        Args:
            operation: The operation, such as ``images.list``.
            gave_up: As for `serve`.
            wrapped: The service's function.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        try:
            return wrapped(*args, **kwargs)
        except BaseException as error:
            with self.guard:
                call = self._open(operation, gave_up)
                if call is not None:
                    call.end(error)
            raise

    def bypass(self, operation: str, wrapped: Foreign, args: Foreign, kwargs: Foreign) -> Foreign:
        """Make a call of a service that gets image data without Glance: it accuses no server.

        Args:
            operation: The operation, such as ``images.rbd_download``.
            wrapped: The service's function.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        call = self._open(operation, ())
        if call is None:
            return wrapped(*args, **kwargs)
        return self._finish(call, call.end_bypassed, wrapped, args, kwargs)

    def _finish(
        self,
        call: ClientCall,
        fail: Callable[[BaseException], None],
        wrapped: Foreign,
        args: Foreign,
        kwargs: Foreign,
    ) -> Foreign:
        """Call a service's function, and end its call with what comes of it.

        Args:
            call: The call.
            fail: Ends it with what the function raises.
            wrapped: The function.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            with self.guard:
                fail(error)
            raise
        with self.guard:
            call.end()
        return result

    def _open(self, operation: str, gave_up: GaveUp) -> ClientCall | None:
        """Start a call of a service; return None if nothing is to be recorded."""
        with self.guard:
            if current_call() is None and is_instrumentation_enabled():
                return open_call(self._find_recorder(), operation, gave_up)
        return None
