"""The token of a request: the caller's or the service's, and the renewal of an expired one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import InvalidContext, TokenUnavailable

if TYPE_CHECKING:
    from ...config import Config
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

    def service_token(self) -> str | None:
        """Return the service's own token, or None if no source of tokens is configured.

        Raises:
            TokenUnavailable: Keystone gave no token, or a token that a header can't contain.
        """
        if self._plugin is None:
            return None
        try:
            token = self._plugin.get_token()
        except Exception as error:  # a TokenSource may be any object, and raise anything
            raise TokenUnavailable(
                f"Keystone gave no token ({type(error).__name__}): check auth_url and the"
                " credentials, and that Keystone answers"
            ) from error
        if token and not _is_sendable(token):
            raise TokenUnavailable(
                "Keystone gave a token that a header can't contain (not shown here): check what"
                " auth returns"
            )
        return token

    def renew(self, refused: str) -> str | None:
        """Return a new service token after Glance rejected one, or None if there is no new one."""
        if self._plugin is None:
            return None
        if self.service_token() == refused:
            # Its result is ignored: another thread may have invalidated the same token first.
            self._plugin.invalidate()
        token = self.service_token()
        return None if token == refused else token


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
