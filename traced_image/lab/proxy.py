"""An HTTP proxy on loopback, which tunnels and forwards, with faults of its own."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, final
from urllib.parse import urlsplit

from ..errors import InvalidArgument
from .conversation import Conversation
from .error_responses import Refused
from .http1 import Response, read_head
from .loopback_server import LoopbackServer
from .sockets import hang_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

    from .conversation import ServedRequest
    from .fault import Fault
    from .http1 import ReceivedRequest

_PIECE = 1 << 16
_TIMEOUT = 10.0
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "transfer-encoding"}
)
_MADE_ANEW = _HOP_BY_HOP | {"content-length", "content-type", "date"}
_FAULTS = frozenset(
    {
        "black_hole",
        "cut_body",
        "cut_upload",
        "delay",
        "early_answer",
        "endless_body",
        "endless_headers",
        "haproxy_error",
        "limit_rate",
        "lost_reply",
        "never_answer",
        "never_read",
        "nginx_error",
        "raw_reply",
        "redirect",
        "refuse",
        "reset",
        "slow_body",
        "slow_error",
        "slow_headers",
        "status",
    }
)


class _Forwarder:
    """Answers requests whose target is a URL with what that URL's server answers."""

    def answer(self, request: ReceivedRequest) -> Response:
        """Return the reply of the server, or an error of the proxy."""
        target = urlsplit(request.target)
        if target.scheme != "http" or target.hostname is None:
            return Refused(400, "This proxy forwards http URLs, and tunnels.").response(request)
        path = target._replace(scheme="", netloc="").geturl()
        try:
            return _forward(target.hostname, target.port or 80, replace(request, target=path))
        except (OSError, http.client.HTTPException):
            return Refused(502).response(request)

    def add_request_id(self, request: ReceivedRequest, response: Response) -> Response:  # noqa: ARG002 - as App's
        """Return the reply as it is: a proxy gives no ids."""
        return response


def _forward(host: str, port: int, request: ReceivedRequest) -> Response:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    headers = {name: text for name, text in request.headers.items() if name not in _HOP_BY_HOP}
    with contextlib.closing(connection):
        connection.request(request.method, request.target or "/", request.body or None, headers)
        reply = connection.getresponse()
        kept = [pair for pair in reply.getheaders() if pair[0].lower() not in _MADE_ANEW]
        if request.method == "HEAD":
            kept.append(("Content-Length", reply.getheader("Content-Length", "0")))
        kind = reply.getheader("Content-Type", "")
        return Response(reply.status, reply.read(), kind, tuple(kept))


class _ProxyConversation(Conversation):
    """The requests on one connection to a proxy; a tunnel is the last one."""

    def _read_head(self, stream: BufferedReader) -> ReceivedRequest | None:
        return read_head(stream)  # its URL says where it goes

    def _answer(self, exchange: ServedRequest) -> bool:
        request = exchange.request
        if request.method != "CONNECT" or exchange.met:
            return super()._answer(exchange)
        name, _, port = request.target.rpartition(":")
        try:
            far = socket.create_connection((name.strip("[]"), int(port)), timeout=_TIMEOUT)
        except (OSError, ValueError):
            response = Refused(502).response(request)
            self._record(exchange, request, response)
            self.sock.sendall(response.head(close=True) + response.body)
            return False
        self._record(exchange, request, Response(200))
        self.sock.sendall(_ESTABLISHED)
        _tunnel(self.sock, exchange.stream, far)
        return False


def _tunnel(near: socket.socket, stream: BufferedReader, far: socket.socket) -> None:
    """Copy bytes both ways until both sides have ended."""
    far.settimeout(None)
    back = threading.Thread(target=_copy_back, args=(far, near), daemon=True)
    back.start()
    try:
        while piece := stream.read1(_PIECE):
            far.sendall(piece)
    finally:
        # The far server sees the client's end, and ends its own side, which ends the thread.
        hang_up(far)
        back.join()


def _copy_back(far: socket.socket, near: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := far.recv(_PIECE):
            near.sendall(piece)
    with contextlib.suppress(OSError):
        near.shutdown(socket.SHUT_RDWR)


@final
class Proxy(LoopbackServer):
    """An HTTP proxy in this process, in its own threads.

    It answers ``CONNECT`` with a tunnel, and forwards requests with an absolute URL, whose replies
    it reads whole. A client finds it by the variables ``https_proxy`` and ``http_proxy``. A fault
    affects what the proxy itself answers, so that no server is asked; bytes in a tunnel pass
    unchanged.

    Args:
        host: A loopback address, IPv4 or IPv6.
        port: The port; 0 for a free one, which the server keeps when it is started again.
        name: The name of its threads.
        clock: Returns the time in seconds, for the schedules of faults.

    Attributes:
        host: The address that it listens on.
        name: The name of its threads.
        app: Forwards requests; for this package.
        episode: The current fault; for this package.

    Raises:
        InvalidArgument: `host` is no loopback address, or `port` is no port.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "proxy",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(host=host, port=port, name=name, clock=clock)
        self.app = _Forwarder()

    @property
    def url(self) -> str:
        """The URL, such as ``http://127.0.0.1:40123``."""
        return f"http://{self._authority()}"

    def converse(self, sock: socket.socket, abort: Callable[[], None]) -> None:
        """Serve a connection; for this package."""
        _ProxyConversation(sock, self, abort).run()

    def _check_fault(self, fault: Fault) -> None:
        for leaf in fault.leaves:
            if leaf.name not in _FAULTS:
                known = ", ".join(sorted(_FAULTS))
                raise InvalidArgument(f"A proxy can't have the fault {leaf.name}: use {known}.")
