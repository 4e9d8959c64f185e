"""Translation of HTTP errors into errors about one image, as in nova's tables."""

from __future__ import annotations

from typing import NoReturn

from ..config.checks import SHOWN, format_value
from ..errors import (
    Conflict,
    Forbidden,
    HTTPStatusError,
    ImageBadRequest,
    ImageDeleteConflict,
    ImageImportImpossible,
    ImageNotAuthorized,
    ImageNotFound,
    ImageQuotaExceeded,
    Invalid,
    NotFound,
    OverLimit,
)
from ..redact import hide_in_text


def format_id(image_id: str) -> str:
    """Render an image id for a message: as in nova, or quoted and cut if it is no valid id."""
    plain = image_id.isascii() and image_id.isprintable() and len(image_id) <= SHOWN
    return hide_in_text(image_id) if plain else format_value(image_id)


def reraise_about_image(error: HTTPStatusError, image_id: str) -> NoReturn:
    """Raise the error about one image, as nova's ``_translate_image_exception`` does.

    Args:
        error: The server's answer.
        image_id: The image's UUID, for the message.
    """
    image = format_id(image_id)
    if isinstance(error, Forbidden):
        raise _convert(ImageNotAuthorized, error, f"Not authorized for image {image}.") from error
    if isinstance(error, NotFound):
        raise _convert(ImageNotFound, error, f"Image {image} could not be found.") from error
    if error.status == Invalid.status:
        words = f"Request of image {image} got BadRequest response: {error}"
        raise _convert(ImageBadRequest, error, words) from error
    if isinstance(error, OverLimit):
        words = f"Quota exceeded or out of space for image {image} in the image service."
        raise _convert(ImageQuotaExceeded, error, words) from error
    raise error


def reraise_about_deletion(error: HTTPStatusError, image_id: str) -> NoReturn:
    """Raise the error about an image that was to be deleted, as nova's ``delete`` does."""
    if isinstance(error, Conflict):
        words = f"Conflict deleting image. Reason: {error}."
        raise _convert(ImageDeleteConflict, error, words) from error
    reraise_about_image(error, image_id)


def reraise_about_import(error: HTTPStatusError, image_id: str) -> NoReturn:
    """Raise the error about an image to be imported, as nova's ``image_import_copy`` does."""
    if isinstance(error, Conflict):
        words = f"Import of image {format_id(image_id)} refused: {error}"
        raise _convert(ImageImportImpossible, error, words) from error
    reraise_about_image(error, image_id)


def _convert(kind: type[HTTPStatusError], error: HTTPStatusError, words: str) -> HTTPStatusError:
    about = kind(
        words, status=error.status, retry_after=error.retry_after, request_id=error.request_id
    )
    about.attempts = error.attempts
    return about
