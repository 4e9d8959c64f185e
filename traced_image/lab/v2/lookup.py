"""Finding the image that a request is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..refusal import Refused

if TYPE_CHECKING:
    from ..images import Image, Images


def find(images: Images, image_id: str) -> Image:
    """An image.

    Raises:
        Refused: 404, if it is not there.
    """
    image = images.get(image_id)
    if image is None:
        raise Refused(404, f"No image found with ID {image_id}")
    return image
