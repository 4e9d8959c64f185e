"""The tokens of a request: the caller's or the service's, and the renewal of an expired one."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from ..._signals import raise_if_from_signal_handler
from ...config.keystone import PluginTokens
from ...errors import InvalidContext, Reason, TokenUnavailable
from ...reasons import find_reason
from ...redact import find_cause_to_show
from ..context import NO_TOKENS, SERVICE, SentTokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...config import Config, TokenSource
    from ..context import Context

_UNSENDABLE = re.compile(r"[^\x21-\x7e]")


class RequestTokens:
    """The tokens for requests: the caller's, or the service's own if the service is the caller.

    Args:
        config: The configuration; its ``auth_strategy``, ``auth`` and ``service_auth`` count here.
    """

    def __init__(self, config: Config) -> None:
        self._keystone = config.auth_strategy == "keystone"
        self._own = ServiceToken(config.auth)
        self._beside = ServiceToken(config.service_auth)

    def find(self, context: Context, left: float) -> SentTokens:
        """Return the tokens for the requests of a call.

        The service's own token is for the service's own calls alone. A caller without a token gets
        none, because another token would give it the rights of somebody else.

        Args:
            context: On whose behalf; `SERVICE` for the service's own.
            left: Seconds until the call's deadline, as in `ServiceToken.get`.

        Raises:
            TokenUnavailable: As in `ServiceToken.get`.
        """
        if not self._keystone:
            return NO_TOKENS
        if context is SERVICE:
            return SentTokens(self._own.get(left))
        token = context.auth_token
        return SentTokens(token, self._beside.get(left)) if token else NO_TOKENS

    def renew(self, refused: SentTokens, context: Context, left: float) -> SentTokens | None:
        """Return new tokens after Glance rejected a request; None if there are no new ones.

        A caller's token is the caller's own to renew. The service's token beside it may be what
        Glance rejected.

        Args:
            refused: The tokens of the rejected request.
            context: On whose behalf, as in `find`.
            left: Seconds until the call's deadline, as in `ServiceToken.get`.

        Raises:
            TokenUnavailable: As in `ServiceToken.get`.
        """
        if context is SERVICE:
            own = self._own.renew(refused.token, left)
            return None if own is None else SentTokens(own)
        service = self._beside.renew(refused.service, left)
        return None if service is None else SentTokens(refused.token, service)


class ServiceToken:
    """A token of the service itself, from one source.

    Args:
        source: Gives the tokens; None for none.
    """

    def __init__(self, source: TokenSource | None) -> None:
        self._source = source

    def get(self, left: float) -> str | None:
        """Return a valid token, or None if no source of tokens is configured.

        Args:
            left: Seconds until the call's deadline; ``math.inf`` for none. They limit a
                keystoneauth1 plugin. Any other source takes as long as it takes.

        Raises:
            TokenUnavailable: Keystone gave no token in time, or a token that a header can't
                contain.
        """
        source = self._source
        if source is None:
            return None
        until = monotonic() + left
        with _translated():
            token = source.get_token(*_limit(source, left))
        if monotonic() > until:
            raise TokenUnavailable(
                "auth or service_auth gave a token only after the call's deadline: check what it"
                " waits for, or raise deadline",
                reason=Reason("read_timeout"),
            )
        if token and not _is_sendable(token):
            raise TokenUnavailable(
                "Keystone gave a token that a header can't contain (not shown here): check what"
                " auth or service_auth returns",
                reason=Reason("protocol_error"),
            )
        return token

    def renew(self, refused: str | None, left: float) -> str | None:
        """Return a new token after Glance rejected one, or None if there is no new one.

        Args:
            refused: The token that Glance rejected; None for none.
            left: Seconds until the call's deadline, as in `get`.

        Raises:
            TokenUnavailable: As in `get`.
        """
        source = self._source
        if source is None or refused is None:
            return None
        until = monotonic() + left
        if self.get(left) == refused:
            # Its result is ignored: another thread may have invalidated the same token first.
            with _translated():
                source.invalidate(*_limit(source, until - monotonic()))
        token = self.get(until - monotonic())
        return None if token == refused else token


def _limit(plugin: TokenSource, left: float) -> tuple[float, ...]:
    """Return the arguments that limit a source of tokens; a caller's own object takes none."""
    return (left,) if isinstance(plugin, PluginTokens) else ()


@contextmanager
def _translated() -> Iterator[None]:
    handled = sys.exc_info()[1]
    try:
        yield
    except TokenUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 a TokenSource may be any object, and raise anything
        raise_if_from_signal_handler(error)
        raise TokenUnavailable(
            f"Keystone gave no token ({type(error).__name__}): check auth_url and the"
            " credentials, and that Keystone answers",
            reason=find_reason(error, handled),
        ) from find_cause_to_show(error)


def find_request_id(context: object) -> str | None:
    """Return the global request id to send, as nova sends ``context.global_id``."""
    found = getattr(context, "global_id", None) or getattr(context, "request_id", None)
    return found or None


def check_context(context: object) -> None:
    """Check that an object is a context, and that headers can contain its token and request id.

    Raises:
        InvalidContext: It has no ``auth_token``, or its token or request id is not text that a
            header can contain.
    """
    try:
        token = context.auth_token  # type: ignore[attr-defined]
    except AttributeError:
        raise InvalidContext(
            f"{type(context).__name__} is no context, because it has no auth_token: pass a"
            " RequestContext, nova's or this package's, or None for the service itself"
        ) from None
    for name, value in (("auth_token", token), ("request_id", find_request_id(context))):
        if value is not None and not _is_sendable(value):
            raise InvalidContext(
                f"context.{name} is not text that a header can contain: pass it unchanged"
            )


def _is_sendable(value: object) -> bool:
    return isinstance(value, str) and not _UNSENDABLE.search(value)
