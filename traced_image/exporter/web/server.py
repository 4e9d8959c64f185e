"""The exporter's HTTP server: in a thread of a service, or for a program of its own."""

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
from .auth import guard
from .client_connection import LIMITS, ClientConnection, ClientLimits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from .config_file import WebConfigFile


LOG = logging.getLogger(__name__)

_MOST_PORT = 65535
_POLL_SECONDS = 0.02

_BACKLOG = 1024
"""Clients that may come at once; the system has a further one wait for a second."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address; what comes from then on waits to be served.

    Raises:
        ExporterError: The address can't be used.
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
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except (OSError, ValueError) as error:  # a name that is none is a ValueError
        if sock is not None:
            sock.close()
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ExporterError(
            f"can't listen on {place}: {reason}; use another port, or an address of this machine"
        ) from error
    return sock


def _limit_requests(inner: ASGIApp, limits: ClientLimits) -> ASGIApp:
    """Answer nothing but GET and HEAD, and nothing that is too long."""

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

    After a fork it serves in the parent alone; the child lets go of the sockets.

    Args:
        app: An ASGI application.
        sock: What `listen` returned; it is closed in the end.
        web: TLS, users, headers; None for none of these.
        limits: How much a client may take.

    Attributes:
        host: Where it listens.
        port: Where it listens.
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
        self._up: Future[None] = Future()
        connection = partial(ClientConnection, others=self._connections, limits=limits, web=web)
        super().__init__(
            uvicorn.Config(
                _limit_requests(app if web is None else guard(app, web), limits),
                http=cast("type[asyncio.Protocol]", connection),
                h11_max_incomplete_event_size=limits.header_bytes,
                backlog=limits.connections,
                # All else is switched off. Some of it would change the whole process: its
                # environment is read, and the access log of other servers may be closed.
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
                "The exporter on %s:%s answers everybody who reaches it; a web configuration file "
                "with TLS or users protects it.",
                self.host,
                self.port,
            )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit` is set, or in the main thread until SIGINT or SIGTERM."""
        super().run(sockets or [self.sock])

    def run_in_thread(self) -> ExporterHandle:
        """Serve in a thread, from now until the handle is stopped.

        Raises:
            ExporterError: It could not begin.
        """
        thread = threading.Thread(target=self._run, name="traced-image-exporter", daemon=True)
        try:
            thread.start()
            self._up.result()
        except Exception as error:
            self.sock.close()
            raise ExporterError(
                f"the exporter can't be served: {hide_in_text(str(error))}"
            ) from error
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say so."""
        await super().startup(sockets)
        self.sock.listen(_BACKLOG)  # uvicorn's is how many are accepted in one turn of the loop
        self._up.set_result(None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers be finished that are under way, for a little while; then end all.

        What then still makes an answer is cancelled with the loop.
        """
        for server in self.servers:
            server.close()
        for connection in list(self._connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.stop_seconds
        while self._connections and loop.time() < end:  # noqa: ASYNC110 no event says it all
            await asyncio.sleep(_POLL_SECONDS)
        for connection in list(self._connections):
            connection.abort()
        for sock in sockets or ():
            sock.close()

    def after_fork(self) -> None:
        """Let go of all sockets in a child: else whoever is at the other end waits for it too."""
        there = [self.sock, *(each.raw.get_extra_info("socket") for each in self._connections)]
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            for number in (sock.fileno() for sock in there):
                if number >= 0:
                    # In its place is nothing, since objects of the parent close that number yet.
                    os.dup2(nothing.fileno(), number, inheritable=False)
        self._connections.clear()


@final
class ExporterHandle:
    """An exporter that runs in a thread of this process.

    In the child of a fork there is no such thread: `stop` returns at once there, and stops
    nothing in the parent.

    Attributes:
        host: Where it listens.
        port: Where it listens; the one that was found where 0 was asked for.
    """

    def __init__(self, server: ExporterServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
        self.host, self.port = server.host, server.port

    @property
    def url(self) -> str:
        """The page's address; on this machine, if it listens on all."""
        web = self._server.web
        scheme = "http" if web is None or web.in_force.context is None else "https"
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{self.port}/"

    def stop(self) -> None:
        """Finish what is being answered, for a moment, and stop; to stop twice does no harm.

        It returns within a second, but waits for the check of a password that is under way.
        """
        self._server.should_exit = True
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> ExporterHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
