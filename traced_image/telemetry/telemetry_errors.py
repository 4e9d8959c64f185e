"""Failures of the telemetry itself: each is counted, the first of its kind is logged."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from ..redact import hide_in_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from .catalogue import TelemetryErrorKind


LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)


class TelemetryErrors:
    """Takes note of what telemetry raises, which no caller must see.

    Args:
        count: Counts one, by its kind.
    """

    def __init__(self, count: Callable[[TelemetryErrorKind], None]) -> None:
        self._count = count
        self._logged: dict[str, object] = {}

    def note(self, kind: TelemetryErrorKind, error: Exception) -> None:
        """Take note of a failure of one kind."""
        mine = object()
        with suppress(Exception):  # the log's handlers may be what fails
            if self._logged.setdefault(kind, mine) is mine:
                LOG.warning(
                    "Telemetry failed at %s: further failures are only counted.",
                    kind,
                    exc_info=error,
                )
        with suppress(Exception):
            self._count(kind)

    def guard(self, kind: TelemetryErrorKind) -> Guard:
        """What keeps failures of one kind from a caller."""
        return Guard(self, kind)


class Guard:
    """Keeps what is raised within it from the caller, whose call is none of its business."""

    __slots__ = ("_errors", "_kind")

    def __init__(self, errors: TelemetryErrors, kind: TelemetryErrorKind) -> None:
        self._errors = errors
        self._kind = kind

    def __enter__(self) -> None:
        """Nothing: one guard serves all threads at once."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._errors.note(self._kind, error)
        return True
