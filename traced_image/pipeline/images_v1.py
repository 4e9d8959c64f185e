"""The image service's requests by API v1: one call for each method."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ..errors import InvalidArgument
from .api import nova_image_dict, v1
from .api.translated import translate_image, translate_list
from .api.upload import UploadBody
from .image_errors import check_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .api.download import Download
    from .api.nova_image_dict import ImageDict, ListKeywords
    from .api.operation import Operation
    from .api.records import Record
    from .api.representation import Representation
    from .api.upload import Data
    from .attempts.seams import Finish, Perform
    from .client import GlanceClientWrapper, OpenClient
    from .context import Context


class ImagesV1:
    """The image service's methods by API v1; they are those of `ImagesV2`.

    Args:
        client: The client that makes the calls.
    """

    has_ranges = False
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
        """Fetch an image's metadata; v1 has no locations."""
        del include_locations

        def finish(image: ImageDict, _perform: Perform) -> ImageDict:
            check(image)
            return image

        operation = translate_image(v1.get(image_id), nova_image_dict.from_v1)
        return self._perform(context, operation, finish)

    def list(self, context: Context | None, params: ListKeywords) -> list[ImageDict]:
        """List images' metadata."""
        query = nova_image_dict.make_query_v1(params)
        operation = v1.list_(**query, max_size=self._max_list_size)
        return self._perform(context, translate_list(operation, nova_image_dict.from_v1))

    def create(
        self, context: Context | None, image_meta: ImageDict, data: Data | None
    ) -> ImageDict:
        """Create an image, with its data if given.

        Raises:
            UploadIncomplete: Glance does not have all of the data.
        """
        fields = nova_image_dict.to_v1(image_meta)
        body = None if data is None else UploadBody.of(data)
        return self._write(context, v1.create(body, **fields), body)

    def update(
        self,
        context: Context | None,
        image_id: str,
        image_meta: ImageDict,
        data: Data | None,
        find_properties: Callable[[], Iterable[str]] | None,
    ) -> ImageDict:
        """Change an image, and its data if given; Glance removes the other properties itself.

        Raises:
            UploadIncomplete: Glance does not have all of the data.
        """
        fields = nova_image_dict.to_v1(image_meta)
        # The path names the image already.
        fields.pop("id", None)
        purge_props = find_properties is not None
        body = None if data is None else UploadBody.of(data)
        operation = v1.change(image_id, body, fields, purge_props=purge_props)
        return self._write(context, operation, body)

    def _write(
        self, context: Context | None, operation: Operation[Record], body: UploadBody | None
    ) -> ImageDict:
        record = self._perform(context, operation)
        # Without data, a status of queued is right, or of saving if Glance copies from a location.
        if body is not None:
            check_stored(record, body)
        return nova_image_dict.from_v1(record)

    def delete(self, context: Context | None, image_id: str) -> None:
        """Delete an image."""
        self._perform(context, v1.delete(image_id))

    def download(
        self,
        context: Context | None,
        image_id: str,
        offset: int = 0,
        first: Representation | None = None,
        finish: Finish[Download | None] | None = None,
    ) -> Download | None:
        """Fetch all of an image's data; return None if it has none.

        Raises:
            InvalidArgument: `offset` is not 0, and API v1 can't return a part of the data.
        """
        del first
        if offset:
            raise InvalidArgument(
                "API v1 can't return a part of the data: download all of it again"
            )
        return self._perform(context, v1.data(image_id), finish)

    def import_copy(
        self, context: Context | None, image_id: str, stores: Iterable[str]
    ) -> NoReturn:
        """Raise an error: API v1 can't copy an image to other stores.

        Raises:
            InvalidArgument: Always, because API v1 has a single store and no import.
        """
        del context, image_id, stores
        raise InvalidArgument("API v1 has no import: use API v2")
