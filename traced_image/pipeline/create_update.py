"""Creating and changing images: several calls in API v2, one in v1."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ..errors import ImageBadRequest, Invalid, NotFound, NotImplementedByServer
from .api import nova_images
from .api.v2 import changes_of
from .client import build_operation

if TYPE_CHECKING:
    from .api.records import Record
    from .api.upload import Data
    from .client import GlanceClientWrapper
    from .context import Context


_METHOD_NOT_ALLOWED = 405

_TO_BE_GIVEN = "new"
"""Stands for the id of an image that is still to be created."""


def create_v1(
    client: GlanceClientWrapper, context: Context | None, image_meta: Record, data: Data | None
) -> Record:
    """Create an image, with its data if given."""
    fields = nova_images.to_glance(1, image_meta)
    return cast("Record", client.call(context, 1, "create", data, **fields))


def update_v1(
    client: GlanceClientWrapper,
    context: Context | None,
    image_id: str,
    fields: Record,
    data: Data | None,
    *,
    purge_props: bool,
) -> Record:
    """Change an image, and its data if given."""
    return cast(
        "Record",
        client.call(context, 1, "update", image_id, data, purge_props=purge_props, **fields),
    )


def create_v2(
    client: GlanceClientWrapper, context: Context | None, image_meta: Record, data: Data | None
) -> Record:
    """Create an image's record, then its location, its member and its data, as nova 34 does.

    Raises:
        InvalidArgument: A part of it can't be sent; then nothing was.
    """
    fields = nova_images.to_glance(2, image_meta)
    member_id = fields.pop("instance_owner", None)
    if data is None and image_meta.get("size") == 0:
        data = b""
        _activate_empty(fields)
    location = fields.pop("location", None)
    _check_parts(_TO_BE_GIVEN, location, member_id, data)
    record = cast("Record", client.call(context, 2, "create", **fields))
    if location:
        _add_location(client, context, record["id"], location)
    if member_id:
        client.call(context, 2, "image_members.create", record["id"], member_id)
    return record if data is None else _upload(client, context, record["id"], data)


def _activate_empty(fields: Record) -> None:
    """Make a record ready to be activated by an upload of nothing, as nova's callers expect."""
    fields.setdefault("container_format", "bare")
    if fields.setdefault("disk_format", "raw") != "raw":
        raise ImageBadRequest(
            f"Unable to force activate with disk_format={fields['disk_format']}: use raw"
        )


def check_update_v2(image_id: str, fields: Record, data: Data | None) -> None:
    """Refuse a change that can't be sent, before the first of its calls.

    Raises:
        InvalidArgument: A field, the location or the data is not usable.
    """
    changed = {name: value for name, value in fields.items() if name != "location"}
    _check("patch", image_id, changes_of(changed, ()))
    _check_parts(image_id, fields.get("location"), None, data)


def _check_parts(image_id: str, location: object, member_id: object, data: Data | None) -> None:
    """Refuse what a later call could not send, while no earlier one has written anything."""
    if location:
        _check("add_image_location", image_id, location)
    if member_id:
        _check("image_members.create", image_id, member_id)
    if data is not None:
        _check("upload", image_id, data)


def _check(method: str, *args: object) -> None:
    build_operation(2, method, args, {})


def update_v2(
    client: GlanceClientWrapper,
    context: Context | None,
    image_id: str,
    fields: Record,
    data: Data | None,
    remove_props: list[str],
) -> Record:
    """Change an image's record, then its location and its data, as nova 34 does."""
    location = fields.pop("location", None)
    # Not by "update": a property may have the name of one of its arguments.
    changes = changes_of(fields, remove_props)
    record = cast("Record", client.call(context, 2, "patch", image_id, changes))
    if location:
        _add_location(client, context, image_id, location)
    return record if data is None else _upload(client, context, image_id, data)


def _upload(
    client: GlanceClientWrapper, context: Context | None, image_id: object, data: Data
) -> Record:
    client.call(context, 2, "upload", image_id, data)
    return cast("Record", client.call(context, 2, "get", image_id))


def _add_location(
    client: GlanceClientWrapper, context: Context | None, image_id: object, url: object
) -> None:
    """Add a location by the call made for services, or where Glance is too old, by a patch."""
    try:
        client.call(context, 2, "add_image_location", image_id, url)
    except (NotFound, NotImplementedByServer, Invalid) as error:
        if isinstance(error, Invalid) and error.status != _METHOD_NOT_ALLOWED:
            raise
        client.call(context, 2, "add_location", image_id, url)
