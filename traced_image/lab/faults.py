"""The functions that make the faults of lab servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from .checks import (
    check_choice,
    check_count,
    check_error,
    check_json,
    check_offset,
    check_retry_after,
    check_seconds,
    check_status,
)
from .connection_faults import (
    black_hole,
    broken_tls,
    cut_upload,
    demand_certificate,
    early_answer,
    expiring_tls,
    limit_rate,
    never_read,
    plain_http,
    refuse,
    reset,
    silent_tls,
    untrusted_tls,
)
from .fault import CONNECTION_ONLY, ENDS, Fault, Then, check_fault
from .proxy_pages import HAPROXY_STATUSES, closes_connection
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
    "black_hole",
    "broken_tls",
    "chunked",
    "corrupt_data",
    "cut_body",
    "cut_upload",
    "delay",
    "demand_certificate",
    "early_answer",
    "endless_body",
    "endless_headers",
    "endless_pages",
    "expiring_tls",
    "extra_reply",
    "flapping",
    "framing",
    "garbage_headers",
    "haproxy_error",
    "huge_json",
    "interim_replies",
    "limit_rate",
    "lost_reply",
    "many_headers",
    "never_answer",
    "never_read",
    "new_cookies",
    "nginx_error",
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


def cut_body(after: int | None = None, then: Then = "close") -> Fault:
    """Close the connection in the middle of the body.

    Args:
        after: The bytes of the body that are sent before; None for half of it.
        then: What the server does then: ``close``, ``half_close``, ``reset``, ``hang`` or
            ``stall``, as in `early_answer`.

    Raises:
        InvalidArgument: `after` is below 0, or `then` is none of these words.
    """
    if after is not None:
        check_count("cut_body", after, least=0)
    check_choice("cut_body", then, ENDS)
    return Fault("cut_body", after=after, then=then)


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


def nginx_error(code: int = 502) -> Fault:
    """Answer with the error page of nginx 1.22, in place of Glance: no request reaches it.

    Args:
        code: The HTTP status: 502 if a Glance is dead, 504 if it is too slow, or another error.

    Raises:
        InvalidArgument: `code` is no status of an error.
    """
    check_error("nginx_error", code)
    then: Then = "close" if closes_connection("nginx", code) else "keep"
    return Fault("nginx_error", code=code, then=then, carried_out=False)


def haproxy_error(code: int = 503) -> Fault:
    """Answer with the error page of HAProxy 2.6, in place of Glance: no request reaches it.

    Args:
        code: The HTTP status: 503 if no Glance is alive, 504 if one is too slow, 502 if one sends
            no reply, or another error that HAProxy has a page for.

    Raises:
        InvalidArgument: HAProxy has no page for `code`.
    """
    check_choice("haproxy_error", code, HAPROXY_STATUSES)
    then: Then = "close" if closes_connection("haproxy", code) else "keep"
    return Fault("haproxy_error", code=code, then=then, carried_out=False)


def redirect_loop() -> Fault:
    """Answer 302 with the request's own path as the Location."""
    return Fault("redirect_loop", carried_out=False)


def corrupt_data() -> Fault:
    """Send image data with one wrong bit, so that it does not match its checksum."""
    return Fault("corrupt_data", method="GET", path=_DATA)


def flapping(*sequence: Fault | None) -> Fault:
    """Apply one fault per request, and repeat the sequence for ever.

    Each request takes the next fault, also one that the fault does not affect. Narrow the whole,
    as in ``flapping(status(503), None).only(method="PUT")``, so that other requests do not use up
    the sequence; `Fault.per_client` gives each client a sequence of its own.

    Args:
        *sequence: The faults; None is a healthy reply.

    Raises:
        InvalidArgument: The sequence is empty, or one of its faults affects connections, has its
            own limit, or is itself `flapping`.
    """
    for fault in (check_fault("flapping", each) for each in sequence if each is not None):
        if not all(_can_alternate(leaf) for leaf in (fault, *fault.leaves)):
            raise InvalidArgument(f"{fault.name} can't be one of flapping's faults as it is.")
    if not sequence:
        raise InvalidArgument("flapping() needs at least one fault or None.")
    # A reset in a sequence resets a request, and not each connection.
    steps = (each.only(path="") if each and each.meets_connections else each for each in sequence)
    return Fault("flapping", sequence=tuple(steps))


def _can_alternate(fault: Fault) -> bool:
    """Return whether a fault can be one of `flapping`: it affects requests, and has no count."""
    return not (fault.name in CONNECTION_ONLY or fault.limit or fault.sequence)
