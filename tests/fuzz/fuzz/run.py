"""Tries every reader of text and bytes on odd input, round after round, until the time is up.

`make fuzz` runs it; a line of its output is the command that repeats a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from conditions import describe_run, find_versions, format_run, read_amount, save_record
from hypothesis.database import DirectoryBasedExampleDatabase

from . import config, messages, services, wire
from .engine import Target, run_round
from .fuzzed import Fuzzed, Row, load

if TYPE_CHECKING:
    from collections.abc import Callable

DATABASE = Path(".hypothesis/fuzz")
"""Where examples that failed are kept, to be tried first in the next run."""

INTERRUPTED = 130
"""The exit status of a run that was told to end, as of a shell."""


def run(
    targets: list[Target],
    fuzzed: Fuzzed,
    seconds: float,
    *,
    database: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    save: Callable[[], None] = lambda: None,
) -> None:
    """Try all targets in turn until the time is up.

    A target whose example has failed has no further turns. A turn has at most an equal share of the
    time, so that each target has one on a slow machine. The order is of the seed.

    Args:
        targets: The targets.
        fuzzed: What came of them up to now, to which this part is added.
        seconds: When no further example is tried.
        database: A folder that keeps examples that failed; None for none.
        clock: Returns the time in seconds.
        save: Called after each turn.
    """
    for target in targets:
        fuzzed.rows.setdefault(target.name, Row())
    mixed = random.Random(fuzzed.seed).sample(targets, len(targets))
    began, before = clock(), fuzzed.seconds
    ends = began + seconds
    while (now := clock()) < ends:
        left = [each for each in mixed if fuzzed.rows[each.name].finding is None]
        if not left:
            break
        fuzzed.number += 1
        for target in left:
            if now >= ends:
                break
            kept = _open(database, target)
            turn = min(ends, now + seconds / len(targets))
            outcome = run_round(target, fuzzed.seed, fuzzed.number, kept, ends=turn, clock=clock)
            fuzzed.rows[target.name].add(outcome)
            now = clock()
            fuzzed.seconds = before + now - began
            save()


def _open(database: Path | None, target: Target) -> DirectoryBasedExampleDatabase | None:
    return None if database is None else DirectoryBasedExampleDatabase(database / target.name)


def replay(target: Target, fuzzed: Fuzzed, number: int, *, database: Path | None = None) -> None:
    """Run one round of one target.

    If the examples of the seed are all right, those that the database keeps are tried, too: it may
    have been one of them that failed in the round.
    """
    row = fuzzed.rows[target.name] = Row()
    row.add(run_round(target, fuzzed.seed, number))
    if row.finding is None and database is not None:
        row.add(run_round(target, fuzzed.seed, number, _open(database, target)))
    fuzzed.number, fuzzed.seconds = 1, row.seconds


def choose_run(path: Path | None, seed: int | None, seconds: float) -> Fuzzed:
    """Return the run to go on with: that of the file, if it was interrupted, or a new one.

    Args:
        path: The file; None for a new run.
        seed: The seed that is asked for; None for any.
        seconds: How long the run is to be.
    """
    with contextlib.suppress(OSError, ValueError):
        found = None if path is None else load(path)
        if found is not None and _goes_on(found, seed, seconds):
            return found
    chosen = random.SystemRandom().randrange(10**9) if seed is None else seed
    return Fuzzed(describe_run(chosen))


def _goes_on(found: Fuzzed, seed: int | None, seconds: float) -> bool:
    same = seed in (None, found.seed) and found.run["versions"] == find_versions()
    return same and found.seconds < seconds - 1 and not found.findings


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
    # What runs within this process must end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What is logged of refused calls is not what is asked here.
    logging.getLogger("traced_image").addHandler(logging.NullHandler())
    whole = options.only is None
    fuzzed = choose_run(options.json if whole else None, options.seed, options.seconds)
    print(format_run(fuzzed.run), flush=True)
    if fuzzed.seconds:
        print(f"{fuzzed.seconds:.0f} s were done before", flush=True)
    status = 0
    try:
        with contextlib.ExitStack() as stack:
            _run_chosen(make_targets(stack), fuzzed, options)
    except KeyboardInterrupt:
        status = INTERRUPTED
        rest = "; the same command goes on" if whole and not fuzzed.findings else ""
        print(f"interrupted after {fuzzed.seconds:.0f} s{rest}")
    print(*fuzzed.list_lines(), *fuzzed.findings, sep="\n")
    if options.save and whole and not status:
        print(f"saved: {save_record('fuzz', fuzzed.make_record())}")
    return status or (1 if fuzzed.findings or not fuzzed.examples else 0)


def _run_chosen(targets: list[Target], fuzzed: Fuzzed, options: argparse.Namespace) -> None:
    chosen = [each for each in targets if options.only in (None, each.name)]
    if not chosen:
        known = ", ".join(each.name for each in targets)
        raise SystemExit(f"--only {options.only}: there is no such reader; use one of {known}")
    if options.round is not None:
        replay(chosen[0], fuzzed, options.round, database=DATABASE)
        return
    run(
        chosen,
        fuzzed,
        options.seconds - fuzzed.seconds,
        database=DATABASE,
        save=(lambda: fuzzed.save(options.json)) if options.only is None else lambda: None,
    )


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--seconds", type=read_amount, default=120.0, help="no example is tried later"
    )
    parser.add_argument("--seed", type=int, help="of all examples; a new one each time")
    parser.add_argument("--only", help="one reader, by its name in the table")
    parser.add_argument("--round", type=int, help="only this round of --only, for a failure again")
    parser.add_argument(
        "--json", type=Path, default=Path("build/fuzz.json"), help="the file for the figures"
    )
    parser.add_argument("--save", action="store_true", help="write the record of the page, too")
    options = parser.parse_args()
    if options.round is not None and None in (options.only, options.seed):
        parser.error("--round needs --only and --seed, as a failure shows them")
    return options
