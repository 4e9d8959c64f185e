"""An image of a lab: its attributes, data, members and locations, in one state."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from .disk_formats import inspect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .http1 import JSON

STORE = "fs"
# The properties that Glance's etc/schema-image.json lets be null.
_NULLABLE = ("kernel_id", "ramdisk_id")

BASE: Mapping[str, JSON] = MappingProxyType(
    {
        "name": None,
        "disk_format": None,
        "container_format": None,
        "visibility": "shared",
        "size": None,
        "virtual_size": None,
        "status": "queued",
        "checksum": None,
        "protected": False,
        "min_ram": 0,
        "min_disk": 0,
        "owner": None,
        "os_hidden": False,
        "os_hash_algo": None,
        "os_hash_value": None,
        "id": None,
        "created_at": None,
        "updated_at": None,
    }
)
"""Glance 33's attributes, in the order and with the values of `glance/domain/__init__.py`."""


@dataclass(frozen=True)
class Member:
    """A project that an image is shared with; times as in `Images.timestamp`."""

    status: str
    created_at: str
    updated_at: str


@dataclass(frozen=True)
class Image:
    """An image in one state; a change makes a new object.

    Attributes:
        base: Glance's own attributes, by their v2 names.
        properties: All other attributes.
        serial: The image's place in the order of creation.
        tags: The tags, sorted.
        members: The members, by project id.
        locations: The locations as in v2, with ``url`` and ``metadata``.
        data: The bytes of a download; None for no data.
        staged: The bytes staged for an import; None for none.
        changed: The place of the latest change in the order of all changes.
    """

    base: Mapping[str, JSON]
    properties: Mapping[str, JSON]
    serial: int
    tags: tuple[str, ...] = ()
    members: Mapping[str, Member] = field(default_factory=dict)
    locations: tuple[Mapping[str, JSON], ...] = ()
    data: bytes | None = None
    staged: bytes | None = None
    changed: int = 0

    @property
    def id(self) -> str:
        """The image's id."""
        return str(self.base["id"])

    @property
    def status(self) -> str:
        """The image's status."""
        return str(self.base["status"])

    def with_base(self, **changes: JSON) -> Image:
        """Return the image with changed base attributes."""
        return replace(self, base={**self.base, **changes})

    def with_data(self, data: bytes) -> Image:
        """Return the image in the state after its data has been stored: active, with digests."""
        location: dict[str, JSON] = {
            "url": f"memory://{STORE}/{self.id}",
            "metadata": {"store": STORE},
        }
        raw: dict[str, JSON] = (
            {"virtual_size": len(data)} if self.base["disk_format"] == "raw" else {}
        )
        stored = self.with_base(status="active", **make_digests(data), **raw)
        return replace(stored, data=data, staged=None, locations=(location,))

    def with_checked_data(self, data: bytes) -> Image:
        """Return the image in the state after an upload; Glance checks its format.

        Raises:
            BadFormat: The data is not of the image's format.
        """
        formats = str(self.base["disk_format"]), str(self.base["container_format"])
        size = inspect(data, *formats)
        return self.with_data(data).with_base(virtual_size=size)

    def with_refused_data(self, data: bytes) -> Image:
        """Return the image in the state after an upload whose format was refused."""
        refused = self.with_data(data).with_base(status="queued", size=None, virtual_size=None)
        return replace(refused, data=None)

    def view(self, *, show_locations: bool = False) -> dict[str, JSON]:
        """Return the image as v2 shows it, with the keys in Glance's order."""
        view: dict[str, JSON] = {
            key: "" if value is None and key not in _NULLABLE else value
            for key, value in self.properties.items()
        }
        view.update(self.base)
        if show_locations:
            view["locations"] = [dict(location) for location in self.locations]
            view.update({"direct_url": self.locations[0]["url"]} if self.locations else {})
        view["tags"] = list(self.tags)
        view["self"] = f"/v2/images/{self.id}"
        view["file"] = f"/v2/images/{self.id}/file"
        view["schema"] = "/v2/schemas/image"
        if self.locations:
            view["stores"] = STORE
        return view

    @cached_property
    def json(self) -> bytes:
        """The view as JSON, cached because most requests ask for it."""
        return json.dumps(self.view(), ensure_ascii=False).encode()


def make_digests(data: bytes) -> dict[str, JSON]:
    """Return the base attributes that depend on an image's data: size and checksums."""
    return {
        "size": len(data),
        "checksum": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(data).hexdigest(),
    }
