"""Sends replies, slowly or wrongly if the server's fault says so."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .access_log import REQUEST_ID
from .http1 import make_json_response

if TYPE_CHECKING:
    from .active_fault import ActiveFault
    from .fault import Fault
    from .http1 import Response
    from .met_faults import MetFaults

WriteBytes = Callable[[bytes], None]

_GARBAGE = b"\x00\xff\xfe this line is no header \x01\x02\r\n"
# Smaller bodies go in one write with the headers, which saves a packet; larger ones are not copied.
_JOINED = 1 << 16


@dataclass(frozen=True)
class Delivery:
    """One reply being sent.

    Attributes:
        response: The reply.
        has_body: Whether the reply has a body; not for HEAD, 204 and 304.
        keep_alive: Whether the client wants to keep the connection.
        send: Writes bytes to the connection.
        episode: The current fault; its end also ends the waits of a slow reply.
    """

    response: Response
    has_body: bool
    keep_alive: bool
    send: WriteBytes
    episode: ActiveFault

    def deliver(self, met: MetFaults) -> bool:
        """Send the reply; return whether the connection stays open.

        Args:
            met: The faults of the request. At most one changes how the reply is sent.
        """
        interim = met.find("interim_replies")
        if interim is not None:
            _send_interim_replies(self, interim)
        for fault in met.parts:
            if fault.name in _MANNERS:
                return _MANNERS[fault.name](self, fault)
        return self.send_whole()

    def send_whole(self) -> bool:
        """Send the reply as it is; return whether the connection stays open."""
        head = self.head
        if len(self.body) < _JOINED:
            self.send(head + self.body)
        else:
            self.send(head)
            self.send(self.body)
        return self.keep_alive

    @property
    def body(self) -> bytes:
        """The bytes to send as the reply's body."""
        return self.response.body if self.has_body else b""

    @property
    def head(self) -> bytes:
        """The status line and headers, as they are sent if nothing is wrong."""
        return self.response.head(close=not self.keep_alive)

    def split_head(self) -> tuple[bytes, bytes]:
        """Return the status line, and the headers with their end but without the body's length."""
        line, _, rest = self.head.partition(b"\r\n")
        fields = rest.split(b"\r\n")
        kept = [each for each in fields if not each.lower().startswith(b"content-length:")]
        return line + b"\r\n", b"\r\n".join(kept)

    def slowly(self, data: bytes, interval: float) -> None:
        """Send one byte every `interval` seconds; after the fault's end, send the rest at once."""
        for index in range(len(data)):
            self.send(data[index : index + 1])
            if self.episode.wait(interval):
                self.send(data[index + 1 :])
                return


def _slow_headers(delivery: Delivery, fault: Fault) -> bool:
    delivery.slowly(delivery.head, fault.interval)
    delivery.send(delivery.body)
    return delivery.keep_alive


def _slow_body(delivery: Delivery, fault: Fault) -> bool:
    delivery.send(delivery.head)
    delivery.slowly(delivery.body, fault.interval)
    return delivery.keep_alive


def _cut_body(delivery: Delivery, fault: Fault) -> bool:
    body = delivery.body
    end = len(body) // 2 if fault.after is None else int(fault.after)
    delivery.send(delivery.head + body[:end])
    return False


def _wrong_length(delivery: Delivery, fault: Fault) -> bool:
    length = max(0, len(delivery.body) + fault.by)
    head = delivery.response.head(length=length, close=not delivery.keep_alive)
    delivery.send(head + delivery.body)
    # If more bytes are promised than sent, only a close ends the client's wait for the rest.
    return delivery.keep_alive and fault.by < 0


def _garbage_headers(delivery: Delivery, _: Fault) -> bool:
    line, end, rest = delivery.response.head(close=True).partition(b"\r\n")
    delivery.send(line + end + _GARBAGE + rest + delivery.body)
    return False


def _slow_error(delivery: Delivery, fault: Fault) -> bool:
    delivery.send(delivery.head)
    if fault.then == "keep":
        delivery.slowly(delivery.body, fault.interval)
    return delivery.keep_alive


def _raw(delivery: Delivery, fault: Fault) -> bool:
    """Send the fault's bytes in place of the reply, and then its endless bytes."""
    delivery.send(fault.data)
    while fault.endless:
        delivery.send(fault.endless)
        if delivery.episode.wait(fault.interval):
            return False
    return fault.then == "keep" and delivery.keep_alive


def _extra_reply(delivery: Delivery, fault: Fault) -> bool:
    first = delivery.head
    missing = (fault.count or 0) - len(first) - len(delivery.body) - len(b"X-Fill: \r\n")
    if missing > 0:
        line, end, rest = first.partition(b"\r\n")
        first = line + end + b"X-Fill: %s\r\n" % (b"x" * missing) + rest
    other: dict[str, str] = {"id": str(uuid.uuid4()), "name": "extra", "status": "queued"}
    second = make_json_response(200, {**other}, (REQUEST_ID, f"req-{uuid.uuid4()}"))
    delivery.send(first + delivery.body + second.head() + second.body)
    return delivery.keep_alive


def _send_interim_replies(delivery: Delivery, fault: Fault) -> None:
    sent = 0
    while fault.count is None or sent < fault.count:
        delivery.send(fault.data)
        sent += 1
        # A flood is no flood any more if its fault has ended.
        if delivery.episode.wait(fault.interval) and fault.count is None:
            break


def _framing(delivery: Delivery, fault: Fault) -> bool:
    length = str(len(delivery.response.body))
    lines = [each.replace("{length}", length).encode("latin-1") for each in fault.headers]
    first, rest = delivery.split_head()
    delivery.send(b"".join([first, *(each + b"\r\n" for each in lines), rest, delivery.body]))
    return fault.then == "keep" and delivery.keep_alive


_CHUNKED = b"Transfer-Encoding: chunked\r\n"


def _chunked(delivery: Delivery, fault: Fault) -> bool:
    size, body = fault.count or 1, delivery.body
    first, rest = delivery.split_head()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = [b"%x%s\r\n%s\r\n" % (len(each), fault.data, each) for each in pieces]
    trailers = b"".join(each.encode("latin-1") + b"\r\n" for each in fault.headers)
    ending = b"0\r\n%s\r\n" % trailers if delivery.has_body else b""
    delivery.send(b"".join([first, _CHUNKED, rest, *chunks, ending]))
    return delivery.keep_alive


def _bad_chunk(delivery: Delivery, fault: Fault) -> bool:
    body = delivery.body
    if not delivery.has_body:
        delivery.send(delivery.head)
        return delivery.keep_alive
    size = fault.headers[0].encode("latin-1") if fault.headers else b"%x" % len(body)
    first, rest = delivery.split_head()
    delivery.send(b"".join([first, _CHUNKED, rest, size, b"\r\n", body, fault.data]))
    delivery.send(b"0\r\n\r\n")
    return delivery.keep_alive


_MANNERS: Mapping[str, Callable[[Delivery, Fault], bool]] = {
    "bad_chunk": _bad_chunk,
    "chunked": _chunked,
    "cut_body": _cut_body,
    "endless_body": _raw,
    "endless_headers": _raw,
    "extra_reply": _extra_reply,
    "framing": _framing,
    "garbage_headers": _garbage_headers,
    "raw_reply": _raw,
    "slow_body": _slow_body,
    "slow_error": _slow_error,
    "slow_headers": _slow_headers,
    "unexpected_body": _raw,
    "wrong_length": _wrong_length,
}
