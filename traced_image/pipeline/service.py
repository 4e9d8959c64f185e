"""The image service as nova's code knows it: calls, availability and translation."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import (
    AttemptError,
    HTTPStatusError,
    ImageNotFound,
    ImageUnacceptable,
    InvalidArgument,
    Retryable,
)
from .api import nova_images
from .api.download import Download, Resume, check_destination, save
from .context import SERVICE
from .image_errors import (
    format_id,
    reraise_about_deletion,
    reraise_about_image,
    reraise_about_import,
)
from .images_v1 import ImagesV1
from .images_v2 import ImagesV2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self, Unpack

    from ..config import Config, Server
    from .api.nova_images import ImageDict, ListKeywords
    from .api.upload import Data
    from .attempts.cycle import ServerHealth
    from .client import GlanceClientWrapper
    from .context import Context


class GlanceImageService:
    """Gives and takes image metadata and data as nova's ``GlanceImageService`` does.

    Every method may raise what the pipeline below it raises: a `GlanceConnectionFailed` where no
    server answered, an `AttemptError` where one refused, an `InvalidArgument` before anything
    was sent, `TokenUnavailable` where Keystone gave no token.

    Args:
        client: Makes the calls.
    """

    def __init__(self, client: GlanceClientWrapper) -> None:
        self._client = client
        self._images_v2 = ImagesV2(client)
        self._images = ImagesV1(client) if client.config.api_version == 1 else self._images_v2

    @property
    def config(self) -> Config:
        """What the service was made with."""
        return self._client.config

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def show(
        self,
        context: Context | None,
        image_id: str,
        include_locations: bool = False,
        show_deleted: bool = True,
    ) -> ImageDict:
        """Fetch an image's metadata.

        Args:
            context: On whose behalf; None for the service's own.
            image_id: The image's UUID.
            include_locations: Whether to include ``locations``, to which ``direct_url`` is added.
            show_deleted: Whether an image that is deleted counts.

        Returns:
            nova's dict: base fields, custom ones under ``properties``, time stamps as aware
            datetimes, ``size`` in bytes, ``min_ram`` in MB, ``min_disk`` in GB. For API v2 equal
            to that of nova 34's ``GlanceImageServiceV2.show``.

        Raises:
            ImageNotFound: It does not exist, or not for this caller.
            ImageNotAuthorized: Glance refused the caller.
        """
        return self._show(
            self._images,
            context,
            image_id,
            include_locations=include_locations,
            show_deleted=show_deleted,
        )

    def _show(
        self,
        images: ImagesV1 | ImagesV2,
        context: Context | None,
        image_id: str,
        *,
        include_locations: bool,
        show_deleted: bool,
    ) -> ImageDict:
        try:
            image = images.get(context, image_id, include_locations=include_locations)
        except HTTPStatusError as error:
            reraise_about_image(error, image_id)
        gone = bool(image["deleted"]) and not show_deleted
        if gone or not nova_images.is_available(SERVICE if context is None else context, image):
            raise ImageNotFound(f"Image {format_id(image_id)} could not be found.")
        if include_locations:
            image["locations"] = _list_locations(image)
        return image

    def detail(self, context: Context | None, **kwargs: Unpack[ListKeywords]) -> list[ImageDict]:
        """List images' metadata.

        Args:
            context: On whose behalf; None for the service's own.
            **kwargs: ``filters`` (a mapping; ``property-NAME``, ``changes-since`` and
                ``is_public`` are understood as in nova), ``marker``, ``limit``, ``page_size``,
                ``sort_key``, ``sort_dir``.

        Returns:
            A dict for each image that the caller may see, as `show` gives.

        Raises:
            InvalidQuery: An argument is unknown or unusable.
        """
        viewer = SERVICE if context is None else context
        images = self._images.list(context, kwargs)
        return [image for image in images if nova_images.is_available(viewer, image)]

    def create(
        self, context: Context | None, image_meta: ImageDict, data: Data | None = None
    ) -> ImageDict:
        """Create an image, with its data if given.

        Args:
            context: On whose behalf; None for the service's own.
            image_meta: As `show` gives it; what Glance sets itself is left out. In API v2,
                ``size`` 0 without data activates an empty image, the property
                ``instance_owner`` shares the image with that project, and ``location`` names
                data that is elsewhere already.
            data: Bytes, a binary file, or an iterable of bytes.

        Returns:
            The new image, as `show` gives it.

        Raises:
            UnsafeToRepeat: It may have been created, but no answer came.
            InvalidMetadata: `image_meta` or `data` can't be sent. Only where reading `data` is
                what shows it, the record is there already.
        """
        return self._images.create(context, image_meta, data)

    def update(
        self,
        context: Context | None,
        image_id: str,
        image_meta: ImageDict,
        data: Data | None = None,
        purge_props: bool = True,
    ) -> ImageDict:
        """Change an image, and its data if given.

        Args:
            context: On whose behalf; None for the service's own.
            image_id: The image's UUID.
            image_meta: The fields to change.
            data: Bytes, a binary file, or an iterable of bytes.
            purge_props: Whether to remove the properties that `image_meta` does not have.

        Returns:
            The changed image, as `show` gives it.

        Raises:
            ImageNotFound: It does not exist, or not for this caller.
            UnsafeToRepeat: It may have been changed, but no answer came.
        """
        find = partial(self._find_properties, context, image_id) if purge_props else None
        try:
            return self._images.update(context, image_id, image_meta, data, find)
        except HTTPStatusError as error:
            reraise_about_image(error, image_id)

    def _find_properties(self, context: Context | None, image_id: str) -> Iterable[str]:
        properties: dict[str, Any] = self.show(context, image_id)["properties"]
        return properties

    def delete(self, context: Context | None, image_id: str) -> bool:
        """Delete an image.

        Returns:
            True.

        Raises:
            ImageNotFound: It does not exist, or not for this caller.
            ImageNotAuthorized: Glance refused the caller.
            ImageDeleteConflict: It is in use.
            UnsafeToRepeat: It may have been deleted, but no answer came.
        """
        try:
            self._images.delete(context, image_id)
        except HTTPStatusError as error:
            reraise_about_deletion(error, image_id)
        return True

    def download(
        self,
        context: Context | None,
        image_id: str,
        data: BinaryIO | None = None,
        dst_path: str | os.PathLike[str] | None = None,
        trusted_certs: object = None,
    ) -> Download | None:
        """Fetch an image's data and check it against its record.

        Args:
            context: On whose behalf; None for the service's own.
            image_id: The image's UUID.
            data: A binary file to write to.
            dst_path: A file to write to, where `data` is not given.
            trusted_certs: Refused: signatures are nova's to verify.

        Returns:
            The data to iterate over, where neither `data` nor `dst_path` is given.

        Raises:
            ImageNotFound: It does not exist, or not for this caller.
            ImageUnacceptable: It has no data.
            ChecksumMismatch: What came is not what the record says.
            CommunicationError: The stream broke and no other server had the rest.
            ProtocolError: The stream was cut short, and no other server had the rest.
        """
        check_destination(data, dst_path)
        if trusted_certs:
            raise InvalidArgument("trusted_certs: signatures are not verified here: let nova do it")
        download = self._download(context, image_id)
        if data is None and not dst_path:
            return download
        save(download, data, dst_path or "")
        return None

    def download_rest(self, context: Context | None, image_id: str, begun: BinaryIO) -> Download:
        """Fetch what a file has not yet of an image's data; the check is of the whole.

        Where the image has no checksum, nobody can tell whether what the file has is of the same
        data: see `Download.has_checksum`.

        Args:
            context: On whose behalf; None for the service's own.
            image_id: The image's UUID.
            begun: A binary file that has the first part, or nothing; it is left at its end.

        Raises:
            InvalidArgument: There is a first part, and API v1 can't be asked for the rest.
            ImageNotFound: It does not exist, or not for this caller.
            ImageUnacceptable: It has no data.
        """
        download = self._download(context, image_id, begun.seek(0, os.SEEK_END))
        download.begin(begun)
        return download

    def _download(self, context: Context | None, image_id: str, there: int = 0) -> Download:
        try:
            download = self._images.download(context, image_id, there)
        except HTTPStatusError as error:
            reraise_about_image(error, image_id)
        if download is None:
            raise ImageUnacceptable(f"Image {format_id(image_id)} is unacceptable: it has no data.")
        download.resume = self._resume(context, image_id, there)
        return download

    def get_location(self, context: Context | None, image_id: str) -> str | None:
        """The URL of an image's data in its store, or None where Glance does not show it.

        Glance is asked by API v2, whatever the ``api_version``: v1 has no locations.

        Raises:
            ImageNotFound: It does not exist, or not for this caller.
        """
        image = self._show(
            self._images_v2, context, image_id, include_locations=True, show_deleted=True
        )
        url: str | None = image.get("direct_url")
        return url

    def image_import_copy(
        self, context: Context | None, image_id: str, stores: Iterable[str]
    ) -> None:
        """Copy an image to other stores.

        Raises:
            ImageNotFound: It does not exist, or not for this caller.
            ImageImportImpossible: It is in a state that does not allow it.
        """
        try:
            self._images.import_copy(context, image_id, stores)
        except HTTPStatusError as error:
            reraise_about_import(error, image_id)

    def servers(self) -> tuple[ServerHealth, ...]:
        """The servers of the cycle and what is known of their health."""
        return self._client.servers()

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def _resume(self, context: Context | None, image_id: str, there: int) -> Resume:
        """How a download goes on after its stream broke: once for each retry that a call has.

        API v1 can't ask for a part of the data.
        """
        left = self.config.num_retries if self._images.has_ranges else 0

        def resume(server: Server, error: AttemptError, done: int) -> Download | None:
            nonlocal left
            left -= 1
            retrying = left >= 0 and isinstance(error, Retryable)
            self._client.accuse(server, error, retrying=retrying)
            if not retrying:
                return None
            return self._images.download(context, image_id, there + done)

        return resume


def _list_locations(image: ImageDict) -> list[object]:
    """The image's locations, and its direct URL as one more, as nova lists them."""
    found = image.get("locations")
    locations = list(found) if isinstance(found, list) else []
    if image.get("direct_url"):
        locations.append({"url": image["direct_url"], "metadata": {}})
    return locations
