"""The page of what long runs have shown, from their records and from the list of what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FOLDER = Path(__file__).parents[2] / "reference" / "proof"
"""The records, which ``ARGS=--save`` of a command writes, and the list, which is kept by hand."""

RUNS = ("chaos", "soak", "fuzz")
"""The commands that have records."""

FIELDS = {"conditions", "seconds", "checks"}
"""What each record has."""

CONDITIONS = {"seed", "began", "versions", "machine"}
"""What its conditions have: those that `describe_run` of the tests has found."""

MACHINE = {"processor", "processors", "memory_mib", "kernel"}
"""What its machine has."""

FAULT = {"found_by", "fault", "test", "fixed_in"}
"""What each entry of the list has."""

_NOT_RUN = "Not run yet."


def read_record(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """Return the record of a run; None if there is none."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return record


def read_found(folder: Path = FOLDER) -> list[dict[str, str | None]]:
    """Return the entries of the list."""
    found: list[dict[str, str | None]] = yaml.safe_load((folder / "found.yaml").read_text("utf-8"))
    return found


def has_failed(check: object) -> bool:
    """Return whether a check has failed: it says so, or it has violations, perhaps by client."""
    if isinstance(check, dict):
        return not check["passed"] if "passed" in check else any(map(has_failed, check.values()))
    return bool(check)


def write_runs(folder: Path = FOLDER) -> str:
    """Write one row for each run: when, how long, on which machine, and what came of it."""
    head = ("command", "date", "seconds", "seed", "machine", "cores", "Python", "checks", "failed")
    return table(head, (_write_run(name, read_record(name, folder)) for name in RUNS))


def _write_run(name: str, record: dict[str, Any] | None) -> tuple[str, ...]:
    if record is None:
        return (f"`make {name}`", "not run yet", *[""] * 7)
    told, checks = record["conditions"], record["checks"]
    failed = sum(map(has_failed, checks.values()))
    machine = told["machine"]
    place = f"{machine['processor']}, {machine['memory_mib']:,} MiB, {machine['kernel']}"
    return (
        *(f"`make {name}`", told["began"][:10], f"{record['seconds']:,.0f}", str(told["seed"])),
        *(place, str(machine["processors"]), told["versions"]["python"]),
        *(str(len(checks)), str(failed)),
    )


def write_versions(folder: Path = FOLDER) -> str:
    """Write the versions of the packages in each run."""
    found = {name: read_record(name, folder) for name in RUNS}
    versions = {name: each["conditions"]["versions"] for name, each in found.items() if each}
    packages = sorted({package for each in versions.values() for package in each})
    rows = ((package, *(_get(versions[run], package) for run in versions)) for package in packages)
    return table(("package", *versions), rows) if versions else _NOT_RUN


def _get(versions: Mapping[str, str], package: str) -> str:
    return versions.get(package, "")


def write_chaos(folder: Path = FOLDER) -> str:
    """Write what was broken, who called, and how often each check found something."""
    record = read_record("chaos", folder)
    if record is None:
        return _NOT_RUN
    titles = {"checks": ("check", "violations"), "calls": ("client", "calls")}
    titles["faults"] = ("fault", "times")
    parts = [
        table(head, ((name, _format(count)) for name, count in record.get(field, {}).items()))
        for field, head in titles.items()
    ]
    lacking = ", ".join(record.get("lacking", ()))
    return "\n\n".join(
        [*parts, f"The machine lacked: {lacking}." if lacking else "Nothing lacked."]
    )


def _format(count: object) -> str:
    if isinstance(count, dict):
        return ", ".join(f"{name}: {each:,}" for name, each in count.items())
    return f"{count:,}"


def write_soak(folder: Path = FOLDER) -> str:
    """Write how fast each figure grew, and from which growth on it would have been found."""
    record = read_record("soak", folder)
    if record is None:
        return _NOT_RUN
    head = ("figure", "growth", "at most", "limit", "found from", "verdict")
    return f"{table(head, _list_figures(record))}\n\n{_write_counts(record)}"


def _list_figures(record: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, check in record["checks"].items():
        keys = ("growth", "at_most", "limit", "found_from")
        cells = (_write_figure(check.get(key)) for key in keys)
        yield (name, *cells, check["verdict"])


def _write_figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def write_fuzz(folder: Path = FOLDER) -> str:
    """Write how many examples each reader was given, and whether one has failed."""
    record = read_record("fuzz", folder)
    if record is None:
        return _NOT_RUN
    rows = (
        (name, f"{check['examples']:,}", check["verdict"])
        for name, check in record["checks"].items()
    )
    return f"{table(('reader', 'examples', 'verdict'), rows)}\n\n{_write_counts(record)}"


def _write_counts(record: dict[str, Any]) -> str:
    counts = ", ".join(f"{count:,.0f} {name}" for name, count in record["counted"].items())
    return f"In all: {counts}."


def write_found(folder: Path = FOLDER) -> str:
    """Write the faults that were found and fixed, each with its test."""
    rows = (
        (str(each["found_by"]), str(each["fault"]), _link(each["test"]), each["fixed_in"] or "")
        for each in read_found(folder)
    )
    return table(("found by", "what was wrong", "test", "fixed in"), rows)


def _link(test: str | None) -> str:
    path, _, name = str(test).partition("::")
    return f"[`{name}`](../{path})"


TABLES: Mapping[str, Callable[[], str]] = {
    "runs": write_runs,
    "versions": write_versions,
    "chaos": write_chaos,
    "soak": write_soak,
    "fuzz": write_fuzz,
    "found": write_found,
}
