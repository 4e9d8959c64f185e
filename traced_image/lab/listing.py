"""Filters, sorts and pages lists of images, for v1 and v2."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from .error_responses import Refused
from .image import BASE, Image

if TYPE_CHECKING:
    from .http1 import JSON
    from .images import Images

Condition = Callable[[Image], object]
# Glance's defaults of `api_limit_max` and `limit_param_default`.
MOST = 1000
PAGE = 25


def select(
    images: Images,
    conditions: Iterable[Condition],
    *,
    order: Sequence[tuple[str, str]],
    marker: str | None,
    limit: int,
    sees_removed: bool = False,
) -> list[Image]:
    """Return one page of images.

    Args:
        images: The store.
        conditions: Conditions that an image must all meet.
        order: Pairs of an attribute and ``asc`` or ``desc``, the most important first.
        marker: The id of the last image of the previous page; None for the first page.
        limit: The largest number of images to return.
        sees_removed: Whether the marker may be an image that was removed.

    Raises:
        Refused: 400, if the marker is not the id of an image, or a sort key is not an attribute.
    """
    ordered = images.all()
    removed = None if marker is None else images.get_removed(marker)
    if removed is not None and sees_removed:
        ordered.append(removed)
    # Python's sort is stable: the least important key comes first.
    for name, direction in reversed(order):
        if name not in BASE:
            raise Refused(400, f"Invalid sort key: {name}.")
        ordered.sort(key=partial(_make_rank, name), reverse=direction == "desc")
    if marker is not None:
        places = [place for place, image in enumerate(ordered) if image.id == marker]
        if not places:
            raise Refused(400, f"No image found with ID {marker}")
        ordered = ordered[places[0] + 1 :]
    conditions = tuple(conditions)
    found = (image for image in ordered if all(condition(image) for condition in conditions))
    return [image for image, _ in zip(found, range(limit), strict=False)]


def _make_rank(name: str, image: Image) -> tuple[int, int, str, int]:
    """Return a sort key for an attribute's value; null is the lowest, as in SQLite."""
    value = image.base[name]
    # Glance's database has fractions of a second; several images may have the same second here.
    finer = {"created_at": image.serial, "updated_at": image.changed}.get(name, 0)
    if isinstance(value, int):
        return 1, value, "", finer
    return (0, 0, "", finer) if value is None else (1, 0, str(value), finer)


def at_least(name: str, bound: str) -> Condition:
    """Build the condition that a number is not below a bound.

    Raises:
        Refused: 400, if the bound is not a number; 500, as in Glance, if the attribute is unknown.
    """
    least = _bound(name, bound)
    return lambda image: image.base[name] is not None and _number(image.base[name]) >= least


def at_most(name: str, bound: str) -> Condition:
    """Build the condition that a number is not above a bound.

    Raises:
        Refused: As for `at_least`.
    """
    most = _bound(name, bound)
    return lambda image: image.base[name] is not None and _number(image.base[name]) <= most


def equals(name: str, text: str) -> Condition:
    """Build the condition that an attribute or property has the value of a query."""

    def condition(image: Image) -> bool:
        value = image.base[name] if name in image.base else image.properties.get(name)
        given = text.capitalize() if isinstance(value, bool) else text
        return value is not None and str(value) == given

    return condition


def _bound(name: str, text: str) -> int:
    try:
        bound = int(text)
    except ValueError as error:
        problem = "Unable to filter on a range with a non-numeric value."
        raise Refused(400, problem) from error
    if name not in BASE:
        raise Refused(500)
    return bound


def _number(value: JSON) -> int:
    return value if isinstance(value, int) else -1
