"""The image service's requests by API v2: several calls may create or change one image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..errors import ImageBadRequest, Invalid, NotFound, NotImplementedByServer
from ..redact import hide_in_text
from .api import nova_image_dict, v2, v2_actions
from .api.translated import translate_image, translate_list
from .api.upload import UploadBody
from .image_errors import check_stored, is_stored, name_created_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .api.download import Download
    from .api.nova_image_dict import ImageDict, ListKeywords
    from .api.records import Record
    from .api.representation import Representation
    from .api.upload import Data
    from .attempts.seams import Finish, Perform
    from .client import GlanceClientWrapper, OpenClient
    from .context import Context

_METHOD_NOT_ALLOWED = 405

_TO_BE_GIVEN = "new"
"""A placeholder for the id of an image that does not exist, to check arguments with."""


class ImagesV2:
    """The image service's methods by API v2, as in nova 34.

    Args:
        client: The client that makes the calls.
    """

    has_ranges = True
    """Whether Glance can return a part of an image's data."""

    def __init__(self, client: GlanceClientWrapper | OpenClient) -> None:
        self._perform = client.perform
        self._max_list_size = client.config.max_list_size

    def get(
        self,
        context: Context | None,
        image_id: str,
        check: Callable[[ImageDict], None],
        *,
        include_locations: bool = False,
    ) -> ImageDict:
        """Fetch an image's metadata.

        Args:
            context: On whose behalf; None for the service's own.
            image_id: The image's UUID.
            check: Raises an error if the caller may not see the image; the call fails with it.
            include_locations: Whether to include the locations.
        """

        def finish(image: ImageDict, _perform: Perform) -> ImageDict:
            check(image)
            return image

        translate = partial(nova_image_dict.from_v2, include_locations=include_locations)
        return self._perform(context, translate_image(v2.get(image_id), translate), finish)

    def list(self, context: Context | None, params: ListKeywords) -> list[ImageDict]:
        """List images' metadata."""
        query = nova_image_dict.make_query_v2(params)
        operation = v2.list_(**query, max_size=self._max_list_size)
        return self._perform(context, translate_list(operation, nova_image_dict.from_v2))

    def create(
        self, context: Context | None, image_meta: ImageDict, data: Data | None
    ) -> ImageDict:
        """Create an image's record, then its location, its member and its data.

        Raises:
            InvalidArgument: An argument can't be sent; no request was made.
            UploadIncomplete: Glance does not have all of the data.
        """
        fields = nova_image_dict.to_v2(image_meta)
        member_id = fields.pop("instance_owner", None)
        if data is None and image_meta.get("size") == 0:
            # nova's snapshot of a server that boots from a volume is an image without data, and
            # Glance activates an image only by an upload.
            data = b""
            _activate_empty(fields)
        location = fields.pop("location", None)
        body = None if data is None else UploadBody.of(data)
        _check_parts(_TO_BE_GIVEN, location, member_id)
        record = self._perform(context, v2.create(**fields))
        image_id = record["id"]
        with name_created_image(image_id):
            if location:
                self._add_location(context, image_id, location)
            if member_id:
                self._perform(context, v2_actions.create_member(image_id, member_id))
            return self._finish(context, image_id, record, body)

    def update(
        self,
        context: Context | None,
        image_id: str,
        image_meta: ImageDict,
        data: Data | None,
        find_properties: Callable[[], Iterable[str]] | None,
    ) -> ImageDict:
        """Change an image's record, then its location and its data.

        Args:
            context: On whose behalf; None for the service's own.
            image_id: The image's UUID.
            image_meta: The fields to change.
            data: Bytes, a binary file, or an iterable of bytes.
            find_properties: Returns the names of the image's properties; those that `image_meta`
                does not have are removed. None keeps them.

        Raises:
            InvalidArgument: An argument can't be sent; no request was made.
            UploadIncomplete: Glance does not have all of the data.
        """
        fields = nova_image_dict.to_v2(image_meta)
        fields.pop("id", None)
        location = fields.pop("location", None)
        # Only for its checks, before `find_properties` makes a request.
        v2.patch(image_id, v2.make_changes(fields, ()))
        body = None if data is None else UploadBody.of(data)
        _check_parts(image_id, location, None)
        kept = image_meta.get("properties", {})
        found = () if find_properties is None else find_properties()
        changes = v2.make_changes(fields, [name for name in found if name not in kept])
        record = self._perform(context, v2.patch(image_id, changes))
        if location:
            self._add_location(context, image_id, location)
        return self._finish(context, image_id, record, body)

    def delete(self, context: Context | None, image_id: str) -> None:
        """Delete an image."""
        self._perform(context, v2.delete(image_id))

    def download(
        self,
        context: Context | None,
        image_id: str,
        offset: int = 0,
        first: Representation | None = None,
        finish: Finish[Download | None] | None = None,
    ) -> Download | None:
        """Fetch an image's data from byte `offset` on, as the rest of a `first` reply's data.

        `finish` is a part of the same call. The result is None if the image has no data.
        """
        return self._perform(context, v2.data(image_id, offset, first), finish)

    def import_copy(self, context: Context | None, image_id: str, stores: Iterable[str]) -> None:
        """Copy an image to other stores."""
        self._perform(context, v2_actions.image_import(image_id, "copy-image", stores=stores))

    def _finish(
        self, context: Context | None, image_id: str, record: Record, body: UploadBody | None
    ) -> ImageDict:
        """Upload the data if given, and return the image after that."""
        if body is not None:
            self._perform(context, v2.upload(image_id, body))
            # Glance answers an upload with 204 and no record; size and checksum are new now.
            found = self._find(context, image_id)
            if found is not None and is_stored(found, body):
                record = found
            else:
                # The databases of a cluster may lag behind each other: the next server of the
                # cycle answers the second request.
                record = self._perform(context, v2.get(image_id))
                check_stored(record, body)
        return nova_image_dict.from_v2(record)

    def _find(self, context: Context | None, image_id: str) -> Record | None:
        """Return an image's record, or None if a server does not know the image."""
        try:
            return self._perform(context, v2.get(image_id))
        except NotFound:
            return None

    def _add_location(self, context: Context | None, image_id: str, url: str) -> None:
        """Add a location by the request for services, or by a patch if Glance is too old for it."""
        try:
            self._perform(context, v2_actions.add_image_location(image_id, url))
        except (NotFound, NotImplementedByServer, Invalid) as error:
            # Before API 2.17 the path exists only for other methods, or not at all.
            if isinstance(error, Invalid) and error.status != _METHOD_NOT_ALLOWED:
                raise
            self._perform(context, v2_actions.add_location(image_id, url))


def _activate_empty(fields: Record) -> None:
    """Set the formats that an image needs before an upload of 0 bytes activates it, as in nova."""
    fields.setdefault("container_format", "bare")
    disk_format = fields.setdefault("disk_format", "raw")
    if disk_format != "raw":
        shown = hide_in_text(str(disk_format))
        raise ImageBadRequest(f"Unable to force activate with disk_format={shown}: use raw")


def _check_parts(image_id: str, location: str | None, member_id: str | None) -> None:
    """Check the arguments of later calls before the first call changes anything."""
    # To build an operation checks its arguments and sends nothing.
    if location:
        v2_actions.add_image_location(image_id, location)
    if member_id:
        v2_actions.create_member(image_id, member_id)
