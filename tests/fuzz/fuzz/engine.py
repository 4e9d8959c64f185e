"""One round of a target: examples from a seed; the one that fails is made as small as it can be."""

from __future__ import annotations

import math
import random
import signal
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypothesis.database import ExampleDatabase
    from hypothesis.strategies import SearchStrategy

LONGEST = 10.0
"""Seconds that one example may take."""

SHRINKING = 10.0
"""Seconds after which a failure is made no smaller."""

_SHOWN = 4000
"""Characters of an example that a finding shows."""


class OverdueError(Exception):
    """An example took longer than it may."""


class TimeUpError(BaseException):
    """No further example is to be tried; what tries examples takes it for no failure of theirs."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of text or bytes that somebody else wrote.

    Attributes:
        name: Its name on the command line and in the table.
        examples: What it is given.
        check: Raises if an example did not end as it must.
        count: Examples of one round.
        shrinks: Whether an example that fails is made smaller, which repeats the check often.
    """

    name: str
    examples: SearchStrategy[Any]
    check: Callable[[Any], object]
    count: int = 200
    shrinks: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """An example that did not end as it must.

    Attributes:
        target: The target's name.
        seed: The seed of the run.
        round: The number of the round.
        example: The example, as Python writes it.
        trace: Where the error was raised.
    """

    target: str
    seed: int
    round: int
    example: str
    trace: str

    @property
    def command(self) -> str:
        """The command that finds it again."""
        return f"make fuzz SEED={self.seed} ONLY={self.target} ROUND={self.round}"

    def __str__(self) -> str:
        return f"--- {self.target}: {self.example}\n{self.trace}again: {self.command}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one round.

    Attributes:
        examples: How many examples were tried.
        seconds: How long they took.
        finding: The first one that failed, made small; None if all ended as they must.
    """

    examples: int
    seconds: float
    finding: Finding | None


@dataclass(slots=True)
class _Round:
    """The examples of one round.

    Attributes:
        target: What they are tried on.
        ends: When the clock says so, no further example is tried.
        clock: Returns the time in seconds.
        count: How many were tried.
        failure: Of the failures, the one with the shortest example: it and its trace.
    """

    target: Target
    ends: float
    clock: Callable[[], float]
    count: int = 0
    failure: tuple[str, str] | None = None

    def attempt(self, example: object) -> None:
        """Try one example.

        Raises:
            TimeUpError: The time is up.
        """
        if self.clock() >= self.ends:
            raise TimeUpError
        self.count += 1
        try:
            with limit_time(LONGEST):
                self.target.check(example)
        except Exception as error:
            self._keep(repr(example), error)
            raise

    def _keep(self, example: str, error: Exception) -> None:
        if self.failure is None:
            self.ends = self.clock() + SHRINKING
        if self.failure is None or len(example) <= len(self.failure[0]):
            trace = "".join(traceback.format_exception(error, limit=-4))
            self.failure = example, trace


def run_round(
    target: Target,
    seed: int,
    number: int,
    database: ExampleDatabase | None = None,
    *,
    ends: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Try one round of examples.

    Args:
        target: What to try them on.
        seed: The seed of the run.
        number: The number of the round; seed, target and number decide on all examples.
        database: Keeps examples that failed, and brings them first; None for none.
        ends: When the clock says so, no further example is tried.
        clock: Returns the time in seconds.
    """
    tried = _Round(target, ends, clock)
    began = time.monotonic()
    try:
        with suppress(TimeUpError):
            _prepare(target, tried.attempt, seed, number, database)()
    except Exception as error:  # noqa: BLE001 - what comes out is the question
        if tried.failure is None:
            tried.failure = "no example", "".join(traceback.format_exception(error, limit=-4))
    finding = None
    if tried.failure is not None:
        example, trace = tried.failure
        finding = Finding(target.name, seed, number, example[:_SHOWN], trace)
    return Outcome(tried.count, time.monotonic() - began, finding)


def _prepare(
    target: Target,
    attempt: Callable[[object], None],
    seed: int,
    number: int,
    database: ExampleDatabase | None,
) -> Callable[[], None]:
    phases = [Phase.reuse, Phase.generate, *([Phase.shrink] if target.shrinks else [])]
    chosen = settings(
        max_examples=target.count,
        database=database,
        deadline=None,
        derandomize=False,
        phases=phases,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    own = random.Random(f"{seed}:{target.name}:{number}").getrandbits(64)
    # The settings come last, because a seed removes the database.
    return chosen(hypothesis.seed(own)(hypothesis.given(target.examples)(attempt)))


@contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Raise an error in this thread, which must be the first one, after so many seconds.

    Raises:
        OverdueError: What runs within took longer. A regular expression is interrupted, too.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise OverdueError(f"it took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
