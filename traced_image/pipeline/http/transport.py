"""The open connections to each server, for all threads."""

from __future__ import annotations

import os
import ssl
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from ... import _forks
from ...errors import InvalidTLS
from .connect import Route, find_proxy
from .connection import StaleConnectionError
from .exchange import READS, HTTPExchange, HTTPReply

if TYPE_CHECKING:
    from ...config import Config, Server
    from ..attempts.seams import Exchange, SendPrepared, U
    from .connection import OpenConnection
    from .time_limits import TimeLimits


def make_transports(config: Config, send: SendPrepared) -> dict[Server, Transport]:
    """Build a transport for each server of a configuration.

    Raises:
        ConfigError: A proxy or CA bundle that the environment names can't be used.
    """
    routes = [Route(server, None, find_proxy(server)) for server in config.servers]
    context: ssl.SSLContext | None = None
    if any(each.server.scheme == "https" or (each.proxy and each.proxy.secure) for each in routes):
        context = make_tls_context(config)
    return {
        each.server: Transport(Route(each.server, context, each.proxy), config.pool_size, send)
        for each in routes
    }


def make_tls_context(config: Config) -> ssl.SSLContext:
    """Build the TLS context for all servers of a configuration.

    Raises:
        InvalidTLS: A file that the configuration or the environment names can't be used.
    """
    # Once for all servers, because to load the CA certificates takes tens of milliseconds.
    context = create_urllib3_context()
    # As urllib3 2 does; 1.26 leaves both to Python and OpenSSL.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
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


def send_prepared(exchange: Exchange[U], prepared: requests.PreparedRequest, /) -> U:
    """Send a prepared request over an exchange."""
    return exchange.send(prepared)


class Transport:
    """The connections to one server.

    Args:
        route: The way to the server.
        pool_size: How many idle connections are kept.
        send: Sends a prepared request over an exchange.

    Attributes:
        has_proxy: Whether a proxy is in front of the server.
    """

    def __init__(self, route: Route, pool_size: int, send: SendPrepared) -> None:
        self._route = route
        self._pool_size = pool_size
        self._send = send
        # The newest first: the others then become idle for long, and are closed at their next use.
        self._idle: deque[OpenConnection] = deque()
        self._closed = False
        self.has_proxy = route.proxy is not None
        server, proxy = route.server, route.proxy
        self._origin, self._head = f"{server.scheme}://{server.netloc}", _write_host(server)
        if proxy is not None and server.scheme == "http":
            # A proxy that does not open a tunnel needs the whole URL (RFC 9112, 3.2.2).
            self._origin = ""
            self._head += "".join(f"\r\n{name}: {text}" for name, text in proxy.headers.items())
        _forks.track(self)

    def send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: object,
        limits: TimeLimits,
    ) -> HTTPReply:
        """Send one request; return the reply with its body unread.

        A server may close an idle connection while a request is on its way to it. The server is
        not at fault. So this sends a request that only reads again, as Go's ``net/http`` does.
        """
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = self._route.server.url + path
        prepared.headers = headers  # type: ignore[assignment]
        prepared.body = body  # type: ignore[assignment]
        while True:
            exchange = HTTPExchange(self._take, self._give_back, limits, self._origin, self._head)
            try:
                return self._send(exchange, prepared)
            except StaleConnectionError:
                # The loop ends: each time there is one idle connection fewer, and a new
                # connection is never stale.
                if method not in READS:
                    raise

    def _take(self, writing: bool, limits: TimeLimits) -> OpenConnection:  # noqa: FBT001 a `Connect`
        """Return an idle connection that can be used, or a new one."""
        while (connection := self._pop()) is not None:
            if connection.is_usable(writing=writing):
                return connection
            connection.close()
        return self._route.open(limits)

    def _pop(self) -> OpenConnection | None:
        """Remove the newest idle connection and return it; None if there is none."""
        try:
            return self._idle.pop()
        except IndexError:  # not by a look before, because another thread may be faster
            return None

    def _give_back(self, connection: OpenConnection) -> None:
        if len(self._idle) >= self._pool_size:
            connection.close()
        else:
            self._idle.append(connection)
        if self._closed:  # maybe only since a moment ago
            self.close()

    def close(self) -> None:
        """Close the idle connections, and the others as soon as their replies are complete."""
        self._closed = True
        while (connection := self._pop()) is not None:
            connection.close()

    def after_fork(self) -> None:
        """Forget the parent's connections in a child, and do not close them."""
        # Two processes that share a socket would mix their requests.
        idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.abandon()


def _write_host(server: Server) -> str:
    """Write the ``Host`` header, which omits the scheme's default port (RFC 9110, 7.2)."""
    default = server.port == (443 if server.scheme == "https" else 80)
    return f"Host: {server.netloc.rpartition(':')[0] if default else server.netloc}"
