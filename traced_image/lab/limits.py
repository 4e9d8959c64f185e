"""The limits beyond which Glance refuses: how many tags, properties and members, how many bytes."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..errors import InvalidArgument
from .error_responses import Refused


@dataclass(frozen=True)
class Limits:
    """Glance's quotas, with the defaults of ``glance/common/config.py``; negative for no limit.

    Attributes:
        properties: Custom properties of an image: ``image_property_quota``.
        tags: Tags of an image: ``image_tag_quota``.
        members: Members of an image: ``image_member_quota``.
        size: Bytes of an image's data: ``image_size_cap``.

    Raises:
        InvalidArgument: A limit is not an integer.
    """

    properties: int = 128
    tags: int = 128
    members: int = 128
    size: int = 1 << 40

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise InvalidArgument(f"{one.name}={value!r} is not an integer.")

    def check_properties(self, number: int) -> None:
        """Refuse too many properties.

        Raises:
            Refused: 413.
        """
        _check(number, self.properties, "properties")

    def check_tags(self, number: int) -> None:
        """Refuse too many tags.

        Raises:
            Refused: 413.
        """
        _check(number, self.tags, "tags")

    def check_size(self, number: int) -> None:
        """Refuse data of too many bytes.

        Raises:
            Refused: 413.
        """
        if 0 <= self.size < number:
            problem = "The provided image is too large."
            raise Refused(413, f"The incoming image is too large: {problem}")


def _check(number: int, most: int, what: str) -> None:
    if 0 <= most < number:
        amounts = f"Attempted: {number}, Maximum: {most}"
        problem = f"The limit has been exceeded on the number of allowed image {what}. {amounts}"
        raise Refused(413, problem)


DEFAULTS = Limits()
"""Glance's own defaults."""
