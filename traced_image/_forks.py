"""What must be made anew in the child of a fork: locks, positions, connections."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Protocol

LOG = logging.getLogger(__name__)


class ForkAware(Protocol):
    """Something whose state of threads and sockets belongs to one process."""

    def after_fork(self) -> None:
        """Forget what only the parent's threads and sockets make sense of."""


_aware: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def track(thing: ForkAware) -> None:
    """Have `thing.after_fork()` called in every child, for as long as it lives."""
    _aware.add(thing)


def _after_fork_in_child() -> None:
    for thing in list(_aware):
        try:
            thing.after_fork()
        except Exception:
            # The others must be renewed all the same: a lock that is not is held for ever.
            LOG.exception("%s could not be made anew after a fork", type(thing).__name__)


os.register_at_fork(after_in_child=_after_fork_in_child)
