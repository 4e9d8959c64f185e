"""Replies of servers: a body up to a limit, a stream, or the error for a status of 400 or more."""

from __future__ import annotations

import html
import re
from datetime import timezone
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import TYPE_CHECKING

from ...errors import HTTPStatusError, NotFound, ProtocolError, status_error
from ...reasons import MalformedReplyError, classify
from ...redact import hide_in_text
from ..api.chunks import UnconfirmedEndError
from ..api.operation import ReplyTooLargeError
from .body import PIECE, OversizedReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .body import Body
    from .exchange import HTTPReply


_REQUEST_ID = "x-openstack-request-id"

BROKEN = (OSError, MalformedReplyError)
"""The exceptions for a connection or reply that broke."""

# A proxy's error page may be of any size, and take any time. The status has decided already.
_ERROR_BODY = 64 * 1024
_ERROR_SECONDS = 1.0
_DETAIL = 400
_LONGEST_WAIT = 1e9  # 31 years; a number of hundreds of digits would become infinity
# No part of it matches past the next "<", so that its time is proportional to the page's length.
_MARKUP = re.compile(r"<(title|h1|style)\b[^<]*</\1>|<[^<>]*>", re.IGNORECASE)


class BodyChunks:
    """The body of a reply as it arrives; its failures are raised as `AttemptError`.

    Raises:
        UnconfirmedEndError: The body came to an end that may be too early.
    """

    def __init__(self, body: Body, server: str) -> None:
        self._body = body
        self._server = server

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body.iterate(PIECE)
        except BROKEN as error:
            raise classify(error, self._server) from error
        if self._body.unannounced_end:
            raise UnconfirmedEndError(
                f"{self._server}: the data ends with the connection, and TLS did not announce that"
                " (no close_notify), so that it may be cut short: check the server, and a proxy"
                " before it"
            )

    def close(self) -> None:
        """Release the connection; close it if the body was not read to its end."""
        self._body.close()


def read_body(response: HTTPReply, limit: int, server: str) -> bytes:
    """Read a body of at most `limit` bytes.

    Args:
        response: The reply.
        limit: The most bytes that the body may have.
        server: ``host:port`` of the server, for the error.

    Raises:
        ReplyTooLargeError: The body is longer.
        ProtocolError: The body is compressed, which nobody asked for.
        OSError: The connection broke, or the time has passed.
        MalformedReplyError: The body is cut short or malformed.
    """
    check_coding(response, server)
    try:
        return response.body.read(limit)
    except OversizedReplyError as error:
        raise ReplyTooLargeError(
            f"{server}: the reply is longer than {limit} bytes: raise max_metadata_size if that is"
            " correct",
            error.begin,
        ) from error


def check_coding(response: HTTPReply, server: str) -> None:
    """Check that a body is not compressed: the request accepts ``identity`` only.

    Raises:
        ProtocolError: The body is compressed.
    """
    coding = response.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        response.body.close()
        raise ProtocolError(
            f"{server}: the reply is compressed although the request does not accept that: check"
            " the proxy before it"
        )


def request_id_of(headers: Mapping[str, str], secrets: tuple[str | None, ...]) -> str | None:
    """Return the server's id of a request; None if it has none.

    The request's secrets are hidden if the server repeats them. Control characters become spaces,
    because the id reaches spans, the log and terminals.
    """
    return _make_line(hide_in_text(headers.get(_REQUEST_ID, ""), *secrets)) or None


def describe_prefix(prefix: str) -> str:
    """Return a hint that no Glance answers under an address's prefix; empty without a prefix."""
    return f"; fix: correct the address if Glance is not under {prefix}" if prefix else ""


def build_error(
    response: HTTPReply,
    server: str,
    *,
    now: float,
    secrets: tuple[str | None, ...],
    prefix: str = "",
) -> HTTPStatusError:
    """Build the error for a reply with a status of 400 or above.

    Args:
        response: The reply; this reads its body and closes it.
        server: ``host:port`` of the server, for the message.
        now: Seconds since the epoch, for a ``Retry-After`` that is a date.
        secrets: The tokens that were sent, in case the reply repeats them; None is ignored.
        prefix: The path of the server's address, which a 404 of anything but Glance may be about.
    """
    status, request_id = response.status, request_id_of(response.headers, secrets)
    body = response.body.read_part(_ERROR_BODY, _ERROR_SECONDS)
    detail = _find_detail(body.decode("utf-8", "replace"), *secrets)
    phrase = responses.get(status, "")
    # Glance's own errors have a request id.
    foreign = status == NotFound.status and request_id is None
    return status_error(
        status,
        f"{server}: HTTP {status} {phrase}{': ' + detail if detail else ''}"
        f"{describe_prefix(prefix) if foreign else ''}",
        retry_after=_read_retry_after(response.headers.get("retry-after"), now),
        request_id=request_id,
    )


def _find_detail(body: str, *secrets: str | None) -> str:
    """Return the text of an error page, as one line without control characters."""
    # Glance sends its errors as HTML, with the message between the tags.
    text = _make_line(hide_in_text(html.unescape(_MARKUP.sub(" ", body)), *secrets))
    return text if len(text) <= _DETAIL else text[:_DETAIL] + "…"


def _make_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _read_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds to wait, from a number or a date (RFC 9110, 10.2.3); None for neither."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(value)
        # The obsolete forms of a date have no zone and mean GMT (RFC 9110, 5.6.7).
        date = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
        return max(0.0, date.timestamp() - now)
    except (ValueError, OverflowError):
        return None
