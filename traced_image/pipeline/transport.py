"""Kept-alive HTTP to each server: one `requests` session a server, made once and used by all."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3 import PoolManager, ProxyManager
from urllib3.util.ssl_ import create_urllib3_context

from . import forks
from .connection import POOLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import HTTPConnectionPool, Timeout

    from ..config import Config, Server
    from .model import SendPrepared


def session_send(
    session: requests.Session, prepared: requests.PreparedRequest, **options: object
) -> requests.Response:
    """Send by ``requests.Session.send`` as it is now: an application may have instrumented it."""
    return session.send(prepared, **options)  # type: ignore[arg-type]


class _Adapter(HTTPAdapter):
    """An adapter for one server, whose pool and TLS settings are decided once."""

    def __init__(self, pool: HTTPConnectionPool) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._pool = pool

    def get_connection_with_tls_context(
        self, *_args: object, **_kwargs: object
    ) -> HTTPConnectionPool:
        return self._pool

    def cert_verify(self, *_args: object, **_kwargs: object) -> None:
        """Leave the pool as it was made."""

    def close(self) -> None:
        super().close()
        self._pool.close()


def _tls_context(config: Config) -> ssl.SSLContext:
    """Build the one TLS context of a transport: to read a CA bundle takes milliseconds."""
    context = create_urllib3_context()
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
        context.load_verify_locations(config.cafile or bundle)
    if config.certfile:
        context.load_cert_chain(config.certfile, config.keyfile)
    return context


class Transport:
    """Sends prepared requests to one server, over connections that it keeps.

    What the environment says of proxies and CA bundles is read once, here.

    Args:
        server: The server.
        config: Its TLS settings and ``pool_size`` are used.
        send: Sends a prepared request over a session.
    """

    def __init__(self, server: Server, config: Config, send: SendPrepared) -> None:
        self.server = server
        self._config = config
        self._send = send
        self._proxies: Mapping[str, str] = get_environ_proxies(server.url)
        self._open()
        forks.track(self)

    def _open(self) -> None:
        session = requests.Session()
        session.trust_env = False
        session.adapters.clear()
        session.mount(f"{self.server.scheme}://", _Adapter(self._pool()))
        self._session = session

    def _pool(self) -> HTTPConnectionPool:
        options: dict[str, object] = {"maxsize": self._config.pool_size}
        if self.server.scheme == "https":
            options["ssl_context"] = _tls_context(self._config)
        proxy = select_proxy(self.server.url, self._proxies)
        manager = (
            ProxyManager(proxy, **options) if proxy else PoolManager(**options)  # type: ignore[arg-type]
        )
        manager.pool_classes_by_scheme = POOLS
        return manager.connection_from_url(self.server.url)

    def send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: object,
        timeout: Timeout,
    ) -> requests.Response:
        """Send one request; its reply's body is left to be read."""
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = self.server.url + path
        prepared.headers = headers  # type: ignore[assignment]
        prepared.body = body  # type: ignore[assignment]
        return self._send(
            self._session,
            prepared,
            stream=True,
            timeout=timeout,
            verify=True,
            cert=None,
            proxies=self._proxies,
            allow_redirects=False,
        )

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self._open()
