"""HTTP with persistent connections: one `requests` session for each server, for all threads."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3.util.ssl_ import create_urllib3_context

from ... import _forks
from ...errors import InvalidOption, InvalidTLS
from ...reasons import unwrap
from .connection import POOLS, READS, StaleConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3 import HTTPConnectionPool, Timeout

    from ...config import Config, Server
    from ..attempts.seams import SendPrepared


def make_transports(config: Config, send: SendPrepared) -> dict[Server, Transport]:
    """Build a transport for each server of a configuration.

    Raises:
        ConfigError: A proxy or CA bundle that the environment names can't be used.
    """
    secure = any(server.scheme == "https" for server in config.servers)
    context = make_tls_context(config) if secure else None
    return {
        server: Transport(server, config, send, context if server.scheme == "https" else None)
        for server in config.servers
    }


def send_by_session(
    session: requests.Session, prepared: requests.PreparedRequest, **options: object
) -> requests.Response:
    """Send a prepared request by ``requests.Session.send``."""
    # Looked up at each request: an application may instrument the method after this import.
    return session.send(prepared, **options)  # type: ignore[arg-type]


class _Session(requests.Session):
    """A session that follows no redirect and leaves its body unread, unlike `requests`."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - requests' name
        return None


class _Adapter(HTTPAdapter):
    """An adapter for one server, with a pool and TLS settings that never change."""

    def __init__(
        self, server: Server, size: int, proxy: str | None, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(pool_connections=1, pool_maxsize=size)
        manager = self.proxy_manager_for(proxy) if proxy else self.poolmanager
        manager.pool_classes_by_scheme = POOLS
        options = {} if context is None else {"ssl_context": context}
        self._pool: HTTPConnectionPool = manager.connection_from_url(server.url, options)

    def get_connection_with_tls_context(
        self, *_args: object, **_kwargs: object
    ) -> HTTPConnectionPool:
        return self._pool

    def cert_verify(self, *_args: object, **_kwargs: object) -> None:
        """Do nothing: the pool has its TLS settings already."""

    def close(self) -> None:
        super().close()
        self._pool.close()


def make_tls_context(config: Config) -> ssl.SSLContext:
    """Build the TLS context for all servers of a configuration.

    Raises:
        InvalidTLS: A file that the configuration or the environment names can't be used.
    """
    # Once for all servers, because to load the CA certificates takes tens of milliseconds.
    context = create_urllib3_context()
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        _load_authorities(context, config)
    if config.certfile:
        context.load_cert_chain(config.certfile, config.keyfile)
    return context


def _load_authorities(context: ssl.SSLContext, config: Config) -> None:
    bundle, source = _find_authorities(config)
    try:
        if Path(bundle).is_dir():
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except OSError as error:
        problem = f"{bundle} can't be used: {error.strerror or type(error).__name__}"
        fix = "name a PEM file of CA certificates that this process may read"
        raise InvalidTLS("cafile", problem, source=source, fix=fix) from error


def _find_authorities(config: Config) -> tuple[str, str]:
    """Return the path of the CA certificates and its source: as configured, or as `requests`."""
    if config.cafile:
        return config.cafile, config.sources.get("cafile", "argument")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(name):
            return os.environ[name], name
    return DEFAULT_CA_BUNDLE_PATH, "requests"


def _find_proxy(server: Server, proxies: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for a server, which may contain a password; None for none.

    Raises:
        InvalidOption: The value is not the URL of an HTTP proxy.
    """
    found = select_proxy(server.url, dict(proxies))
    if not found:
        return None
    try:
        proxy = str(prepend_scheme_if_needed(found, "http"))  # type: ignore[no-untyped-call]
        parts = urlsplit(proxy)
        if parts.scheme in ("http", "https") and parts.hostname:
            return proxy
    except ValueError:  # urllib3's LocationParseError is a subclass
        pass
    problem = f"the one for {server.netloc} is not an http or https URL (not shown here)"
    fix = "set http_proxy, https_proxy or all_proxy to one, or name the server in no_proxy"
    raise InvalidOption("proxy", problem, source="environment", fix=fix)


class Transport:
    """A client for one server, which keeps its connections open.

    The constructor reads the environment's proxies once.

    Args:
        server: The server.
        config: The configuration; only its ``pool_size`` counts here.
        send: Sends a prepared request over a session.
        context: The TLS context; None for a server without TLS.

    Raises:
        ConfigError: A proxy that the environment names can't be used.
    """

    def __init__(
        self,
        server: Server,
        config: Config,
        send: SendPrepared,
        context: ssl.SSLContext | None,
    ) -> None:
        self.server = server
        self._pool_size = config.pool_size
        self._send = send
        self._proxies: Mapping[str, str] = get_environ_proxies(server.url)
        self._proxy = _find_proxy(server, self._proxies)
        self._context = context
        self._open()
        _forks.track(self)

    def _open(self) -> None:
        adapter = _Adapter(self.server, self._pool_size, self._proxy, self._context)
        session = _Session()
        session.trust_env = False
        session.adapters.clear()
        session.mount(f"{self.server.scheme}://", adapter)
        self._session = session

    def send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: object,
        timeout: Callable[[], Timeout],
    ) -> requests.Response:
        """Send one request; return the reply with its body unread.

        A server may close an idle connection while a request is on its way to it. The server is
        not at fault. So this sends a request that only reads again, as Go's ``net/http`` does.
        """
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = self.server.url + path
        prepared.headers = headers  # type: ignore[assignment]
        prepared.body = body  # type: ignore[assignment]
        while True:
            try:
                return self._send(
                    self._session,
                    prepared,
                    stream=True,
                    timeout=timeout(),
                    verify=True,
                    cert=None,
                    proxies=self._proxies,
                    allow_redirects=False,
                )
            except requests.ConnectionError as error:
                # The loop ends: each time the pool has one idle connection fewer, and a new
                # connection is never stale.
                stale = any(isinstance(link, StaleConnectionError) for link in unwrap(error))
                if not stale or method not in READS:
                    raise

    def close(self) -> None:
        """Close the idle connections; a later request opens new ones."""
        # The new session comes first, because other threads may send at the same time.
        old = self._session
        self._open()
        old.close()

    def after_fork(self) -> None:
        """Forget the parent's connections in a child, and do not close them."""
        # Two processes that share a socket would mix their requests.
        self._open()
