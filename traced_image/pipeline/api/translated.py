"""Operations whose records become nova's dicts; an odd record fails the call, and no server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ...errors import InvalidImageRecord
from .operation import Operation, SkippedRecord, raise_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .nova_image_dict import ImageDict
    from .operation import Wire
    from .records import Record

    Translate = Callable[[Record], ImageDict]


_T = TypeVar("_T")


def translate_image(operation: Operation[Record], translate: Translate) -> Operation[ImageDict]:
    """Build the operation that returns nova's dict of an image.

    Its check raises `InvalidImageRecord` if the record can't be read.
    """
    problems: list[InvalidImageRecord] = []

    def perform(wire: Wire) -> ImageDict:
        record = operation.perform(wire)
        try:
            return translate(record)
        except InvalidImageRecord as error:
            # Every other server has the same record: this attempt is a success all the same.
            problems.append(error)
            return {}

    return _derive(operation, perform, partial(raise_first, problems))


def translate_list(
    operation: Operation[list[Record]], translate: Translate
) -> Operation[list[ImageDict]]:
    """Build the operation that returns nova's dicts; it leaves out what can't be read."""
    skipped: list[SkippedRecord] = []

    def perform(wire: Wire) -> list[ImageDict]:
        images = []
        for record in operation.perform(wire):
            try:
                images.append(translate(record))
            except InvalidImageRecord as error:
                skipped.append(SkippedRecord(record["id"], error.field))
        skipped.extend(operation.skipped)
        return images

    return _derive(operation, perform, operation.check, skipped)


def _derive(
    operation: Operation[object],
    perform: Callable[[Wire], _T],
    check: Callable[[], None] | None,
    skipped: Sequence[SkippedRecord] = (),
) -> Operation[_T]:
    """Return an operation that differs from another one in its result."""
    return Operation(
        operation.name,
        operation.method,
        operation.path,
        perform,
        repeatable=operation.repeatable,
        transfer=operation.transfer,
        rewind=operation.rewind,
        check=check,
        skipped=skipped,
    )
