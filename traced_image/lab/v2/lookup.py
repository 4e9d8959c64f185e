"""Finding the image that a request is about."""

from __future__ import annotations

from ..images import Image, Images
from ..refusal import Refused


def find(images: Images, image_id: str) -> Image:
    """An image.

    Raises:
        Refused: 404, if it is not there.
    """
    image = images.get(image_id)
    if image is None:
        raise Refused(404, f"No image found with ID {image_id}")
    return image
