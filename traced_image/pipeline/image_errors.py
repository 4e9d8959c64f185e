"""Translation of errors into errors about one image: as in nova's tables, and after an upload."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

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
    TracedImageError,
    UploadIncomplete,
)
from ..redact import hide_in_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .api.records import Record
    from .api.upload import UploadBody


_STORED = frozenset({"active", "deactivated"})
"""The statuses of an image with data; an administrator may deactivate it after the upload."""


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
    about.verdict, about.token_seconds = error.verdict, error.token_seconds
    about.trace_id, about.span_id = error.trace_id, error.span_id
    return about


@contextmanager
def name_created_image(image_id: str) -> Iterator[None]:
    """Add to any error of the block that Glance has the image now, which the block completes."""
    try:
        yield
    except BaseException as error:
        if getattr(error, "image_id", None) is None:
            _add_image(error, image_id)
        raise


def _add_image(error: BaseException, image_id: str) -> None:
    words = (
        f"Glance has the new image {format_id(image_id)} now: look at its status, and complete"
        " it by update, or delete it"
    )
    # By __dict__, because the exception may be of any class: the data's source may raise it.
    error.__dict__["image_id"] = image_id
    if isinstance(error, TracedImageError):
        error.args = (f"{str(error).rstrip('.')}; {words}",)
    else:
        # What `add_note` does, which Python 3.10 does not have.
        error.__dict__.setdefault("__notes__", []).append(words)


def is_stored(record: Record, body: UploadBody) -> bool:
    """Return whether an image's record says that Glance has all of an upload's data.

    Glance answers an upload after it has stored the data and set the status to ``active``. It
    counts the bytes itself, whatever the store is. So a size of None or 0 is no excuse: Glance has
    it only for an image without data, and for a location, which no upload follows.

    Args:
        record: The image's record after the upload.
        body: What was sent.
    """
    status, size = record.get("status"), record.get("size")
    # By its type, because True equals 1.
    stored = isinstance(status, str) and status in _STORED and type(size) is int
    stored = stored and size == body.sent
    # A server that confirms the upload before it has all of the data has stored a part of it.
    return stored and body.complete


def check_stored(record: Record, body: UploadBody) -> None:
    """Check that Glance has all of an upload's data, by the image's record.

    Args:
        record: The image's record after the upload.
        body: What was sent.

    Raises:
        UploadIncomplete: The status or the size is not that of an image with this data.
    """
    if is_stored(record, body):
        return
    image_id, status, size = record["id"], record.get("status"), record.get("size")
    rest = "" if body.complete else ", before all of the data was sent"
    raise UploadIncomplete(
        f"Image {format_id(image_id)} is unacceptable: Glance confirmed the upload after"
        f" {body.sent} bytes{rest}, but has the image with status {format_value(status)} and size"
        f" {format_value(size)}: delete it and upload the data again, and check the proxy before"
        " Glance",
        image_id=image_id,
        status=status,
        size=size,
        sent=body.sent,
    )
