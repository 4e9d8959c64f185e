"""The images of a lab: one store, which any number of servers can share."""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import InvalidArgument
from .checks import check_seconds
from .image import BASE, Image
from .limits import DEFAULTS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .http1 import JSON
    from .tasks import Task

_REMEMBERED = 1000
"""How many of the images that were removed a list may go on after."""
VISIBILITIES = ("public", "private", "shared", "community")


def _check_strings(name: str, value: Iterable[str]) -> None:
    if isinstance(value, str | bytes):
        raise InvalidArgument(f"{name}={value!r} is one string. Write {name}=[{value!r}].")


def _check_json(image: Image) -> None:
    """Refuse what would make every list of the image fail."""
    try:
        json.dumps(image.view(show_locations=True), ensure_ascii=False).encode()
    except (TypeError, ValueError, LookupError, RecursionError) as error:
        raise InvalidArgument(f"No reply can have this image: {error}.") from error


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

    Raises:
        InvalidArgument: ``import_time`` is no number of seconds; also where a test sets it.
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
        self._removed: dict[str, Image] = {}
        self._serials = itertools.count()

    @property
    def import_time(self) -> float:
        """How long an import takes, in seconds."""
        return self._import_time

    @import_time.setter
    def import_time(self, seconds: float) -> None:
        check_seconds("import_time", seconds)
        self._import_time = seconds

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
            InvalidArgument: ``tags`` is one string, ``visibility`` is another word, or no reply can
                have a value, since JSON or UTF-8 has none like it.
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
        image = replace(image, tags=tuple(sorted(tags)), locations=places)
        _check_json(image)
        self.put(image)
        return image.id

    def new(self, base: Mapping[str, JSON], properties: Mapping[str, JSON]) -> Image:
        """Build an image with a new id and serial, without storing it."""
        now = self.timestamp()
        times: dict[str, JSON] = {"created_at": now, "updated_at": now}
        attributes = {**BASE, "id": str(uuid.uuid4()), **times, **base}
        serial = next(self._serials)
        return Image(attributes, dict(properties), serial, changed=serial)

    def put(self, image: Image) -> None:
        """Store a new image, or the new state of an image; an empty owner is none, as in Glance."""
        if image.base["owner"] == "":
            image = image.with_base(owner=None)
        with self.lock:
            self._used.add(image.id)
            self._images[image.id] = image
            self._removed.pop(image.id, None)

    def save(self, image: Image) -> Image:
        """Store an image's new state with the current time as ``updated_at``; return it."""
        image = image.with_base(updated_at=self.timestamp())
        image = replace(image, changed=next(self._serials))
        self.put(image)
        return image

    def remove(self, image_id: str) -> None:
        """Remove an image; its id can't be used again, as in Glance."""
        with self.lock:
            gone = self._images.pop(image_id).with_base(status="deleted")
            self._removed[image_id] = replace(gone, data=None, staged=None)
            if len(self._removed) > _REMEMBERED:
                del self._removed[next(iter(self._removed))]

    def clear(self) -> None:
        """Remove all images; their ids can be used again."""
        with self.lock:
            self._images.clear()
            self._removed.clear()
            self._used.clear()

    def get(self, image_id: str) -> Image | None:
        """Return the image of an id; None if there is none."""
        return self._images.get(image_id)

    def get_removed(self, image_id: str) -> Image | None:
        """Return an image that was removed not long ago, without its data; for this package."""
        return self._removed.get(image_id)

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
