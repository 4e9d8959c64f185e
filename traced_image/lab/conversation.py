"""The requests of one connection, one after the other: read, carried out, logged, answered."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from .access import Access
from .app import REQUEST_ID, App
from .delivery import Delivery, rewrite
from .refusal import Refused
from .wire import NO_BODY, Malformed, Request, Response, read_body, read_head

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

    from .episode import Episode
    from .faults import Fault

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Desk(Protocol):
    """What a conversation needs of the server."""

    app: App
    episode: Episode

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
    desk: Desk
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
            self._refuse(Request("GET", "/"))
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
        self, stream: BufferedReader, request: Request, fault: Fault | None
    ) -> Request | None:
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

    def _refuse(self, request: Request) -> None:
        response = Refused(400, "This is not an HTTP/1.1 request.").response(request)
        self.sock.sendall(response.head(close=True) + response.body)

    def _answer(
        self, stream: BufferedReader, request: Request, episode: Episode, fault: Fault | None
    ) -> bool:
        if fault is None or fault.carried_out:
            response = self.desk.app.answer(request)
        else:
            response = self.desk.app.identified(request, Response(200))
        answer = response if fault is None else rewrite(fault, request, response)
        self._record(request, answer, fault)
        if answer is None:
            return self._stay_silent(stream, episode, fault)
        has_body = request.method != "HEAD" and answer.status not in NO_BODY
        body = answer.body if has_body else b""
        delivery = Delivery(answer, body, request.keep_alive, self.sock.sendall, episode)
        return delivery.deliver(fault)

    def _stay_silent(self, stream: BufferedReader, episode: Episode, fault: Fault | None) -> bool:
        if fault is not None and fault.name == "never_answer" and episode.hold(self.abort):
            try:
                while stream.read1():
                    pass
            finally:
                episode.release(self.abort)
        if fault is not None and fault.name == "reset":
            reset_on_close(self.sock)
        return False

    def _record(self, request: Request, answer: Response | None, fault: Fault | None) -> None:
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
