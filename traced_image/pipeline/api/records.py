"""JSON replies as Python values, refused where they are not what they claim to be."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...config.checks import format_value
from ...errors import InvalidImageID, InvalidMetadata, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .operation import Reply


Record = dict[str, Any]
"""A JSON object as Glance sends it."""

_TEXT = (str,)
_OPTIONAL_TEXT = (str, type(None))
_OPTIONAL_NUMBER = (int, type(None))

_IMAGE_TYPES: Mapping[str, tuple[type, ...]] = {
    "checksum": _OPTIONAL_TEXT,
    "container_format": _OPTIONAL_TEXT,
    "created_at": _TEXT,
    "direct_url": _TEXT,
    "disk_format": _OPTIONAL_TEXT,
    "id": _TEXT,
    "locations": (list,),
    "min_disk": (int,),
    "min_ram": (int,),
    "name": _OPTIONAL_TEXT,
    "os_hash_algo": _OPTIONAL_TEXT,
    "os_hash_value": _OPTIONAL_TEXT,
    "owner": _OPTIONAL_TEXT,
    "size": _OPTIONAL_NUMBER,
    "status": _TEXT,
    "tags": (list,),
    "updated_at": _TEXT,
    "virtual_size": _OPTIONAL_NUMBER,
    "visibility": _TEXT,
}
"""Types of an image's fields, from Glance's ``api/v2/images.py:get_base_properties``."""


def parse_object(reply: Reply) -> Record:
    """Parse a body that must be a JSON object.

    Raises:
        ProtocolError: It is not.
    """
    try:
        value = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{reply.origin}: the reply is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"{reply.origin}: the reply is JSON but not an object")
    return value


def parse_image(reply: Reply, image_id: str | None = None) -> Record:
    """Parse an image record, that of `image_id` if given.

    Raises:
        ProtocolError: It is none, or that of another image.
    """
    return check_image(parse_object(reply), reply.origin, image_id)


def check_image(record: object, origin: str, image_id: str | None = None) -> Record:
    """Check an image record's fields, and that it is that of `image_id` if given.

    Raises:
        ProtocolError: A field has a type that Glance's schema does not allow, or is no time.
    """
    if not isinstance(record, dict) or "id" not in record:
        raise ProtocolError(f"{origin}: the reply is not an image record")
    for name, kinds in _IMAGE_TYPES.items():
        # By the type itself: to isinstance, true and false are numbers.
        if name in record and type(record[name]) not in kinds:
            raise ProtocolError(f"{origin}: the image's {name} has a wrong type")
    check_time(record, "created_at", origin)
    check_time(record, "updated_at", origin)
    found = str(record["id"])
    # Databases that compare without regard to case find an image by its id in capitals, too.
    if image_id not in (None, found) and str(image_id).lower() != found.lower():
        raise ProtocolError(f"{origin}: the reply is not about the image that was requested")
    return record


def check_time(record: Record, name: str, origin: str) -> None:
    """Check that a field is a time stamp, where it has a value.

    Raises:
        ProtocolError: It is none.
    """
    value = record.get(name)
    if value:
        try:
            parse_time(value)
        except ValueError as error:
            raise ProtocolError(f"{origin}: the image's {name} is not a time stamp") from error


def parse_time(value: object) -> datetime:
    """Parse a time stamp, which is in UTC unless it says otherwise.

    Raises:
        ValueError: It is none.
    """
    # Before Python 3.11, fromisoformat does not know Z.
    parsed = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def read_items(record: Record, key: str, origin: str) -> list[Record]:
    """Take the list of objects that a reply's object holds under `key`.

    Raises:
        ProtocolError: There is none.
    """
    found = record.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ProtocolError(f"{origin}: the reply has no list of {key}")
    return found


def encode_json(value: object, what: str) -> bytes:
    """Encode a request's body as JSON.

    Raises:
        InvalidMetadata: JSON has no form for it.
    """
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMetadata(
            f"{what} can't be sent as JSON ({error}): pass plain values"
        ) from error


def quote_id(image_id: object) -> str:
    """Quote an image id for a path.

    Raises:
        InvalidImageID: It is empty, not text, or a path of its own.
    """
    try:
        return quote_segment(image_id, "image id")
    except InvalidMetadata as error:
        raise InvalidImageID(f"{error}, the image's UUID") from None


def quote_segment(text: object, what: str) -> str:
    """Quote a member, tag or the like as one segment of a path.

    Raises:
        InvalidMetadata: It is empty, not text, or a path of its own.
    """
    if isinstance(text, str) and text and text not in (".", ".."):
        try:
            return quote(text, safe="")
        except UnicodeEncodeError:
            pass
    raise InvalidMetadata(f"{format_value(text)} is not a valid {what}: pass valid text")
