"""The v2 schemas that Glance 33 serves, and the check of values against them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..error_responses import Refused
from ..http1 import JSON, ReceivedRequest, Response, make_json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..images import Images

_UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
_CONTAINERS: list[JSON] = [None, "ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"]
_DISKS: list[JSON] = [
    None,
    "ami",
    "ari",
    "aki",
    "vhd",
    "vhdx",
    "vmdk",
    "raw",
    "qcow2",
    "vdi",
    "iso",
]
_DISKS += ["ploop"]
_STATUSES: list[JSON] = ["queued", "saving", "active", "killed", "deleted", "uploading"]
_VISIBILITIES: list[JSON] = ["community", "public", "private", "shared"]
_STATUSES += ["importing", "pending_delete", "deactivated"]


def _make_field(kind: JSON, description: str, **rules: JSON) -> dict[str, JSON]:
    return {"type": kind, "description": description, **rules}


def _make_read_only(kind: JSON, description: str, **rules: JSON) -> dict[str, JSON]:
    return {"type": kind, "readOnly": True, "description": description, **rules}


_LOCATION: dict[str, JSON] = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": 255},
        "metadata": {"type": "object"},
        "validation_data": {
            "description": "Values to be used to populate the corresponding image properties. If"
            " the image status is not 'queued', values must exactly match those already"
            " contained in the image properties.",
            "type": "object",
            "writeOnly": True,
            "additionalProperties": False,
            "properties": {
                "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
                "os_hash_algo": {"type": "string", "maxLength": 64},
                "os_hash_value": {"type": "string", "maxLength": 128},
            },
            "required": ["os_hash_algo", "os_hash_value"],
        },
    },
    "required": ["url", "metadata"],
}

_NULL_OR_TEXT: JSON = ["null", "string"]
_NULL_OR_NUMBER: JSON = ["null", "integer"]

IMAGE: Mapping[str, dict[str, JSON]] = {
    "id": _make_field("string", "An identifier for the image", pattern=_UUID),
    "name": _make_field(_NULL_OR_TEXT, "Descriptive name for the image", maxLength=255),
    "status": _make_read_only("string", "Status of the image", enum=_STATUSES),
    "visibility": _make_field("string", "Scope of image accessibility", enum=_VISIBILITIES),
    "protected": _make_field("boolean", "If true, image will not be deletable."),
    "os_hidden": _make_field(
        "boolean", "If true, image will not appear in default image list response."
    ),
    "checksum": _make_read_only(_NULL_OR_TEXT, "md5 hash of image contents.", maxLength=32),
    "os_hash_algo": _make_read_only(
        _NULL_OR_TEXT, "Algorithm to calculate the os_hash_value", maxLength=64
    ),
    "os_hash_value": _make_read_only(
        _NULL_OR_TEXT,
        "Hexdigest of the image contents using the algorithm specified by the os_hash_algo",
        maxLength=128,
    ),
    "owner": _make_field(_NULL_OR_TEXT, "Owner of the image", maxLength=255),
    "size": _make_read_only(_NULL_OR_NUMBER, "Size of image file in bytes"),
    "virtual_size": _make_read_only(_NULL_OR_NUMBER, "Virtual size of image in bytes"),
    "container_format": _make_field(_NULL_OR_TEXT, "Format of the container", enum=_CONTAINERS),
    "disk_format": _make_field(_NULL_OR_TEXT, "Format of the disk", enum=_DISKS),
    "created_at": _make_read_only("string", "Date and time of image registration"),
    "updated_at": _make_read_only("string", "Date and time of the last image modification"),
    "tags": _make_field(
        "array",
        "List of strings related to the image",
        items={"type": "string", "maxLength": 255},
    ),
    "direct_url": _make_read_only("string", "URL to access the image file kept in external store"),
    "min_ram": _make_field("integer", "Amount of ram (in MB) required to boot image."),
    "min_disk": _make_field("integer", "Amount of disk space (in GB) required to boot image."),
    "self": _make_read_only("string", "An image self url"),
    "file": _make_read_only("string", "An image file url"),
    "stores": _make_read_only(
        "string",
        "Store in which image data resides.  Only present when the operator has enabled multiple"
        " stores.  May be a comma-separated list of store identifiers.",
    ),
    "schema": _make_read_only("string", "An image schema url"),
    "locations": {
        "type": "array",
        "items": _LOCATION,
        "description": "A set of URLs to access the image file kept in external store",
    },
}

_MEMBER: Mapping[str, dict[str, JSON]] = {
    "member_id": _make_field("string", "An identifier for the image member (tenantId)"),
    "image_id": _make_field("string", "An identifier for the image", pattern=_UUID),
    "created_at": _make_field("string", "Date and time of image member creation"),
    "updated_at": _make_field("string", "Date and time of last modification of image member"),
    "status": _make_field(
        "string", "The status of this image member", enum=["pending", "accepted", "rejected"]
    ),
    "schema": {"readOnly": True, "type": "string"},
}


def _make_link(rel: str, name: str) -> JSON:
    return {"rel": rel, "href": f"{{{name}}}"}


_IMAGE_SCHEMA: dict[str, JSON] = {
    "name": "image",
    "properties": dict(IMAGE),
    "additionalProperties": {"type": "string"},
    "links": [
        _make_link("self", "self"),
        _make_link("enclosure", "file"),
        _make_link("describedby", "schema"),
    ],
}
_MEMBER_SCHEMA: dict[str, JSON] = {
    "name": "member",
    "properties": dict(_MEMBER),
}
SCHEMAS: Mapping[str, dict[str, JSON]] = {
    "image": _IMAGE_SCHEMA,
    "images": {
        "name": "images",
        "properties": {
            "images": {"type": "array", "items": _IMAGE_SCHEMA},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [
            _make_link("first", "first"),
            _make_link("next", "next"),
            _make_link("describedby", "schema"),
        ],
    },
    "member": _MEMBER_SCHEMA,
    "members": {
        "name": "members",
        "properties": {
            "members": {"type": "array", "items": _MEMBER_SCHEMA},
            "schema": {"type": "string"},
        },
        "links": [_make_link("describedby", "schema")],
    },
}


def show(_: Images, __: ReceivedRequest, name: str) -> Response:
    """``GET /v2/schemas/{name}``."""
    if name not in SCHEMAS:
        raise Refused(404)
    return make_json_response(200, SCHEMAS[name])


def check(values: Mapping[str, JSON]) -> None:
    """Check some or all of an image's attributes and properties against the image's schema.

    Raises:
        Refused: 400, with the text of the jsonschema library, which Glance uses.
    """
    for name, value in values.items():
        problem = _find_problem(value, IMAGE.get(name, {"type": "string"}))
        if problem is not None:
            raise Refused(400, f"Provided object does not match schema 'image': {problem}")


def check_amounts(values: Mapping[str, JSON]) -> None:
    """Check ``min_disk`` and ``min_ram``, for which the schema has no bounds.

    Raises:
        Refused: 400, if a value is negative.
    """
    for name in ("min_disk", "min_ram"):
        value = values.get(name)
        if isinstance(value, int) and value < 0:
            problem = f"Invalid value '{value}' for parameter '{name}'"
            raise Refused(400, f"{problem}: Cannot be a negative value")


def _find_problem(value: JSON, rules: Mapping[str, JSON]) -> str | None:
    """Return what is wrong with a value; None if it matches the rules.

    It covers the part of JSON Schema that the image's schema uses.
    """
    kinds = rules["type"] if isinstance(rules["type"], list) else [rules["type"]]
    if _name_type(value) not in kinds:
        return f"{value!r} is not of type {', '.join(repr(kind) for kind in kinds)}"
    enum = rules.get("enum")
    if isinstance(enum, list) and value not in enum:
        return f"{value!r} is not one of {enum!r}"
    if isinstance(value, str):
        return _find_text_problem(value, rules)
    items = rules.get("items")
    if isinstance(value, list) and isinstance(items, dict):
        return next(filter(None, (_find_problem(item, items) for item in value)), None)
    return _find_object_problem(value, rules) if isinstance(value, dict) else None


def _find_object_problem(value: Mapping[str, JSON], rules: Mapping[str, JSON]) -> str | None:
    required = rules.get("required")
    for name in required if isinstance(required, list) else []:
        if name not in value:
            return f"{name!r} is a required property"
    properties = rules.get("properties")
    for name, part in value.items():
        known = properties.get(name) if isinstance(properties, dict) else None
        problem = _find_problem(part, known) if isinstance(known, dict) else None
        if problem is not None:
            return problem
    return None


def _find_text_problem(value: str, rules: Mapping[str, JSON]) -> str | None:
    longest = rules.get("maxLength")
    if isinstance(longest, int) and len(value) > longest:
        return f"{value!r} is too long"
    pattern = rules.get("pattern")
    if isinstance(pattern, str) and re.search(pattern, value) is None:
        return f"{value!r} does not match {pattern!r}"
    return None


def _name_type(value: JSON) -> str:
    if value is None:
        return "null"
    # By the exact type, because in Python a bool is an int.
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")
