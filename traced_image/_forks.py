"""What happens at a fork: who is made anew in the child, and which locks nobody holds there.

==============================================  ================================================
who                                             what it does in the child of a fork
==============================================  ================================================
``config.keystone.PluginTokens``                opens its own session; its lock is held meanwhile
``pipeline.attempts.cycle.ServerCycle``         forgets attempts under way, shuffles its servers
``pipeline.attempts.fleet._Registry``           gets a new lock
``pipeline.attempts.retry_budget.RetryBudget``  counts calls and retries from 0
``pipeline.http.transport.Transport``           opens its own connections
``pipeline.ec2.ids.ImageIds``                   opens its own connections to the database
``telemetry.metrics.Metrics``                   sets all gauges of servers anew
``telemetry.shared_metrics._Destinations``      gets a new lock
``exporter.journal.Journal``                    gets a new lock
``exporter.start._PerRegistry``                 gets a new lock
``exporter.web.server.ExporterServer``          closes its copies of the sockets
==============================================  ================================================
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Protocol

from .redact import hide_in_record

LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)


class ForkAware(Protocol):
    """Something whose state of threads and sockets belongs to one process."""

    def after_fork(self) -> None:
        """Forget what only the parent's threads and sockets make sense of."""


_aware: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_locks: weakref.WeakSet[threading.Lock] = weakref.WeakSet()
_held: list[threading.Lock] = []


def track(thing: ForkAware) -> None:
    """Have `thing.after_fork()` called in every child, for as long as it lives."""
    _aware.add(thing)


def make_lock() -> threading.Lock:
    """Make a lock for which a fork waits, so that it is free in the child.

    It guards what can't be made anew there, such as another library's object.
    """
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def _before_fork() -> None:
    for lock in list(_locks):
        lock.acquire()
        _held.append(lock)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    _after_fork_in_parent()
    for thing in list(_aware):
        try:
            thing.after_fork()
        except Exception:
            # The others must be renewed all the same: a lock that is not is held for ever.
            LOG.exception("%s could not be reset after a fork", type(thing).__name__)


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
