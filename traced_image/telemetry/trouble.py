"""Failures of the telemetry itself: each is counted, the first of its kind is logged."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = logging.getLogger(__name__)


class Troubles:
    """Takes note of what telemetry raises, which no caller must see.

    Args:
        count: Counts one, by its kind.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._logged: dict[str, object] = {}

    def note(self, kind: str, error: Exception) -> None:
        """Take note of a failure of one kind."""
        mine = object()
        if self._logged.setdefault(kind, mine) is mine:
            LOG.warning(
                "Telemetry failed at %s: further failures are only counted.", kind, exc_info=error
            )
        with suppress(Exception):
            self._count(kind)
