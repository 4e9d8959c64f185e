"""The table and the JSON of a run."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .run import Result

_SHOWN = 5  # contradictions that the table shows of one check
_LIBRARIES = ("traced-image", "opentelemetry-sdk", "prometheus-client", "requests", "urllib3")


def format_table(result: Result) -> str:
    """Write the checks, what they found, and how much happened."""
    schedule = result.schedule
    lines = [f"seed {schedule.seed}, {schedule.seconds:g} s, {len(schedule.events)} faults", ""]
    lines += ["| check | found |", "|---|--:|"]
    lines += [f"| {name} | {len(found) or 'nothing'} |" for name, found in result.found.items()]
    lines += ["", "| what | how many |", "|---|--:|"]
    lines += [f"| {name} | {count:,} |" for name, count in result.figures.items()]
    for name in result.failed:
        found = result.found[name]
        lines += ["", f"Not true: {name}", *(f"- {each}" for each in found[:_SHOWN])]
        if len(found) > _SHOWN:
            lines.append(f"- and {len(found) - _SHOWN} more, which are in the JSON")
    return "\n".join(lines)


def format_json(result: Result, lacking: Mapping[str, str]) -> str:
    """Write the same, with the schedule and the machine."""
    told = {
        "schedule": asdict(result.schedule),
        "found": result.found,
        "figures": result.figures,
        "lacking": lacking,
        "conditions": describe_conditions(),
    }
    return json.dumps(told, indent=1)


def format_replay(result: Result) -> str:
    """Write the command that makes the same run."""
    schedule = result.schedule
    return shlex.join(["make", "chaos", f"SEED={schedule.seed}", f"SECONDS={schedule.seconds:g}"])


def describe_conditions() -> dict[str, str]:
    """The versions, the machine, its load and the time."""
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "load": "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg()),
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
    }


def find_lacking() -> dict[str, str]:
    """What this machine has not, and what a run is without because of it."""
    lacking = {}
    if sys.platform != "linux" or not Path(f"/lib/modules/{platform.release()}").exists():
        lacking["netem"] = (
            "this kernel has no module sch_netem that can be loaded: delay, loss and rates are"
            " those of the proxy, which breaks connections and not packets"
        )
    return lacking
