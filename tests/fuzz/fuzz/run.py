"""Tries every reader of text and bytes on odd input, round after round, until the time is up.

`make fuzz` runs it; a line of its output is the command that repeats a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import random
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conditions import describe_run, format_run
from hypothesis.database import DirectoryBasedExampleDatabase

from . import config, messages, services, wire
from .engine import Finding, Outcome, Target, run_round

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DATABASE = Path(".hypothesis/fuzz")
"""Where examples that failed are kept, to be tried first in the next run."""


@dataclass(slots=True)
class Row:
    """What came of one target.

    Attributes:
        rounds: How many rounds were run.
        examples: How many examples were tried.
        seconds: How long they took.
        finding: The first example that failed.
    """

    rounds: int = 0
    examples: int = 0
    seconds: float = 0.0
    finding: Finding | None = None

    def add(self, outcome: Outcome) -> None:
        """Add a round."""
        self.rounds += 1
        self.examples += outcome.examples
        self.seconds += outcome.seconds
        self.finding = outcome.finding


@dataclass(slots=True)
class Fuzzed:
    """A run: what came of each target, by name."""

    seed: int
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def findings(self) -> list[Finding]:
        """All examples that failed."""
        return [row.finding for row in self.rows.values() if row.finding is not None]

    def list_lines(self) -> Iterable[str]:
        """Yield the lines of the table."""
        yield "| Reader | Rounds | Examples | A second | Failed |"
        yield "|---|--:|--:|--:|--:|"
        for name, row in self.rows.items():
            rate = row.examples / row.seconds if row.seconds else 0
            failed = "no" if row.finding is None else "yes"
            yield f"| {name} | {row.rounds} | {row.examples:,} | {rate:,.0f} | {failed} |"


def run(
    targets: list[Target],
    seed: int,
    seconds: float,
    *,
    database: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Fuzzed:
    """Try all targets in turn until the time is up, each at least once.

    A target whose example has failed has no further turns.

    Args:
        targets: The targets.
        seed: What all examples come from.
        seconds: When no further round begins.
        database: A folder that keeps examples that failed; None for none.
        clock: Returns the time in seconds.
    """
    fuzzed = Fuzzed(seed, {target.name: Row() for target in targets})
    ends, number = clock() + seconds, 0
    while number == 0 or clock() < ends:
        number += 1
        left = [each for each in targets if fuzzed.rows[each.name].finding is None]
        for target in left:
            if number > 1 and clock() >= ends:
                break
            fuzzed.rows[target.name].add(run_round(target, seed, number, _open(database, target)))
        if not left:
            break
    return fuzzed


def _open(database: Path | None, target: Target) -> DirectoryBasedExampleDatabase | None:
    return None if database is None else DirectoryBasedExampleDatabase(database / target.name)


def replay(target: Target, seed: int, number: int) -> Fuzzed:
    """Run one round of one target."""
    row = Row()
    row.add(run_round(target, seed, number))
    return Fuzzed(seed, {target.name: row})


def make_targets(stack: contextlib.ExitStack) -> list[Target]:
    """Start what the targets need, and return all of them."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return [
        *config.make_targets(folder),
        *messages.make_targets(),
        *wire.make_targets(stack),
        *services.make_targets(stack),
    ]


def main() -> int:
    """Run, print the table, and write the JSON; return the exit status."""
    options = _read_options()
    seed = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
    told = describe_run(seed)
    print(format_run(told), flush=True)
    # What is logged of refused calls is not what is asked here.
    logging.getLogger("traced_image").addHandler(logging.NullHandler())
    with contextlib.ExitStack() as stack:
        targets = make_targets(stack)
        chosen = [each for each in targets if options.only in (None, each.name)]
        if not chosen:
            known = ", ".join(each.name for each in targets)
            raise SystemExit(f"--only {options.only}: there is no such reader; use one of {known}")
        if options.round is None:
            fuzzed = run(chosen, seed, options.seconds, database=DATABASE)
        else:
            fuzzed = replay(chosen[0], seed, options.round)
    _tell(fuzzed, told, options.json)
    return 1 if fuzzed.findings else 0


def _tell(fuzzed: Fuzzed, told: dict[str, object], path: Path) -> None:
    print(*fuzzed.list_lines(), sep="\n")
    print(*fuzzed.findings, sep="\n")
    rows: dict[str, Any] = {name: asdict(row) for name, row in fuzzed.rows.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**told, "readers": rows}, indent=1) + "\n", "utf-8")


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="no round begins later")
    parser.add_argument("--seed", type=int, help="of all examples; a new one each time")
    parser.add_argument("--only", help="one reader, by its name in the table")
    parser.add_argument("--round", type=int, help="only this round of --only, for a failure again")
    parser.add_argument(
        "--json", type=Path, default=Path("build/fuzz.json"), help="the file for the figures"
    )
    options = parser.parse_args()
    if options.round is not None and None in (options.only, options.seed):
        parser.error("--round needs --only and --seed, as a failure shows them")
    return options
