"""Replies of servers: a body up to a limit, a stream, or the error for a status of 400 or more."""

from __future__ import annotations

import html
import re
from datetime import timezone
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import TYPE_CHECKING

import requests
import urllib3.exceptions

from ...errors import HTTPStatusError, ProtocolError, status_error
from ...reasons import classify
from ...redact import hide_in_text
from ..api.upload import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_REQUEST_ID = "x-openstack-request-id"

BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""The exceptions of ``requests`` and ``urllib3`` for a connection or reply that broke."""

_ERROR_BODY = 64 * 1024  # a proxy's error page may be of any size
_DETAIL = 400
_LONGEST_WAIT = 1e9  # 31 years; a number of hundreds of digits would become infinity
# No part of it matches past the next "<", so that its time is proportional to the page's length.
_MARKUP = re.compile(r"<(title|h1|style)\b[^<]*</\1>|<[^<>]*>", re.IGNORECASE)


class BodyChunks:
    """The body of a reply as it arrives; its failures are raised as `AttemptError`."""

    def __init__(self, response: requests.Response, server: str) -> None:
        self._response = response
        self._server = server

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._response.raw.stream(CHUNK, decode_content=False)
        except BROKEN as error:
            raise classify(error, self._server) from error
        finally:
            self.close()

    def close(self) -> None:
        """Release the connection; close it if the body was not read to its end."""
        self._response.close()


def read_body(response: requests.Response, limit: int, server: str) -> bytes:
    """Read a body of at most `limit` bytes.

    Args:
        response: The reply.
        limit: The most bytes that the body may have.
        server: ``host:port`` of the server, for the error.

    Raises:
        ProtocolError: The body is longer.
    """
    # An announced length lets urllib3 notice a body that is cut short.
    raw = response.raw
    announced = raw.length_remaining
    if announced is not None and announced <= limit:
        body = raw.read(decode_content=False)
    else:
        body = raw.read(limit + 1, decode_content=False)
    if len(body) > limit:
        response.close()
        raise ProtocolError(
            f"{server}: the reply is longer than {limit} bytes: raise max_metadata_size if that is"
            " correct"
        )
    return bytes(body)


def request_id_of(headers: Mapping[str, str], secret: str | None) -> str | None:
    """Return the server's id of a request, with the request's secrets hidden if it repeats them."""
    found = headers.get(_REQUEST_ID)
    return None if found is None else hide_in_text(found, secret)


def build_error(
    response: requests.Response, server: str, *, now: float, secret: str | None
) -> HTTPStatusError:
    """Build the error for a reply with a status of 400 or above.

    Args:
        response: The reply; this reads its body and closes it.
        server: ``host:port`` of the server, for the message.
        now: Seconds since the epoch, for a ``Retry-After`` that is a date.
        secret: The token that was sent, in case the reply repeats it.
    """
    try:
        body = response.raw.read(_ERROR_BODY, decode_content=False)
    except BROKEN:
        body = b""
    response.close()
    detail = _find_detail(body.decode("utf-8", "replace"), secret)
    status = response.status_code
    phrase = responses.get(status, "")
    return status_error(
        status,
        f"{server}: HTTP {status} {phrase}{': ' + detail if detail else ''}",
        retry_after=_read_retry_after(response.headers.get("Retry-After"), now),
        request_id=request_id_of(response.headers, secret),
    )


def _find_detail(body: str, secret: str | None) -> str:
    """Return the text of an error page, as one line without control characters."""
    # Glance sends its errors as HTML, with the message between the tags.
    text = _make_line(hide_in_text(html.unescape(_MARKUP.sub(" ", body)), secret))
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
