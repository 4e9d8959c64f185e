"""Which error about an image an answer of a server is, by nova's tables."""

from __future__ import annotations

from typing import NoReturn

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


def reraise_about_image(error: HTTPStatusError, image_id: str) -> NoReturn:
    """Raise what an answer means for one image, as nova's ``_translate_image_exception``."""
    if isinstance(error, Forbidden):
        raise _as(ImageNotAuthorized, error, f"Not authorized for image {image_id}.") from error
    if isinstance(error, NotFound):
        raise _as(ImageNotFound, error, f"Image {image_id} could not be found.") from error
    if error.status == Invalid.status:
        words = f"Request of image {image_id} got BadRequest response: {error}"
        raise _as(ImageBadRequest, error, words) from error
    if isinstance(error, OverLimit):
        words = f"Quota exceeded or out of space for image {image_id} in the image service."
        raise _as(ImageQuotaExceeded, error, words) from error
    raise error


def reraise_about_deletion(error: HTTPStatusError, image_id: str) -> NoReturn:
    """Raise what an answer to a deletion means, as nova's ``delete``."""
    if isinstance(error, Conflict):
        words = f"Conflict deleting image. Reason: {error}."
        raise _as(ImageDeleteConflict, error, words) from error
    reraise_about_image(error, image_id)


def reraise_about_import(error: HTTPStatusError, image_id: str) -> NoReturn:
    """Raise what an answer to an import means, as nova's ``image_import_copy``."""
    if isinstance(error, Conflict):
        words = f"Import of image {image_id} refused: {error}"
        raise _as(ImageImportImpossible, error, words) from error
    reraise_about_image(error, image_id)


def _as(kind: type[HTTPStatusError], error: HTTPStatusError, words: str) -> HTTPStatusError:
    about = kind(
        words, status=error.status, retry_after=error.retry_after, request_id=error.request_id
    )
    about.attempts = error.attempts
    return about
