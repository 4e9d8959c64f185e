"""Writes `docs/benchmarks.md` and its plots from `results.json`: ``python bench/page.py``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report import markdown, read_report
from targets import MAIN, format_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from report import Plot, Report
    from targets import Figure

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[1] / "docs/benchmarks.md"
IMAGES = "images/benchmarks"

Results = dict[str, dict[str, Any]]
"""What was measured, by the version of Python and by the part of the run."""

BUSY = 3.0
"""The load of two cores from which on a page says that figures may be disturbed."""

_DISTURBED = (
    "**The load was above 3 when {parts} began**, of other work, or of the part before it. While"
    " other programs have the cores, durations by the clock are longer, and their ratios and"
    " percentiles are disturbed. Processor time, memory and instructions are disturbed less."
)

_HEAD = """# Benchmarks

<!-- Written by `make bench ARGS=--write`, of bench/results.json. Change bench/, not this page. -->

How long traced-image takes, beside other ways to do the same. `make bench` makes all of these
measurements, and `make bench ARGS=--write` writes this page, its plots and
[the same as JSON](../bench/results.json). Each question has the command that repeats its
measurement. [The method](../bench/README.md) says how each is made.

All ways that a table compares take turns in one run, in a random order that `--seed` repeats. So
other work on the machine disturbs all of them alike. Compare figures of one table: those of two
tables are from different minutes. A figure that is worse than its target is **missed**.
"""


def load() -> Results:
    """What was measured so far; nothing if there is no file."""
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}


def keep(
    python: str, name: str, part: dict[str, Any], machine: Mapping[str, str], order: Sequence[str]
) -> None:
    """Keep what a part measured, in place of what it measured before.

    Args:
        python: The version of Python.
        name: The part.
        part: What it measured, and the conditions.
        machine: The machine, and the versions of all that is compared.
        order: All parts in the order of the page.
    """
    results = load()
    parts = {**results.get(python, {"parts": {}})["parts"], name: part}
    ordered = {each: parts[each] for each in order if each in parts}
    results[python] = {"machine": dict(machine), "parts": ordered}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")


def plots(results: Results) -> list[Plot]:
    """All plots of the main version of Python."""
    return [plot for _, _, report in _reports(results[MAIN]) for plot in report.plots]


def _reports(run: dict[str, Any]) -> Iterable[tuple[str, dict[str, str], Report]]:
    for name, part in run["parts"].items():
        yield name, part["conditions"], read_report(part["report"])


def render(results: Results) -> str:
    """The page."""
    main = results[MAIN]
    texts = [_HEAD, _machine(main), _targets(main, MAIN)]
    texts += [_part(name, conditions, report) for name, conditions, report in _reports(main)]
    texts += [_other(run, python) for python, run in results.items() if python != MAIN]
    return "\n".join(texts)


def _machine(run: dict[str, Any]) -> str:
    rows = [[name, value] for name, value in run["machine"].items()]
    busy = [
        f"`{name}`"
        for name, conditions, _ in _reports(run)
        if float(conditions["load before"].split()[0]) > BUSY
    ]
    parts = "all parts" if len(busy) == len(run["parts"]) else ", ".join(busy)
    said = f"\n{_DISTURBED.format(parts=parts)}\n" if busy else ""
    return f"## The machine\n\n{markdown('What | Which', 'll', rows)}\n{said}"


def _other(run: dict[str, Any], python: str) -> str:
    """The targets of another version of Python."""
    said = ", ".join(f"{name} {value}" for name, value in run["machine"].items())
    return f"{_targets(run, python)}\n{said}.\n"


def _targets(run: dict[str, Any], python: str) -> str:
    """The figures that have a target, missed ones first."""
    figures = [figure for _, _, report in _reports(run) for figure in report.figures]
    missed = sum(not figure.is_met for figure in figures)
    rows = [_target(figure) for figure in sorted(figures, key=lambda each: each.is_met)]
    met = f"{len(figures) - missed} of {len(figures)} targets are met, {missed} are missed."
    table = markdown("Figure | unit | found | target | ", "llrrl", rows)
    return f"## Targets on Python {python}\n\n{met}\n\n{table}\n"


def _target(figure: Figure) -> list[str]:
    target, _, verdict = figure.target.rpartition(" ")
    found = format_number(figure.found)
    return [figure.name, figure.unit, found, target, "met" if verdict == "met" else "**missed**"]


def _part(name: str, conditions: Mapping[str, str], report: Report) -> str:
    said = ", ".join(f"{key} {value}" for key, value in conditions.items())
    texts = [f"## {report.question}", f'{report.title} `make bench ARGS="--only {name}"`; {said}.']
    texts.append(report.table.replace(" missed |", " **missed** |"))
    texts += [f"![{plot.title}]({IMAGES}/{plot.name}.svg)" for plot in report.plots]
    if report.notes:
        texts.append(report.notes)
    return "\n\n".join(texts) + "\n"


def write(results: Results) -> None:
    """Write the page and its plots."""
    from plots import draw

    PAGE.write_text(render(results), "utf-8")
    draw(plots(results))


def check(results: Results) -> list[str]:
    """What is not as `write` writes it: the page, and the plots by the figures that they show."""
    from plots import FOLDER, digest, drawn_digest

    wrong = [] if PAGE.read_text("utf-8") == render(results) else [str(PAGE)]
    expected = {FOLDER / f"{plot.name}.svg": digest(plot) for plot in plots(results)}
    files = {path: drawn_digest(path) for path in FOLDER.glob("*")}
    return wrong + [
        str(path) for path in {*expected, *files} if expected.get(path) != files.get(path)
    ]


def main() -> int:
    """Write the page and its plots, or tell what is not as the results have it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing, and print what differs"
    )
    if not parser.parse_args().check:
        write(load())
        return 0
    wrong = check(load())
    print(
        "".join(f"{path} is not of {RESULTS.name}: run bench/page.py\n" for path in wrong), end=""
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
