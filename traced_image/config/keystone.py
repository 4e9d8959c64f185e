"""Keystone: where the service's own token comes from, and the image endpoint of the catalogue."""

from __future__ import annotations

import sys
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .. import _forks
from ..errors import InvalidAuth
from ..redact import hide_in_text

if TYPE_CHECKING:
    import threading

    from keystoneauth1.plugin import BaseAuthPlugin

    from .sources import EndpointFilter


@runtime_checkable
class TokenSource(Protocol):
    """Gives the service's own token, to any thread.

    A keystoneauth1 ``Session`` is one, and so is an ``Adapter``.
    """

    def get_token(self) -> str | None:
        """A valid token, fetched where there is none yet."""

    def invalidate(self) -> bool:
        """Forget the token, and say whether there was one, so that it makes sense to try again."""


@dataclass(frozen=True, slots=True)
class KeystoneHTTP:
    """How Keystone is reached.

    Attributes:
        verify: Whether its certificate is checked, or the path of a CA file.
        cert: Paths of the client's certificate, and of its key if that is in another file.
        timeout: Seconds for Keystone to answer.
    """

    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    timeout: float | None = None


class PluginTokens:
    """The tokens of a keystoneauth1 plugin.

    One thread at a time uses a plugin: keystoneauth1's `invalidate` may pull a token from under
    its `get_token`. A fork waits until no thread does, since nobody in the child would release
    the plugin's own lock; and the child gets connections of its own.

    Args:
        plugin: Authenticates to Keystone.
        http: How it reaches Keystone.
    """

    def __init__(self, plugin: BaseAuthPlugin, http: KeystoneHTTP) -> None:
        self.plugin = plugin
        self._http = http
        self._lock = _locks.setdefault(plugin, _forks.make_lock())
        self._connect()
        _forks.track(self)

    def after_fork(self) -> None:
        """Open a session of the child's own."""
        self._connect()

    def _connect(self) -> None:
        from keystoneauth1.session import Session

        http = self._http
        self._session = Session(verify=http.verify, cert=http.cert, timeout=http.timeout)

    def get_token(self) -> str | None:
        """A valid token, fetched where there is none or it ends within two minutes.

        Raises:
            keystoneauth1.exceptions.ClientException: Keystone gave none.
        """
        with self._lock:
            return self.plugin.get_token(self._session)

    def invalidate(self) -> bool:
        """Forget the token, and say whether there was one."""
        with self._lock:
            return self.plugin.invalidate()

    def endpoint(self, lookup: EndpointFilter, region: str | None) -> str | None:
        """The image service's URL in the catalogue, or None if it has none.

        Raises:
            keystoneauth1.exceptions.ClientException: Keystone gave no catalogue.
        """
        with self._lock:
            return self._session.get_endpoint(
                self.plugin,
                service_type="image",
                service_name=lookup.service_name,
                interface=list(lookup.interfaces),
                region_name=region,
            )


_locks: weakref.WeakKeyDictionary[BaseAuthPlugin, threading.Lock] = weakref.WeakKeyDictionary()


def make_token_source(auth: object, http: KeystoneHTTP) -> TokenSource | None:
    """Make a token source of what was given as ``auth``, or None if that is not possible.

    Args:
        auth: A `TokenSource`, or a keystoneauth1 plugin.
        http: How the plugin is to reach Keystone.
    """
    if isinstance(auth, PluginTokens):
        auth = auth.plugin
    # Whoever made a plugin has imported it; to import it here would make it no extra.
    keystoneauth = sys.modules.get("keystoneauth1.plugin")
    if keystoneauth is not None and isinstance(auth, keystoneauth.BaseAuthPlugin):
        return PluginTokens(auth, http)
    return auth if isinstance(auth, TokenSource) else None


def find_image_endpoint(
    tokens: PluginTokens, lookup: EndpointFilter, region: str | None, source: str
) -> str:
    """Ask Keystone for the catalogue, and return the image service's URL in it.

    Args:
        tokens: Whose catalogue.
        lookup: Which of its endpoints.
        region: In which region; None for any.
        source: Where the credentials came from, for the error.

    Raises:
        InvalidAuth: Keystone gave no catalogue, or there is no such endpoint in it.
    """
    from keystoneauth1.exceptions import ClientException, EndpointNotFound

    fix = "correct the credentials and the region, or list the servers"
    try:
        endpoint = tokens.endpoint(lookup, region)
    except EndpointNotFound:
        endpoint = None
    except ClientException as error:
        problem = f"Keystone gave no catalogue: {hide_in_text(str(error))}".rstrip(".")
        raise InvalidAuth("auth", problem, source=source, fix=fix) from error
    if endpoint is None:
        where = f"region {region}" if region else "any region"
        problem = f"the catalogue has no {' or '.join(lookup.interfaces)} image endpoint in {where}"
        raise InvalidAuth("auth", problem, source=source, fix=fix)
    return endpoint
