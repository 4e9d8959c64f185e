"""The gauges of each server's host state; only changes are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from . import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config import Server
    from .catalogue import Metric, StateLabel
    from .updates import Labels, ServerKey, Update


_OF_A_HOST = (
    catalogue.CONSECUTIVE_FAILURES,
    catalogue.LAST_SUCCESS,
    catalogue.LAST_FAILURE,
    catalogue.FAILING_SINCE,
)


class HostView(Protocol):
    """The state of one server, as in the pipeline's `HostState` or `HostHealth`.

    Times are seconds since the epoch; None for never. ``trial_at`` is the end of a cool-down.
    """

    server: Server
    consecutive_failures: int
    last_success: float | None
    last_failure: float | None
    trial_at: float | None

    @property
    def shown_state(self) -> StateLabel:
        """The server's state."""


@dataclass(slots=True)
class _LastShown:
    """The values that the gauges last showed for a server; -1 for none.

    Attributes:
        host: The server's state.
        since: When its failures in a row began, in seconds since the epoch; 0 for none.
        state: The state that was shown.
        values: The values of `_OF_A_HOST`.
    """

    host: HostView
    since: float = 0.0
    state: StateLabel | None = None
    values: list[float] = field(default_factory=lambda: [-1.0] * len(_OF_A_HOST))


class HostGauges:
    """Shows the state of each server.

    Args:
        series: The updates of each metric's series.
    """

    def __init__(self, series: Mapping[Metric, Mapping[Labels, Update]]) -> None:
        self._series = series
        self._shown: dict[str, _LastShown] = {}

    def show(self, host: HostView, place: ServerKey) -> None:
        """Show a server's state.

        Args:
            host: The state; it may change later, and is then shown again.
            place: The labels of its server.
        """
        shown = self._shown.get(host.server.netloc)
        if shown is None:
            shown = self._shown[host.server.netloc] = _LastShown(host)
        shown.host = host
        failures, failed = host.consecutive_failures, host.last_failure or 0.0
        shown.since = (shown.since or failed) if failures else 0.0
        current = host.shown_state
        if shown.state != current:
            shown.state = current
            for state in catalogue.STATES:
                self._series[catalogue.SERVER_STATE][(*place, state)](int(state == current), None)
        values = failures, host.last_success or 0.0, failed, shown.since
        for number, metric in enumerate(_OF_A_HOST):
            if shown.values[number] != values[number]:
                shown.values[number] = values[number]
                self._series[metric][place](values[number], None)

    def list_hosts(self) -> list[HostView]:
        """Return the states that were shown."""
        return [shown.host for shown in list(self._shown.values())]

    def forget(self, server: Server) -> None:
        """Forget a server that is no longer configured."""
        self._shown.pop(server.netloc, None)

    def start_anew(self) -> None:
        """Show all values again at the next `show`, because the gauges are empty."""
        # A copy, because another thread may show another server now.
        shown = list(self._shown.items())
        self._shown = {name: _LastShown(each.host, each.since) for name, each in shown}
