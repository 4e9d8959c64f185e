"""Parsers and checks for JSON replies, and encoders for request bodies and paths."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from ...config.checks import format_value
from ...errors import InvalidImageID, InvalidMetadata, ProtocolError
from .operation import SkippedRecord

if TYPE_CHECKING:
    from .operation import Reply


Record = dict[str, Any]
"""A JSON object as Glance sends it."""

MOST_CONTAINERS = 10_000
"""Lists and objects that any reply may have, however short it is."""

CONTAINER_SIZE = 32
"""Bytes of a reply beyond which it may have one more list or object.

A record of Glance has some 600 bytes or more for each of its objects. ``{},`` has 3 bytes and
takes 72 bytes of memory, so that a reply of 16 MiB would take 400 MiB.
"""

NO_OBJECT = "record"
"""What stands for the field, if a record is no object."""

_GLANCE_TIME = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TIME = re.compile(
    r"""(?P<year>[0-9]{4})
    (?:(?P<month>-[0-9]{1,2}|[0-9]{2}(?!\Z))
    (?:(?P<day>-[0-9]{1,2}|[0-9]{2})
    (?:[ T](?P<hour>[0-9]{2})
    (?::?(?P<minute>[0-9]{2}))?
    (?::?(?P<second>[0-9]{1,2})(?:[.,](?P<fraction>[0-9]+))?)?
    (?P<zone>Z|(?P<sign>[-+])(?P<zone_hour>[0-9]{2}):?(?P<zone_minute>[0-9]{2})?)?
    )?)?)?""",
    re.VERBOSE,
)
"""The forms of a time stamp that nova reads: those of the package iso8601."""

_NO_MARKS = bytes(set(range(256)) - set(b'"[{'))


def parse_object(reply: Reply) -> Record:
    """Parse a reply's body as a JSON object.

    Raises:
        ProtocolError: The body is not a JSON object, or it has too many lists and objects.
    """
    _check_memory(reply)
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{reply.origin}: the reply is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"{reply.origin}: the reply is JSON but not an object")
    return value


def _check_memory(reply: Reply) -> None:
    """Check before a reply is parsed that it will not take many times its size in memory."""
    body = reply.body
    most = MOST_CONTAINERS + len(body) // CONTAINER_SIZE
    # The first count is quick and includes the texts. A property may have any text, and one image
    # with many braces must not break everybody's list, so only the second count decides.
    if body.count(b"{") + body.count(b"[") > most and _count_containers(body) > most:
        raise ProtocolError(
            f"{reply.origin}: the reply is not JSON of image records: it has more than {most} lists"
            f" and objects in {len(body)} bytes"
        )


def _count_containers(body: bytes) -> int:
    """Count the lists and objects of a JSON text, without those in its strings."""
    # No regular expression, which takes quadratic time for a string that does not end. A bracket
    # is in a string if an odd number of quotes is before it, so pairs of quotes may go.
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"")
    marks = plain.translate(None, _NO_MARKS).replace(b'""', b"")
    return sum(map(len, marks.split(b'"')[::2]))


def parse_image(reply: Reply, image_id: str | None = None) -> Record:
    """Parse a reply's body as an image record, and check it.

    Args:
        reply: The reply.
        image_id: The id that the record must have; None for any.

    Raises:
        ProtocolError: The body is not an image record, or it is the record of another image.
    """
    return check_image(parse_object(reply), reply.origin, image_id)


def check_image(record: object, origin: str, image_id: str | None = None) -> Record:
    """Check that a value is an image record, and its id.

    A field may have any type, as in nova, which checks none.

    Args:
        record: The record.
        origin: ``host:port`` of the server, for the error.
        image_id: The id that the record must have; None for any.

    Raises:
        ProtocolError: The value is no object with an id, or is the record of another image.
    """
    if not isinstance(record, dict) or find_skip(record) is not None:
        raise ProtocolError(f"{origin}: the reply is not an image record")
    found: str = record["id"]
    # Some databases ignore case when they compare, so Glance finds an id in capitals too.
    if image_id not in (None, found) and str(image_id).lower() != found.lower():
        raise ProtocolError(f"{origin}: the reply is not about the image that was requested")
    return record


def find_skip(record: object) -> SkippedRecord | None:
    """Return why a list can't have a record: it is no object, or it has no id. None if it can."""
    if not isinstance(record, dict):
        return SkippedRecord(None, NO_OBJECT)
    image_id = record.get("id")
    usable = isinstance(image_id, str) and image_id
    return None if usable else SkippedRecord(image_id, "id")


class Page(NamedTuple):
    """A page of a list: its image records, what it has beside them, and its link to the next."""

    images: list[Record]
    skipped: list[SkippedRecord]
    link: object


def read_page(reply: Reply) -> Page:
    """Parse a page of a list of images.

    Raises:
        ProtocolError: The body is no list of images: it has items, and none of them is a record.
    """
    body = parse_object(reply)
    images, skipped = [], []
    for item in read_items(body, "images", reply.origin):
        skip = find_skip(item)
        if skip is None:
            images.append(item)
        else:
            skipped.append(skip)
    if skipped and not images:
        raise ProtocolError(f"{reply.origin}: the reply has no list of images")
    return Page(images, skipped, body.get("next"))


def parse_time(value: object) -> datetime:
    """Parse a time stamp in ISO 8601; it is in UTC unless it has a time zone.

    This reads what nova's ``timeutils.parse_isotime`` reads, on every Python: also a date without
    a time, ``+0000``, and fractions of any length, which are cut to microseconds.

    Raises:
        ValueError: The value is not a time stamp.
    """
    if not isinstance(value, str):
        raise ValueError("it is not text")  # noqa: TRY004 as nova does, and as for any other value
    # The pattern of the package iso8601 ends in "$", which also matches before a last line break.
    text = value.removesuffix("\n")
    if _GLANCE_TIME.fullmatch(text):
        # Glance's own form, in a fifth of the time. For all forms datetime.fromisoformat is not
        # the right one: it reads others, and on Python 3.10 only a few.
        return datetime.fromisoformat(f"{text[:-1]}+00:00")
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("it is not in a form of ISO 8601")
    return datetime(
        int(found["year"]),
        abs(int(found["month"] or 1)),
        abs(int(found["day"] or 1)),
        int(found["hour"] or 0),
        int(found["minute"] or 0),
        int(found["second"] or 0),
        int((found["fraction"] or "")[:6].ljust(6, "0")),
        _read_zone(found),
    )


def _read_zone(found: re.Match[str]) -> timezone:
    if found["sign"] is None:
        return timezone.utc
    offset = timedelta(hours=int(found["zone_hour"]), minutes=int(found["zone_minute"] or 0))
    return timezone(-offset if found["sign"] == "-" else offset)


def read_items(record: Record, key: str, origin: str) -> list[Any]:
    """Return the list that a reply's object has under `key`.

    Raises:
        ProtocolError: The object has no such list.
    """
    found = record.get(key)
    if not isinstance(found, list):
        raise ProtocolError(f"{origin}: the reply has no list of {key}")
    return found


def encode_json(value: object, what: str) -> bytes:
    """Encode a request's body as JSON.

    Args:
        value: The body.
        what: The argument's name, for the error.

    Raises:
        InvalidMetadata: JSON can't express the value.
    """
    try:
        # NaN is not valid JSON (RFC 8259, 6), although Python writes it by default.
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMetadata(
            f"{what} can't be sent as JSON ({error}): pass plain values"
        ) from error


def quote_id(image_id: object) -> str:
    """Quote an image id for a path.

    Raises:
        InvalidImageID: The id is empty, not text, a URL, or ``.`` or ``..``.
    """
    if isinstance(image_id, str) and "://" in image_id:
        # A URL may contain a password, so the message shows no part of it.
        raise InvalidImageID(
            "the image id is a URL (not shown): pass the id at its end, or take it from"
            " get_remote_image_service(context, image_href)"
        )
    try:
        return quote_segment(image_id, "image id")
    except InvalidMetadata as error:
        raise InvalidImageID(f"{error}, the image's UUID") from None


def quote_segment(text: object, what: str) -> str:
    """Quote a member or tag as one segment of a path.

    Args:
        text: The text to quote.
        what: The argument's name, for the error.

    Raises:
        InvalidMetadata: The text is empty, not text, or ``.`` or ``..``.
    """
    # Quoting keeps dots, and proxies remove the segments "." and ".." (RFC 3986, 5.2.4): the
    # request would then name another path.
    if isinstance(text, str) and text and text not in (".", ".."):
        try:
            return quote(text, safe="")
        except UnicodeEncodeError:
            pass
    raise InvalidMetadata(f"{format_value(text)} is not a valid {what}: pass valid text")
