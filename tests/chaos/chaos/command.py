"""Breaks real servers under calls, and checks what became of the calls: `make chaos`."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from conditions import describe_run, format_run, read_amount, save_record

from .machine import Machine, find_parts, prepare
from .report import format_replay, format_summary, format_table
from .run import run
from .schedule import ALL, Schedule, generate
from .shrink import shrink
from .state import Order, Round, State, go_on
from .stock import STOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return 1 if a check found something, and 130 after an interrupt."""
    options = _parse(arguments)
    # What the run has started must end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _work(options)
    except KeyboardInterrupt:
        order = _find_order(options)
        _say(f"\ninterrupted; the rounds that are left: {format_replay(order)}")
        return INTERRUPTED


def _work(options: argparse.Namespace) -> int:
    order = _find_order(options)
    conditions = describe_run(order.seed)
    _say(format_run(conditions))
    machine = prepare(order.clients, order.faults, _say)
    _forget_ways()
    if options.replay:
        return _replay(Schedule.from_json(options.replay.read_text()), machine, options)
    state = go_on(
        options.json, State(order, {**conditions, "parts": find_parts(machine)}, machine.lacking)
    )
    _say(f"{len(state.rounds)} of {order.rounds} rounds were done before, with seed {order.seed}")
    for number in range(len(state.rounds), order.rounds):
        seconds = order.seconds / order.rounds
        schedule = generate(order.find_seed(number), seconds, faults=order.faults)
        state.rounds.append(_play(schedule, machine, order, options))
        state.save(options.json)
    _say(f"\n{format_summary(state)}")
    if options.save:
        _say(f"saved: {save_record('chaos', state.summarize())}")
    return int(any(any(checks.values()) for each in state.rounds for checks in each.found.values()))


def _play(schedule: Schedule, machine: Machine, order: Order, options: argparse.Namespace) -> Round:
    result = run(schedule, machine, _say)
    _say(format_table(result))
    if result.failed:
        again = Order(schedule.seed, schedule.seconds, order.clients, order.faults)
        _say(f"\nReplay with: {format_replay(again)}\n")
        _shrink(schedule, machine, result.failed[0], options)
    return Round.of(result)


def _replay(schedule: Schedule, machine: Machine, options: argparse.Namespace) -> int:
    result = run(schedule, machine, _say)
    _say(format_table(result))
    file = options.json.with_name("chaos-replay.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(Round.of(result))) + "\n")
    if result.failed:
        _shrink(schedule, machine, result.failed[0], options)
    return int(bool(result.failed))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of schedules and calls; a new one each time")
    parser.add_argument("--seconds", type=read_amount, default=120.0, help="of all rounds together")
    parser.add_argument("--faults", nargs="+", choices=ALL, default=list(ALL))
    parser.add_argument(
        "--clients",
        nargs="*",
        choices=STOCK,
        default=list(STOCK),
        help="stock clients that call beside the pipeline; all by default",
    )
    parser.add_argument("--replay", type=Path, help="play the schedule of this file instead")
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("build/chaos.json"),
        help="the file of the rounds; the same seed and seconds go on with it",
    )
    parser.add_argument("--save", action="store_true", help="write the record of the page, too")
    parser.add_argument(
        "--shrink",
        type=int,
        metavar="RUNS",
        default=0,
        help="after a failure, drop faults in so many runs at most",
    )
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = random.SystemRandom().getrandbits(32)
    return options


def _find_order(options: argparse.Namespace) -> Order:
    clients = tuple(name for name in STOCK if name in options.clients)
    faults = tuple(name for name in ALL if name in options.faults)
    return Order(options.seed, options.seconds, clients, faults)


def _forget_ways() -> None:
    """Remove proxies and authorities from the environment.

    No proxy is asked for names that only this process knows, and requests prefers an authority of
    the environment to that of its session.
    """
    for name in [name for name in os.environ if name.lower().endswith(("_proxy", "_ca_bundle"))]:
        del os.environ[name]


def _shrink(
    schedule: Schedule, machine: Machine, failure: tuple[str, str], options: argparse.Namespace
) -> None:
    if not options.shrink:
        return
    shrunk = shrink(
        schedule.events,
        lambda events: failure in run(schedule.with_events(events), machine, _say).failed,
        options.shrink,
    )
    file = options.json.with_name("chaos-shrunk.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(schedule.with_events(shrunk.items).to_json())
    words = "none of which can be left out" if shrunk.is_minimal else "perhaps not all needed"
    _say(f"\nAfter {shrunk.runs} runs {len(shrunk.items)} faults are left, {words}:")
    for event in shrunk.items:
        _say(f"- {event.fault} of {event.server} from {event.start:g} s to {event.end:g} s")
    _say(f"Replay with: make chaos ARGS='--replay {file}'")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
