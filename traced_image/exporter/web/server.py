"""The exporter's HTTP server: in a thread of a service, or as a program."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, cast

import uvicorn
from starlette.responses import PlainTextResponse

from ... import _forks
from ...errors import ExporterError
from ...redact import hide_in_text
from .acceptor import Acceptor
from .auth import guard
from .client_connection import ClientConnection
from .client_limits import LIMITS
from .handle import ExporterHandle
from .listening import close_in_child, warn_if_open

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp, Receive, Scope, Send

    from .client_limits import ClientLimits
    from .config_file import WebConfigFile


_POLL_SECONDS = 0.02


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
        config = None if web is None else web.in_force.config
        if config is None or (config.tls is None and not config.users):
            warn_if_open(self.host, self.port)

    @property
    def scheme(self) -> str:
        """The scheme of its URL."""
        return "http" if self.web is None or self.web.in_force.context is None else "https"

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

    def request_stop(self) -> None:
        """Have the server stop soon."""
        self.should_exit = True

    def after_fork(self) -> None:
        """Close all sockets in a forked child.

        While the child holds them, a close in the parent does not end the connection for the peer.
        """
        opened = (each.raw.get_extra_info("socket") for each in self._connections)
        close_in_child([self.sock, *self._acceptor.coming, *opened])
        self._connections.clear()
