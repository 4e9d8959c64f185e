"""Breaks real servers under calls, and checks what became of the calls: `make chaos`."""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .report import (
    describe_conditions,
    find_faketime,
    find_lacking,
    format_json,
    format_replay,
    format_table,
)
from .run import run
from .schedule import ALL, Schedule, generate
from .shrink import shrink
from .stock import STOCK

if TYPE_CHECKING:
    from collections.abc import Collection


def main() -> int:
    """Run; return 1 if a check found something."""
    options = _parse()
    # No proxy of the environment is asked for names that only this process knows, and requests
    # prefers an authority of the environment to that of its session.
    for name in [name for name in os.environ if name.lower().endswith(("_proxy", "_ca_bundle"))]:
        del os.environ[name]
    schedule = _choose(options)
    for name, value in describe_conditions().items():
        _say(f"{name}: {value}")
    faketime = find_faketime()
    lacking = find_lacking(faketime)
    for name, without in lacking.items():
        _say(f"without {name}: {without}")
    _say(f"seed: {schedule.seed}")
    if options.schedule_file:
        options.schedule_file.write_text(schedule.to_json())
    result = run(schedule, options.clients, _say, faketime)
    _say(f"\n{format_table(result)}")
    if options.json:
        options.json.write_text(format_json(result, lacking))
    if not result.failed:
        return 0
    _say(f"\nReplay with: {format_replay(result, options.clients, options.faults)}")
    if options.shrink:
        _shrink(schedule, options.clients, result.failed[0], options.shrink, faketime)
    return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--faults", nargs="+", choices=ALL, default=list(ALL))
    parser.add_argument(
        "--clients",
        nargs="*",
        choices=STOCK,
        default=[],
        help="stock clients that call beside the pipeline",
    )
    parser.add_argument("--replay", type=Path, help="play the schedule of this file instead")
    parser.add_argument("--schedule-file", type=Path, help="write the schedule to this file")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument(
        "--shrink",
        type=int,
        metavar="RUNS",
        default=0,
        help="after a failure, drop faults in so many runs at most",
    )
    return parser.parse_args()


def _choose(options: argparse.Namespace) -> Schedule:
    if options.replay:
        return Schedule.from_json(options.replay.read_text())
    return generate(options.seed, options.seconds, faults=options.faults)


def _shrink(
    schedule: Schedule, clients: Collection[str], failure: tuple[str, str], runs: int, faketime: str
) -> None:
    shrunk = shrink(
        schedule.events,
        lambda events: failure in run(schedule.with_events(events), clients, _say, faketime).failed,
        runs,
    )
    words = "none of which can be left out" if shrunk.is_minimal else "perhaps not all needed"
    _say(f"\nAfter {shrunk.runs} runs {len(shrunk.items)} faults are left, {words}:")
    _say(schedule.with_events(shrunk.items).to_json())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
