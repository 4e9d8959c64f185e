"""The servers that a library's configuration or catalogue names, in the order of a shared cycle."""

from __future__ import annotations

import itertools
import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from .. import _forks
from ..config import Server
from ..errors import InvalidServer
from ..instrumentation.hosts import TOLD
from ..pipeline.attempts.fleet import KEPT, Fleet
from ..redact import hide_in_record
from .stock_call import CURRENT_CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..instrumentation.patching import Foreign
    from .stock_call import Rules

LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)


class Turns:
    """An endless iterator over a library's servers, in place of its ``itertools.cycle``.

    Outside of a call, where a server is named and not asked, the order is the library's.

    Args:
        items: The servers as the library has them.
        fleet: The same servers with their memory.
        items_of: The items, by their servers.
    """

    def __init__(
        self, items: Sequence[Foreign], fleet: Fleet, items_of: Mapping[Server, Foreign]
    ) -> None:
        self._stock = itertools.cycle(items)
        self._fleet = fleet
        self._items_of = items_of

    def __iter__(self) -> Iterator[Foreign]:
        return self

    def __next__(self) -> Foreign:
        call = CURRENT_CALL.get()
        if call is None:
            return next(self._stock)
        return self._items_of[call.find_server(self._fleet)]


class Fleets:
    """The servers of each list that a library has made, and their memory; the most recent lists.

    nova and cinder make a list for every operation; equal lists, in any order, share a memory.

    Args:
        library: The library's name, for the log.
        read_url: Returns the URL of one of its items; None for none.
        rules: The rules of their cycles.
    """

    def __init__(
        self, library: str, read_url: Callable[[Foreign], str | None], rules: Rules
    ) -> None:
        self._library = library
        self._read_url = read_url
        self._rules = rules
        self._lock = _forks.make_rlock()
        self._find = lru_cache(maxsize=KEPT)(self._build)

    def cycle(self, items: Sequence[Foreign]) -> Iterator[Foreign]:
        """Return an endless iterator over a list: `Turns`, or the library's own."""
        with self._lock:
            found = self._find(frozenset(items))
        return itertools.cycle(items) if found is None else Turns(items, *found)

    def _build(self, items: frozenset[Foreign]) -> tuple[Fleet, Mapping[Server, Foreign]] | None:
        items_of: dict[Server, Foreign] = {}
        for item in sorted(items, key=str):
            url = self._read_url(item)
            if url is None:
                return None
            try:
                items_of.setdefault(Server.parse(url, self._library), item)
            except InvalidServer as error:
                LOG.warning("%s calls its servers in its own order: %s", self._library, error)
                return None
        if not items_of:
            return None
        fleet = Fleet.of(items_of, self._rules.policy, self._rules.clock, self._rules.rng)
        fleet.cycle.watch(TOLD.tell)
        return fleet, items_of
