"""Runs a soak, or the rest of one that was interrupted, and prints its table."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conditions import describe_run, find_versions, format_run, read_amount, save_record

from .measures import CALLS, MOST, count_series
from .processes import Program, StandAlone, scrape, start, start_exporter
from .report import ALONE, CALLER, COUNTED, PLANTED, UNEXPECTED, Answer, make_rows
from .state import Segment, State, load

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 40.0
"""Calls a second of a service, unless the command says another number."""

_SAVE = 10
"""Samples after which the file is written."""

_SCRAPE = 5
"""Samples after which the programs that call are scraped: thousands of lines take time."""

_RELOAD = 3
"""Samples after which the configuration of the stand-alone exporter changes."""


INTERRUPTED = 130
"""The exit status of a run that was told to end, as of a shell."""

SLACK = 120.0
"""Seconds that start and end may take before the run is interrupted."""

WARM_UP = 20.0
"""Seconds at most in which programs call without a pause, to have met all that there is."""

CALLERS = {CALLER: (1.0, ""), PLANTED: (1.0, "memory"), COUNTED: (0.25, "counted")}
"""The programs that call: the share of the rate that each has, and what it leaks."""


class Soak:
    """One segment under way.

    Args:
        segment: Where the samples go.
        servers: The program of the servers.
        callers: The programs that call, by their names.
        alone: The stand-alone exporter.
    """

    def __init__(
        self,
        segment: Segment,
        servers: Program,
        callers: dict[str, Program],
        alone: StandAlone,
    ) -> None:
        self._segment = segment
        self._servers = servers
        self._callers = callers
        self._alone = alone
        self._series: dict[str, dict[str, float]] = {}
        self._samples = 0
        self._scrapes = 0
        self._reloaded = 0.0

    def sample(self, seconds: float) -> None:
        """Scrape, and add a sample of each process."""
        if self._samples % _SCRAPE == 0:
            for name, program in self._callers.items():
                self._series[name] = count_series(scrape(program.told["exporter"]))
                self._scrapes += 1
        for name, program in self._callers.items():
            self._segment.add(name, seconds, {**program.ask(), **self._series[name]})
        alone = self._alone.describe()
        self._reloaded += alone["reloaded"]
        self._segment.add(ALONE, seconds, alone)
        self._scrapes += 1
        self._samples += 1
        if self._samples % _RELOAD == 0:
            self._alone.reload()
        self._count()

    def _count(self) -> None:
        calls = self._segment.samples[CALLER]
        exports = self._servers.ask()
        self._segment.counts = {
            "calls": calls["calls"][-1],
            "failed calls": calls["failed"][-1],
            UNEXPECTED: sum(
                self._segment.samples[name]["unexpected"][-1] for name in self._callers
            ),
            "scrapes": self._scrapes,
            "reloads": self._alone.reloads,
            "samples after a good reload": self._reloaded,
            "exports of spans": exports.get("/v1/traces", 0),
            "exports of metrics": exports.get("/v1/metrics", 0),
        }


def run(
    state: State, seconds: float, rate: float, *, save: Callable[[], None] = lambda: None
) -> None:
    """Add a segment to a state.

    Args:
        state: The state.
        seconds: How long the segment is.
        rate: Calls a second of each service.
        save: Called now and then, and at the end.
    """
    segment = Segment()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        asked: dict[str, Any] = {"seed": state.run["seed"], "warm_up": min(WARM_UP, seconds / 6)}
        servers = stack.enter_context(start("servers", json.dumps(asked)))
        share, _ = CALLERS[COUNTED]
        asked |= {**servers.wait(), "every": max(CALLS, math.ceil(rate * share * seconds / MOST))}
        callers = {
            name: stack.enter_context(
                start("caller", json.dumps({**asked, "rate": rate * share, "leak": leak}))
            )
            for name, (share, leak) in CALLERS.items()
        }
        alone = stack.enter_context(start_exporter(folder, servers.told["servers"]))
        for program in callers.values():
            stack.callback(program.end)
            program.wait()
        soak = Soak(segment, servers, callers, alone)
        state.segments.append(segment)
        stack.callback(save)
        began = time.monotonic()
        number = 0
        while (now := time.monotonic() - began) < seconds:
            time.sleep(max(0.0, number - now))
            soak.sample(time.monotonic() - began)
            number += 1
            if number % _SAVE == 0:
                save()


def choose_state(path: Path, seed: int | None, seconds: float, rate: float) -> State:
    """Return the state to go on with: that of the file, if it is not complete, or a new one.

    Args:
        path: The file.
        seed: The seed that is asked for; None for any.
        seconds: How long the soak is to be.
        rate: Calls a second of a service.

    Raises:
        SystemExit: The file is of a soak of other versions.
    """
    with contextlib.suppress(OSError, ValueError):
        found = load(path)
        same = seed in (None, found.run["seed"]) and found.run["rate"] == rate
        if same and found.complete < seconds and found.seconds < seconds - 1:
            if found.run["versions"] != find_versions():
                raise SystemExit(f"{path} is of other versions: remove it, and begin again")
            return found
    chosen = random.SystemRandom().randrange(10**9) if seed is None else seed
    return State({**describe_run(chosen), "rate": rate})


def main() -> int:
    """Run, print the table, and write the JSON; return the exit status."""
    options = _read_options()
    if options.report:
        return _report(options)
    # The processes of a run that is told to end, or that hangs, must end with it.
    for each in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(each, signal.default_int_handler)
    state = choose_state(options.json, options.seed, options.seconds, options.rate)
    print(format_run(state.run))
    if state.segments:
        print(f"{state.seconds:.0f} s were done before", flush=True)
    status = 0
    left = max(0.0, options.seconds - state.seconds)
    signal.alarm(math.ceil(left + SLACK))
    try:
        run(state, left, options.rate, save=lambda: state.save(options.json))
        state.complete = options.seconds
        state.save(options.json)
    except KeyboardInterrupt:
        status = INTERRUPTED
        print(f"interrupted after {state.seconds:.0f} s; the same command goes on")
    return status or _tell(state, options)


def _report(options: argparse.Namespace) -> int:
    try:
        return _tell(load(options.json), options)
    except OSError as error:
        raise SystemExit(f"{options.json}: {error.strerror}; fix: make soak") from error
    except ValueError as error:
        raise SystemExit(str(error)) from error


def _tell(state: State, options: argparse.Namespace) -> int:
    answer = Answer(list(make_rows(state)), state.add_counts())
    print(f"{state.seconds:.0f} s, segments: {len(state.segments)}")
    print(*answer.list_lines(), sep="\n")
    problems = answer.find_problems()
    print(*(f"failed: {each}" for each in problems), sep="\n")
    if problems:
        rate = state.run["rate"]
        rest = "" if rate == RATE else f" ARGS='--rate {rate:g}'"
        print(f"again: make soak SEED={state.run['seed']} SECONDS={options.seconds:g}{rest}")
    if options.save:
        print(f"saved: {save_record('soak', answer.make_record(state))}")
    return 1 if problems else 0


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument(
        "--seconds", type=read_amount, default=120.0, help="of all segments together"
    )
    parser.add_argument("--seed", type=int, help="of calls and faults; a new one each time")
    parser.add_argument(
        "--rate", type=read_amount, default=RATE, help="calls a second of a service"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("build/soak.json"), help="the file of the samples"
    )
    parser.add_argument("--report", action="store_true", help="run nothing: show the file again")
    parser.add_argument("--save", action="store_true", help="write the record of the page, too")
    return parser.parse_args()
