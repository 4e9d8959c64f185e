"""The image service of nova's EC2 API: it names images by integers, which a database maps."""

from __future__ import annotations

import copy
import logging
import re
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol

from ...config.checks import format_value
from ...errors import ImageMapUnavailable, ImageNotFound, InvalidImageID, MissingExtra
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
"""The default database: a file in the current folder."""

EC2ID = int | str
"""An integer, or EC2's form of one: hexadecimal digits, after ``ami-`` or another prefix or none.

nova's ``ec2utils.ec2_id_to_id`` also read the last part of a UUID as a number, and so found
another image. Here the prefixes are ``ami``, ``aki``, ``ari`` and ``i``.
"""

NO_EC2ID = "ami-00000000"
"""The EC2 id in place of one for a reference that is not an integer, as in nova 2013.1."""

_EC2ID = re.compile(r"(?:(?:ami|aki|ari|i)-)?(?:0x)?([0-9a-f]+)", re.IGNORECASE)
_REFERENCES = ("kernel_id", "ramdisk_id")
_REFERENCE = re.compile(r"[\x21-\x7e]{1,36}")
"""The form of a kernel's or ramdisk's id. Other values, such as "my kernel", are a user's notes."""

_TYPES = {"kernel": "aki", "ramdisk": "ari", "aki": "aki", "ari": "ari"}

logger = logging.getLogger("traced_image.ec2")


class ImageService(Protocol):
    """A service that names images by UUID: `GlanceImageService`, or one with its methods."""

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
    """An image service that names images by EC2's integers, as ``nova.image.s3`` of 2013.1 did.

    The service translates the image's own id, and the properties ``kernel_id`` and ``ramdisk_id``
    if they have the form of an id; a value in another form stays as it is. It changes neither the
    caller's dict nor that of the inner service. nova 2013.1 copied only the first level, and so
    changed the properties of the dict that it received.

    A method may raise the errors of the inner service, and `ImageMapUnavailable` if the database
    fails.

    Args:
        service: The inner service, which names images by UUID; default:
            `get_default_image_service()`. If it has `GlanceImageService.reject`, that gets each
            look-up that failed.
        database: A URL in SQLAlchemy's form, or an engine. Processes with the same database use
            the same integers. The table ``s3_images`` is created if it does not exist. SQLite in
            memory works for the threads of one process, until the service is closed.
        clock: The source of time for the mappings, which stay in memory for 7 days.

    Raises:
        MissingExtra: SQLAlchemy or the database's driver is not installed (extra ``ec2``).
        InvalidOption: `database` can't be used.
        ConfigError: `service` is left out, and the default service can't be built.
    """

    default: ClassVar[Callable[[], ImageService]]
    """Builds the default service. `_connect` sets it, because the pipeline imports no telemetry."""

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
            image_id: 10, or its text in hexadecimal: ``ami-0000000a`` or ``a``.

        Returns:
            The inner service's dict, with integers in place of UUIDs.

        Raises:
            InvalidImageID: `image_id` is neither an integer nor in EC2's form.
            ImageNotFound: No image has this integer.
        """
        image = self._service.show(context, self._find("images.get", image_id))
        return self._translate_uuid_to_id(image)

    def detail(self, context: Context | None, **kwargs: object) -> list[ImageDict]:
        """List images' metadata, the oldest first, so that older images get lower integers.

        An image whose id can have no integer is left out, and a line of the log names it.

        Args:
            context: On whose behalf; None for the service's own.
            **kwargs: The arguments of the inner service; a ``marker`` is an id in a form of
                `show`, and ``sort_dir`` is ``asc`` if it is left out.
        """
        arguments: dict[str, Any] = {"sort_dir": "asc", **kwargs}
        if arguments.get("marker") is not None:
            arguments["marker"] = self._find("images.list", arguments["marker"])
        images = self._service.detail(context, **arguments)
        translated = (self._translate_listed(image) for image in images)
        return [image for image in translated if image is not None]

    def create(
        self, context: Context | None, image_meta: ImageDict, data: Data | None = None
    ) -> ImageDict:
        """Create an image.

        Args:
            context: On whose behalf; None for the service's own.
            image_meta: A dict in the form of `show`. nova fetched the data from S3; this method
                does not.
            data: Bytes, a binary file, or an iterable of bytes.
        """
        image_meta = self._translate_id_to_uuid("images.create", image_meta)
        image = self._service.create(context, image_meta, data)
        return self._translate_uuid_to_id(image)

    def update(
        self,
        context: Context | None,
        image_id: EC2ID,
        image_meta: ImageDict,
        data: Data | None = None,
        purge_props: bool = True,
    ) -> ImageDict:
        """Change an image; `image_meta` is in the form of `show`."""
        image = self._service.update(
            context,
            self._find("images.update", image_id),
            self._translate_id_to_uuid("images.update", image_meta),
            data,
            purge_props,
        )
        return self._translate_uuid_to_id(image)

    def delete(self, context: Context | None, image_id: EC2ID) -> bool:
        """Delete an image; no other image gets its integer later."""
        return self._service.delete(context, self._find("images.delete", image_id))

    def download(
        self,
        context: Context | None,
        image_id: EC2ID,
        data: BinaryIO | None = None,
        dst_path: str | os.PathLike[str] | None = None,
    ) -> Download | None:
        """Fetch an image's data, as the inner service does."""
        image = self._find("images.data", image_id)
        return self._service.download(context, image, data, dst_path)

    def close(self) -> None:
        """Close the connections to the database; the inner service stays open."""
        self._ids.close()

    def id_to_glance_id(self, image_id: object) -> str:
        """Return the UUID of an image.

        Raises:
            InvalidImageID: `image_id` is neither an integer nor in EC2's form.
            ImageNotFound: No image has this integer.
        """
        number = _read_number(image_id)
        uuid = self._ids.uuid(number)
        if uuid is None:
            raise ImageNotFound(f"Image {format_value(number)} could not be found.")
        return uuid

    def glance_id_to_id(self, uuid: str | None) -> int | None:
        """Return the integer of an image; assign a new one if it has none. Return None for None.

        Raises:
            InvalidImageID: `uuid` is not 1 to 36 characters of printable ASCII, or it has a space
                at an end.
        """
        return None if uuid is None else self._ids.id(uuid)

    def glance_id_to_ec2_id(self, uuid: str | None, image_type: str = "ami") -> str | None:
        """Return the EC2 id of an image, such as ``ami-0000000a``. Return None for None.

        Args:
            uuid: The image's UUID.
            image_type: ``ami``, ``aki`` or ``ari``.

        Raises:
            InvalidImageID: `uuid` can have no integer.
        """
        number = self.glance_id_to_id(uuid)
        return None if number is None else self.image_ec2_id(number, image_type)

    @staticmethod
    def image_ec2_id(image_id: object, image_type: str = "ami") -> str:
        """Return the EC2 id for an integer, such as ``ami-0000000a`` for 10.

        Args:
            image_id: An integer, as in the dict of `show`.
            image_type: ``ami``, ``aki`` or ``ari``.

        Returns:
            The id; ``ami-00000000``, as in nova 2013.1, if `image_id` is not an integer, such as
            a ``kernel_id`` that stayed as it was.
        """
        try:
            return f"{image_type}-{int(str(image_id)):08x}"
        except ValueError:
            return NO_EC2ID

    @staticmethod
    def image_type(image_type: object) -> str:
        """Return the prefix of an EC2 id for a type of image.

        Args:
            image_type: ``kernel``, ``ramdisk``, or a container format.

        Returns:
            ``aki`` for a kernel, ``ari`` for a ramdisk, ``ami`` for all others.
        """
        return _TYPES.get(str(image_type), "ami")

    def _translate_listed(self, image: ImageDict) -> ImageDict | None:
        try:
            return self._translate_uuid_to_id(image)
        except InvalidImageID as error:
            logger.warning("an image is left out of a list for EC2: %s", error)
            return None

    def _translate_uuid_to_id(self, image: ImageDict) -> ImageDict:
        return _translate_ids(image, self._ids.id, _is_inner_reference)

    def _translate_id_to_uuid(self, operation: str, image: ImageDict) -> ImageDict:
        return _translate_ids(image, partial(self._find, operation), _is_outer_reference)

    def _find(self, operation: str, image_id: object) -> str:
        """Return the UUID of an image; if there is none, tell the inner service what was asked."""
        failure: ImageNotFound | ImageMapUnavailable
        try:
            return self.id_to_glance_id(image_id)
        except (ImageNotFound, ImageMapUnavailable) as error:
            failure = error
        # Outside of `except`: what is handled already is no failure of a call.
        reject = getattr(self._service, "reject", None)
        if reject is not None:
            reject(operation, failure)
        raise failure


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
            f"{format_value(image_id)} is not a valid image id: pass 10, 'ami-0000000a' or 'a'"
        )
    return int(written[1], 16)


def _translate_ids(
    image: ImageDict,
    translate: Callable[[object], object],
    is_reference: Callable[[object], bool],
) -> ImageDict:
    """Return a copy with translated ids; an absent id and an odd reference stay as they are."""
    # A deep copy, because the properties are a dict within the dict.
    image = copy.deepcopy(image)
    if "id" in image:
        image["id"] = translate(image["id"])
    properties = image.get("properties")
    if isinstance(properties, dict):
        for name in _REFERENCES:
            if is_reference(properties.get(name)):
                properties[name] = translate(properties[name])
    return image


def _is_outer_reference(value: object) -> bool:
    # What `show` left as it was goes back as it was, so that its dict can be sent to `update`.
    return type(value) is int or _is_inner_reference(value)


def _is_inner_reference(value: object) -> bool:
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None
