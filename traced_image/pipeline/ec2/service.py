"""The image service as nova's EC2 API knew it: images by integers, which a database maps."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol

from ...config.checks import format_value
from ...errors import ImageNotFound, InvalidImageID, MissingExtra
from ..clock import Clock

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from sqlalchemy import Engine
    from typing_extensions import Self, Unpack

    from ..api.download import Download
    from ..api.nova_image_dict import ImageDict, ListKeywords
    from ..api.upload import Data
    from ..context import Context
    from .ids import ImageIds


DATABASE = "sqlite:///s3_images.sqlite"
"""A file in the current folder."""

EC2ID = int | str
"""An integer, or EC2's way to write one: ``ami-``, ``aki-`` or ``ari-`` and hexadecimal digits."""

_EC2ID = re.compile(r"(?:ami|aki|ari)-([0-9a-f]+)", re.IGNORECASE)
_REFERENCES = ("kernel_id", "ramdisk_id")


class ImageService(Protocol):
    """What is asked for images by their UUIDs: a `GlanceImageService`, or the like."""

    def show(self, context: Context | None, image_id: str) -> ImageDict:
        """Fetch an image's metadata."""

    def detail(self, context: Context | None, **kwargs: Unpack[ListKeywords]) -> list[ImageDict]:
        """List images' metadata."""

    def create(
        self, context: Context | None, image_meta: ImageDict, data: Data | None = None
    ) -> ImageDict:
        """Create an image."""

    def update(
        self,
        context: Context | None,
        image_id: str,
        image_meta: ImageDict,
        data: Data | None = None,
        purge_props: bool = True,
    ) -> ImageDict:
        """Change an image."""

    def delete(self, context: Context | None, image_id: str) -> bool:
        """Delete an image."""

    def download(
        self,
        context: Context | None,
        image_id: str,
        data: BinaryIO | None = None,
        dst_path: str | os.PathLike[str] | None = None,
    ) -> Download | None:
        """Fetch an image's data."""


class S3ImageService:
    """Gives images by the integers of EC2's API, as ``nova.image.s3`` of 2013.1 did.

    The image's own id is translated, and so are ``kernel_id`` and ``ramdisk_id`` among its
    properties. The caller's dict and the service's are left as they are: the seed copied only
    their first level, and changed the properties of the one that it was given.

    A method may raise what `service` raises, and `ImageMapUnavailable` where the database
    fails.

    Args:
        service: What is asked for images by UUID; default: `get_default_image_service()`.
        database: A URL as SQLAlchemy has it, or an engine; processes that share it agree on the
            integers. Its table ``s3_images`` is created if it is not there. SQLite in memory
            is for the threads of one process, and for as long as the service is open.
        clock: What a mapping is kept in memory by, for 7 days.

    Raises:
        MissingExtra: SQLAlchemy or the database's driver is not installed (extra ``ec2``).
        InvalidOption: `database` is not usable.
        ConfigError: `service` is left out, and the default one can't be made.
    """

    default: ClassVar[Callable[[], ImageService]]
    """Makes the service where none is given; handed in, since it is made with telemetry."""

    def __init__(
        self,
        service: ImageService | None = None,
        database: str | Engine = DATABASE,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._service = type(self).default() if service is None else service
        self._ids = _open_ids(database, clock or Clock())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def show(self, context: Context | None, image_id: EC2ID) -> ImageDict:
        """Fetch an image's metadata.

        Args:
            context: On whose behalf; None for the service's own.
            image_id: 10, or ``ami-0000000a``.

        Returns:
            The service's dict, with integers for its ids.

        Raises:
            InvalidImageID: `image_id` is neither.
            ImageNotFound: It stands for no image.
        """
        image = self._service.show(context, self.id_to_glance_id(image_id))
        return self._translate_uuid_to_id(image)

    def detail(self, context: Context | None, **kwargs: object) -> list[ImageDict]:
        """List images' metadata; a ``marker`` is an id as of `show`."""
        arguments: dict[str, Any] = {**kwargs}
        if arguments.get("marker") is not None:
            arguments["marker"] = self.id_to_glance_id(arguments["marker"])
        images = self._service.detail(context, **arguments)
        return [self._translate_uuid_to_id(image) for image in images]

    def create(
        self, context: Context | None, image_meta: ImageDict, data: Data | None = None
    ) -> ImageDict:
        """Create an image.

        Args:
            context: On whose behalf; None for the service's own.
            image_meta: As `show` gives it. nova fetched the data from S3; that is not done here.
            data: Bytes, a binary file, or an iterable of bytes.
        """
        image = self._service.create(context, self._translate_id_to_uuid(image_meta), data)
        return self._translate_uuid_to_id(image)

    def update(
        self,
        context: Context | None,
        image_id: EC2ID,
        image_meta: ImageDict,
        data: Data | None = None,
        purge_props: bool = True,
    ) -> ImageDict:
        """Change an image; `image_meta` is as `show` gives it."""
        image = self._service.update(
            context,
            self.id_to_glance_id(image_id),
            self._translate_id_to_uuid(image_meta),
            data,
            purge_props,
        )
        return self._translate_uuid_to_id(image)

    def delete(self, context: Context | None, image_id: EC2ID) -> bool:
        """Delete an image; its integer is not given to another."""
        return self._service.delete(context, self.id_to_glance_id(image_id))

    def download(
        self,
        context: Context | None,
        image_id: EC2ID,
        data: BinaryIO | None = None,
        dst_path: str | os.PathLike[str] | None = None,
    ) -> Download | None:
        """Fetch an image's data, as the service does."""
        return self._service.download(context, self.id_to_glance_id(image_id), data, dst_path)

    def close(self) -> None:
        """Close the connections to the database; `service` is left open."""
        self._ids.close()

    def id_to_glance_id(self, image_id: object) -> str:
        """The UUID of an image.

        Raises:
            InvalidImageID: `image_id` is neither an integer nor in EC2's form.
            ImageNotFound: It stands for no image.
        """
        number = _read_number(image_id)
        uuid = self._ids.uuid(number)
        if uuid is None:
            raise ImageNotFound(f"Image {format_value(number)} could not be found.")
        return uuid

    def glance_id_to_id(self, uuid: str | None) -> int | None:
        """The integer of an image, a new one where it has none; None for None.

        Raises:
            InvalidImageID: `uuid` is not 1 to 36 characters of printable ASCII.
        """
        return None if uuid is None else self._ids.id(uuid)

    def _translate_uuid_to_id(self, image: ImageDict) -> ImageDict:
        return _translate_ids(image, self._ids.id)

    def _translate_id_to_uuid(self, image: ImageDict) -> ImageDict:
        return _translate_ids(image, self.id_to_glance_id)


def _open_ids(database: object, clock: Clock) -> ImageIds:
    try:
        from .ids import ImageIds
    except ImportError as error:
        problem = "it needs the packages of the extra 'ec2'"
        fix = "pip install 'traced-image[ec2]'"
        raise MissingExtra("database", problem, fix=fix) from error
    return ImageIds(database, clock)


def _read_number(image_id: object) -> int:
    if isinstance(image_id, int) and not isinstance(image_id, bool):
        return image_id
    written = _EC2ID.fullmatch(image_id) if isinstance(image_id, str) else None
    if written is None:
        raise InvalidImageID(
            f"{format_value(image_id)} is not a valid image id: pass 10 or 'ami-0000000a'"
        )
    return int(written[1], 16)


def _translate_ids(image: ImageDict, translate: Callable[[object], object]) -> ImageDict:
    """Return a copy with other ids; those that are absent or empty stay so."""
    image = copy.deepcopy(image)
    if "id" in image:
        image["id"] = translate(image["id"])
    properties = image.get("properties")
    if isinstance(properties, dict):
        for name in _REFERENCES:
            if properties.get(name) not in (None, ""):
                properties[name] = translate(properties[name])
    return image
