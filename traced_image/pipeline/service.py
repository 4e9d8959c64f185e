"""The image service as nova's code knows it: calls, availability and translation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, cast

from ..errors import (
    AttemptError,
    HTTPStatusError,
    ImageNotFound,
    ImageUnacceptable,
    InvalidArgument,
    Retryable,
)
from . import create_update
from .api import nova_images
from .api.download import Download, Resume, check_destination, save
from .context import SERVICE
from .image_errors import named, reraise_about_deletion, reraise_about_image, reraise_about_import

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import Config, Server
    from .api.nova_images import Image
    from .api.operation import Version
    from .api.records import Record
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

    @property
    def config(self) -> Config:
        """What the service was made with."""
        return self._client.config

    @property
    def _version(self) -> Version:
        return self._client.config.api_version

    def show(
        self,
        context: Context | None,
        image_id: str,
        include_locations: bool = False,
        show_deleted: bool = True,
    ) -> Image:
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
            self._version,
            context,
            image_id,
            include_locations=include_locations,
            show_deleted=show_deleted,
        )

    def _show(
        self,
        version: Version,
        context: Context | None,
        image_id: str,
        *,
        include_locations: bool,
        show_deleted: bool,
    ) -> Image:
        record = self._record(version, context, image_id)
        image = nova_images.from_glance(version, record, include_locations=include_locations)
        gone = bool(image["deleted"]) and not show_deleted
        if gone or not nova_images.is_available(SERVICE if context is None else context, image):
            raise ImageNotFound(f"Image {named(image_id)} could not be found.")
        if include_locations:
            image["locations"] = _locations(image)
        return image

    def detail(self, context: Context | None, **kwargs: object) -> list[Image]:
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
        arguments = nova_images.query(self._version, kwargs)
        records = cast("list[Record]", self._call(context, "list", **arguments))
        images = [nova_images.from_glance(self._version, record) for record in records]
        return [
            image
            for image in images
            if nova_images.is_available(SERVICE if context is None else context, image)
        ]

    def create(self, context: Context | None, image_meta: Image, data: Data | None = None) -> Image:
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
        create = create_update.create_v1 if self._version == 1 else create_update.create_v2
        return nova_images.from_glance(
            self._version, create(self._client, context, image_meta, data)
        )

    def update(
        self,
        context: Context | None,
        image_id: str,
        image_meta: Image,
        data: Data | None = None,
        purge_props: bool = True,
    ) -> Image:
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
        fields = nova_images.to_glance(self._version, image_meta)
        fields.pop("id", None)
        try:
            if self._version == 1:
                record = create_update.update_v1(
                    self._client, context, image_id, fields, data, purge_props=purge_props
                )
            else:
                create_update.check_update_v2(image_id, fields, data)
                removed = self._extra(context, image_id, image_meta) if purge_props else []
                record = create_update.update_v2(
                    self._client, context, image_id, fields, data, removed
                )
        except HTTPStatusError as error:
            reraise_about_image(error, image_id)
        return nova_images.from_glance(self._version, record)

    def _extra(self, context: Context | None, image_id: str, image_meta: Image) -> list[str]:
        """The properties that an image has and `image_meta` has not."""
        kept = cast("Image", image_meta.get("properties", {}))
        return [name for name in self._properties(context, image_id) if name not in kept]

    def _properties(self, context: Context | None, image_id: str) -> Image:
        return cast("Image", self.show(context, image_id)["properties"])

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
            self._call(context, "delete", image_id)
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
        download = self._data(context, image_id)
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
        there = begun.seek(0, os.SEEK_END)
        if there and self._version == 1:
            raise InvalidArgument("API v1 can't be asked for the rest of the data: begin anew")
        download = self._data(context, image_id, *filter(None, (there,)))
        download.begin(begun)
        return download

    def _data(self, context: Context | None, image_id: str, *there: int) -> Download:
        try:
            download = cast("Download | None", self._call(context, "data", image_id, *there))
        except HTTPStatusError as error:
            reraise_about_image(error, image_id)
        if download is None:
            raise ImageUnacceptable(f"Image {named(image_id)} is unacceptable: it has no data.")
        download.resume = self._resume(context, image_id, *there)
        return download

    def get_location(self, context: Context | None, image_id: str) -> str | None:
        """The URL of an image's data in its store, or None where Glance does not show it.

        Glance is asked by API v2, whatever the ``api_version``: v1 has no locations.

        Raises:
            ImageNotFound: It does not exist, or not for this caller.
        """
        image = self._show(2, context, image_id, include_locations=True, show_deleted=True)
        return cast("str | None", image.get("direct_url"))

    def image_import_copy(
        self, context: Context | None, image_id: str, stores: Iterable[str]
    ) -> None:
        """Copy an image to other stores.

        Raises:
            ImageNotFound: It does not exist, or not for this caller.
            ImageImportImpossible: It is in a state that does not allow it.
        """
        try:
            self._call(context, "image_import", image_id, "copy-image", stores=stores)
        except HTTPStatusError as error:
            reraise_about_import(error, image_id)

    def servers(self) -> tuple[ServerHealth, ...]:
        """The servers of the cycle and what is known of their health."""
        return self._client.servers()

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def _call(
        self, context: Context | None, method: str, *args: object, **kwargs: object
    ) -> object:
        return self._client.call(context, self._version, method, *args, **kwargs)

    def _resume(self, context: Context | None, image_id: str, there: int = 0) -> Resume:
        """How a download goes on after its stream broke: once for each retry that a call has.

        API v1 can't ask for a part of the data.
        """
        left = 0 if self._version == 1 else self.config.num_retries

        def resume(server: Server, error: AttemptError, done: int) -> Download | None:
            nonlocal left
            left -= 1
            retrying = left >= 0 and isinstance(error, Retryable)
            self._client.accuse(server, error, retrying=retrying)
            if not retrying:
                return None
            return cast("Download | None", self._call(context, "data", image_id, there + done))

        return resume

    def _record(self, version: Version, context: Context | None, image_id: str) -> Record:
        try:
            return cast("Record", self._client.call(context, version, "get", image_id))
        except HTTPStatusError as error:
            reraise_about_image(error, image_id)


def _locations(image: Image) -> list[object]:
    """The image's locations, and its direct URL as one more, as nova lists them."""
    found = image.get("locations")
    locations = list(found) if isinstance(found, list) else []
    if image.get("direct_url"):
        locations.append({"url": image["direct_url"], "metadata": {}})
    return locations
