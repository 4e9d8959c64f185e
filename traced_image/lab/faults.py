"""The functions that make the faults of lab servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from .checks import check_json, check_offset, check_retry_after, check_seconds, check_status
from .connection_faults import (
    broken_tls,
    demand_certificate,
    early_answer,
    never_read,
    plain_http,
    refuse,
    reset,
    silent_tls,
    untrusted_tls,
)
from .fault import CONNECTION_ONLY, Fault, check_fault
from .reply_faults import (
    bad_chunk,
    chunked,
    delay,
    endless_body,
    endless_headers,
    endless_pages,
    extra_reply,
    framing,
    huge_json,
    interim_replies,
    many_headers,
    new_cookies,
    raw_reply,
    redirect,
    slow_error,
    unexpected_body,
)

if TYPE_CHECKING:
    from .http1 import JSON

__all__ = [
    "Fault",
    "bad_chunk",
    "broken_tls",
    "chunked",
    "corrupt_data",
    "cut_body",
    "delay",
    "demand_certificate",
    "early_answer",
    "endless_body",
    "endless_headers",
    "endless_pages",
    "extra_reply",
    "flapping",
    "framing",
    "garbage_headers",
    "huge_json",
    "interim_replies",
    "lost_reply",
    "many_headers",
    "never_answer",
    "never_read",
    "new_cookies",
    "not_json",
    "plain_http",
    "raw_reply",
    "redirect",
    "redirect_loop",
    "refuse",
    "reset",
    "silent_tls",
    "slow_body",
    "slow_error",
    "slow_headers",
    "status",
    "unexpected_body",
    "untrusted_tls",
    "wrong_length",
    "wrong_type",
]

_DATA = r"/v2/images/[^/]+/file$|/v1/images/(?!detail$)[^/]+$"


def never_answer() -> Fault:
    """Read requests and never answer them; the connection closes when the server is healed."""
    return Fault("never_answer", carried_out=False)


def lost_reply() -> Fault:
    """Carry out requests, and close the connection without a reply."""
    return Fault("lost_reply")


def slow_headers(interval: float) -> Fault:
    """Send the status line and headers slowly, one byte every `interval` seconds.

    Raises:
        InvalidArgument: `interval` is no number from 0.
    """
    check_seconds("slow_headers", interval)
    return Fault("slow_headers", interval=interval)


def slow_body(interval: float) -> Fault:
    """Send the body slowly, one byte every `interval` seconds.

    Raises:
        InvalidArgument: `interval` is no number from 0.
    """
    check_seconds("slow_body", interval)
    return Fault("slow_body", interval=interval)


def cut_body() -> Fault:
    """Close the connection after half of the body."""
    return Fault("cut_body")


def wrong_length(by: int = 1) -> Fault:
    """Send a ``Content-Length`` that is wrong by `by` bytes.

    Args:
        by: Above 0, the body ends early and the connection closes. Below 0, the body has more
            bytes than announced, and the connection stays open.

    Raises:
        InvalidArgument: `by` is no int.
    """
    check_offset("wrong_length", by)
    return Fault("wrong_length", by=by)


def garbage_headers() -> Fault:
    """Send a line that is not a header before the headers; then close the connection."""
    return Fault("garbage_headers")


def not_json() -> Fault:
    """Answer 200 with text that is not JSON, and the content type of JSON."""
    return Fault("not_json")


def wrong_type(value: JSON = 42) -> Fault:
    """Answer 200 with JSON of another shape than the request asks for.

    Args:
        value: The JSON to send.

    Raises:
        InvalidArgument: `value` is no JSON.
    """
    check_json("wrong_type", value)
    return Fault("wrong_type", value=value)


def status(code: int, retry_after: int | str | None = None) -> Fault:
    """Answer with an error, or with any other status.

    Args:
        code: The HTTP status.
        retry_after: The value of ``Retry-After``: seconds, or an HTTP date; None for none.

    Raises:
        InvalidArgument: `code` is no status, or `retry_after` is neither an int nor text.
    """
    check_status("status", code)
    check_retry_after("status", retry_after)
    return Fault("status", code=code, retry_after=retry_after, carried_out=False)


def redirect_loop() -> Fault:
    """Answer 302 with the request's own path as the Location."""
    return Fault("redirect_loop", carried_out=False)


def corrupt_data() -> Fault:
    """Send image data with one wrong bit, so that it does not match its checksum."""
    return Fault("corrupt_data", method="GET", path=_DATA)


def flapping(*sequence: Fault | None) -> Fault:
    """Apply one fault per request, and repeat the sequence for ever.

    Args:
        *sequence: The faults; None is a healthy reply.

    Raises:
        InvalidArgument: The sequence is empty, or one of its faults affects connections, has its
            own limit, or is itself `flapping`.
    """
    for fault in (check_fault("flapping", each) for each in sequence if each is not None):
        if fault.name in CONNECTION_ONLY or fault.limit or fault.sequence:
            raise InvalidArgument(f"{fault.name} can't be one of flapping's faults as it is.")
    if not sequence:
        raise InvalidArgument("flapping() needs at least one fault or None.")
    return Fault("flapping", sequence=sequence)
