"""An accepted connection and its thread, from the TLS handshake to the close."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
from typing import TYPE_CHECKING, Protocol

from .error_responses import Refused
from .http1 import ReceivedRequest
from .sockets import hang_up, reset_on_close, stop_reading

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from .active_fault import ActiveFault
    from .fault import Fault


_NOT_TLS = b"This is not TLS.\r\n"
_HANDSHAKE = 1 << 16  # more bytes than a client sends first


_PLAIN_HTTP = Refused(400, "The plain HTTP request was sent to HTTPS port")


class ConnectionOwner(Protocol):
    """The parts of the accepting server that a connection needs."""

    episode: ActiveFault

    def context(self, fault: Fault | None) -> ssl.SSLContext | None:
        """Return the TLS context; None for plain HTTP."""

    def converse(self, sock: socket.socket, abort: Callable[[], None]) -> None:
        """Serve a connection after its TLS handshake."""

    def forget(self, connection: AcceptedConnection) -> None:
        """Forget a connection that is closed; its thread is about to end."""


class AcceptedConnection:
    """An accepted connection and its thread.

    Args:
        sock: The accepted socket; the connection closes it at its end.
        owner: The server that accepted it.
        name: The thread's name.
    """

    def __init__(self, sock: socket.socket, owner: ConnectionOwner, name: str) -> None:
        self._sock = sock
        self._owner = owner
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def abort(self) -> None:
        """End the connection; safe in any thread."""
        with self._lock, contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: it sets the TLS object to None while another thread reads.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            # The client closed the connection, or the server was stopped: no reply is possible.
            with contextlib.suppress(OSError):
                self._serve()
        finally:
            with self._lock:
                hang_up(self._sock)
            self._owner.forget(self)

    def _serve(self) -> None:
        episode = self._owner.episode
        fault = episode.on_connection()
        name = None if fault is None else fault.name
        if name == "reset":
            reset_on_close(self._sock)
        elif name == "broken_tls":
            self._sock.sendall(_NOT_TLS)
        elif name == "plain_http":
            self._answer_in_plain_http()
        elif name == "silent_tls":
            self._never_read(episode)
        else:
            context = self._owner.context(fault)
            sock = self._sock if context is None else self._secured(context)
            if name == "never_read":
                self._never_read(episode)
            else:
                self._owner.converse(sock, self.abort)

    def _answer_in_plain_http(self) -> None:
        # What the client has sent is read first: a close with unread data would send RST, and
        # the client would lose the reply.
        self._sock.recv(_HANDSHAKE)
        response = _PLAIN_HTTP.response(ReceivedRequest("GET", "/", {"accept": "text/html"}))
        self._sock.sendall(response.head(close=True) + response.body)

    def _never_read(self, episode: ActiveFault) -> None:
        stop_reading(self._sock)
        episode.wait(math.inf)

    def _secured(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        with self._lock:
            # Wrapping moves the file descriptor to a new object. The lock keeps `abort` from using
            # the old object meanwhile.
            sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._sock = sock
        # Outside the lock, so that `abort` can end a handshake that hangs.
        sock.do_handshake()
        return sock
