"""Opens connections to a server, directly or through its proxy, within one limit in time."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, cast
from urllib.parse import SplitResult, unquote, urlsplit

from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3.util import make_headers

from ..._signals import is_from_signal_handler
from ...errors import InvalidOption
from ...reasons import MalformedReplyError, NotConnectedError, ProxyRefusedError
from .connection import HEAD_SIZE, WOULD_WAIT, OpenConnection, make_poll
from .nested_tls import NestedTLS
from .reply_parser import LARGEST_HEAD, parse_head
from .time_limits import find_time_left

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...config import Server
    from .time_limits import TimeLimits


_PORTS = {"http": 80, "https": 443}
_CONNECTED = range(200, 300)


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """The proxy in front of a server.

    Attributes:
        host: Its name or address.
        port: Its port.
        secure: Whether the connection to it uses TLS.
        headers: The headers for it: its credentials, if its URL has any.
    """

    host: str
    port: int
    secure: bool
    headers: Mapping[str, str]


def find_proxy(server: Server) -> ProxyAddress | None:
    """Find the proxy that the environment names for a server; return None for none.

    Raises:
        InvalidOption: The value is not the URL of an HTTP proxy.
    """
    found = select_proxy(server.url, dict(get_environ_proxies(server.url)))
    if not found:
        return None
    try:
        text: str = prepend_scheme_if_needed(found, "http")  # type: ignore[no-untyped-call]
        parts = urlsplit(text)
        if parts.scheme in _PORTS and parts.hostname:
            port = parts.port or _PORTS[parts.scheme]
            return ProxyAddress(parts.hostname, port, parts.scheme == "https", _make_headers(parts))
    except ValueError:  # urllib3's LocationParseError is a subclass
        pass
    problem = f"the one for {server.netloc} is not an http or https URL (not shown here)"
    fix = "set http_proxy, https_proxy or all_proxy to one, or name the server in no_proxy"
    raise InvalidOption("proxy", problem, source="environment", fix=fix)


def _make_headers(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": make_headers(proxy_basic_auth=pair)["proxy-authorization"]}


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a server.

    Attributes:
        server: The server.
        context: The TLS context; None for a server and a proxy without TLS.
        proxy: The proxy in front of the server; None for none.
    """

    server: Server
    context: ssl.SSLContext | None
    proxy: ProxyAddress | None

    def open(self, limits: TimeLimits) -> OpenConnection:
        """Open a connection.

        Raises:
            NotConnectedError: No connection was opened, so that no request was sent.
        """
        until = min(limits.until, monotonic() + limits.connect)
        proxy, server = self.proxy, self.server
        try:
            if proxy is None:
                sock, peer = _connect(server.host, server.port, until)
            else:
                sock, peer = self._reach_proxy(proxy, until)
        except (OSError, UnicodeError) as error:
            raise NotConnectedError(*error.args) from error
        try:
            return self._secure(sock, peer, until)
        except (OSError, ValueError, MalformedReplyError) as error:
            sock.close()
            if isinstance(error, NotConnectedError):
                raise
            raise NotConnectedError(*error.args) from error
        except BaseException:
            sock.close()
            raise

    def _reach_proxy(
        self, proxy: ProxyAddress, until: float
    ) -> tuple[socket.socket, tuple[str, int]]:
        try:
            sock, peer = _connect(proxy.host, proxy.port, until)
        except (OSError, UnicodeError) as error:
            raise ProxyRefusedError("no connection to it") from error
        if not proxy.secure:
            return sock, peer
        try:
            return self._wrap(sock, proxy.host, until), peer
        except OSError as error:
            sock.close()
            raise ProxyRefusedError("TLS with it failed") from error

    def _secure(self, sock: socket.socket, peer: tuple[str, int], until: float) -> OpenConnection:
        """Set up the tunnel and TLS, if the server needs them."""
        server, proxy = self.server, self.proxy
        if server.scheme != "https":
            return OpenConnection(sock, peer)
        if proxy is None:
            return OpenConnection(self._wrap(sock, server.host, until), peer)
        _open_tunnel(sock, server, proxy, until)
        if not proxy.secure:
            return OpenConnection(self._wrap(sock, server.host, until), peer)
        assert self.context is not None  # noqa: S101 the server has TLS
        sock.settimeout(find_time_left(until))
        # It has all methods of a socket that a connection uses.
        inner = cast("socket.socket", NestedTLS(sock, self.context, _strip(server.host)))
        return OpenConnection(inner, peer, nested=True)

    def _wrap(self, sock: socket.socket, host: str, until: float) -> ssl.SSLSocket:
        assert self.context is not None  # noqa: S101 the caller needs TLS
        sock.settimeout(0)
        secured = self.context.wrap_socket(
            sock,
            server_hostname=_strip(host),
            do_handshake_on_connect=False,
            # `OpenConnection` tells an end that TLS announces from one that may cut a reply short.
            suppress_ragged_eofs=False,
        )
        try:
            _shake_hands(secured, until)
        except BaseException:
            secured.close()
            raise
        return secured


def _shake_hands(sock: ssl.SSLSocket, until: float) -> None:
    """Complete the TLS handshake, which may come byte by byte."""
    # Not by a timeout of the socket: see `OpenConnection`.
    poll = make_poll(sock)
    while True:
        try:
            sock.do_handshake()
        except WOULD_WAIT as error:
            writing = isinstance(error, ssl.SSLWantWriteError)
            if not poll(find_time_left(until), writing=writing):
                raise TimeoutError("no TLS in time") from None
        else:
            return


def _strip(host: str) -> str:
    """Return a name as TLS wants it: without a final dot (RFC 6066, 3) and an IPv6 zone."""
    return host.partition("%")[0].rstrip(".")


def _connect(host: str, port: int, until: float) -> tuple[socket.socket, tuple[str, int]]:
    """Connect to the first address of a name that accepts; raise the first failure if none does.

    The address and port come with the socket: asking it for them fails if the other end has reset
    the connection already, and then nobody could tell a proxy's failure from its server's.

    Each address gets an equal share of the time that is left, so that a silent one leaves time
    for the others. A resolver can't be interrupted; its time counts all the same.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for rest in range(len(found), 0, -1):
        family, kind, protocol, _, address = found[-rest]
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # such as an IPv6 address on a machine without IPv6
            failure = failure or error
            continue
        try:
            sock.settimeout(find_time_left(until) / rest)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException as error:
            sock.close()
            if not isinstance(error, OSError) or is_from_signal_handler(error):
                raise
            failure = failure or error
        else:
            return sock, (str(address[0]), port)
    raise failure or socket.gaierror(socket.EAI_NONAME, "the name has no address")


def _open_tunnel(sock: socket.socket, server: Server, proxy: ProxyAddress, until: float) -> None:
    """Ask a proxy for a tunnel to a server, by ``CONNECT`` (RFC 9110, 9.3.6)."""
    lines = [f"CONNECT {server.netloc} HTTP/1.1", f"Host: {server.netloc}"]
    lines += [f"{name}: {value}" for name, value in proxy.headers.items()]
    try:
        sock.settimeout(find_time_left(until))
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        status = _read_status(sock, until)
    except (OSError, MalformedReplyError) as error:
        raise ProxyRefusedError("it did not answer CONNECT") from error
    if status not in _CONNECTED:
        raise ProxyRefusedError(f"it answered CONNECT with HTTP {status}")


def _read_status(sock: socket.socket, until: float) -> int:
    data = b""
    while b"\r\n\r\n" not in data:
        sock.settimeout(find_time_left(until))
        piece = sock.recv(HEAD_SIZE)
        data += piece
        if not piece or len(data) > LARGEST_HEAD:
            raise MalformedReplyError("its answer is cut short or too long")
    head, _, rest = data.partition(b"\r\n\r\n")
    status = parse_head(head + b"\r\n").status
    if rest and status in _CONNECTED:
        # A server with TLS says nothing before its client does.
        raise MalformedReplyError("it sent bytes after its answer")
    return status
