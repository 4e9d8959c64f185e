"""The image service with the methods of nova's, which translates images and errors as nova does."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from ..errors import (
    AttemptError,
    HTTPStatusError,
    ImageNotFound,
    ImageUnacceptable,
    InvalidArgument,
    Retryable,
)
from .api import nova_image_dict
from .api.destination import check_destination, open_destination, save
from .api.download import Download
from .client import OpenClient
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
    from collections.abc import Callable, Iterable

    from typing_extensions import Self, Unpack

    from ..config import Config, Server
    from ..errors import TracedImageError
    from .api.nova_image_dict import ImageDict, ListKeywords
    from .api.representation import Representation
    from .api.upload import Data
    from .attempts.seams import Perform
    from .attempts.server_cycle import ServerHealth
    from .client import GlanceClientWrapper
    from .context import Context


class GlanceImageService:
    """An image service with the methods of nova's ``GlanceImageService``.

    Every method may raise what the pipeline below it raises: `GlanceConnectionFailed` if no
    server answered, `AttemptError` if a server rejected the request, `InvalidArgument` before
    anything is sent, `TokenUnavailable` if Keystone gave no token, and `ServiceClosed` after
    `close`.

    Args:
        client: Makes the calls.
    """

    def __init__(self, client: GlanceClientWrapper) -> None:
        self._client = client
        self._images_v2 = ImagesV2(client)
        self._images = ImagesV1(client) if client.config.api_version == 1 else self._images_v2

    def _begin(self) -> ImagesV1 | ImagesV2:
        """Return what the calls of one method are made by: `close` does not end it in between."""
        return type(self._images)(self._client.begin())

    @property
    def config(self) -> Config:
        """The configuration of the service."""
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
            include_locations: Whether to include ``locations``, with ``direct_url`` as one more.
            show_deleted: Whether to return a deleted image too.

        Returns:
            nova's dict: base fields, custom ones under ``properties``, time stamps as aware
            datetimes, ``size`` in bytes, ``min_ram`` in MB, ``min_disk`` in GB. For API v2 it
            equals the dict of nova 34's ``GlanceImageServiceV2.show``.

        Raises:
            ImageNotFound: The image does not exist, or this caller may not see it.
            ImageNotAuthorized: Glance answered 401 or 403.
            InvalidImageRecord: A time stamp of the image can't be read.
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
        viewer = SERVICE if context is None else context

        def check(image: ImageDict) -> None:
            # As in nova: an image that the caller may not see looks as if it did not exist, so that
            # nobody learns which ids exist.
            gone = not show_deleted and nova_image_dict.is_deleted(image)
            if gone or not nova_image_dict.is_available(viewer, image):
                raise ImageNotFound(f"Image {format_id(image_id)} could not be found.")

        try:
            image = images.get(context, image_id, check, include_locations=include_locations)
        except ImageNotFound:
            raise
        except HTTPStatusError as error:
            reraise_about_image(error, image_id)
        if include_locations:
            image["locations"] = _list_locations(image)
        return image

    def detail(self, context: Context | None, **kwargs: Unpack[ListKeywords]) -> list[ImageDict]:
        """List images' metadata.

        Args:
            context: On whose behalf; None for the service's own.
            **kwargs: ``filters`` (a mapping; ``property-NAME``, ``changes-since`` and
                ``is_public`` mean the same as in nova), ``marker``, ``limit``, ``page_size``,
                ``sort_key``, ``sort_dir``. ``offset`` is ignored, as nova ignores it.

        Returns:
            A dict in the form of `show` for each image that the caller may see. An image that
            can't be shown is left out, and a line of the log names it.

        Raises:
            InvalidQuery: An argument is unknown or can't be used.
            ListTooLarge: The replies have more bytes than ``max_list_size``: ask for a part of the
                list by ``limit``, and for the next part by ``marker``.
        """
        viewer = SERVICE if context is None else context
        images = self._images.list(context, kwargs)
        return [image for image in images if nova_image_dict.is_available(viewer, image)]

    def create(
        self, context: Context | None, image_meta: ImageDict, data: Data | None = None
    ) -> ImageDict:
        """Create an image, with its data if given.

        Args:
            context: On whose behalf; None for the service's own.
            image_meta: A dict in the form of `show`; fields that Glance sets itself are not sent.
                In API v2, ``size`` 0 without data activates an empty image, the property
                ``instance_owner`` shares the image with that project, and ``location`` names
                data that is already stored elsewhere.
            data: Bytes, a binary file, or an iterable of bytes.

        Returns:
            The new image, in the form of `show`.

        Raises:
            UnsafeToRepeat: No answer came, and Glance may have created the image.
            UploadIncomplete: Glance confirmed the upload, but does not have all of `data`.
            InvalidMetadata: `image_meta` or `data` can't be sent. The image record exists
                already only if the problem appears while `data` is read.
            InvalidImageRecord: A time stamp of the image can't be read; the image was created.

        If a later request than the first one fails, the error's ``image_id`` and its message name
        the image that Glance has now.
        """
        return self._begin().create(context, image_meta, data)

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
            The changed image, in the form of `show`.

        Raises:
            ImageNotFound: The image does not exist, or this caller may not see it.
            UnsafeToRepeat: No answer came, and Glance may have changed the image.
            UploadIncomplete: Glance confirmed the upload, but does not have all of `data`.
            InvalidImageRecord: A time stamp of the image can't be read; the image was changed.
        """
        images = self._begin()
        find = partial(self._find_properties, images, context, image_id) if purge_props else None
        try:
            return images.update(context, image_id, image_meta, data, find)
        except HTTPStatusError as error:
            reraise_about_image(error, image_id)

    def _find_properties(
        self, images: ImagesV1 | ImagesV2, context: Context | None, image_id: str
    ) -> Iterable[str]:
        image = self._show(images, context, image_id, include_locations=False, show_deleted=True)
        properties: dict[str, Any] = image["properties"]
        return properties

    def delete(self, context: Context | None, image_id: str) -> bool:
        """Delete an image.

        Returns:
            True.

        Raises:
            ImageNotFound: The image does not exist, or this caller may not see it.
            ImageNotAuthorized: Glance answered 401 or 403.
            ImageDeleteConflict: The image is in use.
            UnsafeToRepeat: No answer came, and Glance may have deleted the image.
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
            data: A binary file to write to. It gets all of the data, and is flushed.
            dst_path: The path of a file to write to, used only if `data` is None. The file is
                replaced when all of the data is there, and stays as it is until then. Pipes,
                devices and ``/dev/stdout`` are written directly.
            trusted_certs: Must be empty: this service does not verify signatures, nova does.

        Returns:
            A `Download` to iterate over if `data` and `dst_path` are both None; otherwise None. It
            is returned when its first bytes are there.

        Raises:
            ImageNotFound: The image does not exist, or this caller may not see it.
            ImageUnacceptable: The image has no data.
            InvalidImageRecord: The image's checksum is no text, so that it checks nothing.
            ChecksumMismatch: The data does not match the image's record.
            CommunicationError: The stream broke, and no other server sent the rest.
            ProtocolError: The stream was cut short, and no other server sent the rest.
            InvalidArgument: The destination can't be written; no request was sent.
            OSError: The destination does not take all of the data.
        """
        check_destination(data, dst_path)
        if trusted_certs:
            raise InvalidArgument(
                "trusted_certs: this service verifies no signatures: let nova do it"
            )
        if data is not None:
            self._download(context, image_id, partial(save, file=data))
        elif dst_path:
            with open_destination(dst_path) as file:
                self._download(context, image_id, partial(save, file=file))
        else:
            return self._download(context, image_id, Download.wait)
        return None

    def download_rest(self, context: Context | None, image_id: str, begun: BinaryIO) -> Download:
        """Fetch the part of an image's data that a file does not have; check all of the data.

        If the image has no checksum, nobody can tell whether the first part belongs to the same
        data: see `Download.has_checksum`.

        Args:
            context: On whose behalf; None for the service's own.
            image_id: The image's UUID.
            begun: A binary file with the first part of the data, or empty. Its position is at
                its end afterwards.

        Returns:
            A `Download` of the rest of the data.

        Raises:
            InvalidArgument: `begun` is not empty, and API v1 can't return a part of the data.
            ImageNotFound: The image does not exist, or this caller may not see it.
            ImageUnacceptable: The image has no data.
            InvalidImageRecord: The image's checksum is no text, so that it checks nothing.
        """
        there = begun.seek(0, os.SEEK_END)
        return self._download(context, image_id, lambda download: download.begin(begun), there)

    def _download(
        self,
        context: Context | None,
        image_id: str,
        use: Callable[[Download], None],
        there: int = 0,
    ) -> Download:
        """Fetch an image's data, and use it as part of the same call."""
        images = self._images

        def finish(found: Download | None, perform: Perform) -> Download:
            download = _check_data(found, image_id)
            resume = self._make_resume(context, image_id, there, download.representation)
            # Within the call another server is asked as part of it, also after `close`.
            part = type(images)(OpenClient(self.config, perform))
            download.resume = partial(resume, part)
            try:
                use(download)
            except BaseException:
                download.close()
                raise
            download.resume = partial(resume, images)
            return download

        try:
            return _check_data(images.download(context, image_id, there, finish=finish), image_id)
        except HTTPStatusError as error:
            reraise_about_image(error, image_id)

    def get_location(self, context: Context | None, image_id: str) -> str | None:
        """Return the URL of an image's data in its store, or None if Glance does not show it.

        This always uses API v2, whatever ``api_version`` is: v1 has no locations.

        Raises:
            ImageNotFound: The image does not exist, or this caller may not see it.
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

        Args:
            context: On whose behalf; None for the service's own.
            image_id: The image's UUID.
            stores: The names of the stores to copy to.

        Raises:
            ImageNotFound: The image does not exist, or this caller may not see it.
            ImageImportImpossible: The image is in a state that allows no import.
            InvalidArgument: The service uses API v1, which has no import.
        """
        try:
            self._images.import_copy(context, image_id, stores)
        except HTTPStatusError as error:
            reraise_about_import(error, image_id)

    def reject(self, operation: str, error: TracedImageError) -> NoReturn:
        """Raise an error as the end of a call for which no server was asked.

        This is for services that wrap this one, and look an image up before they call it: spans
        and metrics tell what their callers got.

        Args:
            operation: The operation that was asked for, such as ``images.get``.
            error: What to raise.
        """
        self._client.reject(operation, error)

    def servers(self) -> tuple[ServerHealth, ...]:
        """Return the health of each server, in the order of the cycle."""
        return self._client.servers()

    def close(self) -> None:
        """Refuse new calls, which raise `ServiceClosed` from now on, and close idle connections.

        This waits for nobody. Methods under way finish, with all their requests and retries. A
        download that is open goes on to its end; if its stream breaks, no other server is asked
        for the rest. A second call does nothing.
        """
        self._client.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._client.closed

    def _make_resume(
        self, context: Context | None, image_id: str, there: int, first: Representation
    ) -> Callable[[ImagesV1 | ImagesV2, Server, AttemptError, int], Download | None]:
        """Return a function that fetches the rest of a download after its stream broke.

        The function works once for each retry that a call has.
        """
        # Under API v1 never: it can't return a part of the data.
        left = self.config.num_retries if self._images.has_ranges else 0

        def resume(
            images: ImagesV1 | ImagesV2, server: Server, error: AttemptError, done: int
        ) -> Download | None:
            nonlocal left
            left -= 1
            may_retry = left >= 0 and isinstance(error, Retryable)
            # After its call, a download asks nobody once the service is closed: `images` refuses.
            retrying = may_retry and not (images is self._images and self.closed)
            self._client.accuse(server, error, retrying=retrying)
            if not may_retry:
                return None
            return images.download(context, image_id, there + done, first)

        return resume


def _check_data(download: Download | None, image_id: str) -> Download:
    if download is None:
        raise ImageUnacceptable(f"Image {format_id(image_id)} is unacceptable: it has no data.")
    return download


def _list_locations(image: ImageDict) -> object:
    """Return an image's locations with its direct URL as one more, as nova's ``show`` does.

    If the locations are no list, the direct URL takes their place; nova fails then.
    """
    found = image.get("locations") or []
    if image.get("direct_url"):
        there = found if isinstance(found, list) else []
        return [*there, {"url": image["direct_url"], "metadata": {}}]
    return found
