"""Support for forks: objects that reset themselves in the child, and locks that are free there.

==============================================  ==================================================
object                                          what it does in the child of a fork
==============================================  ==================================================
``pipeline.attempts.server_cycle.ServerCycle``  forgets attempts under way, shuffles its servers
``pipeline.attempts.fleet._Registry``           gets a new lock
``pipeline.attempts.retry_budget.RetryBudget``  counts calls and retries from 0
``pipeline.http.transport.Transport``           opens its own connections
``pipeline.ec2.ids.ImageIds``                   opens its own connections to the database
``telemetry.metrics.Metrics``                   sets all gauges of servers again
``telemetry.collector.Family``                  counts no attempt as under way
``telemetry.backends._UpDown``                  counts no attempt as under way
``telemetry.shared_metrics._Destinations``      gets a new lock
``_connect._Default``                           gets a new lock
``exporter.journal.Journal``                    gets a new lock
``exporter.shared_journal.SharedJournal``       forgets the parent's calls
``exporter.start._PerRegistry``                 gets a new lock
``exporter.web.server.ExporterServer``          closes its copies of the sockets
``exporter.web.wsgi_server.ThreadedServer``     closes its copies of the sockets
``exporter.environment.EnvironmentExporter``    serves by a port of its own, as the last one
==============================================  ==================================================

The last one has a hook of its own for that.
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
    """An object with locks, sockets or counts that belong to one process."""

    def after_fork(self) -> None:
        """Reset the state in the child that belongs to the parent's threads and sockets."""


# Weak, so that being tracked keeps no object alive.
_aware: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_locks: weakref.WeakSet[threading.Lock | threading.RLock] = weakref.WeakSet()
_held: list[threading.Lock | threading.RLock] = []


def track(thing: ForkAware) -> None:
    """Call `thing.after_fork()` in the child of each later fork, as long as `thing` lives."""
    _aware.add(thing)


def make_lock() -> threading.Lock:
    """Build a lock that each fork waits for, so that it is free in the child.

    The lock guards an object that the child can't replace, such as another library's.
    """
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def make_rlock() -> threading.RLock:
    """Build a reentrant lock that each fork waits for, so that it is free in the child.

    What it guards is complete in the child: no thread was about to change it.
    """
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def _before_fork() -> None:
    # The child has only the thread that forked. A lock that another thread holds at the fork
    # would stay locked there for ever, so the forking thread takes them all.
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
            # The other objects still need their reset: an old lock may be locked for ever.
            LOG.exception("%s could not be reset after a fork", type(thing).__name__)


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
