"""One accepted connection and its thread, from the TLS handshake to the close."""

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


_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class LabParts(Protocol):
    """What a conversation needs of the server."""

    app: App
    episode: ActiveFault

    def record(self, access: Access) -> None:
        """Log a request."""


def reset_on_close(sock: socket.socket) -> None:
    """Have the socket's close send RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def hang_up(sock: socket.socket) -> None:
    """Close the socket, so that the client sees it even while a forked child has it too."""
    with sock, contextlib.suppress(OSError):
        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET_ON_CLOSE))
        if linger != _RESET_ON_CLOSE:
            # Not SSLSocket's own shutdown: it takes the TLS object from under the reader.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


@dataclass(frozen=True)
class Conversation:
    """What is said on one connection.

    Attributes:
        sock: The connection, past its TLS handshake.
        desk: The server.
        abort: Ends the connection from another thread.
    """

    sock: socket.socket
    desk: LabParts
    abort: Callable[[], None]

    def run(self) -> None:
        """Answer requests until one side closes.

        Raises:
            OSError: If the connection breaks.
        """
        with self.sock.makefile("rb") as stream:
            while self._exchange(stream):
                pass

    def _exchange(self, stream: BufferedReader) -> bool:
        """Answer one request; return whether another may follow."""
        try:
            request = read_head(stream)
        except Malformed:
            self._refuse(ReceivedRequest("GET", "/"))
            return False
        if request is None:
            return False
        episode = self.desk.episode
        fault = episode.on_request(request)
        if fault is not None and fault.name == "reset" and not fault.carried_out:
            self._record(request, None, fault)
            reset_on_close(self.sock)
            return False
        whole = self._with_body(stream, request, fault)
        return whole is not None and self._answer(stream, whole, episode, fault)

    def _with_body(
        self, stream: BufferedReader, request: ReceivedRequest, fault: Fault | None
    ) -> ReceivedRequest | None:
        """The request with its body; None if that did not come, which ends the conversation."""
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
    """What a connection needs of the server that accepted it."""

    def context(self, fault: Fault | None) -> ssl.SSLContext | None:
        """The TLS to speak, if any."""

    def forget(self, connection: AcceptedConnection) -> None:
        """The connection is closed, and its thread about to end."""


class AcceptedConnection:
    """A connection and its thread.

    Args:
        sock: The accepted socket, which is closed at the end.
        owner: The server that accepted it.
        name: The thread's name.
    """

    def __init__(self, sock: socket.socket, owner: ConnectionOwner, name: str) -> None:
        self._sock = sock
        self._owner = owner
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
            # Wrapping takes the descriptor over, so that an abort must come before or after.
            sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._sock = sock
        sock.do_handshake()
        return sock
