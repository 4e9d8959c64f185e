"""The v2 schemas that Glance 33 serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..http1 import JSON, ReceivedRequest, Response, make_json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..images import Images

UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
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
    "id": _make_field("string", "An identifier for the image", pattern=UUID),
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

_KEYS = "https://docs.openstack.org/python-glanceclient/latest/cli/property-keys.html"
_KEY_ID = (
    "Identifier in the OpenStack Key Management Service for the encryption key for the Block"
    " Storage Service to use when mounting a volume created from this image"
)
# Glance's etc/schema-image.json, which the packages of the distributions install.
CUSTOM: Mapping[str, dict[str, JSON]] = {
    **{
        f"{name}_id": {
            "type": ["null", "string"],
            "pattern": UUID,
            "description": "ID of image stored in Glance that should be used as the"
            f" {name} when booting an AMI-style image.",
            "is_base": False,
        }
        for name in ("kernel", "ramdisk")
    },
    "instance_uuid": {
        "type": "string",
        "description": "Metadata which can be used to record which instance this image is"
        " associated with. (Informational only, does not create an instance snapshot.)",
        "is_base": False,
    },
    **{
        name: {"description": description, "type": "string", "is_base": False}
        for name, description in (
            ("architecture", f"Operating system architecture as specified in {_KEYS}"),
            ("os_distro", f"Common name of operating system distribution as specified in {_KEYS}"),
            ("os_version", "Operating system version as specified by the distributor."),
            ("description", "A human-readable string describing this image."),
            ("cinder_encryption_key_id", _KEY_ID),
        )
    },
    "cinder_encryption_key_deletion_policy": {
        "description": "States the condition under which the Image Service will delete the object"
        " associated with the 'cinder_encryption_key_id' image property.  If this property is"
        " missing, the Image Service will take no action",
        "type": "string",
        "enum": ["on_image_deletion", "do_not_delete"],
        "is_base": False,
    },
}

_MEMBER: Mapping[str, dict[str, JSON]] = {
    "member_id": _make_field("string", "An identifier for the image member (tenantId)"),
    "image_id": _make_field("string", "An identifier for the image", pattern=UUID),
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
    "properties": {**IMAGE, **CUSTOM},
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


def show(name: str, _: Images, __: ReceivedRequest) -> Response:
    """``GET /v2/schemas/{name}``, of one name of `SCHEMAS`."""
    return make_json_response(200, SCHEMAS[name])
