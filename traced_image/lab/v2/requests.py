"""Reads v2 requests: the image that a request names, and its JSON body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ..error_responses import Refused
from ..policy import is_visible

if TYPE_CHECKING:
    from ..http1 import JSON, ReceivedRequest
    from ..image import Image
    from ..images import Images


def find_image(
    images: Images,
    request: ReceivedRequest,
    image_id: str,
    *,
    problem: str = "No image found with ID {}",
) -> Image:
    """Return the image of an id, if who asks may see it.

    Args:
        images: The store.
        request: The request, whose identity asks.
        image_id: The id.
        problem: The error's text, with ``{}`` for the id.

    Raises:
        Refused: 404, if there is no such image, or it is not visible.
    """
    image = images.get(image_id)
    if image is None or not is_visible(request.identity, image):
        raise Refused(404, problem.format(image_id))
    return image


def read_query(request: ReceivedRequest) -> list[tuple[str, str]]:
    """Return the names and values in a request's query; a semicolon ends one, as in WebOb."""
    text = request.target.partition("?")[2].replace(";", "&")
    return parse_qsl(text, keep_blank_values=True)


def read_json(request: ReceivedRequest) -> list[JSON] | dict[str, JSON]:
    """Return the JSON object or array in a request's body.

    Raises:
        Refused: 400, if the body is missing or is something else.
    """
    if not request.body:
        raise Refused(400, "Body expected in request.")
    try:
        value: JSON = json.loads(request.body.decode())
    except RecursionError as error:
        raise Refused(500) from error
    except ValueError as error:
        raise Refused(400, "Malformed JSON in request body.") from error
    if b"\\ud" in request.body.lower():
        _refuse_surrogates(value)
    if not isinstance(value, list | dict):
        raise Refused(400, "Unexpected body type. Expected list/dict.")
    return value


def _refuse_surrogates(value: JSON) -> None:
    """Fail as Glance does on half a character, which no database takes."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Refused(500) from error


def read_json_object(request: ReceivedRequest) -> dict[str, JSON]:
    """Return the JSON object in a request's body.

    Raises:
        Refused: 400, if the body is missing or is something else.
    """
    value = read_json(request)
    if not isinstance(value, dict):
        raise Refused(400, "Expected a JSON object.")
    return value
