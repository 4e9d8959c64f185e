"""An accepted connection and its thread, from the TLS handshake to the close."""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import threading
from typing import TYPE_CHECKING, Protocol

from ..redact import hide_in_record
from .access_log import make_connection_access
from .error_responses import Refused
from .http1 import ReceivedRequest
from .sockets import describe_peer, hang_up, reset_on_close, shut_down, stop_reading

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from .access_log import Access
    from .active_fault import ActiveFault
    from .met_faults import MetFaults

LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)

_NOT_TLS = b"This is not TLS.\r\n"
_HANDSHAKE = 1 << 16  # more bytes than a client sends first

_PLAIN_HTTP = Refused(400, "The plain HTTP request was sent to HTTPS port")
_BAD_REQUEST = 400


class ConnectionOwner(Protocol):
    """The parts of the accepting server that a connection needs."""

    episode: ActiveFault

    def context(self, met: MetFaults, episode: ActiveFault) -> ssl.SSLContext | None:
        """Return the TLS context; None for plain HTTP."""

    def converse(self, sock: socket.socket, abort: Callable[[], None]) -> None:
        """Serve a connection after its TLS handshake."""

    def record(self, access: Access) -> None:
        """Log a connection."""

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
            shut_down(self._sock, socket.SHUT_RDWR)

    def reset(self) -> None:
        """Make the connection end with RST, and wake its thread if it reads; `abort` ends it."""
        with self._lock, contextlib.suppress(OSError):
            reset_on_close(self._sock)
            # A shutdown of the other side would send FIN before the RST.
            shut_down(self._sock, socket.SHUT_RD)

    def _run(self) -> None:
        try:
            # The client closed the connection, or the server was stopped: no reply is possible.
            with contextlib.suppress(OSError):
                self._serve()
        # No client sees what went wrong here: the connection just ends.
        except Exception:
            LOG.exception("The lab failed while it sent a reply, and closes the connection")
        finally:
            with self._lock:
                hang_up(self._sock)
            self._owner.forget(self)

    def _serve(self) -> None:
        episode = self._owner.episode
        peer = describe_peer(self._sock)
        met = episode.on_connection(peer)
        if met.find("reset", "broken_tls", "plain_http", "silent_tls"):
            status = _BAD_REQUEST if met.find("plain_http") else None
            self._owner.record(make_connection_access(peer, met, status=status))
            self._fail(met, episode)
            return
        context = self._owner.context(met, episode)
        sock = self._sock if context is None else self._shake_hands(context, peer, met)
        if met:
            self._owner.record(make_connection_access(peer, met))
        if met.find("never_read"):
            self._never_read(episode)
        else:
            self._owner.converse(sock, self.abort)

    def _fail(self, met: MetFaults, episode: ActiveFault) -> None:
        """End the connection, or leave it silent, before any TLS handshake."""
        if met.find("reset"):
            reset_on_close(self._sock)
        elif met.find("broken_tls"):
            self._sock.sendall(_NOT_TLS)
        elif met.find("plain_http"):
            self._answer_in_plain_http()
        else:
            self._never_read(episode)

    def _answer_in_plain_http(self) -> None:
        # What the client has sent is read first: a close with unread data would send RST, and
        # the client would lose the reply.
        self._sock.recv(_HANDSHAKE)
        response = _PLAIN_HTTP.response(ReceivedRequest("GET", "/", {"accept": "text/html"}))
        self._sock.sendall(response.head(close=True) + response.body)

    def _never_read(self, episode: ActiveFault) -> None:
        stop_reading(self._sock)
        episode.wait(math.inf)

    def _shake_hands(self, context: ssl.SSLContext, peer: str, met: MetFaults) -> ssl.SSLSocket:
        with self._lock:
            # Wrapping moves the file descriptor to a new object. The lock keeps `abort` from using
            # the old object meanwhile.
            sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._sock = sock
        try:
            # Outside the lock, so that `abort` can end a handshake that hangs.
            sock.do_handshake()
        except OSError as error:
            self._owner.record(
                make_connection_access(peer, met, error=f"{type(error).__name__}: {error}")
            )
            raise
        return sock
