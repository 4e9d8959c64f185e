"""The switch that gives nova's and cinder's own code the cycle, and its variable."""

from __future__ import annotations

import logging
import os
import random
from functools import partial
from typing import TYPE_CHECKING

from ..config import RetryPolicy
from ..config.environment import STOCK_CYCLE, from_environ
from ..config.parse import parse_boolean
from ..errors import InvalidOption, TracedImageError
from ..instrumentation.hosts import TOLD
from ..instrumentation.patching import Patches, find_version, when_imported
from ..pipeline.clock import Clock
from ..redact import hide_in_record
from .libraries import LIBRARIES, give_cycle
from .stock_call import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from .libraries import Library

LOG = logging.getLogger(__name__)
LOG.addFilter(hide_in_record)


class StockCycle:
    """Gives nova's and cinder's own code a cycle of servers that remembers which one failed.

    ``docs/reference/stock-cycle.md`` lists what it changes::

        StockCycle().install()

    Args:
        policy: The rules; of these, those for waits, for cool-downs, for the retry budget and
            the statuses that cool a server down. The library decides what it retries, and how
            often.
        clock: The source of time for cool-downs.
        rng: The source of the shuffle and of the jitter.
    """

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._rules = Rules(policy or RetryPolicy(), clock or Clock(), rng or random.SystemRandom())
        self._patches: Patches | None = None

    def install(self) -> None:
        """Give the cycle to each library that is or will be imported; a second time does nothing.

        A library that has changed is left as it is, with one warning.
        """
        if self._patches is not None:
            return
        patches = self._patches = Patches()
        when_imported(
            {each.module: partial(self._give, each, patches=patches) for each in LIBRARIES}
        )

    def _give(self, library: Library, module: ModuleType, *, patches: Patches) -> None:
        if not patches.active:
            return
        try:
            give_cycle(library, module, patches, self._rules)
        except Exception as error:  # noqa: BLE001 a service must start, whatever its libraries
            version = find_version(library.name) or "of unknown version"
            LOG.warning("%s %s keeps its own order and waits: %s.", library.name, version, error)

    def remove(self) -> None:
        """Put back the very objects that were there, and forget the state of all servers."""
        if self._patches is not None:
            self._patches.remove()
            self._patches = None
            TOLD.clear()


def start_from_environment(environ: Mapping[str, str] | None = None) -> StockCycle | None:
    """Install the cycle if ``TRACED_IMAGE_STOCK_CYCLE`` says so.

    ``opentelemetry-instrument`` calls this. The ``TRACED_IMAGE_RETRY_`` variables are the rules.
    What can't be used is logged, and then nothing is installed.

    Args:
        environ: The environment; default: ``os.environ``.

    Returns:
        What was installed; None for nothing.
    """
    environ = os.environ if environ is None else environ
    try:
        if not _is_on(environ.get(STOCK_CYCLE, "")):
            return None
        found = from_environ(environ).found.get("retry")
    except TracedImageError as error:
        LOG.warning("nova and cinder keep their own order and waits: %s", error)
        return None
    cycle = StockCycle(None if found is None else found.value)
    cycle.install()
    return cycle


def _is_on(text: str) -> bool:
    try:
        return bool(text) and parse_boolean(text)
    except ValueError as error:
        fix = "write true or false"
        raise InvalidOption("stock_cycle", str(error), source=STOCK_CYCLE, fix=fix) from error
