"""Serves the exporter's WSGI application in threads, by prometheus_client's server (no extra).

It keeps to the sockets, threads and locks that were there when this module was imported. If
eventlet or gevent replace those of the standard library later, the server's threads stay threads of
the system: no loop of green threads would run what they wait for.
"""

from __future__ import annotations

import _socket
import contextlib
import io
import logging
import socket
import sys
import threading
import time
from _thread import start_new_thread
from http.client import HTTPException
from queue import Empty, SimpleQueue
from socket import socket as Socket  # noqa: N812 a class
from time import sleep
from typing import IO, TYPE_CHECKING, Any, cast
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client.exposition import ThreadingWSGIServer

from ... import _forks
from ...redact import hide_in_record
from .client_limits import LIMITS
from .handle import ExporterHandle
from .listening import close_in_child, warn_if_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from wsgiref.types import WSGIApplication

    from .client_limits import ClientLimits

LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

_POLL_SECONDS = 0.01
_ACCEPT_SECONDS = 0.5
"""Seconds for which the server waits for a client, before it looks for slow ones."""


class ThreadedServer(ThreadingWSGIServer):
    """A server of one WSGI application on one socket, with a thread for each connection.

    Each connection has one request (HTTP/1.0). After a fork only the parent serves; the child
    closes its copies of the sockets.

    Args:
        app: A WSGI application.
        sock: The socket that `listen` returned; the server closes it at its end.
        limits: The limits of time and size for clients.

    Attributes:
        host: The address that it listens on.
        port: The port that it listens on.
        scheme: The scheme of its URL.
    """

    scheme = "http"

    def __init__(
        self, app: WSGIApplication, sock: socket.socket, *, limits: ClientLimits = LIMITS
    ) -> None:
        # Not bound: its own way to bind would ask the DNS for the machine's name.
        super().__init__(("", 0), _RequestHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock
        sock.settimeout(_ACCEPT_SECONDS)
        self.app = app
        self.limits = limits
        self.host: str
        self.port: int
        self.host, self.port = sock.getsockname()[:2]
        self.server_name, self.server_port = self.host, self.port
        self.setup_environ()
        self._stopping = False
        self._places = _Places(limits.connections)
        self._open: dict[socket.socket, None] = {}
        self._reading: dict[socket.socket, float] = {}
        _forks.track(self)

    def run_in_thread(self) -> ExporterHandle:
        """Serve in a thread until the handle's `stop`."""
        warn_if_open(self.host, self.port)
        thread = threading.Thread(target=self.run, name="traced-image-exporter", daemon=True)
        thread.start()
        return ExporterHandle(self, thread)

    def run(self) -> None:
        """Serve in this thread until `request_stop`."""
        try:
            while not self._stopping:
                self._serve_client()
                self.service_actions()
        finally:
            self.server_close()
            end = time.monotonic() + self.limits.stop_seconds
            while self._open and time.monotonic() < end:
                sleep(_POLL_SECONDS)
            for client in list(self._open):
                _end(client)

    def _serve_client(self) -> None:
        try:
            client, address = self.get_request()
        except OSError:
            return
        try:
            self.process_request(client, address)
        except Exception:  # noqa: BLE001 it serves the next client
            self.handle_error(client, address)
            self.shutdown_request(client)

    def request_stop(self) -> None:
        """Have the server stop soon."""
        self._stopping = True
        _end(self.socket)  # wakes the thread that waits for clients

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a client as soon as there is room; a slow one makes room after a moment."""
        if not self._places.take(self.limits.patience_seconds):
            for slow in list(self._reading)[:1]:
                _end(slow)
            raise TimeoutError("as many clients are connected as are allowed")
        try:
            client, address = _accept(self.socket)
        except OSError as error:
            self._places.leave()
            if not isinstance(error, TimeoutError):
                sleep(_POLL_SECONDS)  # it may fail again at once, such as without free descriptors
            raise
        self._open[client] = None
        self._reading[client] = time.monotonic()
        return client, address

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 socketserver's
        """Serve a client in a thread of its own."""
        start_new_thread(run_traced, (self.process_request_thread, request, client_address))

    def has_read(self, client: socket.socket) -> None:
        """Note that a client's request has arrived."""
        self._reading.pop(client, None)

    def service_actions(self) -> None:
        """End connections whose requests take too long to arrive."""
        oldest = time.monotonic() - self.limits.request_seconds
        for client, since in list(self._reading.items()):
            if since < oldest:
                _end(client)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 socketserver's type
        """Close a connection, which makes room for the next one."""
        self._reading.pop(request, None)
        super().shutdown_request(request)
        self._open.pop(request, None)
        self._places.leave()

    def handle_error(
        self,
        request: Any,  # noqa: ANN401, ARG002 socketserver's
        client_address: Any,  # noqa: ANN401, ARG002 socketserver's
    ) -> None:
        """Log a failure, unless it is only that the client has gone."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            LOG.error("The exporter could not serve a client.", exc_info=error)

    def after_fork(self) -> None:
        """Close all sockets in a forked child; a green thread that was copied ends there."""
        self._stopping = True
        close_in_child([self.socket, *self._open])
        self._open.clear()
        self._reading.clear()


class _Places:
    """How many further clients may connect.

    Args:
        count: How many at first.
    """

    def __init__(self, count: int) -> None:
        # A semaphore would be made of the locks that are there now.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self.leave()

    def take(self, seconds: float) -> bool:
        """Take a place; return False if none is free for so long."""
        try:
            self._free.get(timeout=seconds)
        except Empty:
            return False
        return True

    def leave(self) -> None:
        """Leave a place."""
        self._free.put(None)

    def count(self) -> int:
        """Return how many places are free."""
        return self._free.qsize()


def _accept(listening: Any) -> tuple[Any, Any]:  # noqa: ANN401 a socket of any library
    if not isinstance(listening, _socket.socket):
        accepted: tuple[Any, Any] = listening.accept()
        return accepted
    # Its `accept` would make a socket of the class that is there now.
    number, address = listening._accept()  # type: ignore[attr-defined]  # noqa: SLF001
    return Socket(fileno=number), address


def run_traced(serve: Callable[..., None], *arguments: object) -> None:
    """Run a thread's function so that debuggers see it, as `threading.Thread` does."""
    trace = threading.gettrace()
    if trace is not None:
        sys.settrace(trace)
    serve(*arguments)


def _end(sock: socket.socket) -> None:
    """End a connection; the thread that reads from it goes on, and closes it."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class _AnswerHandler(SimpleHandler):
    """One answer of the application."""

    result: Iterable[bytes] | None

    def log_exception(
        self,
        exc_info: tuple[type[BaseException], BaseException, TracebackType]
        | tuple[None, None, None],
    ) -> None:
        """Log what the application raised; other failures are the client's."""
        if self.result is None:
            LOG.error("The exporter could not build an answer.", exc_info=exc_info)


class _Lines:
    """The lines of a request's headers, up to a number of bytes."""

    def __init__(self, file: io.BufferedIOBase, size: int) -> None:
        self._file = file
        self._left = size

    def readline(self, _: int = -1) -> bytes:
        line = self._file.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise HTTPException("the headers are too long")
        return line


class _RequestHandler(WSGIRequestHandler):
    """One client's connection."""

    server: ThreadedServer
    # Else a request without a version is one of HTTP/0.9, whose answer has no status.
    default_request_version = "HTTP/1.0"

    def handle(self) -> None:
        """Answer one request; the client may be silent, or take the answer, only for so long."""
        limits = self.server.limits
        self.connection.settimeout(limits.request_seconds)
        self.raw_requestline = self.rfile.readline(limits.line_bytes + 1)
        if len(self.raw_requestline) > limits.line_bytes:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
            return
        if self._read_headers(limits.header_bytes):
            self.server.has_read(self.connection)
            self.connection.settimeout(limits.answer_seconds)
            # typeshed has no type that both a connection's files and a handler's have.
            out = cast("IO[bytes]", self.wfile)
            answer = _AnswerHandler(io.BytesIO(), out, sys.stderr, self.get_environ())
            answer.run(self.server.app)

    def _read_headers(self, size: int) -> bool:
        file = self.rfile
        self.rfile = _Lines(file, size)  # type: ignore[assignment]
        try:
            return self.parse_request()
        finally:
            self.rfile = file

    def log_message(self, *_: object) -> None:
        """Log no requests."""
