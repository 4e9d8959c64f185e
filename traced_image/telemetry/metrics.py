"""Counts calls, attempts, servers and streams, in a bounded number of series."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .. import _forks
from .._version import find_version
from . import catalogue
from .catalogue import OTHER
from .host_gauges import HostGauges
from .telemetry_errors import TelemetryErrors
from .updates import DetailKeeper

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..config import Server
    from .catalogue import (
        Direction,
        HazardKind,
        Metric,
        Outcome,
        RecordKind,
        TelemetryErrorKind,
        VerdictLabel,
    )
    from .host_gauges import HostView
    from .options import Detail
    from .updates import Backend, EndedCall, Exemplar, Labels, ServerKey, Update

LOG = logging.getLogger(__name__)

MOST_SERVERS = 1000
"""How many servers have their own series in one registry; all others share the label _OTHER."""

FIRST_OPERATION = "images.get"
FIRST_REASONS = ("connection_refused", "connect_timeout", "read_timeout", "connection_reset", "503")
"""The reasons for which a server's counters exist, at zero, before its first failure.

Prometheus's ``rate`` and ``increase`` miss the first increment of a series that does not exist
before. These are the reasons of common failures; to create all would cost too many series.
"""

FIRST_TOKEN_REASONS = ("connection_refused", "connect_timeout", "read_timeout", "401", "503")
"""The reasons for which the counter of Keystone's failures exists, at zero, from the start."""

_OTHER_SERVER: ServerKey = (OTHER, OTHER)

_KEPT = {reason: reason for reason in catalogue.KNOWN_REASONS}

Note = Callable[[Exception], None]
"""Counts and logs an exception that one of several backends raised."""


class _Updates(dict["Labels", "Update"]):
    """The updates of a metric's series, by their labels.

    A look-up creates the series, so that labels must come from closed sets. A look-up here costs
    a quarter of prometheus_client's ``labels``.
    """

    def __init__(self, metric: Metric, backends: Sequence[Backend], note: Note) -> None:
        super().__init__()
        self._metric = metric
        self._backends = backends
        self._note = note

    def attach(self, backend: Backend) -> None:
        """Add a backend to all series; each existing series is bound again at its next use."""
        self._backends = (*self._backends, backend)
        self.clear()

    def __missing__(self, labels: Labels) -> Update:
        # One backend is the common case: its own update is then called without a wrapper.
        backends = self._backends
        if len(backends) == 1:
            record = backends[0].bind(self._metric, labels) or _combine((), self._note)
            self._keep(labels, record, backends)
            return record
        bound: list[Update | None] = []
        for backend in backends:
            try:
                bound.append(backend.bind(self._metric, labels))
            except Exception as error:  # noqa: BLE001 if one backend fails, the others still count
                self._note(error)
        records = [each for each in bound if each is not None]
        record = records[0] if len(records) == 1 else _combine(records, self._note)
        # A backend that failed to bind gets another chance at the next use.
        if len(bound) == len(backends):
            self._keep(labels, record, backends)
        return record

    def _keep(self, labels: Labels, record: Update, backends: Sequence[Backend]) -> None:
        self[labels] = record
        # Another thread may have attached a backend meanwhile. A kept series would then bypass
        # that backend for ever.
        if self._backends is not backends:
            self.pop(labels, None)


def _combine(records: Sequence[Update], note: Note) -> Update:
    def record(value: float, exemplar: Exemplar | None) -> None:
        for each in records:
            try:
                each(value, exemplar)
            except Exception as error:  # noqa: BLE001 if one backend fails, the others still count
                note(error)

    return record


def _ignore(_: Exception) -> None:
    """Do nothing: if the counter of failures fails itself, nothing is left to report it."""


def _find_keepers(backends: Iterable[Backend]) -> tuple[DetailKeeper, ...]:
    return tuple(backend for backend in backends if isinstance(backend, DetailKeeper))


class Metrics:
    """The metrics of calls, attempts, servers and streams.

    Methods that count raise whatever a registry or a meter raises; the `Recorder` guards them.

    Args:
        backends: Where the metrics are kept.
        detail: Which labels the metrics have.

    Attributes:
        errors: Counts and logs failures, here and elsewhere in telemetry.
    """

    def __init__(self, backends: Sequence[Backend], detail: Detail = "full") -> None:
        operations = () if detail in ("reason", "host") else catalogue.OPERATIONS
        dropped = detail in ("operation", "host")
        self._operations = {operation: operation for operation in operations}
        self._other_operation = OTHER if operations else ""
        self._reasons = {"": "", **({} if dropped else _KEPT)}
        self._servers: dict[str | None, ServerKey] = {}
        # The attempts under way, by server. The gauge is set to their number, and not counted up
        # and down: what a signal handler raises in between would leave it wrong for ever.
        self._live: dict[ServerKey, set[int]] = {}
        self._live_lock = _forks.make_rlock()
        self._warned = False
        self._backends = tuple(backends)
        self._keepers = _find_keepers(backends)
        self.errors = TelemetryErrors(self._count_error)
        note = partial(self.errors.note, "metrics")
        self._series = {metric: _Updates(metric, backends, note) for metric in catalogue.METRICS}
        # Not `note`: a failure to count a failure would count itself, without end.
        errors = catalogue.TELEMETRY_ERRORS
        self._series[errors] = _Updates(errors, backends, _ignore)
        self._calls = self._series[catalogue.CALL_DURATION]
        self._attempts = self._series[catalogue.ATTEMPT_DURATION]
        self._active = self._series[catalogue.ACTIVE_ATTEMPTS]
        self._bytes = self._series[catalogue.STREAM_BYTES]
        self._hosts = HostGauges(self._series)
        self._guard = self.errors.guard("metrics")
        with self._guard:
            self._start()
        _forks.track(self)

    def _start(self) -> None:
        self._series[catalogue.BUILD_INFO][(find_version(),)](1, None)
        for metric, kinds in catalogue.KINDS.items():
            for kind in kinds:
                self._series[metric][(kind,)](0, None)
        for reason in FIRST_TOKEN_REASONS:
            self._series[catalogue.TOKEN_FAILURES][(self._reasons.get(reason, OTHER),)](0, None)

    def _count_error(self, kind: TelemetryErrorKind) -> None:
        self._series[catalogue.TELEMETRY_ERRORS][(kind,)](1, None)

    def after_fork(self) -> None:
        """Show each server's values again in a forked child, because its gauges start empty.

        No attempt is under way there.
        """
        self._live = {}
        self._hosts.start_anew()

    def attach(self, backend: Backend) -> None:
        """Count in one more backend from now on, and show it the servers' current states."""
        self._backends = (*self._backends, backend)
        self._keepers = _find_keepers(self._backends)
        for series in self._series.values():
            series.attach(backend)
        self._hosts.start_anew()
        for host in self._hosts.list_hosts():
            self.host(host)

    def known(self, servers: Iterable[Server]) -> None:
        """Give servers their own series; their counters exist, at zero, from now on."""
        for server in servers:
            if server.netloc in self._servers:
                continue
            if len(self._servers) >= MOST_SERVERS:
                self._warn_of_more(server)
                return
            self._servers[server.netloc] = server.host, str(server.port)
            with self._guard:
                self._start_server(server)

    def _warn_of_more(self, server: Server) -> None:
        if not self._warned:
            self._warned = True
            LOG.warning(
                "More than %d servers: the metrics of %s and later ones are under %s.",
                MOST_SERVERS,
                server.netloc,
                OTHER,
            )

    def forget(self, server: Server) -> None:
        """Drop the series of a server that is no longer configured and gets no more requests."""
        place = self._servers.pop(server.netloc, None)
        self._hosts.forget(server)
        if place is None:
            return
        self._live.pop(place, None)
        for series in self._series.values():
            series.clear()  # each is bound again at its next use
        for backend in self._backends:
            with self._guard:
                backend.forget(*place)

    def _start_server(self, server: Server) -> None:
        for reason in FIRST_REASONS:
            labels = self._labels(FIRST_OPERATION, server, reason)
            for metric in (catalogue.RETRIES, catalogue.CONNECTION_FAILED):
                self._series[metric][labels](0, None)
            for metric in (catalogue.RETRY_COST, catalogue.SAVED_CALLS):
                self._series[metric][labels[1:]](0, None)
        for direction in catalogue.DIRECTIONS:
            self.stream_bytes(server, direction, 0)
            self._series[catalogue.STREAM_ERRORS][(*self.find_place(server), direction)](0, None)
        self._active[self.find_place(server)](0, None)

    def _operation(self, operation: str) -> str:
        return self._operations.get(operation, self._other_operation)

    def _labels(self, operation: str, server: Server | None, reason: str) -> Labels:
        return (
            self._operations.get(operation, self._other_operation),
            *self._servers.get(None if server is None else server.netloc, _OTHER_SERVER),
            self._reasons.get(reason, OTHER),
        )

    def call(
        self,
        operation: str,
        outcome: Outcome,
        reason: str,
        seconds: float,
        exemplar: Exemplar | None,
    ) -> None:
        """Count a call that ended.

        Args:
            operation: What it asked of Glance.
            outcome: How it ended.
            reason: Why it failed; empty if it succeeded.
            seconds: How long it took.
            exemplar: Its trace, if it was sampled.
        """
        operation = self._operations.get(operation, self._other_operation)
        self._calls[operation, outcome, self._reasons.get(reason, OTHER)](seconds, exemplar)

    def call_retries(self, operation: str, retries: int, exemplar: Exemplar | None) -> None:
        """Count the retries of a call that had at least one."""
        self._series[catalogue.CALL_RETRIES][(self._operation(operation),)](retries, exemplar)

    def saved(
        self, costs: Mapping[tuple[Server | None, str], float], exemplar: Exemplar | None
    ) -> None:
        """Count a call that retries saved.

        Args:
            costs: The seconds that they added, by the server that failed before and why.
            exemplar: Its trace, if it was sampled.
        """
        for (server, reason), seconds in costs.items():
            labels = *self.find_place(server), self._reasons.get(reason, OTHER)
            self._series[catalogue.RETRY_COST][labels](seconds, exemplar)
            self._series[catalogue.SAVED_CALLS][labels](1, exemplar)

    def keep_call(self, call: EndedCall) -> None:
        """Give a call that failed, or that retries saved, to the backends that keep calls."""
        kept = replace(call, operation=self._operation(call.operation))
        for keeper in self._keepers:
            keeper.keep_call(kept)

    def attempt_started(self, place: ServerKey, key: int) -> None:
        """Count an attempt as under way.

        Args:
            place: Its server, as `find_place` returns it.
            key: A number that no other attempt under way has.
        """
        live = self._live.get(place)
        if live is None:
            live = self._live.setdefault(place, set())
        live.add(key)
        self._show_active(place, live)

    def attempt_left(self, place: ServerKey, key: int) -> None:
        """Count an attempt as no longer under way; a second time changes nothing."""
        live = self._live.get(place)
        # None after a fork, or for a server that is no longer configured.
        if live is not None:
            live.discard(key)
            self._show_active(place, live)

    def _show_active(self, place: ServerKey, live: set[int]) -> None:
        with self._live_lock:
            self._active[place](len(live), None)

    def find_place(self, server: Server | None) -> ServerKey:
        """Return the labels of a server, which is None if it is unknown."""
        return self._servers.get(None if server is None else server.netloc, _OTHER_SERVER)

    def attempt_ended(
        self,
        operation: str,
        place: ServerKey,
        verdict: VerdictLabel,
        reason: str,
        seconds: float,
        exemplar: Exemplar | None,
    ) -> None:
        """Count an attempt that ended.

        Args:
            operation: What its call asked of Glance.
            place: Its server, as `find_place` returns it.
            verdict: What it says about the server.
            reason: Why it failed; empty if it succeeded.
            seconds: How long it took.
            exemplar: Its trace, if it was sampled.
        """
        operation = self._operations.get(operation, self._other_operation)
        labels = operation, *place, verdict, self._reasons.get(reason, OTHER)
        self._attempts[labels](seconds, exemplar)

    def retry(
        self,
        operation: str,
        server: Server | None,
        reason: str,
        delay: float,
        exemplar: Exemplar | None,
    ) -> None:
        """Count a retry after an attempt on `server` failed; `delay` is in seconds."""
        labels = self._labels(operation, server, reason)
        self._series[catalogue.RETRIES][labels](1, exemplar)
        self._series[catalogue.RETRY_DELAYS][labels[:1]](delay, exemplar)

    def connection_failed(
        self, operation: str, server: Server | None, reason: str, exemplar: Exemplar | None
    ) -> None:
        """Count a call that gave up; `server` is the last one that failed; None for none."""
        labels = self._labels(operation, server, reason)
        self._series[catalogue.CONNECTION_FAILED][labels](1, exemplar)

    def token_failed(self, reason: str, exemplar: Exemplar | None) -> None:
        """Count a call for which Keystone gave no token."""
        self._series[catalogue.TOKEN_FAILURES][(self._reasons.get(reason, OTHER),)](1, exemplar)

    def stream_bytes(self, server: Server | None, direction: Direction, count: int) -> None:
        """Count bytes of image data."""
        self._bytes[(*self.find_place(server), direction)](count, None)

    def stream_error(
        self, server: Server | None, direction: Direction, exemplar: Exemplar | None
    ) -> None:
        """Count a stream that broke off, or whose data was wrong."""
        labels = (*self.find_place(server), direction)
        self._series[catalogue.STREAM_ERRORS][labels](1, exemplar)

    def skipped_records(self, kind: RecordKind, count: int) -> None:
        """Count the records that a list left out."""
        self._series[catalogue.SKIPPED_RECORDS][(kind,)](count, None)

    def hazard(self, kind: HazardKind, exemplar: Exemplar | None) -> None:
        """Count what a stock client did, unseen by its caller."""
        self._series[catalogue.HAZARDS][(kind,)](1, exemplar)

    def host(self, host: HostView) -> None:
        """Show a server's current state; as a `Watch` of the pipeline, this raises nothing."""
        try:  # unlike a guard, it costs nothing if nothing is raised
            self._host(host)
        except Exception as error:  # noqa: BLE001 telemetry never fails a call
            self.errors.note("metrics", error)

    def _host(self, host: HostView) -> None:
        place = self.find_place(host.server)
        if place is not _OTHER_SERVER:  # one gauge can't show the states of several servers
            self._hosts.show(host, place)
            for keeper in self._keepers:
                keeper.keep_trial(place, host.trial_at)
