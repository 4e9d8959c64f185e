"""The seed's client wrapper: a method by its name, called on the cycle of servers."""

from __future__ import annotations

import random
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from ..config.checks import format_value
from ..errors import InvalidArgument
from ..redact import hide_in_text
from .api import v1, v2, v2_actions
from .attempts.fleet import Fleet, share_fleet
from .attempts.loop import AttemptLoop
from .attempts.seams import Call, Layers, T, layered
from .clock import Clock
from .context import SERVICE
from .http import auth
from .http.send import HTTPSend
from .http.transport import send_by_session
from .log import log_failure, log_stream_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

    from ..config import Config, Server
    from ..errors import AttemptError
    from .api.operation import Operation, Version
    from .attempts.cycle import ServerHealth
    from .attempts.seams import Announce, Perform, Send
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
"""What `GlanceClientWrapper.call` can call, by API version and name."""


class GlanceClientWrapper:
    """Calls Glance's servers in turn until one answers, as nova's class of this name does.

    Args:
        config: The servers and how to talk to them.
        layers: What observes the calls.
        fleet: The servers' health; by default that which all services of the process share.
        clock: Where time comes from.
        rng: The source of the jitter; by default the system's, of which no two processes have
            the same.
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
        self._http = HTTPSend(config, clock, layered(send_by_session, layers.wire))
        send: Send = self._http
        tell: Announce = log_failure
        perform: Perform = AttemptLoop(
            layered(send, layers.attempt),
            layered(tell, layers.failure),
            self._fleet,
            num_retries=config.num_retries,
            policy=config.retry,
            deadline=config.deadline,
            clock=clock,
            rng=rng or random.SystemRandom(),
        )
        self._layered = layered(perform, layers.call)
        self._watches = layers.hosts
        self._watching: list[Callable[[], object]] = []
        self._open()

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
            version: Of the Images API.
            method: A name in `OPERATIONS`, such as ``get`` or ``image_members.create``.
            *args: The method's arguments.
            **kwargs: The method's named arguments.

        Returns:
            What the method's operation brings: a record, a list of them, a `Download`, or None.

        Raises:
            InvalidArgument: The method or an argument is not usable; nothing was sent.
            AttemptError: A server refused, in a way that another server would not change.
            GlanceConnectionFailed: No server answered.
        """
        return self.perform(context, build_operation(version, method, args, kwargs))

    def perform(self, context: Context | None, operation: Operation[T]) -> T:
        """Perform an operation on the servers in turn.

        Args:
            context: On whose behalf; None for the service's own.
            operation: What to ask of Glance.

        Returns:
            What the operation brings.

        Raises:
            InvalidContext: The context is not usable; nothing was sent.
            AttemptError: A server refused, in a way that another server would not change.
            GlanceConnectionFailed: No server answered.
        """
        context = SERVICE if context is None else context
        auth.check_context(context)
        return self._perform(Call(operation, context))

    def servers(self) -> tuple[ServerHealth, ...]:
        """The servers of the cycle and what is known of their health."""
        return self._fleet.cycle.health()

    def accuse(self, server: Server, error: AttemptError, *, retrying: bool) -> None:
        """Log and count a failure that showed after its attempt had succeeded: a broken stream."""
        with suppress(Exception):  # a handler of the log may raise anything
            log_stream_failure(server, error, retrying=retrying)
        self._fleet.cycle.accuse(server, error.reason)

    def _open(self) -> None:
        """Show the servers to the watches, until this is closed or nobody has it any more."""
        cycle = self._fleet.cycle
        for watch in self._watches:
            cycle.watch(watch)
            self._watching.append(weakref.finalize(self, cycle.unwatch, watch))
        self._perform: Perform = self._layered

    def _reopen(self, call: Call[T], /) -> T:
        """Make a call after `close`."""
        self._open()
        return self._perform(call)

    def close(self) -> None:
        """Close the kept connections, and leave the servers; a later call opens it again."""
        self._perform = self._reopen
        while self._watching:
            self._watching.pop()()
        self._http.close()


def build_operation(
    version: Version, method: str, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> Operation[object]:
    """Build what a method's name and arguments ask for, without any request.

    Raises:
        InvalidArgument: There is no such method, or an argument is not usable.
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
        raise InvalidArgument(f"{method} of API v{version}: {hide_in_text(str(error))}") from error


def _build_unknown_error(version: object, method: object) -> InvalidArgument:
    for known, methods in OPERATIONS.items():
        if known == version:
            names = ", ".join(sorted(methods))
            return InvalidArgument(f"API v{known} has no {format_value(method)}: use {names}")
    return InvalidArgument(f"{format_value(version)} is no version of the API: use 1 or 2")
