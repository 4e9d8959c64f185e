"""Checks of the arguments of faults, which refuse a wrong value where it is written."""

from __future__ import annotations

import ipaddress
import json
import math
import re
import reprlib
from typing import TYPE_CHECKING

from ..errors import InvalidArgument

if TYPE_CHECKING:
    from typing_extensions import TypeIs

METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
"""The methods of RFC 9110 and RFC 5789."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PEER = re.compile(r"(\[.+\]|[0-9.]+)(?::([1-9][0-9]*))?")
_LEAST_ERROR = 400
_FINAL = (200, 599)
_INTERIM = (100, 199)


def wrong(call: str, value: object, fix: str) -> InvalidArgument:
    """Build the error of a wrong argument: the call with its value, and how to fix it."""
    return InvalidArgument(f"{call}({reprlib.repr(value)}): {fix}.")


def _is_int(value: object) -> TypeIs[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def check_status(call: str, code: object, *, interim: bool = False) -> None:
    """Refuse what is no status of a final (or of an interim) reply."""
    least, most = _INTERIM if interim else _FINAL
    if not _is_int(code) or not least <= code <= most:
        raise wrong(call, code, f"give an HTTP status from {least} to {most}, as an int")


def check_error(call: str, code: object) -> None:
    """Refuse what is no status of an error."""
    if not _is_int(code) or not _LEAST_ERROR <= code <= _FINAL[1]:
        raise wrong(
            call, code, f"give an HTTP status from {_LEAST_ERROR} to {_FINAL[1]}, as an int"
        )


def check_count(call: str, count: object, *, least: int = 1) -> None:
    """Refuse what is no whole number from `least`."""
    if not _is_int(count) or count < least:
        raise wrong(call, count, f"give a number from {least}, as an int")


def check_seconds(call: str, seconds: object) -> None:
    """Refuse what is no number of seconds from 0."""
    check_number(call, seconds, "give seconds from 0, as a float or an int")


def check_number(
    call: str, number: object, fix: str, *, least: float = 0.0, most: float = math.inf
) -> None:
    """Refuse what is no finite number from `least` to `most`."""
    if not isinstance(number, (float, int)) or isinstance(number, bool):
        raise wrong(call, number, fix)
    if not math.isfinite(number) or not least <= number <= most:
        raise wrong(call, number, fix)


def check_offset(call: str, number: object) -> None:
    """Refuse what is no whole number, below or above 0."""
    if not _is_int(number):
        raise wrong(call, number, "give a number of bytes, as an int")


def check_choice(call: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse what is none of these."""
    if value not in choices:
        raise wrong(call, value, f"give one of {', '.join(map(str, choices))}")


def check_text(call: str, value: object) -> str:
    """Return a text; refuse what is none."""
    if not isinstance(value, str):
        raise wrong(call, value, "give text, as a str")
    return value


def check_header_name(call: str, value: object, fix: str) -> str:
    """Return a header's name in small letters; refuse what no header is named."""
    if not isinstance(value, str) or not _HEADER_NAME.fullmatch(value):
        raise wrong(call, value, fix)
    return value.lower()


def check_client(call: str, value: object) -> str:
    """Return a client's address, with or without a port; refuse what no client has."""
    found = _PEER.fullmatch(value) if isinstance(value, str) else None
    if not isinstance(value, str) or found is None or not _is_written_as_seen(found[1]):
        fix = "give a client's IP address, as in 127.0.0.2, [::1] or 127.0.0.1:40123"
        raise wrong(call, value, fix)
    return value


def _is_written_as_seen(address: str) -> bool:
    """Return whether a connection of this address shows it in the same form."""
    bare = address.strip("[]")
    try:
        return str(ipaddress.ip_address(bare)) == bare and (":" in bare) == ("[" in address)
    except ValueError:
        return False


def check_loopback(host: object) -> str:
    """Return a loopback address; refuse what others could reach, as these servers trust all."""
    try:
        if isinstance(host, str) and (
            host == "localhost" or ipaddress.ip_address(host).is_loopback
        ):
            return host
    except ValueError:
        pass
    fix = "give a loopback address: 127.0.0.1, another one of 127.0.0.0/8, or ::1"
    raise wrong("host", host, fix)


def check_sendable(call: str, value: object, code: str = "latin-1") -> None:
    """Refuse what is no text, or has characters that a reply's headers can't have."""
    text = check_text(call, value)
    try:
        text.encode(code)
    except UnicodeEncodeError as error:
        raise wrong(call, value, f"give text that {code} can encode") from error


def check_bytes(call: str, value: object) -> None:
    """Refuse what is no bytes."""
    if not isinstance(value, bytes):
        raise wrong(call, value, "give bytes, such as b'HTTP/1.1 200 OK'")


def check_method(call: str, method: object) -> str:
    """Return an HTTP method in capitals; refuse an unknown one."""
    if not isinstance(method, str) or method.upper() not in METHODS:
        raise wrong(call, method, f"give one of {', '.join(sorted(METHODS))}")
    return method.upper()


def check_pattern(call: str, pattern: object) -> str:
    """Return a regular expression; refuse what is none."""
    try:
        if isinstance(pattern, str):
            re.compile(pattern)
            return pattern
    except re.error as error:
        raise wrong(call, pattern, f"give a regular expression ({error})") from error
    raise wrong(call, pattern, "give a regular expression, as a str")


def check_json(call: str, value: object) -> None:
    """Refuse what JSON can't hold."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise wrong(call, value, f"give a value that JSON can hold ({error})") from error


def check_retry_after(call: str, value: object) -> None:
    """Refuse what can't be a ``Retry-After``: neither an int, nor a line of text, nor None."""
    is_line = isinstance(value, str) and value.isprintable()
    if value is not None and not is_line and not _is_int(value):
        fix = "give a Retry-After as seconds (an int), as an HTTP date (a str), or None"
        raise wrong(call, value, fix)
