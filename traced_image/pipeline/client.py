"""The client wrapper of nova's name: it calls a method of Glance's API on the cycle of servers."""

from __future__ import annotations

import random
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from .._signals import SUPPRESSED
from ..config.checks import format_value
from ..errors import InvalidArgument, ServiceClosed, TokenUnavailable
from ..redact import hide_in_text
from .api import v1, v2, v2_actions
from .api.operation import Operation
from .attempts.fleet import Fleet, share_fleet
from .attempts.retry_loop import AttemptLoop
from .attempts.seams import Call, Finish, Layers, Skips, T, layered
from .clock import Clock
from .context import SERVICE
from .http import auth
from .http.send import HTTPSend
from .http.transport import send_prepared
from .log import log_failure, log_skips, log_stream_failure, log_token_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from typing_extensions import Self

    from ..config import Config, Server
    from ..errors import AttemptError, TracedImageError
    from .api.operation import Version
    from .attempts.seams import Announce, AnnounceSkips, Perform, Send, Watch
    from .attempts.server_cycle import ServerHealth
    from .context import Context

OPERATIONS: Mapping[Version, Mapping[str, Callable[..., Operation[object]]]] = {
    1: {
        "get": v1.get,
        "list": v1.list_,
        "create": v1.create,
        "update": v1.update,
        "delete": v1.delete,
        "data": v1.data,
    },
    2: {
        "get": v2.get,
        "list": v2.list_,
        "create": v2.create,
        "update": v2.update,
        "patch": v2.patch,
        "delete": v2.delete,
        "data": v2.data,
        "upload": v2.upload,
        "deactivate": v2_actions.deactivate,
        "reactivate": v2_actions.reactivate,
        "image_import": v2_actions.image_import,
        "add_location": v2_actions.add_location,
        "add_image_location": v2_actions.add_image_location,
        "delete_locations": v2_actions.delete_locations,
        "image_members.list": v2_actions.list_members,
        "image_members.get": v2_actions.get_member,
        "image_members.create": v2_actions.create_member,
        "image_members.update": v2_actions.update_member,
        "image_members.delete": v2_actions.delete_member,
        "image_tags.update": v2_actions.update_tag,
        "image_tags.delete": v2_actions.delete_tag,
    },
}
"""The methods that `GlanceClientWrapper.call` accepts, by API version and name."""


@dataclass(frozen=True, slots=True)
class OpenClient:
    """A client as it was when a method of the service began; `close` does not end its calls.

    Attributes:
        config: The configuration of the client.
    """

    config: Config
    _perform: Perform
    _announce: AnnounceSkips = log_skips

    def perform(
        self, context: Context | None, operation: Operation[T], finish: Finish[T] | None = None
    ) -> T:
        """Perform an operation, as `GlanceClientWrapper.perform` does."""
        return _perform(self._perform, self._announce, context, operation, finish)


class GlanceClientWrapper:
    """A client that calls Glance's servers in turn until one answers, as nova's class does.

    Args:
        config: The servers and how to reach them.
        layers: The functions that observe the calls; None for none.
        fleet: The servers' health; by default the one that all services of the process share.
        clock: The source of time.
        rng: The source of the jitter; by default the system's, so that no two processes get
            the same numbers.
    """

    def __init__(
        self,
        config: Config,
        layers: Layers | None = None,
        *,
        fleet: Fleet | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        layers = layers or Layers()
        clock = clock or Clock()
        self.config = config
        self._fleet = fleet or share_fleet(config)
        self._http = HTTPSend(config, clock, layered(send_prepared, layers.wire))
        send: Send = self._http
        tell: Announce = log_failure
        loop: Perform = AttemptLoop(
            send,
            layered(tell, layers.failure),
            self._fleet,
            num_retries=config.num_retries,
            policy=config.retry,
            deadline=config.deadline,
            trial_timeout=config.trial_timeout,
            clock=clock,
            rng=rng or random.SystemRandom(),
            authorize=self._http.credentials.find,
            layers=layers.attempt,
        )
        self._perform: Perform = layered(loop, layers.call)
        self._call_layers = layers.call
        tell_skips: AnnounceSkips = log_skips
        self._announce = layered(tell_skips, layers.skips)
        self._watching: list[Callable[[], object]] = []
        self._watch(layers.hosts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def call(
        self,
        context: Context | None,
        version: Version,
        method: str,
        /,
        *args: object,
        **kwargs: object,
    ) -> object:
        """Call a method of Glance's API on the servers in turn.

        Args:
            context: On whose behalf; None for the service's own.
            version: The version of the Images API, 1 or 2.
            method: A name in `OPERATIONS`, such as ``get`` or ``image_members.create``.
            *args: The method's arguments.
            **kwargs: The method's named arguments.

        Returns:
            The result of the method's operation: a record, a list of records, a `Download`, or
            None.

        Raises:
            InvalidArgument: The method or an argument can't be used; nothing was sent.
            ServiceClosed: The client was closed before the call; nothing was sent.
            ListTooLarge: The replies of a list have more bytes than ``max_list_size``.
            AttemptError: A server rejected the request, and another server would do the same.
            GlanceConnectionFailed: No server answered.
        """
        if method == "list":
            kwargs.setdefault("max_size", self.config.max_list_size)
        return self.perform(context, build_operation(version, method, args, kwargs))

    def perform(
        self, context: Context | None, operation: Operation[T], finish: Finish[T] | None = None
    ) -> T:
        """Perform an operation on the servers in turn.

        Args:
            context: On whose behalf; None for the service's own.
            operation: What to ask of Glance.
            finish: What follows as part of the same call, as `Call.finish` has it.

        Returns:
            The operation's result, or that of `finish`.

        Raises:
            InvalidContext: The context can't be used; nothing was sent.
            ServiceClosed: The client was closed before the call; nothing was sent.
            AttemptError: A server rejected the request, and another server would do the same.
            GlanceConnectionFailed: No server answered.
        """
        return _perform(self._perform, self._announce, context, operation, finish)

    def reject(self, name: str, error: TracedImageError) -> NoReturn:
        """Raise an error as the end of a call that asks no server; the call's layers observe it.

        Args:
            name: The name of the call's operation, such as ``images.get``.
            error: What to raise.
        """

        def fail(_: object, /) -> NoReturn:
            raise error

        perform: Perform = fail
        layered(perform, self._call_layers)(Call(Operation(name, "GET", "", fail), SERVICE))

    def begin(self) -> OpenClient:
        """Return a client for the calls of one method, which finish even if `close` is called.

        Raises:
            ServiceClosed: The client was closed before.
        """
        perform = self._perform
        if perform is _refuse:
            raise _build_closed_error()
        return OpenClient(self.config, perform, self._announce)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._perform is _refuse

    def servers(self) -> tuple[ServerHealth, ...]:
        """Return the health of each server, in the order of the cycle."""
        return self._fleet.cycle.health()

    def accuse(self, server: Server, error: AttemptError, *, retrying: bool) -> None:
        """Log and count a broken stream: a failure after its attempt had succeeded."""
        # An application's log handler may raise anything; that must not end the caller's download.
        with SUPPRESSED:
            log_stream_failure(server, error, retrying=retrying)
        self._fleet.cycle.accuse(server, error.reason)

    def _watch(self, watches: Iterable[Watch]) -> None:
        """Register the watches with the cycle, until `close` or the end of this object."""
        cycle = self._fleet.cycle
        # The cycle outlives this object, so a finalizer removes the watches of a client that
        # nobody closed. nova makes one for each operation and closes none.
        for watch in watches:
            cycle.watch(watch)
            self._watching.append(weakref.finalize(self, cycle.unwatch, watch))

    def close(self) -> None:
        """Refuse new calls, close the idle connections and remove the watches.

        Calls under way go on, with their retries, and so do open downloads; this waits for none.
        A second call does nothing.
        """
        # `close` swaps the function, so that a call on an open client pays for no check.
        self._perform = _refuse
        while self._watching:
            self._watching.pop()()
        self._http.close()


def _perform(
    perform: Perform,
    announce: AnnounceSkips,
    context: Context | None,
    operation: Operation[T],
    finish: Finish[T] | None,
) -> T:
    context = SERVICE if context is None else context
    auth.check_context(context)
    try:
        result = perform(Call(operation, context, finish))
    except TokenUnavailable as error:
        # An application's log handler may raise anything; that must not end the caller's call.
        with SUPPRESSED:
            log_token_failure(operation, error)
        raise
    if operation.skipped:
        with SUPPRESSED:
            announce(Skips(operation.name, operation.skipped))
    return result


def _refuse(_call: Call[T], /) -> T:
    """Refuse a call, in the place of a closed client's function."""
    raise _build_closed_error()


def _build_closed_error() -> ServiceClosed:
    return ServiceClosed(
        "the service was closed before this call, and nothing was sent: build another one by"
        " connect(), or close it after its last call"
    )


def build_operation(
    version: Version, method: str, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Operation[object]:
    """Build the operation that a method's name and arguments ask for; send no request.

    Raises:
        InvalidArgument: There is no such method, or an argument can't be used.
    """
    try:
        build = OPERATIONS[version][method]
    except (KeyError, TypeError):
        raise _build_unknown_error(version, method) from None
    try:
        return build(*args, **kwargs)
    except InvalidArgument:
        raise
    except (TypeError, ValueError) as error:
        # A wrong number or name of an argument is a TypeError of Python's own.
        raise InvalidArgument(f"{method} of API v{version}: {hide_in_text(str(error))}") from error


def _build_unknown_error(version: object, method: object) -> InvalidArgument:
    for known, methods in OPERATIONS.items():
        if known == version:
            names = ", ".join(sorted(methods))
            return InvalidArgument(f"API v{known} has no {format_value(method)}: use {names}")
    return InvalidArgument(f"{format_value(version)} is not a version of the API: use 1 or 2")
