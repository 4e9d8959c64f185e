"""Keeps the last hour of several processes together, in files beside those of their metrics."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from .hour import MINUTE, MINUTES, KeystoneAccount
from .hour_json import decode, encode
from .journal import Journal
from .merge import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ..telemetry.catalogue import Metric
    from ..telemetry.updates import EndedCall, Exemplar, Labels, Update
    from .hour import Content, Hour

LOG = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between an update and the file that has it."""

_SHARE = 20
"""A process writes at most a twentieth of the time, however many servers there are."""

_NAME = "traced_image_hour_{}.json"

_LIVE = "gauge_liveall_{}.db"
"""A file of prometheus_client, which its ``mark_process_dead`` removes."""

NO_WORKER = (
    "No worker has shared its calls so far. A worker does so once it has built the exporter's "
    "application, by exporter.wsgi_app() or exporter.asgi_app()."
)


class SharedJournal(Journal):
    """A journal whose processes read each other's last hour.

    Each process writes its own file, a second after an update. A file stays after its process has
    ended, until an hour has passed, because its calls are part of that hour.

    Args:
        folder: The folder of prometheus_client's multiprocess mode.
        clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._folder = folder
        self._scheduled = False
        self._warned = False
        self._seconds = EVERY

    def after_fork(self) -> None:
        """Forget everything in a forked child: it is the parent's, which still counts it."""
        super().after_fork()
        self._scheduled = False
        self._accounts.clear()
        self._outcomes.clear()
        self._keystone = KeystoneAccount()
        self._latest.clear()
        self._saved.clear()
        self._saved_calls.clear()

    def bind(self, metric: Metric, labels: Labels) -> Update | None:
        """Return what records one series; None for a series that the page does not show."""
        record = super().bind(metric, labels)
        if record is None:
            return None

        def update(value: float, exemplar: Exemplar | None) -> None:
            record(value, exemplar)
            self._schedule()

        return update

    def keep_call(self, call: EndedCall) -> None:
        """Keep a call that failed, or that retries saved."""
        super().keep_call(call)
        self._schedule()

    def hour(self) -> Hour:
        """Return a copy of the last hour of all processes, which does not change."""
        now = self.clock()
        return merge(now, [self.copy(now), *self._read_others(now)])

    def notice(self, hour: Hour, *, several: bool) -> str | None:  # noqa: ARG002 all are shown
        """Return what a reader of `hour` must know, in words; None for nothing."""
        return None if hour.servers else NO_WORKER

    def _schedule(self) -> None:
        # Two threads may come here at once; then the file is written twice, which does no harm.
        if self._scheduled:
            return
        self._scheduled = True
        timer = threading.Timer(self._seconds, self.write)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # no more threads, or the interpreter ends
            self._scheduled = False
            raise

    def write(self) -> None:
        """Write this process's file; a failure is logged once."""
        began = time.monotonic()
        self._scheduled = False
        path = self._folder / _NAME.format(os.getpid())
        beside = self._folder / f".{path.name}.{threading.get_ident()}"
        try:
            beside.write_text(encode(self.copy(self.clock())), "utf-8")
            beside.replace(path)
        except OSError as error:
            if not self._warned:
                self._warned = True
                LOG.warning("The page does not show this process in others: %s", error)
        self._seconds = max(EVERY, _SHARE * (time.monotonic() - began))

    def _read_others(self, now: float) -> Iterator[Content]:
        own = _NAME.format(os.getpid())
        for path in self._folder.glob(_NAME.format("*")):
            if path.name == own:
                continue
            try:
                if path.stat().st_mtime < now - MINUTE * MINUTES:
                    path.unlink()
                else:
                    content = decode(path.read_text("utf-8"))
                    live = self._folder / _LIVE.format(path.stem.rpartition("_")[2])
                    yield content if live.exists() else _end(content)
            except (OSError, ValueError, TypeError, KeyError) as error:
                LOG.debug("%s can't be read: %s", path, type(error).__name__)


def _end(content: Content) -> Content:
    """Return what an ended process knew: it is no longer a witness that a server fails."""
    accounts = {
        place: replace(
            account,
            since=0.0,
            operations={
                name: replace(operation, since=0.0)
                for name, operation in account.operations.items()
            },
        )
        for place, account in content.accounts.items()
    }
    return replace(content, accounts=accounts)
