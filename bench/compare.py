"""All figures that have a target, in one run, as Markdown: ``make bench``.

``python bench/compare.py [--only show] [--scale 0.2] [--save] [--write]``
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import download
import failover
import show
import stock
import threads
from processes import nova_python, observed_nova_python
from rounds import conditions, small_environment
from serving import nginx_version
from targets import BEFORE, MAIN, PYTHON, save, summary, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from targets import Figure, Report

ROUNDS = {"show": 120, "threads": 10, "download": 5, "stock": 100}
SECONDS = 50.0
MEBIBYTES = 1024
OPERATIONS = 60
"""Of stock nova, with one server dead: a third of them wait a second."""


def _show(scale: float) -> Report:
    rounds = _scaled(ROUNDS["show"], scale)
    return show.report(show.measured(rounds), rounds)


def _threads(scale: float) -> Report:
    return threads.report(threads.measured(_scaled(ROUNDS["threads"], scale), 1.0))


def _download(scale: float) -> Report:
    taken = download.measured(_scaled(ROUNDS["download"], scale), MEBIBYTES)
    return download.report(taken, MEBIBYTES)


def _stock(scale: float) -> Report:
    rounds = _scaled(ROUNDS["stock"], scale)
    return stock.report(stock.measured(rounds, _scaled(OPERATIONS, scale)), rounds)


def _failover(scale: float) -> Report:
    return failover.report(failover.measured(SECONDS * scale), SECONDS * scale)


# The last one may leave threads with calls that never end.
PARTS: dict[str, Callable[[float], Report]] = {
    "show": _show,
    "threads": _threads,
    "download": _download,
    "stock": _stock,
    "failover": _failover,
}


def _scaled(rounds: int, scale: float) -> int:
    return max(2, round(rounds * scale))


def main() -> None:
    """Run all or some parts, and print their tables and the table of targets."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--scale", type=float, default=1.0, help="of the duration of all parts")
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {BEFORE.name}")
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    options = parser.parse_args()
    if "show" in options.only:
        nova_python()
    if "stock" in options.only:
        observed_nova_python()
    small_environment()
    told = conditions(nginx_version())
    texts: list[str] = []
    figures: list[Figure] = []
    for name, part in PARTS.items():
        if name in options.only:
            print(f"{name} …", file=sys.stderr)
            report = part(options.scale)
            texts.append(str(report))
            print(report, flush=True)
            figures += report.figures
    said = ", ".join(f"{name} {value}" for name, value in told.items())
    table = f"All figures that have a target, on Python {PYTHON}:\n\n{summary(figures)}\n"
    print(f"{table}\n{said}")
    if options.save:
        save(figures)
    if options.write:
        write("\n".join([*(texts if PYTHON == MAIN else []), table, f"{said}."]))


if __name__ == "__main__":
    main()
