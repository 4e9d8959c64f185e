"""The token of a request: the caller's or the service's, and the renewal of an expired one."""

from __future__ import annotations

import re
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from ...config.keystone import PluginTokens
from ...errors import InvalidContext, TokenUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...config import Config, TokenSource
    from ..context import Context

_UNSENDABLE = re.compile(r"[^\x21-\x7e]")


class RequestTokens:
    """The tokens for requests: the caller's own, or else the service's.

    Args:
        config: The configuration; only its ``auth_strategy`` and ``auth`` count here.
    """

    def __init__(self, config: Config) -> None:
        self._keystone = config.auth_strategy == "keystone"
        self._plugin = config.auth

    def caller_token(self, context: Context) -> str | None:
        """Return the caller's own token, or None if it has none or under noauth."""
        return getattr(context, "auth_token", None) or None if self._keystone else None

    def service_token(self, left: float) -> str | None:
        """Return the service's own token, or None if no source of tokens is configured.

        Args:
            left: Seconds until the call's deadline; ``math.inf`` for none. They limit a
                keystoneauth1 plugin. Any other source takes as long as it takes.

        Raises:
            TokenUnavailable: Keystone gave no token in time, or a token that a header can't
                contain.
        """
        plugin = self._plugin
        if plugin is None:
            return None
        with _translated():
            token = plugin.get_token(*_limit(plugin, left))
        if token and not _is_sendable(token):
            raise TokenUnavailable(
                "Keystone gave a token that a header can't contain (not shown here): check what"
                " auth returns"
            )
        return token

    def renew(self, refused: str, left: float) -> str | None:
        """Return a new service token after Glance rejected one, or None if there is no new one.

        Args:
            refused: The token that Glance rejected.
            left: Seconds until the call's deadline, as in `service_token`.

        Raises:
            TokenUnavailable: As in `service_token`.
        """
        until = monotonic() + left
        plugin = self._plugin
        if self.service_token(left) == refused and plugin is not None:
            # Its result is ignored: another thread may have invalidated the same token first.
            with _translated():
                plugin.invalidate(*_limit(plugin, until - monotonic()))
        token = self.service_token(until - monotonic())
        return None if token == refused else token


def _limit(plugin: TokenSource, left: float) -> tuple[float, ...]:
    """Return the arguments that limit a source of tokens; a caller's own object takes none."""
    return (left,) if isinstance(plugin, PluginTokens) else ()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TokenUnavailable:
        raise
    except Exception as error:  # a TokenSource may be any object, and raise anything
        raise TokenUnavailable(
            f"Keystone gave no token ({type(error).__name__}): check auth_url and the"
            " credentials, and that Keystone answers"
        ) from error


def find_request_id(context: Context) -> str | None:
    """Return the global request id to send, as nova sends ``context.global_id``."""
    found = getattr(context, "global_id", None) or getattr(context, "request_id", None)
    return found or None


def check_context(context: Context) -> None:
    """Check that headers can contain a context's token and request id, before any request.

    Raises:
        InvalidContext: The token or request id has characters that a header can't contain.
    """
    for name, value in (
        ("auth_token", getattr(context, "auth_token", None)),
        ("request_id", find_request_id(context)),
    ):
        if value and not _is_sendable(value):
            raise InvalidContext(
                f"context.{name} is not text that a header can contain: pass it unchanged"
            )


def _is_sendable(value: object) -> bool:
    return isinstance(value, str) and not _UNSENDABLE.search(value)
