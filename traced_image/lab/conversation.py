"""The requests and replies on one connection to a lab server."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from ..redact import hide_in_record
from .access_log import make_access, make_connection_access
from .error_responses import Refused
from .fault_delivery import Delivery
from .http1 import (
    NO_BODY,
    Malformed,
    ReceivedBody,
    ReceivedRequest,
    Response,
    read_head,
    to_origin_form,
)
from .pacing import Pacer, wait_while_frozen
from .rewriting import rewrite
from .sockets import (
    close_own_side,
    describe_peer,
    discard_input,
    reset_on_close,
    stop_reading,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from io import BufferedReader

    from .access_log import Access
    from .active_fault import ActiveFault
    from .fault import Then
    from .met_faults import MetFaults

LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)


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
class ServedRequest:
    """One request of a conversation, and the faults that it meets.

    Attributes:
        stream: The connection, for reading.
        request: The request, without its body.
        episode: The server's fault when the request's headers had arrived.
        met: The faults that the request meets.
        pacer: Sends and reads the exchange's bytes.
        body: The request's body, while it arrives.
    """

    stream: BufferedReader
    request: ReceivedRequest
    episode: ActiveFault
    met: MetFaults
    pacer: Pacer
    body: ReceivedBody

    @property
    def received(self) -> ReceivedRequest:
        """The request, with as much of its body as arrived."""
        if not self.body.data:
            return self.request
        return replace(self.request, body=bytes(self.body.data))


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

    @cached_property
    def peer(self) -> str:
        """The client's address and port."""
        return describe_peer(self.sock)

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
            request = self._read_head(stream)
        except Malformed as error:
            problem = f"no HTTP/1.1 request: {error.args[0]!r}"
            self.desk.record(make_connection_access(self.peer, status=400, error=problem))
            self._refuse(ReceivedRequest("GET", "/"))
            return False
        if request is None:
            return False
        episode = wait_while_frozen(self.desk)
        met = episode.on_request(request, self.peer)
        pacer = Pacer(self.sock, self.desk, request, self.peer, episode, met)
        body = ReceivedBody(stream, request.headers, pacer.read)
        exchange = ServedRequest(stream, request, episode, met, pacer, body)
        try:
            return self._serve(exchange)
        except Malformed:
            self._record(exchange, exchange.received, Response(400))
            self._refuse(request)
            return False

    def _read_head(self, stream: BufferedReader) -> ReceivedRequest | None:
        request = read_head(stream)
        return None if request is None else to_origin_form(request)

    def _serve(self, exchange: ServedRequest) -> bool:
        met = exchange.met
        # Before the body is read: a client that is still sending must see the reset too.
        reset = met.find("reset")
        if reset is not None and not reset.carried_out:
            self._record(exchange, exchange.request, None)
            reset_on_close(self.sock)
            return False
        early = met.find("cut_upload", "early_answer")
        if early is None:
            return self._read_whole(exchange) and self._answer(exchange)
        if early.after:
            self._invite_body(exchange.request)
            exchange.body.read(early.after)
        if early.name == "cut_upload":
            self._record(exchange, exchange.received, None)
            return self._end(exchange, early.then)
        # A connection that is kept goes on after the rest of the body.
        return self._answer(exchange) and exchange.body.read()

    def _read_whole(self, exchange: ServedRequest) -> bool:
        """Read the body; return whether it is complete."""
        self._invite_body(exchange.request)
        if exchange.body.read():
            return True
        self._record(exchange, exchange.received, None)
        return False

    def _invite_body(self, request: ReceivedRequest) -> None:
        # RFC 9110, 10.1.1: the client waits for this reply before it sends the body.
        if request.headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, request: ReceivedRequest) -> None:
        response = Refused(400, "This is not an HTTP/1.1 request.").response(request)
        self.sock.sendall(response.head(close=True) + response.body)

    def _answer(self, exchange: ServedRequest) -> bool:
        request, met = exchange.received, exchange.met
        answer, error = self._make_answer(request, met)
        self._record(exchange, request, answer, error)
        delay = met.find("delay")
        if delay is not None:
            exchange.episode.wait(delay.interval)
        if answer is None:
            return self._stay_silent(exchange)
        has_body = request.method != "HEAD" and answer.status not in NO_BODY
        # A body that is cut says nothing of it before.
        keep_alive = request.keep_alive and (met.then == "keep" or bool(met.find("cut_body")))
        delivery = Delivery(answer, has_body, keep_alive, exchange.pacer.send, exchange.episode)
        kept = delivery.deliver(met)
        return kept if met.then == "keep" else self._end(exchange, met.then)

    def _make_answer(
        self, request: ReceivedRequest, met: MetFaults
    ) -> tuple[Response | None, str | None]:
        """Return the reply, or None for no reply; and the internal error that is answered so."""
        try:
            if met.carried_out:
                response = self.desk.app.answer(request)
            else:
                response = self.desk.app.add_request_id(request, Response(200))
            response.check()
            return rewrite(met, request, response) if met else response, None
        # Whatever goes wrong in here must not look like a scripted fault.
        except Exception as error:
            LOG.exception("%s %s: the lab failed, and answers 500", request.method, request.path)
            return Refused(500).response(request), f"{type(error).__name__}: {error}"

    def _stay_silent(self, exchange: ServedRequest) -> bool:
        if exchange.met.find("never_answer"):
            discard_input(exchange.stream, exchange.episode, self.abort)
        if exchange.met.find("reset"):
            reset_on_close(self.sock)
        return False

    def _end(self, exchange: ServedRequest, then: Then) -> bool:
        """End the connection after a reply, as the fault says."""
        if then == "half_close":
            close_own_side(self.sock)
            discard_input(exchange.stream, exchange.episode, self.abort)
        elif then == "hang":
            discard_input(exchange.stream, exchange.episode, self.abort)
        elif then == "stall":
            stop_reading(self.sock)
            exchange.episode.wait(math.inf)
        elif then == "reset":
            reset_on_close(self.sock)
        return False

    def _record(
        self,
        exchange: ServedRequest,
        request: ReceivedRequest,
        answer: Response | None,
        error: str | None = None,
    ) -> None:
        met = exchange.met
        self.desk.record(make_access(request, answer, met, client=self.peer, error=error))
