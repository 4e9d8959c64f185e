"""Sends replies, and changes them by the server's fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .app import REQUEST_ID
from .error_responses import Refused
from .http1 import BYTES

if TYPE_CHECKING:
    from .active_fault import ActiveFault
    from .faults import Fault
    from .http1 import ReceivedRequest, Response

WriteBytes = Callable[[bytes], None]

_GARBAGE = b"\x00\xff\xfe this line is no header \x01\x02\r\n"
# Smaller bodies go in one write with the headers, which saves a packet; larger ones are not copied.
_JOINED = 1 << 16


def rewrite(fault: Fault, request: ReceivedRequest, response: Response) -> Response | None:
    """Return the reply that a fault puts in place of `response`; None for no reply."""
    if fault.name in ("never_answer", "lost_reply", "reset"):
        return None
    change = _REWRITES.get(fault.name)
    return response if change is None else change(fault, request, response)


def _status(fault: Fault, request: ReceivedRequest, response: Response) -> Response:
    after = () if fault.retry_after is None else (("Retry-After", str(fault.retry_after)),)
    return _instead(response, Refused(fault.code, headers=after), request)


def _redirect(_: Fault, request: ReceivedRequest, response: Response) -> Response:
    return _instead(response, Refused(302, headers=(("Location", request.target),)), request)


def _instead(response: Response, refused: Refused, request: ReceivedRequest) -> Response:
    """Return an error's reply with the request id of the reply that it replaces."""
    ids = [header for header in response.headers if header[0] == REQUEST_ID]
    return refused.response(request).with_headers(*ids)


def _not_json(_: Fault, __: ReceivedRequest, response: Response) -> Response:
    body = b"This text says that it is JSON.\n"
    return replace(response, status=200, body=body, content_type="application/json")


def _wrong_type(fault: Fault, _: ReceivedRequest, response: Response) -> Response:
    body = json.dumps(fault.value).encode()
    return replace(response, status=200, body=body, content_type="application/json")


def _corrupt(_: Fault, __: ReceivedRequest, response: Response) -> Response:
    body = response.body
    if response.content_type != BYTES or not body:
        return response
    return replace(response, body=bytes([body[0] ^ 1]) + body[1:])


_REWRITES: Mapping[str, Callable[[Fault, ReceivedRequest, Response], Response]] = {
    "corrupt_data": _corrupt,
    "not_json": _not_json,
    "redirect_loop": _redirect,
    "status": _status,
    "wrong_type": _wrong_type,
}


@dataclass(frozen=True)
class Delivery:
    """One reply being sent.

    Attributes:
        response: The reply.
        body: The bytes to send as its body; empty for HEAD.
        keep_alive: Whether the client wants to keep the connection.
        send: Writes bytes to the connection.
        episode: The current fault; its end also ends the waits of a slow reply.
    """

    response: Response
    body: bytes
    keep_alive: bool
    send: WriteBytes
    episode: ActiveFault

    def deliver(self, fault: Fault | None) -> bool:
        """Send the reply; return whether the connection stays open."""
        if fault is not None and fault.name in _MANNERS:
            return _MANNERS[fault.name](self, fault)
        head = self.response.head(close=not self.keep_alive)
        if len(self.body) < _JOINED:
            self.send(head + self.body)
        else:
            self.send(head)
            self.send(self.body)
        return self.keep_alive

    def slowly(self, data: bytes, interval: float) -> None:
        """Send one byte every `interval` seconds; after the fault's end, send the rest at once."""
        for index in range(len(data)):
            self.send(data[index : index + 1])
            if self.episode.wait(interval):
                self.send(data[index + 1 :])
                return


def _slow_headers(delivery: Delivery, fault: Fault) -> bool:
    delivery.slowly(delivery.response.head(close=not delivery.keep_alive), fault.interval)
    delivery.send(delivery.body)
    return delivery.keep_alive


def _slow_body(delivery: Delivery, fault: Fault) -> bool:
    delivery.send(delivery.response.head(close=not delivery.keep_alive))
    delivery.slowly(delivery.body, fault.interval)
    return delivery.keep_alive


def _cut_body(delivery: Delivery, _: Fault) -> bool:
    body = delivery.body
    delivery.send(delivery.response.head(close=not delivery.keep_alive) + body[: len(body) // 2])
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


_MANNERS: Mapping[str, Callable[[Delivery, Fault], bool]] = {
    "cut_body": _cut_body,
    "garbage_headers": _garbage_headers,
    "slow_body": _slow_body,
    "slow_headers": _slow_headers,
    "wrong_length": _wrong_length,
}
