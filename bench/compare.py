"""All measurements that `docs/benchmarks.md` has, in one run: ``make bench``.

``python bench/compare.py [--only show] [--scale 0.2] [--seed 7] [--save] [--write]``
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import TYPE_CHECKING, Any

import download
import exporting
import failover
import instructions
import listing
import page
import rates
import scraping
import servers
import show
import starting
import stock
import threads
from processes import service_pythons
from rounds import load, machine, small_environment, today
from serving import nginx_version
from targets import BEFORE, PYTHON, save, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from report import Report
    from targets import Figure

MEBIBYTES = 1024
INSTRUCTIONS = 100
"""Calls whose instructions are counted: more would count the same."""


class Scale:
    """How long the parts take.

    Args:
        factor: Of the durations of a full run.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, rounds: int, least: int = 2) -> int:
        """So many rounds of a full run, scaled."""
        return max(least, round(rounds * self.factor))


def _show(scale: Scale) -> Report:
    rounds = scale(120)
    return show.report(show.measured(rounds), rounds)


def _stock(scale: Scale) -> Report:
    rounds = scale(60)
    # With one server dead, a third of stock nova's operations wait a second.
    return stock.report(stock.measured(rounds, scale(60, 20)), rounds)


def _threads(scale: Scale) -> Report:
    return threads.report(threads.measured(scale(8), 0.6))


def _servers(scale: Scale) -> Report:
    rounds = scale(60)
    return servers.report(servers.measured(rounds), rounds)


def _download(scale: Scale) -> Report:
    return download.report(download.measured(scale(5), MEBIBYTES), MEBIBYTES)


def _upload(scale: Scale) -> Report:
    return download.upload_report(download.uploaded(scale(5), MEBIBYTES), MEBIBYTES)


def _listing(scale: Scale) -> Report:
    return listing.report(listing.measured(scale(5)))


def _starting(scale: Scale) -> Report:
    return starting.report(starting.measured(scale(6)))


def _instructions(_scale: Scale) -> Report:
    return instructions.report(instructions.measured(INSTRUCTIONS), INSTRUCTIONS)


def _rates(scale: Scale) -> Report:
    return rates.report(rates.measured(scale(3, 1), 1.5))


def _exporting(scale: Scale) -> Report:
    return exporting.report(exporting.measured(scale(60), 400), 400)


def _scraping(scale: Scale) -> Report:
    scrapes = scale(15)
    return scraping.report(scraping.measured(scrapes), scrapes)


def _failover(scale: Scale) -> Report:
    seconds = max(25.0, 50.0 * scale.factor)
    return failover.report(failover.measured(seconds), seconds)


# The last one may leave threads with calls that never end.
PARTS: dict[str, Callable[[Scale], Report]] = {
    "show": _show,
    "stock": _stock,
    "threads": _threads,
    "servers": _servers,
    "download": _download,
    "upload": _upload,
    "listing": _listing,
    "starting": _starting,
    "instructions": _instructions,
    "rates": _rates,
    "exporting": _exporting,
    "scraping": _scraping,
    "failover": _failover,
}


def main() -> None:
    """Run all or some parts, print their tables and the table of targets, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--scale", type=float, default=1.0, help="of the duration of all parts")
    parser.add_argument("--seed", type=int, default=None, help="of the order of the turns")
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {BEFORE.name}")
    parser.add_argument("--write", action="store_true", help=f"write {page.PAGE.name}")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    service_pythons()
    small_environment()
    told = machine(nginx_version())
    print(f"seed {seed}, load {load()}", file=sys.stderr)
    figures: list[Figure] = []
    for name in PARTS:
        if name in options.only:
            part, report = _run(name, Scale(options.scale), seed)
            print(report, flush=True)
            figures += report.figures
            if options.write:  # each at once, so that an interrupted run has written some
                page.keep(PYTHON, name, part, told, list(PARTS))
    print(f"All figures that have a target, on Python {PYTHON}:\n\n{summary(figures)}\n")
    print(", ".join(f"{name} {value}" for name, value in told.items()))
    if options.save:
        save(figures)
    if options.write:
        page.write(page.load())


def _run(name: str, scale: Scale, seed: int) -> tuple[dict[str, Any], Report]:
    """Run a part: what is kept of it, and what it found."""
    random.seed(seed)
    conditions = {"date": today(), "load before": load(), "seed": str(seed)}
    if scale.factor != 1:
        conditions["scale"] = f"{scale.factor:g}"
    began = time.monotonic()
    report = PARTS[name](scale)
    took = f"{time.monotonic() - began:.0f} s"
    print(f"{name}: {took}", file=sys.stderr, flush=True)
    return {"conditions": {**conditions, "took": took}, "report": report.as_json()}, report


if __name__ == "__main__":
    main()
