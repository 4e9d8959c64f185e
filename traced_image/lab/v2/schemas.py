"""The v2 schemas that Glance 33 serves, and a check of values against them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..images import Images
from ..refusal import Refused
from ..wire import JSON, Request, Response, json_response

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
_DISKS += ["ploop", "luks"]
_STATUSES: list[JSON] = ["queued", "saving", "active", "killed", "deleted", "uploading"]
_STATUSES += ["importing", "pending_delete", "deactivated"]


def _text(description: str, **rules: JSON) -> dict[str, JSON]:
    return {"type": "string", "description": description, **rules}


def _nullable(kind: str, description: str, **rules: JSON) -> dict[str, JSON]:
    return {"type": ["null", kind], "description": description, **rules}


def _plain(kind: str, description: str) -> dict[str, JSON]:
    return {"type": kind, "description": description}


_READ_ONLY: dict[str, JSON] = {"readOnly": True}
_LOCATION: dict[str, JSON] = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": 255},
        "metadata": {"type": "object"},
        "validation_data": {"type": "object", "writeOnly": True},
    },
    "required": ["url", "metadata"],
}

IMAGE: Mapping[str, dict[str, JSON]] = {
    "id": _text("An identifier for the image", pattern=_UUID),
    "name": _nullable("string", "Descriptive name for the image", maxLength=255),
    "status": _text("Status of the image", enum=_STATUSES, **_READ_ONLY),
    "visibility": _text(
        "Scope of image accessibility", enum=["community", "public", "private", "shared"]
    ),
    "protected": _plain("boolean", "If true, image will not be deletable."),
    "os_hidden": _plain(
        "boolean", "If true, image will not appear in default image list response."
    ),
    "checksum": _nullable("string", "md5 hash of image contents.", maxLength=32, **_READ_ONLY),
    "os_hash_algo": _nullable(
        "string", "Algorithm to calculate the os_hash_value", maxLength=64, **_READ_ONLY
    ),
    "os_hash_value": _nullable(
        "string", "Hexdigest of the image contents", maxLength=128, **_READ_ONLY
    ),
    "owner": _nullable("string", "Owner of the image", maxLength=255),
    "size": _nullable("integer", "Size of image file in bytes", **_READ_ONLY),
    "virtual_size": _nullable("integer", "Virtual size of image in bytes", **_READ_ONLY),
    "container_format": _nullable("string", "Format of the container", enum=_CONTAINERS),
    "disk_format": _nullable("string", "Format of the disk", enum=_DISKS),
    "created_at": _text("Date and time of image registration", **_READ_ONLY),
    "updated_at": _text("Date and time of the last image modification", **_READ_ONLY),
    "tags": {
        "type": "array",
        "description": "List of strings related to the image",
        "items": {"type": "string", "maxLength": 255},
    },
    "direct_url": _text("URL to access the image file kept in external store", **_READ_ONLY),
    "min_ram": _plain("integer", "Amount of ram (in MB) required to boot image."),
    "min_disk": _plain("integer", "Amount of disk space (in GB) required to boot image."),
    "self": _text("An image self url", **_READ_ONLY),
    "file": _text("An image file url", **_READ_ONLY),
    "stores": _text("Store in which image data resides.", **_READ_ONLY),
    "schema": _text("An image schema url", **_READ_ONLY),
    "locations": {
        "type": "array",
        "items": _LOCATION,
        "description": "A set of URLs to access the image file kept in external store",
    },
}

_MEMBER: Mapping[str, dict[str, JSON]] = {
    "member_id": _text("An identifier for the image member (tenantId)"),
    "image_id": _text("An identifier for the image", pattern=_UUID),
    "created_at": _text("Date and time of image member creation"),
    "updated_at": _text("Date and time of last modification of image member"),
    "status": _text("The status of this image member", enum=["pending", "accepted", "rejected"]),
    "schema": {"readOnly": True, "type": "string"},
}


def _link(rel: str, name: str) -> JSON:
    return {"rel": rel, "href": f"{{{name}}}"}


def _collection(name: str, item: JSON) -> dict[str, JSON]:
    text: JSON = {"type": "string"}
    return {
        "name": name,
        "properties": {
            name: {"type": "array", "items": item},
            "first": text,
            "next": text,
            "schema": text,
        },
        "links": [_link("first", "first"), _link("next", "next"), _link("describedby", "schema")],
    }


_IMAGE_SCHEMA: dict[str, JSON] = {
    "name": "image",
    "properties": dict(IMAGE),
    "additionalProperties": {"type": "string"},
    "links": [_link("self", "self"), _link("enclosure", "file"), _link("describedby", "schema")],
}
_MEMBER_SCHEMA: dict[str, JSON] = {
    "name": "member",
    "properties": dict(_MEMBER),
    "additionalProperties": False,
}
SCHEMAS: Mapping[str, dict[str, JSON]] = {
    "image": _IMAGE_SCHEMA,
    "images": _collection("images", _IMAGE_SCHEMA),
    "member": _MEMBER_SCHEMA,
    "members": _collection("members", _MEMBER_SCHEMA),
}


def show(_: Images, __: Request, name: str) -> Response:
    """``GET /v2/schemas/{name}``."""
    if name not in SCHEMAS:
        raise Refused(404)
    return json_response(200, SCHEMAS[name])


def check(values: Mapping[str, JSON]) -> None:
    """Check an image's attributes and properties, all or some, against the image's schema.

    Raises:
        Refused: 400, with jsonschema's words.
    """
    for name, value in values.items():
        problem = _problem(value, IMAGE.get(name, {"type": "string"}))
        if problem is not None:
            raise Refused(400, f"Provided object does not match schema 'image': {problem}")


def _problem(value: JSON, rules: Mapping[str, JSON]) -> str | None:
    """What is wrong with a value: the part of JSON Schema that the image's schema uses."""
    kinds = rules["type"] if isinstance(rules["type"], list) else [rules["type"]]
    if _kind(value) not in kinds:
        return f"{value!r} is not of type {', '.join(repr(kind) for kind in kinds)}"
    enum = rules.get("enum")
    if isinstance(enum, list) and value not in enum:
        return f"{value!r} is not one of {enum!r}"
    if isinstance(value, str):
        return _text_problem(value, rules)
    items = rules.get("items")
    if isinstance(value, list) and isinstance(items, dict):
        return next(filter(None, (_problem(item, items) for item in value)), None)
    return None


def _text_problem(value: str, rules: Mapping[str, JSON]) -> str | None:
    longest = rules.get("maxLength")
    if isinstance(longest, int) and len(value) > longest:
        return f"{value!r} is too long"
    pattern = rules.get("pattern")
    if isinstance(pattern, str) and re.search(pattern, value) is None:
        return f"{value!r} does not match {pattern!r}"
    return None


def _kind(value: JSON) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")
