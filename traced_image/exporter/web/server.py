"""The exporter's HTTP server: in a thread of a service, or as a program."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, cast, final

import uvicorn
from starlette.responses import PlainTextResponse

from ... import _forks
from ...errors import ExporterError
from ...redact import hide_in_text
from .acceptor import Acceptor
from .auth import guard
from .client_connection import LIMITS, ClientConnection, ClientLimits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from .config_file import WebConfigFile


LOG = logging.getLogger(__name__)

_MOST_PORT = 65535
_POLL_SECONDS = 0.02

_BACKLOG = 1024
"""The length of the accept queue; Linux drops a further SYN, and the client retries after 1 s."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address; clients can connect from now on, and wait until they are served.

    Raises:
        ExporterError: The exporter can't listen on the address.
    """
    place = f"{host}:{port}"
    if not 0 <= port <= _MOST_PORT:
        raise ExporterError(f"can't listen on {place}: use a port of 0 to {_MOST_PORT}")
    sock = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        # Without it, a restart fails while old connections are in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except (OSError, ValueError) as error:  # ValueError: an invalid name
        if sock is not None:
            sock.close()
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ExporterError(
            f"can't listen on {place}: {reason}; use another port, or an address of this machine"
        ) from error
    return sock


def _limit_requests(inner: ASGIApp, limits: ClientLimits) -> ASGIApp:
    """Wrap an application so that it gets only GET and HEAD requests of limited length."""

    def answer(scope: Scope) -> ASGIApp:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("only GET and HEAD\n", 405, {"Allow": "GET, HEAD"})
        line = len(scope["raw_path"]) + len(scope["query_string"])
        if line > limits.line_bytes:
            return PlainTextResponse("the address is too long\n", 414)
        if line + sum(len(name) + len(value) for name, value in scope["headers"]) > (
            limits.header_bytes
        ):
            return PlainTextResponse("the headers are too long\n", 431)
        return inner

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope)(scope, receive, send)

    return application


class ExporterServer(uvicorn.Server):
    """A server of one application on one socket.

    After a fork only the parent serves; the child closes its copies of the sockets.

    Args:
        app: An ASGI application.
        sock: The socket that `listen` returned; the server closes it at its end.
        web: The web configuration file; None for no TLS, users or headers.
        limits: The limits of time and size for clients.

    Attributes:
        host: The address that it listens on.
        port: The port that it listens on.
    """

    def __init__(
        self,
        app: ASGIApp,
        sock: socket.socket,
        web: WebConfigFile | None = None,
        *,
        limits: ClientLimits = LIMITS,
    ) -> None:
        self.sock = sock
        self.host, self.port = sock.getsockname()[:2]
        self.web = web
        self._limits = limits
        self._connections: dict[ClientConnection, None] = {}
        self._acceptor = Acceptor(sock, self._connections, limits)
        self._up: Future[None] = Future()
        self._connection = partial(
            ClientConnection,
            others=self._connections,
            left=self._acceptor.resume,
            limits=limits,
            web=web,
        )
        super().__init__(
            uvicorn.Config(
                _limit_requests(app if web is None else guard(app, web), limits),
                http=cast("type[asyncio.Protocol]", self._connection),
                h11_max_incomplete_event_size=limits.header_bytes,
                # uvicorn's other features are off. Some of them change the whole process: uvicorn
                # reads environment variables, and may switch off other servers' access logs.
                access_log=True,
                interface="asgi3",
                lifespan="off",
                log_config=None,
                loop="asyncio",
                proxy_headers=False,
                server_header=False,
                workers=1,
                ws="none",
            )
        )
        _forks.track(self)
        self._warn()

    def _warn(self) -> None:
        config = self.web.in_force.config if self.web is not None else None
        if config is not None and (config.tls is not None or config.users):
            return
        if not ipaddress.ip_address(self.host.partition("%")[0]).is_loopback:
            LOG.warning(
                "The exporter on %s:%s answers every client that can reach it; protect it by a web "
                "configuration file with TLS or users.",
                self.host,
                self.port,
            )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit` is set; in the main thread also until SIGINT or SIGTERM."""
        super().run(sockets or [self.sock])

    def run_in_thread(self) -> ExporterHandle:
        """Serve in a thread until the handle's `stop`; return when the server is up.

        Raises:
            ExporterError: The server could not start.
        """
        thread = threading.Thread(target=self._run, name="traced-image-exporter", daemon=True)
        try:
            thread.start()
            self._up.result()
        except Exception as error:
            self.sock.close()
            raise ExporterError(f"the exporter can't start: {hide_in_text(str(error))}") from error
        return ExporterHandle(self, thread)

    def _run(self) -> None:
        try:
            self.run()
        except BaseException as error:
            if self._up.done():
                raise
            self._up.set_exception(error)
        finally:
            self.sock.close()

    async def startup(
        self,
        sockets: list[socket.socket] | None = None,  # noqa: ARG002 uvicorn's signature
    ) -> None:
        """Start to serve, and report it to `run_in_thread`."""
        # uvicorn starts with no socket: asyncio accepts as many clients as there are, and knows no
        # way to keep some waiting.
        await super().startup([])
        connect = partial(
            self._connection,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self._acceptor.start(connect)
        self._up.set_result(None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait a moment for answers under way, then close all connections.

        A task that still builds an answer is cancelled with the event loop.
        """
        await self._acceptor.stop()
        for connection in list(self._connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.stop_seconds
        while self._connections and loop.time() < end:  # noqa: ASYNC110 no event reports that all have ended
            await asyncio.sleep(_POLL_SECONDS)
        for connection in list(self._connections):
            connection.abort()
        for sock in sockets or ():
            sock.close()

    def after_fork(self) -> None:
        """Close all sockets in a forked child.

        While the child holds them, a close in the parent does not end the connection for the peer.
        """
        opened = (each.raw.get_extra_info("socket") for each in self._connections)
        there = [self.sock, *self._acceptor.coming, *opened]
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            for number in (sock.fileno() for sock in there):
                if number >= 0:
                    # The number is reused for /dev/null, and not closed: the parent's objects still
                    # exist in the child, and would later close whatever file has that number.
                    os.dup2(nothing.fileno(), number, inheritable=False)
        self._connections.clear()


@final
class ExporterHandle:
    """An exporter that runs in a thread of this process.

    A forked child has no such thread. There, `stop` returns immediately and does not affect the
    parent.

    Attributes:
        host: The address that it listens on.
        port: The port that it listens on; if 0 was given, the free port that it got.
    """

    def __init__(self, server: ExporterServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
        self.host, self.port = server.host, server.port

    @property
    def url(self) -> str:
        """The page's URL; with a loopback address if the exporter listens on all addresses."""
        web = self._server.web
        scheme = "http" if web is None or web.in_force.context is None else "https"
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{self.port}/"

    def stop(self) -> None:
        """Finish the answers under way, for a moment, and stop; a second call does nothing.

        It returns within a second, unless a password check is under way: it waits for that.
        """
        self._server.should_exit = True
        # A thread can't join itself; it may be the exporter's own if a route calls this.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> ExporterHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
