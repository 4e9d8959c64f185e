"""A Glance server that fails while it takes image data, and when it says afterwards what it has."""

from __future__ import annotations

import itertools
import json
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loopback import Loopback, reset

from traced_image.lab import http1
from traced_image.lab.app import App
from traced_image.lab.http1 import Response, make_json_response

if TYPE_CHECKING:
    import io
    import random
    from collections.abc import Callable

PAGE = Response(200, b"<html><body>Please log in.</body></html>")
REFUSALS = (400, 401, 403, 408, 409, 413, 415, 421, 425, 429, 500, 502, 503, 504)
ERRORS = (408, 429, 500, 502, 503, 504)
"""What an upload may be answered that Glance has stored. 421 and 425 would say that it has not."""


@dataclass
class State:
    """What the servers of one upload share.

    Attributes:
        data: What the client has to send.
        uploaded: Whether any of them was asked to take it.
        claimed: The size that all records have; None for the truth.
    """

    data: bytes
    uploaded: bool = False
    claimed: int | None = None


@dataclass
class Turn:
    """One upload that a server has to answer; a fault says how.

    Attributes:
        request: The request, of whose body nothing was read.
    """

    server: UploadServer
    sock: socket.socket
    stream: io.BufferedReader
    request: http1.ReceivedRequest
    state: State
    rng: random.Random

    def read(self):
        """Read all of the body; return whether it is complete."""
        body, complete = http1.read_body(self.stream, self.request.headers)
        self.request = replace(self.request, body=body)
        return complete

    def read_half(self):
        self.stream.read(len(self.state.data) // 2)

    def read_some(self):
        self.rng.choice([self.read, self.read_half, bool])()

    def store(self, change=bytes):
        """Store the body, changed; return Glance's answer."""
        return self.server.app.answer(replace(self.request, body=change(self.request.body)))

    def say(self, response):
        self.sock.sendall(response.head() + response.body)

    def end(self):
        """End the connection, orderly or not; what was not read resets it too."""
        if self.rng.choice([True, False]):
            reset(self.sock)
        return False

    def confirm(self, *, size=None, status="queued"):
        """Confirm the upload, as Glance does, with a record of so much data."""
        if self.request.method == "PUT" and self.request.path.endswith("/file"):
            return self.say(Response(204))
        # API v1 answers with the record; without a body, the image stays queued.
        answer = self.server.app.answer(replace(self.request, body=b""))
        if answer.status < 300:
            record = json.loads(answer.body)["image"]
            record.update(size=size, status=status)
            answer = make_json_response(answer.status, {"image": record})
        return self.say(answer)


def refuse(turn):
    """Answer with an error before, while or after the data comes; nothing is stored."""
    turn.read_some()
    turn.say(Response(turn.rng.choice(REFUSALS), b"<html>no</html>"))
    return turn.end()


def redirect(turn):
    turn.read_some()
    turn.say(Response(turn.rng.choice([301, 302, 307, 308])).with_headers(("Location", "/x")))
    return turn.end()


def break_off(turn):
    """End the connection before, while or after the data comes; nothing is stored."""
    turn.read_some()
    return turn.end()


def confirm_unread(turn):
    turn.confirm()
    return turn.end()


def confirm_half(turn):
    turn.read_half()
    turn.confirm()
    return turn.end()


def confirm_only(turn):
    """Read everything, store nothing, and confirm."""
    complete = turn.read()
    turn.confirm()
    return complete


def answer_page(turn):
    complete = turn.read()
    turn.say(PAGE)
    return complete


def lose_reply(turn):
    if turn.read():
        turn.store()
    return turn.end()


def fail_after_storing(turn):
    if turn.read():
        turn.store()
        turn.say(Response(turn.rng.choice(ERRORS)))
    return turn.end()


def page_after_storing(turn):
    if turn.read():
        turn.store()
        turn.say(PAGE)
    return turn.end()


def store_less(turn):
    complete = turn.read()
    turn.say(turn.store(lambda body: body[: len(body) // 2]))
    return complete


def store_more(turn):
    complete = turn.read()
    turn.say(turn.store(lambda body: body * 2 + b"x"))
    return complete


def store_wrong(turn):
    """Store as many bytes, of which some are wrong."""
    complete = turn.read()
    turn.say(turn.store(lambda body: bytes(byte ^ 1 for byte in body)))
    return complete


def claim(turn):
    """Store nothing, confirm, and have a record that says that all is there."""
    complete = turn.read()
    turn.state.claimed = len(turn.state.data)
    turn.confirm(size=turn.state.claimed, status="active")
    return complete


def interim(turn):
    """A fault that is none: interim replies before the right one."""
    for _ in range(turn.rng.randint(1, 5)):
        turn.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    return healthy(turn)


def healthy(turn):
    if not turn.read():
        return turn.end()
    turn.say(turn.store())
    return True


UPLOADS = {
    "refused": refuse,
    "redirected": redirect,
    "broken off": break_off,
    "confirmed unread": confirm_unread,
    "confirmed half read": confirm_half,
    "confirmed and not stored": confirm_only,
    "a page": answer_page,
    "stored, reply lost": lose_reply,
    "stored, and an error": fail_after_storing,
    "stored, and a page": page_after_storing,
    "stored in part": store_less,
    "stored with more": store_more,
    "stored with wrong bytes": store_wrong,
    "the record lies": claim,
    "interim replies": interim,
}
"""What may happen to an upload; each is a function that returns whether the connection stays."""


def _with(**fields):
    return lambda record: make_json_response(200, {**record, **fields})


RECORDS: dict[str, Callable[[dict], Response | None]] = {
    "queued": _with(status="queued", size=None),
    "saving": _with(status="saving", size=None),
    "killed": _with(status="killed"),
    "size less": lambda record: _with(size=(record["size"] or 0) - 1)(record),
    "size more": lambda record: _with(size=(record["size"] or 0) + 1_000_000)(record),
    "no size": _with(size=None),
    "another checksum": _with(checksum="0" * 32, os_hash_value="0" * 128),
    "another image": _with(id="8f3c1a52-0000-4000-8000-00000000000f"),
    "a record's page": lambda _: PAGE,
    "404": lambda _: Response(404),
    "503": lambda _: Response(503),
    "no record": lambda _: None,
}
"""What may be said of an image after its upload; None is a connection that ends."""


class UploadServer(Loopback):
    """A Glance server, whose faults affect uploads and what is asked after them.

    Args:
        images: The images that it serves.
        tls: The certificates for HTTPS; None for plain HTTP.

    Attributes:
        met: The names of the faults that were met.
    """

    def __init__(self, images, tls=None):
        self.app = App(images)
        self.met = []
        super().__init__(_converse, tls)

    def break_with(self, uploads, records, state, rng):
        """Take the names of the faults to come, one after the other; None is none."""
        self.met = []
        self._uploads = itertools.chain(uploads, itertools.repeat(None))
        self._records = itertools.chain(records, itertools.repeat(None))
        self._state, self._rng = state, rng

    def answer(self, sock, stream, request):
        """Answer a request; return whether the connection stays."""
        if _has_data(request):
            self._state.uploaded = True
            fault = self._note(next(self._uploads), UPLOADS) or healthy
            return fault(Turn(self, sock, stream, request, self._state, self._rng))
        body, _ = http1.read_body(stream, request.headers)
        response = self.app.answer(replace(request, body=body))
        if request.method == "GET" and response.status == 200:
            response = self._show(json.loads(response.body))
        if response is not None:
            sock.sendall(response.head() + response.body)
        return response is not None

    def _show(self, record):
        """Return the reply that shows an image; None for none."""
        if self._state.claimed is not None:
            record.update(size=self._state.claimed, status="active")
        change = self._note(next(self._records), RECORDS) if self._state.uploaded else None
        return make_json_response(200, record) if change is None else change(record)

    def _note(self, name, known):
        if name is None:
            return None
        self.met.append(name)
        return known[name]


def _has_data(request):
    return request.headers.get("content-type") == http1.BYTES


def _converse(server, sock, _number):
    # Otherwise each answer waits for the client's ACK of TLS's session tickets.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock.makefile("rb") as stream:
        while (request := http1.read_head(stream)) is not None:
            if not server.answer(sock, stream, request):
                return
