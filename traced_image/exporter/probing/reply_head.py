"""Checks of a reply's head that h11 does not make: one length, and one way to find the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import ProtocolError

if TYPE_CHECKING:
    import h11


_FRAMING = re.compile(rb"(?im)^(content-length|transfer-encoding)[ \t]*:([^\r\n]*)")
_LENGTH = re.compile(rb"\d{1,19}")
_LONGEST = 2**63 - 1
_START = b"HTTP/"
_VERSIONS = frozenset({b"1.0", b"1.1"})
_BODILESS = frozenset({204, 304})


def has_body(status: int) -> bool:
    """Return whether the reply to a GET with this status has a body (RFC 9112, section 6.3)."""
    return status not in _BODILESS


def check_start(raw: bytes | bytearray, origin: str) -> None:
    """Reject bytes that can't begin a reply, for which h11 would wait for the end of the head.

    Raises:
        ProtocolError: They are not of HTTP.
    """
    if raw[: len(_START)] != _START[: len(raw)]:
        raise ProtocolError(f"{origin}: the reply is cut short or is not HTTP")


def check_head(
    raw: bytes | bytearray, event: h11.Response, origin: str, longest: int | None
) -> None:
    """Reject a head that two readers could understand differently (RFC 9112, section 6.3).

    h11 takes ``Content-Length: 5, 5`` for 5, ignores a length beside a transfer coding, and
    accepts any version of HTTP.

    Args:
        raw: The bytes of the head.
        event: What h11 made of it.
        origin: ``host:port`` of the server, for the message.
        longest: The longest body that is of use; None for no limit.

    Raises:
        ProtocolError: It is such a head, or announces a body that is too long.
    """
    if event.http_version not in _VERSIONS:
        raise ProtocolError(f"{origin}: the reply is of an unknown version of HTTP")
    found = [(name.lower(), value.strip()) for name, value in _FRAMING.findall(raw)]
    if not has_body(event.status_code) or not found:
        return
    if len(found) > 1:
        raise ProtocolError(f"{origin}: the reply has several lengths or transfer codings")
    name, value = found[0]
    if name == b"content-length":
        _check_length(value, origin, longest)
    elif event.http_version == b"1.0":
        raise ProtocolError(f"{origin}: the reply has a transfer coding in HTTP/1.0")


def _check_length(value: bytes, origin: str, longest: int | None) -> None:
    if not _LENGTH.fullmatch(value) or int(value) > _LONGEST:
        raise ProtocolError(f"{origin}: the reply's Content-Length is not a number of bytes")
    if longest is not None and int(value) > longest:
        raise ProtocolError(f"{origin}: the reply has more than {longest} bytes")
