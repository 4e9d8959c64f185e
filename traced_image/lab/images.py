"""The images of a lab: one store, which any number of servers can share."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from .disk_formats import inspect
from .limits import DEFAULTS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .http1 import JSON
    from .tasks import Task

STORE = "fs"
# The properties that Glance's etc/schema-image.json lets be null.
_NULLABLE = ("kernel_id", "ramdisk_id")
VISIBILITIES = ("public", "private", "shared", "community")

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
    """

    base: Mapping[str, JSON]
    properties: Mapping[str, JSON]
    serial: int
    tags: tuple[str, ...] = ()
    members: Mapping[str, Member] = field(default_factory=dict)
    locations: tuple[Mapping[str, JSON], ...] = ()
    data: bytes | None = None
    staged: bytes | None = None

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
        """Return the image in the state after an upload, of which Glance checks the format.

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


def _check_strings(name: str, value: Iterable[str]) -> None:
    if isinstance(value, str | bytes):
        raise InvalidArgument(f"{name}={value!r} is one string. Write {name}=[{value!r}].")


def make_digests(data: bytes) -> dict[str, JSON]:
    """Return the base attributes that depend on an image's data: size and checksums."""
    return {
        "size": len(data),
        "checksum": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(data).hexdigest(),
    }


class Images:
    """Images in memory, for one server or for several that share a backend.

    Args:
        show_locations: Sets Glance's ``show_multiple_locations`` and ``show_image_direct_url``.
        limits: The limits beyond which requests are refused.
        import_time: How long an import takes, in seconds; with 0 it is over before the reply.
        now: Returns the time, in seconds since the epoch.

    Attributes:
        limits: As above.
        import_time: As above; a test may change it.
        import_error: Why every import fails from now on; None if they succeed. A test may set it.
    """

    def __init__(
        self,
        *,
        show_locations: bool = False,
        limits: Limits = DEFAULTS,
        import_time: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.show_locations = show_locations
        self.limits = limits
        self.import_time = import_time
        self.import_error: str | None = None
        self.tasks: dict[str, Task] = {}
        self.lock = threading.RLock()
        self._now = now
        self._images: dict[str, Image] = {}
        self._used: set[str] = set()
        self._serials = itertools.count()

    def add(
        self,
        *,
        name: str | None = None,
        data: bytes | None = None,
        visibility: str = "public",
        tags: Iterable[str] = (),
        locations: Iterable[Mapping[str, JSON]] = (),
        **properties: JSON,
    ) -> str:
        """Add an image to the store, without Glance's checks.

        Args:
            name: The image's name.
            data: The image's data. An image with data is active, one without is queued.
            visibility: ``public``, ``private``, ``shared`` or ``community``.
            tags: The image's tags.
            locations: Locations with ``url`` and ``metadata``, if the data is stored elsewhere.
            **properties: Base attributes by their v2 names, which override those computed from the
                data; any other name becomes a property.

        Returns:
            The image's id.

        Raises:
            InvalidArgument: ``tags`` is one string, or ``visibility`` is another word.
        """
        if visibility not in VISIBILITIES:
            raise InvalidArgument(
                f"visibility={visibility!r} is not one of {', '.join(VISIBILITIES)}."
            )
        _check_strings("tags", tags)
        base = {key: properties.pop(key) for key in BASE if key in properties}
        image = self.new({"name": name, "visibility": visibility, **base}, properties)
        if data is not None:
            formats: dict[str, JSON] = {"disk_format": "qcow2", "container_format": "bare", **base}
            image = image.with_base(**formats).with_data(data).with_base(**base)
        places = tuple(locations) or image.locations
        self.put(replace(image, tags=tuple(sorted(tags)), locations=places))
        return image.id

    def new(self, base: Mapping[str, JSON], properties: Mapping[str, JSON]) -> Image:
        """Build an image with a new id and serial, without storing it."""
        now = self.timestamp()
        times: dict[str, JSON] = {"created_at": now, "updated_at": now}
        attributes = {**BASE, "id": str(uuid.uuid4()), **times, **base}
        return Image(attributes, dict(properties), next(self._serials))

    def put(self, image: Image) -> None:
        """Store a new image, or the new state of an image."""
        with self.lock:
            self._used.add(image.id)
            self._images[image.id] = image

    def save(self, image: Image) -> Image:
        """Store an image's new state with the current time as ``updated_at``; return it."""
        image = image.with_base(updated_at=self.timestamp())
        self.put(image)
        return image

    def remove(self, image_id: str) -> None:
        """Remove an image; its id can't be used again, as in Glance."""
        with self.lock:
            del self._images[image_id]

    def clear(self) -> None:
        """Remove all images; their ids can be used again."""
        with self.lock:
            self._images.clear()
            self._used.clear()

    def get(self, image_id: str) -> Image | None:
        """Return the image of an id; None if there is none."""
        return self._images.get(image_id)

    def is_used(self, image_id: str) -> bool:
        """Return whether an image of this id exists or existed."""
        return image_id in self._used

    def all(self) -> list[Image]:
        """Return all images, newest first."""
        with self.lock:
            return sorted(self._images.values(), key=lambda image: -image.serial)

    def timestamp(self, later: float = 0.0) -> str:
        """Return the time now, or some seconds later: ISO 8601, UTC, whole seconds."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now() + later))
