"""A call of nova's or cinder's client: the servers of its attempts, their outcomes, the waits."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..pipeline.attempts.backoff import find_delay
from .judgement import judge

if TYPE_CHECKING:
    import random

    from ..config import RetryPolicy, Server
    from ..pipeline.attempts.fleet import Fleet
    from ..pipeline.attempts.host_state import Pick
    from ..pipeline.clock import Clock
    from .judgement import Judgement

_READS = frozenset({"get", "list", "data", "get_image_locations"})
"""The methods that change nothing: a trial that fails costs their callers least."""

_TRANSFERS = frozenset({"upload", "stage"})
"""The methods that send image data."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a cycle that a library was given.

    Attributes:
        policy: Those for waits, cool-downs and the retry budget.
        clock: The source of time; the library waits by its own.
        rng: The source of the shuffle and of the jitter.
    """

    policy: RetryPolicy
    clock: Clock
    rng: random.Random


class StockCall:
    """A call under way, and the one attempt of it that is.

    The library's loop asks for a server, makes the attempt, and after a failure that it retries it
    waits. All else that is known of an attempt's outcome is how its call ends.

    Args:
        method: The method of python-glanceclient, such as ``get``.
        rules: The rules of the cycle.
    """

    def __init__(self, method: str, rules: Rules) -> None:
        self._rules = rules
        self._careful = method not in _READS
        self._transfer = method in _TRANSFERS
        self._handled = sys.exc_info()[1]
        self._fleet: Fleet | None = None
        self._pick: Pick | None = None
        self._waits = False
        self._tried: list[Server] = []

    def find_server(self, fleet: Fleet) -> Server:
        """Return the server for the next attempt."""
        if self._waits and self._pick is not None:  # `fail` has chosen it, to know how long to wait
            self._waits = False
            return self._pick.server
        self._release()
        self._fleet = fleet
        fleet.budget.call()
        pick = self._pick = fleet.cycle.pick(
            self._tried, careful=self._careful, transfer=self._transfer
        )
        return pick.server

    def fail(self, seconds: float) -> float:
        """End an attempt that the library retries, and choose the server of the next one.

        Args:
            seconds: How long the library would wait.

        Returns:
            How long to wait.
        """
        error, fleet, failed = sys.exc_info()[1], self._fleet, self._pick
        if fleet is None or failed is None or error is None or error is self._handled:
            return seconds  # one client for all attempts, such as that of an image's own URL
        judgement = self._end_attempt(fleet, failed, error)
        self._tried.append(failed.server)
        pick = self._pick = fleet.cycle.pick(self._tried, careful=True, transfer=self._transfer)
        self._waits = True
        # If all servers are overloaded, retries that come at once add to it. The library's loop
        # makes as many attempts as ever, and so a retry beyond the budget waits as it always did.
        if judgement.verdict != "failed" or not fleet.budget.retry():
            return seconds
        rules = self._rules
        return find_delay(rules.policy, rules.rng, pick, failed.server, len(self._tried))

    def end(self, error: BaseException | None, *, is_known: bool = True) -> None:
        """End the call.

        Args:
            error: What it raised; None for success.
            is_known: Whether a success is one of the server: it is none of a list that is fetched
                while it is read.
        """
        fleet, pick = self._fleet, self._pick
        if fleet is None or pick is None:
            return
        if self._waits or (error is None and not is_known):
            self._release()
        elif error is None:
            fleet.cycle.record_success(pick)
        else:
            self._end_attempt(fleet, pick, error)

    def _end_attempt(self, fleet: Fleet, pick: Pick, error: BaseException) -> Judgement:
        judgement = judge(error, self._handled, self._rules.policy, transfer=self._transfer)
        if judgement.verdict == "failed":
            fleet.cycle.record_failure(pick, judgement.reason, cool=judgement.cool)
        elif judgement.verdict == "refused":
            fleet.cycle.record_success(pick)
        else:
            fleet.cycle.release(pick)
        return judgement

    def _release(self) -> None:
        if self._fleet is not None and self._pick is not None:
            self._fleet.cycle.release(self._pick)


CURRENT_CALL: ContextVar[StockCall | None] = ContextVar("traced_image_stock_call", default=None)
"""The call under way in this thread or task."""
