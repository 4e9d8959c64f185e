"""The table and the JSON of a run."""

from __future__ import annotations

import json
import os
import platform
import shlex
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .checks import CHECKS
from .schedule import ALL

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from .run import Result

_SHOWN = 5  # contradictions that the table shows of one check
_LIBRARIES = ("traced-image", "opentelemetry-sdk", "prometheus-client", "requests", "urllib3")


def format_table(result: Result) -> str:
    """Write the checks, what they found, and how much happened."""
    schedule, clients = result.schedule, list(result.found)
    lines = [f"seed {schedule.seed}, {schedule.seconds:g} s, {len(schedule.events)} faults", ""]
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
    happened = {name: [str(count)] for name, count in result.faults.items()}
    lines += ["", *_format_rows(["fault", "times"], happened)]
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


def format_json(result: Result, lacking: Mapping[str, str]) -> str:
    """Write the same, with the schedule and the machine."""
    told = {
        "schedule": asdict(result.schedule),
        "found": result.found,
        "figures": result.figures,
        "faults": result.faults,
        "lacking": lacking,
        "conditions": describe_conditions(),
    }
    return json.dumps(told, indent=1)


def format_replay(result: Result, clients: Collection[str], faults: Collection[str]) -> str:
    """Write the command that makes the same run."""
    schedule = result.schedule
    arguments = [*(["--clients", *clients] if clients else [])]
    if set(faults) != set(ALL):
        arguments += ["--faults", *faults]
    words = ["make", "chaos", f"SEED={schedule.seed}", f"SECONDS={schedule.seconds:g}"]
    return shlex.join([*words, *([f"ARGS={shlex.join(arguments)}"] if arguments else [])])


def describe_conditions() -> dict[str, str]:
    """The versions, the machine, its load and the time."""
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "load": "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg()),
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
    }


def find_faketime() -> str:
    """The path of libfaketime; empty if it is not on this machine."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return str(found[0]) if found else ""


def find_lacking(faketime: str) -> dict[str, str]:
    """What this machine or this program has not, and what a run is without because of it."""
    lacking = {
        "network namespaces": (
            "all servers are in the namespace of this process, and no packet is lost: what the"
            " proxy delays, cuts and resets are connections"
        )
    }
    if not list(Path(f"/lib/modules/{platform.release()}").rglob("sch_netem.*")):
        lacking["netem"] = "the kernel has no module of it that can be loaded"
    if not faketime:
        lacking["libfaketime"] = "no clock jumps; fix: apt-get install libfaketime"
    return lacking
