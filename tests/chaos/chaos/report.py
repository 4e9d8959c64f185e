"""The tables of a run, and the command that replays it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from .checks import CHECKS
from .schedule import ALL
from .stock import STOCK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .run import Result
    from .state import Order, State

_SHOWN = 5  # contradictions that the table shows of one check


def format_table(result: Result) -> str:
    """Write the checks, what they found, and how much happened."""
    schedule, clients = result.schedule, list(result.found)
    happened = sum(result.faults.values())
    times = f"{schedule.seconds:g} s and {result.overhead:.0f} s around them"
    lines = [f"seed {schedule.seed}, {times}, {happened} faults", ""]
    found = {
        name: [str(len(result.found[client][name]) or "nothing") for client in clients]
        for name in CHECKS
    }
    lines += _format_rows(["check", *clients], found)
    names = sorted({name for figures in result.figures.values() for name in figures})
    counts = {
        name: [f"{result.figures[client].get(name, 0):,}" for client in clients] for name in names
    }
    lines += ["", *_format_rows(["figure", *clients], counts)]
    times_of = {name: [str(count)] for name, count in result.faults.items()}
    lines += ["", *_format_rows(["fault", "times"], times_of)]
    for client, name in result.failed:
        lines += ["", f"Not true for {client}: {name}", *_format_found(result.found[client][name])]
    return "\n".join(lines)


def _format_rows(head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    return lines + [f"| {' | '.join([name, *cells])} |" for name, cells in rows.items()]


def _format_found(found: Sequence[str]) -> list[str]:
    lines = [f"- {each}" for each in found[:_SHOWN]]
    more = len(found) - _SHOWN
    return [*lines, f"- and {more} more, which are in the JSON"] if more > 0 else lines


def format_replay(order: Order) -> str:
    """Write the command that makes the same run."""
    arguments = [] if set(order.clients) == set(STOCK) else ["--clients", *order.clients]
    if set(order.faults) != set(ALL):
        arguments += ["--faults", *order.faults]
    words = ["make", "chaos", f"SEED={order.seed}", f"SECONDS={order.seconds:g}"]
    return shlex.join([*words, *([f"ARGS={shlex.join(arguments)}"] if arguments else [])])


def format_summary(state: State) -> str:
    """Write what all rounds have found."""
    told = state.summarize()
    calls, checks, faults = told["calls"], told["checks"], told["faults"]
    assert isinstance(calls, dict)
    assert isinstance(checks, dict)
    assert isinstance(faults, dict)
    rows = {
        name: [str(count or "nothing") for count in found.values()]
        for name, found in checks.items()
    }
    counted = ", ".join(f"{count:,} by {client}" for client, count in calls.items())
    amount = f"{sum(faults.values())} faults of {len(faults)} kinds"
    head = f"{told['seconds']:g} s in {told['rounds']} rounds: {amount}; calls: {counted}"
    return "\n".join([head, *_format_rows(["all rounds", *calls], rows)])
