"""Whose token a request carries, and how an expired one is renewed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import InvalidContext, TokenUnavailable

if TYPE_CHECKING:
    from ...config import Config
    from ..context import Context


_UNSENDABLE = re.compile(r"[^\x21-\x7e]")


class RequestTokens:
    """Tokens for requests: the caller's own, or else the service's by a keystoneauth1 plugin.

    Args:
        config: Its ``auth_strategy`` and ``auth`` are used.
    """

    def __init__(self, config: Config) -> None:
        self._keystone = config.auth_strategy == "keystone"
        self._plugin = config.auth

    def caller_token(self, context: Context) -> str | None:
        """The token that the caller brought; none under noauth."""
        return getattr(context, "auth_token", None) or None if self._keystone else None

    def service_token(self) -> str | None:
        """The service's own token, if it has a plugin.

        Raises:
            TokenUnavailable: Keystone gave none, or none that a header can carry.
        """
        if self._plugin is None:
            return None
        try:
            token = self._plugin.get_token()
        except Exception as error:
            raise TokenUnavailable(
                f"Keystone gave no token ({type(error).__name__}): check auth_url and the"
                " credentials, and that Keystone answers"
            ) from error
        if token and not _is_sendable(token):
            raise TokenUnavailable(
                "Keystone gave a token that no header can carry (not shown here): look at what"
                " auth gives"
            )
        return token

    def renew(self, refused: str) -> str | None:
        """A new service token after one was refused, or None where it can't be renewed."""
        if self._plugin is None:
            return None
        if self.service_token() == refused:
            # What it says does not count: another thread may have been faster.
            self._plugin.invalidate()
        token = self.service_token()
        return None if token == refused else token


def find_request_id(context: Context) -> str | None:
    """The global request id to send, as nova sends ``context.global_id``."""
    found = getattr(context, "global_id", None) or getattr(context, "request_id", None)
    return found or None


def check_context(context: Context) -> None:
    """Refuse a context that no request could carry, before any is made.

    Raises:
        InvalidContext: Its token or request id has characters that a header can't carry.
    """
    for name, value in (
        ("auth_token", getattr(context, "auth_token", None)),
        ("request_id", find_request_id(context)),
    ):
        if value and not _is_sendable(value):
            raise InvalidContext(
                f"context.{name} is not text that a header can carry: pass it as it was given"
            )


def _is_sendable(value: object) -> bool:
    return isinstance(value, str) and not _UNSENDABLE.search(value)
