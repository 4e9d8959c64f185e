"""The requests and replies on one connection to a lab server."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from .access_log import make_access
from .error_responses import Refused
from .fault_delivery import Delivery
from .http1 import NO_BODY, Malformed, ReceivedRequest, Response, read_body, read_head
from .rewriting import rewrite
from .sockets import close_own_side, discard_input, reset_on_close, stop_reading

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from io import BufferedReader

    from .access_log import Access
    from .active_fault import ActiveFault
    from .fault import Fault


class Answers(Protocol):
    """Makes the replies of a server without a fault."""

    def answer(self, request: ReceivedRequest) -> Response:
        """Return the reply to a request."""

    def add_request_id(self, request: ReceivedRequest, response: Response) -> Response:
        """Return a reply with a request id, if this server gives ids."""


class LabParts(Protocol):
    """The parts of the server that a conversation needs."""

    @property
    def app(self) -> Answers:
        """What makes the replies."""

    episode: ActiveFault

    def record(self, access: Access) -> None:
        """Log a request."""


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
        if fault is not None and fault.name == "early_answer":
            kept = self._answer(stream, request, episode, fault)
            return kept and self._skip_body(stream, request)
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
        keep_alive = request.keep_alive and (fault is None or fault.then == "keep")
        delivery = Delivery(answer, has_body, keep_alive, self.sock.sendall, episode)
        kept = delivery.deliver(fault)
        return kept if keep_alive else self._end(stream, episode, fault)

    def _skip_body(self, stream: BufferedReader, request: ReceivedRequest) -> bool:
        """Read the body of a request that is answered already; return whether it is complete."""
        try:
            return read_body(stream, request.headers)[1]
        except Malformed:
            return False

    def _stay_silent(
        self, stream: BufferedReader, episode: ActiveFault, fault: Fault | None
    ) -> bool:
        if fault is not None and fault.name == "never_answer":
            discard_input(stream, episode, self.abort)
        if fault is not None and fault.name == "reset":
            reset_on_close(self.sock)
        return False

    def _end(self, stream: BufferedReader, episode: ActiveFault, fault: Fault | None) -> bool:
        """End the connection after a reply, as the fault says."""
        then = "close" if fault is None else fault.then
        if then == "half_close":
            close_own_side(self.sock)
            discard_input(stream, episode, self.abort)
        elif then == "hang":
            discard_input(stream, episode, self.abort)
        elif then == "stall":
            stop_reading(self.sock)
            episode.wait(math.inf)
        elif then == "reset":
            reset_on_close(self.sock)
        return False

    def _record(
        self, request: ReceivedRequest, answer: Response | None, fault: Fault | None
    ) -> None:
        self.desk.record(make_access(request, answer, fault))
