"""Failures of the telemetry itself: each is counted, and the first of each kind is logged.

What a signal handler raises while telemetry works, such as a task's time limit, is none of them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .._signals import SUPPRESSED, is_from_signal_handler
from ..redact import hide_in_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from .catalogue import TelemetryErrorKind


LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)


class TelemetryErrors:
    """Counts and logs exceptions of telemetry, which must never reach a caller.

    Args:
        count: Counts one failure of a kind.
    """

    def __init__(self, count: Callable[[TelemetryErrorKind], None]) -> None:
        self._count = count
        self._logged: dict[str, object] = {}

    def note(self, kind: TelemetryErrorKind, error: Exception) -> None:
        """Count a failure of one kind; log it if it is the first of its kind.

        Raises:
            Exception: `error` itself, if a signal handler raised it: it is the caller's.
        """
        if is_from_signal_handler(error):
            raise error
        # `setdefault` is atomic: of several threads only one finds its own object, and logs.
        mine = object()
        with SUPPRESSED:  # a logging handler may be the part that fails
            if self._logged.setdefault(kind, mine) is mine:
                LOG.warning(
                    "Telemetry failed at %s: further failures are only counted.",
                    kind,
                    exc_info=error,
                )
        with SUPPRESSED:
            self._count(kind)

    def guard(self, kind: TelemetryErrorKind) -> Guard:
        """Return a context manager that counts and swallows failures of one kind."""
        return Guard(self, kind)


class Guard:
    """A context manager that counts and swallows an exception of telemetry.

    It raises what is the caller's: an exception of a signal handler, and any exception that is no
    `Exception`, such as a KeyboardInterrupt or a cancellation.
    """

    __slots__ = ("_errors", "_kind")

    def __init__(self, errors: TelemetryErrors, kind: TelemetryErrorKind) -> None:
        self._errors = errors
        self._kind = kind

    def __enter__(self) -> None:
        """Do nothing: one guard serves all threads at the same time, and keeps no state."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._errors.note(self._kind, error)
        return True
