"""An accepted connection and its thread, from the TLS handshake to the close."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from .access_log import Access
from .app import REQUEST_ID, App
from .error_responses import Refused
from .fault_delivery import Delivery, rewrite
from .http1 import NO_BODY, Malformed, ReceivedRequest, Response, read_body, read_head

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from io import BufferedReader

    from .active_fault import ActiveFault
    from .faults import Fault


# struct linger {on, 0 seconds}: close() then discards unsent data and sends RST (socket(7)).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class LabParts(Protocol):
    """The parts of the server that a conversation needs."""

    app: App
    episode: ActiveFault

    def record(self, access: Access) -> None:
        """Log a request."""


def reset_on_close(sock: socket.socket) -> None:
    """Make the socket's close send RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def hang_up(sock: socket.socket) -> None:
    """Close the socket so that the client sees it, even if a forked child also holds the socket."""
    with sock, contextlib.suppress(OSError):
        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET_ON_CLOSE))
        # A shutdown would send FIN before the RST.
        if linger != _RESET_ON_CLOSE:
            # Not SSLSocket.shutdown: it sets the TLS object to None while another thread reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


@dataclass(frozen=True)
class Conversation:
    """The requests and replies on one connection.

    Attributes:
        sock: The connection, after its TLS handshake.
        desk: The server.
        abort: Ends the connection; safe in any thread.
    """

    sock: socket.socket
    desk: LabParts
    abort: Callable[[], None]

    def run(self) -> None:
        """Answer requests until the client or the server closes the connection.

        Raises:
            OSError: The connection breaks.
        """
        with self.sock.makefile("rb") as stream:
            while self._exchange(stream):
                pass

    def _exchange(self, stream: BufferedReader) -> bool:
        """Answer one request; return whether another one may follow."""
        try:
            request = read_head(stream)
        except Malformed:
            self._refuse(ReceivedRequest("GET", "/"))
            return False
        if request is None:
            return False
        episode = self.desk.episode
        fault = episode.on_request(request)
        # Before the body is read: a client that is still sending must see the reset too.
        if fault is not None and fault.name == "reset" and not fault.carried_out:
            self._record(request, None, fault)
            reset_on_close(self.sock)
            return False
        whole = self._with_body(stream, request, fault)
        return whole is not None and self._answer(stream, whole, episode, fault)

    def _with_body(
        self, stream: BufferedReader, request: ReceivedRequest, fault: Fault | None
    ) -> ReceivedRequest | None:
        """Read the body, and return the request with it.

        Returns:
            None if the body is malformed or did not arrive completely; the conversation ends then.
        """
        # RFC 9110, 10.1.1: the client waits for this reply before it sends the body.
        if request.headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            body, complete = read_body(stream, request.headers)
        except Malformed:
            self._record(request, Response(400), fault)
            self._refuse(request)
            return None
        if body:
            request = replace(request, body=body)
        if complete:
            return request
        self._record(request, None, fault)
        return None

    def _refuse(self, request: ReceivedRequest) -> None:
        response = Refused(400, "This is not an HTTP/1.1 request.").response(request)
        self.sock.sendall(response.head(close=True) + response.body)

    def _answer(
        self,
        stream: BufferedReader,
        request: ReceivedRequest,
        episode: ActiveFault,
        fault: Fault | None,
    ) -> bool:
        if fault is None or fault.carried_out:
            response = self.desk.app.answer(request)
        else:
            response = self.desk.app.add_request_id(request, Response(200))
        answer = response if fault is None else rewrite(fault, request, response)
        self._record(request, answer, fault)
        if answer is None:
            return self._stay_silent(stream, episode, fault)
        has_body = request.method != "HEAD" and answer.status not in NO_BODY
        body = answer.body if has_body else b""
        delivery = Delivery(answer, body, request.keep_alive, self.sock.sendall, episode)
        return delivery.deliver(fault)

    def _stay_silent(
        self, stream: BufferedReader, episode: ActiveFault, fault: Fault | None
    ) -> bool:
        if fault is not None and fault.name == "never_answer" and episode.hold(self.abort):
            try:
                while stream.read1():
                    pass
            finally:
                episode.release(self.abort)
        if fault is not None and fault.name == "reset":
            reset_on_close(self.sock)
        return False

    def _record(
        self, request: ReceivedRequest, answer: Response | None, fault: Fault | None
    ) -> None:
        headers = request.headers
        self.desk.record(
            Access(
                time=time.time(),
                method=request.method,
                path=request.target,
                status=None if answer is None else answer.status,
                request_id=None if answer is None else answer.header(REQUEST_ID),
                global_request_id=headers.get("x-openstack-request-id"),
                traceparent=headers.get("traceparent"),
                token_present="x-auth-token" in headers,
                body_bytes=len(request.body),
                fault=None if fault is None else fault.name,
            )
        )


_NOT_TLS = b"This is not TLS.\r\n"


class ConnectionOwner(LabParts, Protocol):
    """The parts of the accepting server that a connection needs."""

    def context(self, fault: Fault | None) -> ssl.SSLContext | None:
        """Return the TLS context; None for plain HTTP."""

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
        fault = self._owner.episode.on_connection()
        if fault is not None and fault.name == "reset":
            reset_on_close(self._sock)
        elif fault is not None and fault.name == "broken_tls":
            self._sock.sendall(_NOT_TLS)
        else:
            context = self._owner.context(fault)
            sock = self._sock if context is None else self._secured(context)
            Conversation(sock, self._owner, self.abort).run()

    def _secured(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        with self._lock:
            # Wrapping moves the file descriptor to a new object. The lock keeps `abort` from using
            # the old object meanwhile.
            sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._sock = sock
        # Outside the lock, so that `abort` can end a handshake that hangs.
        sock.do_handshake()
        return sock
