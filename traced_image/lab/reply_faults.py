"""Faults of a reply's bytes: its framing, its size, and what comes before and after it."""

from __future__ import annotations

from .checks import (
    check_bytes,
    check_choice,
    check_count,
    check_seconds,
    check_sendable,
    check_status,
)
from .fault import DISTRIBUTIONS, Distribution, Fault, Then

_PIECE = 1 << 16
_CONTINUE = 100
_REDIRECTS = (300, 301, 302, 303, 307, 308)


def raw_reply(data: bytes, *, close: bool = True) -> Fault:
    """Answer each request with these bytes, whatever they are.

    Args:
        data: The bytes; may be empty.
        close: Whether the server closes the connection after them.

    Raises:
        InvalidArgument: `data` is no bytes.
    """
    check_bytes("raw_reply", data)
    then: Then = "close" if close else "keep"
    return Fault("raw_reply", data=data, then=then, carried_out=False)


def extra_reply(code: int | None = None, *, fill: int = 0) -> Fault:
    """Send a second, whole reply, about another image, in the same write as the first.

    Over TLS, both are in one record if they have up to 16 KiB together.

    Args:
        code: The HTTP status of the first reply; None for the reply of a healthy server. With a
            status, the request is not carried out.
        fill: The size of the first reply in bytes, which a header fills up. Clients that read
            8,192 bytes at a time read the first reply, and find nothing after it.

    Raises:
        InvalidArgument: `code` is no status, or `fill` is below 0.
    """
    if code is not None:
        check_status("extra_reply", code)
    check_count("extra_reply", fill, least=0)
    return Fault("extra_reply", code=code or 0, count=fill, carried_out=code is None)


def interim_replies(code: int = 103, count: int | None = 1, interval: float = 0.0) -> Fault:
    """Send interim replies before the final one.

    Args:
        code: Their HTTP status, such as 100, 102 or 103.
        count: How many; None for a flood without end, so that the final one never comes.
        interval: Seconds between two of them.

    Raises:
        InvalidArgument: `code` is no status of an interim reply, or a number is out of range.
    """
    check_status("interim_replies", code, interim=True)
    if count is not None:
        check_count("interim_replies", count)
    check_seconds("interim_replies", interval)
    line = f"HTTP/1.1 {code} Interim\r\n"
    link = "" if code == _CONTINUE else "Link: </style.css>; rel=preload\r\n"
    data = f"{line}{link}\r\n".encode()
    return Fault("interim_replies", code=code, data=data, count=count, interval=interval)


def delay(
    seconds: float,
    jitter: float = 0.0,
    *,
    distribution: Distribution = "uniform",
    seed: int = 0,
) -> Fault:
    """Answer as a healthy server does, but late.

    Args:
        seconds: How late, from the last byte of the request.
        jitter: How far the durations are spread.
        distribution: ``uniform``: from `seconds` - `jitter` to `seconds` + `jitter`. ``normal``:
            `seconds` is the mean, and `jitter` the standard deviation. ``exponential``: `seconds`
            and a wait whose mean is `jitter`. ``lognormal``: `seconds` is the median, and
            `jitter` the standard deviation of the logarithm, as in WireMock. No duration is
            below 0.
        seed: Chooses the durations; the same seed gives the same ones.

    Raises:
        InvalidArgument: A number is below 0, or the distribution is unknown.
    """
    check_seconds("delay", seconds)
    check_seconds("delay", jitter)
    check_choice("delay", distribution, DISTRIBUTIONS)
    check_count("delay", seed, least=0)
    return Fault("delay", seconds, jitter, distribution, seed=seed)


def slow_error(code: int = 503, interval: float | None = None) -> Fault:
    """Answer with an error at once, and send the page that belongs to it slowly or never.

    Args:
        code: The HTTP status.
        interval: Seconds between two bytes of the page; None for no byte at all.

    Raises:
        InvalidArgument: `code` is no status, or `interval` is no number from 0.
    """
    check_status("slow_error", code)
    if interval is not None:
        check_seconds("slow_error", interval)
    then: Then = "hang" if interval is None else "keep"
    return Fault("slow_error", code=code, interval=interval or 0.0, then=then, carried_out=False)


def redirect(code: int, location: str | None) -> Fault:
    """Answer with a redirect.

    Args:
        code: The HTTP status: 300, 301, 302, 303, 307 or 308.
        location: The value of ``Location``; None for none.

    Raises:
        InvalidArgument: `code` is none of these, or `location` is no text.
    """
    check_status("redirect", code)
    check_choice("redirect", code, _REDIRECTS)
    if location is not None:
        check_sendable("redirect", location, "utf-8")
    headers = () if location is None else (location,)
    return Fault("redirect", code=code, headers=headers, carried_out=False)


def framing(*lines: str, close: bool = False) -> Fault:
    """Send these header lines in place of ``Content-Length``, before the same body.

    Args:
        *lines: The lines, such as ``"Content-Length: 5, 5"``. ``{length}`` in a line becomes the
            length of the body. No line at all is a reply without a length.
        close: Whether the server closes the connection after the body.

    Raises:
        InvalidArgument: A line is no text.
    """
    for line in lines:
        check_sendable("framing", line)
    return Fault("framing", headers=lines, then="close" if close else "keep")


def chunked(size: int = 16, *, extension: str = "", trailers: tuple[str, ...] = ()) -> Fault:
    """Send the body in chunks, as HTTP/1.1 allows it.

    Args:
        size: The bytes of a chunk.
        extension: The text after each chunk's size, such as ``;name=value``.
        trailers: Header lines after the last chunk.

    Raises:
        InvalidArgument: `size` is not positive, or what should be text is not.
    """
    check_count("chunked", size)
    for text in (extension, *trailers):
        check_sendable("chunked", text)
    return Fault("chunked", count=size, data=extension.encode(), headers=trailers)


def bad_chunk(size: str | None = "fffffffffffff", *, end: bytes = b"\r\n") -> Fault:
    """Send the body as one chunk that breaks the rules; the connection stays open.

    Args:
        size: The text in place of the chunk's size, such as ``-5`` or ``xyz``; None for its
            right size.
        end: The bytes after the chunk, in place of the line end.

    Raises:
        InvalidArgument: `size` is no text, or `end` is no bytes.
    """
    if size is not None:
        check_sendable("bad_chunk", size)
    check_bytes("bad_chunk", end)
    return Fault("bad_chunk", headers=() if size is None else (size,), data=end)


def unexpected_body(code: int = 204) -> Fault:
    """Answer with a status that has no body, and send chunks without end all the same.

    Args:
        code: The HTTP status: 204 or 304.

    Raises:
        InvalidArgument: `code` is no status.
    """
    check_status("unexpected_body", code)
    lines = (f"HTTP/1.1 {code} Unexpected", "Transfer-Encoding: chunked", "", "")
    return Fault(
        "unexpected_body",
        code=code,
        data="\r\n".join(lines).encode(),
        endless=b"%x\r\n%s\r\n" % (_PIECE, b"x" * _PIECE),
        carried_out=False,
    )


def endless_headers() -> Fault:
    """Answer 200 with headers that have no end."""
    line = b"X-Endless: %s\r\n" % (b"x" * 1000)
    return Fault(
        "endless_headers", data=b"HTTP/1.1 200 OK\r\n", endless=line * 60, carried_out=False
    )


def endless_body(code: int = 200, interval: float = 0.0) -> Fault:
    """Answer with a body of JSON that has no end.

    Args:
        code: The HTTP status.
        interval: Seconds between two pieces of 64 KiB.

    Raises:
        InvalidArgument: `code` is no status, or `interval` is no number from 0.
    """
    check_status("endless_body", code)
    check_seconds("endless_body", interval)
    head = f"HTTP/1.1 {code} Endless\r\nContent-Type: application/json\r\n\r\n[".encode()
    return Fault(
        "endless_body",
        code=code,
        data=head,
        endless=b"{}, " * (_PIECE // 4),
        interval=interval,
        carried_out=False,
    )


def many_headers(count: int = 1000) -> Fault:
    """Send a reply with many headers more.

    Args:
        count: How many.

    Raises:
        InvalidArgument: `count` is below 1.
    """
    check_count("many_headers", count)
    return Fault("many_headers", count=count)


def new_cookies() -> Fault:
    """Send a cookie of a new name with each reply."""
    return Fault("new_cookies")


def huge_json(size: int = 16 << 20) -> Fault:
    """Answer 200 with a list of empty images, which a program needs many times as much memory for.

    Args:
        size: The bytes of the reply's body, at least.

    Raises:
        InvalidArgument: `size` is below 0.
    """
    check_count("huge_json", size, least=0)
    return Fault("huge_json", count=size, carried_out=False)


def endless_pages(size: int = 0) -> Fault:
    """Answer with a page of new images that is always followed by another page.

    Args:
        size: The bytes of each page, which a field without a meaning fills up.

    Raises:
        InvalidArgument: `size` is below 0.
    """
    check_count("endless_pages", size, least=0)
    return Fault("endless_pages", count=size, carried_out=False)
