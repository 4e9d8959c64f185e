"""Writes `docs/benchmarks.md` and its plots from `results.json`: ``python bench/page.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report import markdown, read_report
from targets import MAIN, format_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from report import Plot, Report
    from targets import Figure

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[1] / "docs/benchmarks.md"
IMAGES = "images/benchmarks"

Results = dict[str, dict[str, Any]]
"""What was measured, by the version of Python and by the part of the run."""

_HEAD = """# Benchmarks

<!-- Written by `make bench ARGS=--write`, of bench/results.json. Change bench/, not this page. -->

How long traced-image takes, beside other ways to do the same. `make bench` makes all of these
measurements, and `make bench ARGS=--write` writes this page, its plots and
[the same as JSON](../bench/results.json). Each question has the command that repeats its
measurement. [The method](../bench/README.md) says how each is made.

All ways that a table compares take turns in one run, in a random order from the seed. So other work
on the machine disturbs all of them alike. Compare figures of one table: those of two tables are
from different minutes. A figure that is worse than its target is **missed**.
"""


def load() -> Results:
    """What was measured so far; nothing if there is no file."""
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}  # type: ignore[no-any-return]


def keep(python: str, parts: Mapping[str, dict[str, Any]], machine: Mapping[str, str]) -> None:
    """Keep what some parts measured, in place of what these parts measured before."""
    results = load()
    before = results.get(python, {"parts": {}})
    results[python] = {"machine": dict(machine), "parts": {**before["parts"], **parts}}
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
    texts = [_HEAD, _machine(main["machine"]), _targets(main, MAIN)]
    texts += [_part(name, conditions, report) for name, conditions, report in _reports(main)]
    texts += [_other(run, python) for python, run in results.items() if python != MAIN]
    return "\n".join(texts)


def _machine(machine: Mapping[str, str]) -> str:
    rows = [[name, value] for name, value in machine.items()]
    return f"## The machine\n\n{markdown('What | Which', 'll', rows)}\n"


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


if __name__ == "__main__":
    write(load())
