"""The part of the report that is about servers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .hour import MINUTE, Cell, list_minutes
from .quantiles import find_quantile
from .schema import LastReport, Minute, OperationReport, RecentReport, ServerReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..telemetry.catalogue.probe_metrics import Phase
    from ..telemetry.updates import ServerKey
    from .hour import Account, Hour, OperationAccount

RECENT = 5
"""How many minutes count as recent, with the one that is under way."""

DOWN = 3
"""After how many failures in a row a server's recent latencies are no longer shown."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What an exporter's own probes found, by server.

    Attributes:
        misconfigurations: What is wrong with the settings of the probes.
        phases: The seconds of each phase of the latest probe, in their order.
    """

    misconfigurations: Mapping[ServerKey, str] = field(default_factory=dict)
    phases: Mapping[ServerKey, Mapping[Phase, float]] = field(default_factory=dict)


def report_servers(hour: Hour, probed: Probed | None) -> list[ServerReport]:
    """Return the servers in the order of their addresses.

    Args:
        hour: The journal's copy.
        probed: What the probes found; None if the process makes no probes.
    """
    found = probed or Probed()
    loads = _Loads(hour)
    servers = []
    for place, account in sorted(hour.servers.items()):
        server = _report_server(hour, place, account, loads)
        phases = found.phases.get(place)
        server["phases"] = None if phases is None else {**phases}
        server["misconfigured"] = found.misconfigurations.get(place)
        servers.append(server)
    return servers


class _Loads:
    """The attempts on all servers, now and before the first of those failed that fail now."""

    def __init__(self, hour: Hour) -> None:
        minutes = list_minutes(hour.now)
        self.recent = minutes[-RECENT:]
        starts = [int(each.since // MINUTE) for each in hour.servers.values() if each.since]
        before = range(minutes[0], min([*starts, self.recent[0]]))
        self._now = {place: _count(each, self.recent) for place, each in hour.servers.items()}
        self._then = {place: _count(each, before) for place, each in hour.servers.items()}
        self._all_now, self._all_then = sum(self._now.values()), sum(self._then.values())

    def share(self, place: ServerKey) -> float | None:
        return self._now[place] / self._all_now if self._all_now else None

    def share_before(self, place: ServerKey) -> float | None:
        return self._then[place] / self._all_then if self._all_then else None


def _count(account: Account, minutes: range) -> int:
    cells = account.cells.items()
    return sum(cell.count() for minute, cell in cells if minute in minutes)


def _report_server(hour: Hour, place: ServerKey, account: Account, loads: _Loads) -> ServerReport:
    minutes = list_minutes(hour.now)
    total = _add_up(cell for minute, cell in account.cells.items() if minute in minutes)
    return ServerReport(
        address=place[0],
        port=place[1],
        state=account.state,
        next_trial=account.next_trial,
        since=account.since or None,
        consecutive_failures=int(account.consecutive_failures),
        last_success=account.last_success or None,
        last_failure=account.last_failure or None,
        last_error=account.last_error or None,
        attempts=total.count(),
        failed=total.failed.total(),
        # Sorted by count: readers of the JSON see the most frequent reason first.
        reasons=dict(total.failed.most_common()),
        refusals=dict(total.refused.most_common()),
        p50=find_quantile(total.seconds, 0.5),
        p95=find_quantile(total.seconds, 0.95),
        recent=_report_recent(place, account, loads),
        last=LastReport(
            attempts=len(account.last), failed=sum(failed for _, failed in account.last)
        ),
        operations=[
            _report_operation(name, each, total)
            for name, each in sorted(account.operations.items())
        ],
        cost_seconds=total.cost,
        saved_calls=total.saved,
        phases=None,
        misconfigured=None,
        strip=[_report_minute(minute, account.cells.get(minute)) for minute in minutes],
    )


def _add_up(cells: Iterable[Cell]) -> Cell:
    """Return some minutes of a server as one."""
    total = Cell(0)
    for cell in cells:
        total.add(cell)
    return total


def _report_recent(place: ServerKey, account: Account, loads: _Loads) -> RecentReport:
    cells = account.cells.items()
    total = _add_up(cell for minute, cell in cells if minute in loads.recent)
    measured = Cell(0) if _is_down(account) else total
    return RecentReport(
        attempts=total.count(),
        failed=total.failed.total(),
        p50=_find_quantile(measured, 0.5),
        p95=_find_quantile(measured, 0.95),
        max=measured.longest if measured.succeeded else None,
        share=loads.share(place),
        share_before=loads.share_before(place),
    )


def _is_down(account: Account) -> bool:
    """Return whether all operations fail, so that latencies are of the time before."""
    failing = all(operation.since for operation in account.operations.values())
    return failing and account.consecutive_failures >= DOWN


def _find_quantile(total: Cell, share: float) -> float | None:
    found = find_quantile(total.seconds, share)
    # Within its bucket, it is an estimate, which must not exceed the maximum beside it.
    return None if found is None else min(found, total.longest)


def _report_operation(name: str, account: OperationAccount, total: Cell) -> OperationReport:
    return OperationReport(
        operation=name,
        attempts=total.operations[name],
        failed=total.failed_operations[name],
        since=account.since or None,
        last_success=account.last_success or None,
        last_failure=account.last_failure or None,
        last_error=account.last_error or None,
    )


def _report_minute(minute: int, cell: Cell | None) -> Minute:
    if cell is None:
        return Minute(start=minute * MINUTE, attempts=0, failed=0, reason=None)
    return Minute(
        start=minute * MINUTE,
        attempts=cell.count(),
        failed=cell.failed.total(),
        reason=next((reason for reason, _ in cell.failed.most_common(1)), None),
    )
