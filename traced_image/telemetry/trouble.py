"""Failures of the telemetry itself: each is counted, the first of its kind is logged."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from .catalogue import Trouble

LOG = logging.getLogger(__name__)

_P = ParamSpec("_P")
_ResultT = TypeVar("_ResultT")


class Troubles:
    """Takes note of what telemetry raises, which no caller must see.

    Args:
        count: Counts one, by its kind.
    """

    def __init__(self, count: Callable[[Trouble], None]) -> None:
        self._count = count
        self._logged: dict[str, object] = {}

    def note(self, kind: Trouble, error: Exception) -> None:
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


class _Troubled(Protocol):
    @property
    def troubles(self) -> Troubles: ...


_SelfT = TypeVar("_SelfT", bound=_Troubled)
_Method = Callable[Concatenate[_SelfT, _P], _ResultT]


def harmless(
    kind: Trouble,
) -> Callable[[_Method[_SelfT, _P, _ResultT]], _Method[_SelfT, _P, _ResultT | None]]:
    """Keep what a method raises from the caller, whose call is none of its business."""

    def decorate(method: _Method[_SelfT, _P, _ResultT]) -> _Method[_SelfT, _P, _ResultT | None]:
        @functools.wraps(method)
        def safe(self: _SelfT, /, *args: _P.args, **kwargs: _P.kwargs) -> _ResultT | None:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 processors and registries raise anything
                self.troubles.note(kind, error)
                return None

        return safe

    return decorate
