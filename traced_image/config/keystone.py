"""Keystone: the source of the service's own token, and the image endpoint of the catalogue."""

from __future__ import annotations

import math
import sys
import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from ..errors import InvalidAuth, TokenUnavailable
from ..redact import find_cause_to_show
from .checks import describe_cause
from .keystone_turn import Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from keystoneauth1.plugin import BaseAuthPlugin
    from keystoneauth1.session import Session

    from .keystone_session import KeystoneSession
    from .sources import EndpointFilter

T = TypeVar("T")


@runtime_checkable
class TokenSource(Protocol):
    """A source of the service's own token, which any thread may call.

    keystoneauth1's ``Session`` and ``Adapter`` are such sources. A call can't limit how long such
    an object takes. What it takes counts as part of the call: a deadline that passes meanwhile
    ends the call as soon as the object returns.
    """

    def get_token(self) -> str | None:
        """Return a valid token; fetch one if there is none."""

    def invalidate(self) -> bool:
        """Forget the token; return whether there was one, so that a second try makes sense."""


@dataclass(frozen=True, slots=True)
class KeystoneHTTP:
    """The HTTP settings for requests to Keystone.

    Attributes:
        verify: Whether to check Keystone's certificate, or the path of a CA file.
        cert: The path of the client's certificate, and of its key if that is in another file.
        timeout: Seconds for all that Keystone answers for one token or one catalogue; None for no
            limit.
    """

    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    timeout: float | None = None


class PluginTokens:
    """A token source that uses a keystoneauth1 plugin.

    One thread at a time uses a plugin, because keystoneauth1's `invalidate` may remove a token
    while another thread is in `get_token`. Only what needs Keystone runs in a thread of its own:
    a caller whose deadline passes leaves it, and a later caller gets its token. A fork waits
    until no thread uses the plugin, because nobody in the child would release the plugin's own
    lock.

    Args:
        plugin: The plugin, which authenticates to Keystone.
        http: The HTTP settings for Keystone.
    """

    def __init__(self, plugin: BaseAuthPlugin, http: KeystoneHTTP) -> None:
        self.plugin = plugin
        self._http = http
        # One use at a time of a plugin, not of this object: two configurations may share a plugin.
        self._turn = _turns.setdefault(plugin, Turn())

    def get_token(self, left: float = math.inf) -> str | None:
        """Return a valid token; fetch one if there is none or if it expires within two minutes.

        Args:
            left: The seconds that the caller can wait.

        Raises:
            TokenUnavailable: Keystone gave no token in time, or redirects.
            keystoneauth1.exceptions.ClientException: Keystone gave no token.
        """
        return self._use(self.plugin.get_token, left)

    def invalidate(self, left: float = math.inf) -> bool:
        """Forget the token; return whether there was one.

        Args:
            left: The seconds that the caller can wait for another thread that uses the plugin.

        Raises:
            TokenUnavailable: Another thread still waits for Keystone.
        """
        return self._use(lambda _session: self.plugin.invalidate(), left)

    def endpoint(
        self, lookup: EndpointFilter, region: str | None, left: float = math.inf
    ) -> str | None:
        """Return the image service's URL in the catalogue, or None if the catalogue has none.

        Args:
            lookup: The filter for the endpoint.
            region: The name of the region; None for any.
            left: The seconds that the caller can wait.

        Raises:
            TokenUnavailable: Keystone gave no answer in time, or redirects.
            keystoneauth1.exceptions.ClientException: Keystone gave no catalogue.
        """

        def find(session: Session) -> str | None:
            return session.get_endpoint(
                self.plugin,
                service_type=lookup.service_type,
                service_name=lookup.service_name,
                interface=list(lookup.interfaces),
                region_name=region,
            )

        return self._use(find, left)

    def _use(self, use: Callable[[Session], T], left: float) -> T:
        return self._turn.take(use, partial(_open_session, self._http), self._http.timeout, left)


def _open_session(http: KeystoneHTTP) -> KeystoneSession:
    from .keystone_session import KeystoneSession

    return KeystoneSession(verify=http.verify, cert=http.cert, timeout=http.timeout)


_turns: weakref.WeakKeyDictionary[BaseAuthPlugin, Turn] = weakref.WeakKeyDictionary()


def make_token_source(auth: object, http: KeystoneHTTP) -> TokenSource | None:
    """Build a token source from the value of ``auth``; return None if that is not possible.

    Args:
        auth: A `TokenSource`, or a keystoneauth1 plugin.
        http: The HTTP settings with which the plugin reaches Keystone.
    """
    if isinstance(auth, PluginTokens):
        # `Config.replace` passes the old source; the new one must have the new HTTP settings.
        auth = auth.plugin
    # A caller that has a plugin has imported keystoneauth1. An import here would make the
    # optional package a required one.
    keystoneauth = sys.modules.get("keystoneauth1.plugin")
    if keystoneauth is not None and isinstance(auth, keystoneauth.BaseAuthPlugin):
        return PluginTokens(auth, http)
    return auth if isinstance(auth, TokenSource) else None


def find_image_endpoint(
    tokens: PluginTokens,
    lookup: EndpointFilter,
    region: str | None,
    source: str,
    *,
    left: float | None = None,
) -> str:
    """Ask Keystone for the catalogue, and return the image service's URL in it.

    Args:
        tokens: The source of tokens, whose credentials decide what the catalogue contains.
        lookup: The filter for the endpoint.
        region: The name of the region; None for any.
        source: Where the credentials came from, for the error.
        left: The seconds that the caller can wait; None for no limit.

    Raises:
        InvalidAuth: Keystone gave no catalogue, or the catalogue has no such endpoint.
    """
    from keystoneauth1.exceptions import ClientException, EndpointNotFound

    fix = "correct the address of Keystone, the credentials or the region, or list the servers"
    try:
        endpoint = tokens.endpoint(lookup, region, math.inf if left is None else left)
    except EndpointNotFound:
        endpoint = None
    except (ClientException, TokenUnavailable) as error:
        problem = f"Keystone gave no catalogue: {describe_cause(error)}".rstrip(": ")
        raise InvalidAuth("auth", problem, source=source, fix=fix) from find_cause_to_show(error)
    except ValueError:  # older requests leave a line break at the end to http.client
        problem = "a request to Keystone can't contain a character of the token (not shown here)"
        raise InvalidAuth("auth", problem, source=source, fix=fix) from None
    if endpoint is None:
        where = f"region {region}" if region else "any region"
        kinds = " or ".join(lookup.interfaces)
        problem = f"the catalogue has no {kinds} {lookup.service_type} endpoint in {where}"
        raise InvalidAuth("auth", problem, source=source, fix=fix)
    return endpoint
