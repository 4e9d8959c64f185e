"""One accepted connection and its thread, from the TLS handshake to the close."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Protocol

from .conversation import Conversation, Desk, hang_up, reset_on_close

if TYPE_CHECKING:
    import ssl

    from .faults import Fault

_NOT_TLS = b"This is not TLS.\r\n"


class Host(Desk, Protocol):
    """What a connection needs of the server that accepted it."""

    def context(self, fault: Fault | None) -> ssl.SSLContext | None:
        """The TLS to speak, if any."""

    def ended(self, connection: Connection) -> None:
        """The connection is closed, and its thread about to end."""


class Connection:
    """A connection and its thread.

    Args:
        sock: The accepted socket, which is closed at the end.
        host: The server.
        name: The thread's name.
    """

    def __init__(self, sock: socket.socket, host: Host, name: str) -> None:
        self._sock = sock
        self._host = host
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def abort(self) -> None:
        """End the connection, from any thread."""
        with self._lock, contextlib.suppress(OSError):
            # Not SSLSocket's own shutdown: it takes the TLS object from under the reader.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            # The client has gone, or the server was stopped: there is nobody to tell.
            with contextlib.suppress(OSError):
                self._serve()
        finally:
            with self._lock:
                hang_up(self._sock)
            self._host.ended(self)

    def _serve(self) -> None:
        fault = self._host.episode.on_connection()
        if fault is not None and fault.name == "reset":
            reset_on_close(self._sock)
        elif fault is not None and fault.name == "broken_tls":
            self._sock.sendall(_NOT_TLS)
        else:
            context = self._host.context(fault)
            sock = self._sock if context is None else self._secured(context)
            Conversation(sock, self._host, self.abort).run()

    def _secured(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        with self._lock:
            # Wrapping takes the descriptor over, so that an abort must come before or after.
            sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._sock = sock
        sock.do_handshake()
        return sock
