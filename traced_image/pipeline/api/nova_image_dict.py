"""Translation between image records and the dict of nova's image service.

This module mirrors ``_translate_from_glance``, ``_translate_to_glance`` and
``_is_image_available`` of ``nova/image/glance.py``: those of nova 34 for API v2, and those of nova
2013.1 for API v1.

If the text of a structured property is not JSON, it stays text. nova raises ValueError, so that
one such image makes the list fail for every caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from ...config.checks import format_value
from ...errors import InvalidImageRecord, InvalidMetadata, InvalidQuery
from .records import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ..context import Context
    from .records import Record


ImageDict = dict[str, Any]
"""An image in nova's form: base fields, and custom fields under ``properties``."""


class ListKeywords(TypedDict, total=False):
    """The keywords of `GlanceImageService.detail`.

    Attributes:
        filters: Fields and properties with the values to match; ``property-NAME``,
            ``changes-since`` and ``is_public`` mean the same as in nova.
        marker: The id of the image after which to start.
        limit: How many images to return at most; None or 0 for all.
        page_size: How many images to request at a time.
        sort_key: A field to sort by, or several.
        sort_dir: ``asc`` or ``desc``, for all keys or for each.
        offset: Ignored, as nova ignores it: nova's API passes it.
    """

    filters: Mapping[str, object] | None
    marker: str | None
    limit: int | None
    page_size: int | None
    sort_key: str | Sequence[str] | None
    sort_dir: str | Sequence[str] | None
    offset: int | None


_BASE_V2 = frozenset(
    "id name status visibility protected os_hidden checksum os_hash_algo os_hash_value owner size"
    " virtual_size container_format disk_format created_at updated_at tags direct_url min_ram"
    " min_disk self file stores schema locations".split()
)
"""The fields of Glance's own schema; every other field is a custom property."""

_OMITTED_V2 = frozenset({"self", "schema", "protected", "virtual_size", "file", "tags"})
_LOCATIONS = frozenset({"direct_url", "locations"})
_FIELDS_V1 = (
    "size disk_format owner container_format checksum id name created_at updated_at deleted_at"
    " deleted status min_disk min_ram is_public"
).split()
_TIMESTAMPS = ("created_at", "updated_at", "deleted_at")
_STRUCTURED = ("block_device_mapping", "mappings")
_READ_ONLY = frozenset({"status", "updated_at", "created_at", "deleted_at"})


def from_v2(record: Record, *, include_locations: bool = False) -> ImageDict:
    """Build nova's dict from a record of API v2; null and odd types stay, as in nova.

    Raises:
        InvalidImageRecord: A time stamp can't be read.
    """
    properties: dict[str, Any] = {}
    image: ImageDict = {
        "properties": properties,
        "deleted": False,
        "deleted_at": None,
        "disk_format": None,
        "container_format": None,
        "name": None,
        "checksum": None,
    }
    for name, value in record.items():
        if name not in _BASE_V2:
            properties[name] = value
        elif name == "visibility":
            image["is_public"] = value == "public"
        elif name == "size" and value is None:
            image["size"] = 0
        elif name not in _OMITTED_V2 and (include_locations or name not in _LOCATIONS):
            image[name] = value
    return _parse_values(image)


def from_v1(record: Record) -> ImageDict:
    """Build nova's dict from a record of API v1; null and odd types stay, as in nova.

    Raises:
        InvalidImageRecord: A time stamp can't be read.
    """
    image: ImageDict = {name: record.get(name) for name in _FIELDS_V1}
    properties = record.get("properties", {})
    image["properties"] = dict(properties) if isinstance(properties, dict) else properties
    return _parse_values(image)


def _parse_values(image: ImageDict) -> ImageDict:
    """Replace time stamps and structured properties, which are texts, by their values."""
    for name in _TIMESTAMPS:
        if image.get(name):
            image[name] = _parse_time(image, name)
    properties = image["properties"]
    if isinstance(properties, dict):
        for name in _STRUCTURED:
            text = properties.get(name)
            if isinstance(text, str):
                properties[name] = _parse_json(text)
    return image


def _parse_time(image: ImageDict, name: str) -> datetime:
    value = image[name]
    try:
        return parse_time(value)
    except ValueError as error:
        raise InvalidImageRecord(
            f"image {format_value(image.get('id'))}: its {name}, {format_value(value)}, is not a"
            " time stamp: correct the record in Glance's database",
            field=name,
        ) from error


def is_deleted(image: ImageDict) -> bool:
    """Return whether an image's record says that it is deleted.

    API v1 has a field for it. In a record of API v2, which has none, nova reads the property.
    """
    properties = image["properties"]
    own = properties.get("deleted") if isinstance(properties, dict) else None
    return bool(image["deleted"] or own)


def _parse_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def to_v1(image_meta: Mapping[str, object]) -> Record:
    """Build the fields to send by API v1 from nova's dict, without those that Glance sets itself.

    Raises:
        InvalidMetadata: A field can't be sent.
    """
    if not isinstance(image_meta, Mapping):
        raise InvalidMetadata(f"image_meta is {type(image_meta).__name__}: pass a dict")
    image = {name: value for name, value in image_meta.items() if name not in _READ_ONLY}
    properties = image.get("properties", {})
    if not isinstance(properties, Mapping):
        raise InvalidMetadata("image_meta's properties are not a mapping: pass a dict")
    properties = image["properties"] = dict(properties)
    for name in (*image, *properties):
        if not isinstance(name, str) or not name:
            raise InvalidMetadata(
                f"{format_value(name)} is not the name of a field or property: pass text"
            )
    for name in _STRUCTURED:
        if name in properties and not isinstance(properties[name], str):
            properties[name] = _dump_json(name, properties[name])
    return image


def _dump_json(name: str, value: object) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMetadata(
            f"property {name} can't be written as JSON: pass plain values"
        ) from error


def to_v2(image_meta: Mapping[str, object]) -> Record:
    """Build the fields to send by API v2 from nova's dict, without those that Glance sets itself.

    Raises:
        InvalidMetadata: A field can't be sent.
    """
    record: Record = {}
    image = to_v1(image_meta)
    for name, value in image.items():
        if name in ("min_ram", "min_disk"):
            record[name] = _to_int(name, value)
        elif name == "is_public":
            record["visibility"] = "public" if value else "private"
        elif name not in ("properties", "size", "deleted"):
            record[name] = value
    for name, value in image["properties"].items():
        # Glance's schema requires a UUID for these two, and old images have the text "None".
        unset = isinstance(value, str) and value.strip().lower() in ("none", "")
        if not (name in ("kernel_id", "ramdisk_id") and unset):
            record[name] = value if value is None else str(value)
    return record


def _to_int(name: str, value: str | float) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidMetadata(f"{name} is {format_value(value)}: pass a whole number") from error


def is_available(context: Context, image: ImageDict) -> bool:
    """Return whether the caller may see an image, for a Glance without authentication.

    The first property that the image has decides: ``owner_id``, ``project_id``, ``user_id``.
    Values are compared as text.
    """
    # With a token, Glance itself has checked what the caller may see.
    if getattr(context, "auth_token", None):
        return True
    if image.get("is_public") or getattr(context, "is_admin", False):
        return True
    properties = image["properties"]
    project_id = getattr(context, "project_id", None)
    if not isinstance(properties, Mapping):
        return False
    for name in ("owner_id", "project_id"):
        if project_id and name in properties:
            return str(properties[name]) == str(project_id)
    if "user_id" not in properties:
        return False
    return str(properties["user_id"]) == str(getattr(context, "user_id", None))


def make_query_v1(params: ListKeywords) -> dict[str, Any]:
    """Build the arguments of a list by API v1 from those of `detail`.

    Raises:
        InvalidQuery: An argument is unknown, or ``filters`` is not a mapping.
    """
    # "none" makes API v1 return public and private images; its default is public ones only.
    return _make_query(params, lambda filters: {"is_public": "none", **filters})


def make_query_v2(params: ListKeywords) -> dict[str, Any]:
    """Build the arguments of a list by API v2 from those of `detail`.

    Raises:
        InvalidQuery: An argument is unknown, or ``filters`` is not a mapping.
    """
    return _make_query(params, _rename_filters)


def _make_query(
    params: ListKeywords, translate: Callable[[Mapping[str, object]], dict[str, object]]
) -> dict[str, Any]:
    given: dict[str, Any] = {**params}
    accepted = ("filters", "marker", "limit", "page_size", "sort_key", "sort_dir")
    unknown = [name for name in given if name not in (*accepted, "offset")]
    filters = given.get("filters") or {}
    if unknown or not isinstance(filters, Mapping):
        what = (
            f"unknown argument {format_value(unknown[0])}"
            if unknown
            else "filters are not a mapping"
        )
        raise InvalidQuery(f"detail: {what}: use {', '.join(accepted)}")
    arguments = {name: given[name] for name in accepted if given.get(name)}
    return {**arguments, "filters": translate(filters)}


def _rename_filters(filters: Mapping[str, object]) -> dict[str, object]:
    """Rename filters for API v2; the list includes private images unless a filter excludes them.

    nova removes ``property-`` by ``lstrip``, which also removes letters of the name. This removes
    only the prefix.
    """
    renamed: dict[str, object] = {}
    visibility = {"true": "public", "1": "public", "false": "private", "0": "private"}
    for name, value in filters.items():
        if name == "is_public":
            if str(value).lower() in visibility:
                renamed["visibility"] = visibility[str(value).lower()]
        elif name == "changes-since":
            renamed["updated_at"] = f"gte:{value}"
        else:
            renamed[str(name).removeprefix("property-")] = value
    return renamed
