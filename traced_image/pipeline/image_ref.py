"""References to images as nova passes them: an id alone, or the URL of an image (an href)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..config import Server
from ..errors import InvalidImageRef, InvalidServer

if TYPE_CHECKING:
    from collections.abc import Collection

_FORM = "write it as http://HOST:PORT/v2/images/ID, or pass the id alone"


def parse_image_ref(image_href: str) -> tuple[str, Server]:
    """Parse the URL of an image into the image's id and its server.

    This reads the URLs of nova's ``_parse_image_ref`` and ``_endpoint_from_image_ref``. Unlike
    them, it keeps the path before the API's version, and takes 443 as the port of https.

    Args:
        image_href: A URL such as ``http://glance-1:9292/v2/images/ID``; it may have no version.

    Raises:
        InvalidImageRef: The text has another form, or it contains credentials. The message shows
            no part of it.
    """
    endpoint, mark, image_id = image_href.rpartition("/images/")
    image_id = unquote(image_id)
    if "://" not in endpoint or not mark or not image_id or set(image_id) & set("/?#"):
        raise InvalidImageRef(f"the href of an image (not shown) has another form: {_FORM}")
    try:
        return image_id, Server.parse(endpoint)
    except InvalidServer:
        # Its message shows a part of the text, and this one may come from anybody.
        raise InvalidImageRef(
            f"the href of an image (not shown) names no server that can be used: {_FORM}"
        ) from None


def find_image_ref(image_href: str, servers: Collection[Server]) -> str:
    """Return the id of the image that a URL names on one of the servers.

    Raises:
        InvalidImageRef: The URL can't be parsed, or it names another server.
    """
    image_id, server = parse_image_ref(image_href)
    if server not in servers:
        # The href may come from anybody, so that its server must not get the caller's token.
        raise InvalidImageRef(
            f"the href of an image names {server}, which is not a configured server: pass the"
            " image's id alone, or add the server to the configuration"
        )
    return image_id
