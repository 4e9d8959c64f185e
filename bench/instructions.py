"""Instructions of a call, which do not depend on what else the machine does.

``python bench/instructions.py [--calls 100]``

Each client runs in valgrind, whose callgrind counts the instructions of its process alone, while it
makes so many calls: not those of its start, nor of the kernel. Garbage is not collected.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from processes import HERE, Driver
from report import Report, bars, markdown
from rounds import small_environment
from serving import nginx, recorded_image
from targets import at_most

if TYPE_CHECKING:
    from collections.abc import Mapping

BARE = "requests"
CLIENTS = {
    "urllib3": "urllib3_get",
    BARE: "requests_get",
    "requests, with OpenTelemetry's instrumentation": "requests_get --observed requests",
    "show, telemetry off": "show --observed off",
    "show, metrics, no call sampled": "show --observed sampled_out",
    "show, call and attempt spans, metrics": "show --observed calls",
    "show, wire spans too": "show --observed wire",
    "python-glanceclient": "glanceclient_get",
    "python-glanceclient, observed": "glanceclient_get --observed calls",
}
"""What is compared, and what `peer.py` is told."""

TARGETS = {
    "show, telemetry off": 0.38,
    "show, call and attempt spans, metrics": 0.56,
    "show, wire spans too": 0.60,
}
"""The ratios to `BARE` that are not to be exceeded: the same as those of durations."""

WARM_UP = 20
AT_ONCE = 3
"""Processes at a time: what they count does not depend on the others."""


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=100)
    options = parser.parse_args()
    small_environment()
    print(report(measured(options.calls), options.calls))


def measured(calls: int) -> dict[str, float]:
    """The thousands of instructions of a call of each client; empty without valgrind."""
    if not (shutil.which("valgrind") and shutil.which("callgrind_control")):
        return {}
    image_id, bodies = recorded_image()
    cores = os.sched_getaffinity(0)
    with nginx(bodies) as (url,), TemporaryDirectory(prefix="bench-") as folder:
        os.sched_setaffinity(0, cores)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            counts = pool.map(
                lambda told: _count(told.split(), (url, image_id), calls, Path(folder)),
                CLIENTS.values(),
            )
            return dict(zip(CLIENTS, counts, strict=True))


def _count(told: list[str], image: tuple[str, str], calls: int, folder: Path) -> float:
    client, *options = told
    out = folder / "-".join(told)
    # Bytes of code in the address of the program are numbered alike in each run.
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    peer = [sys.executable, str(HERE / "peer.py"), client, *image, *options, "--no-gc"]
    with subprocess.Popen(
        [*valgrind, *peer],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        text=True,
    ) as process:
        driver = Driver(process)
        driver.run(WARM_UP)
        command = ["callgrind_control", "-i", "on", str(process.pid)]
        subprocess.run(command, check=True, capture_output=True)
        driver.run(calls)
        subprocess.run([*command[:2], "off", command[-1]], check=True, capture_output=True)
        process.stdin.close()  # type: ignore[union-attr]
    found = re.findall(r"^totals: (\d+)", out.read_text("utf-8"), re.MULTILINE)
    return sum(map(int, found)) / calls / 1000


def report(found: Mapping[str, float], calls: int) -> Report:
    """The results as a table, and those that have a target."""
    question = "How many instructions does a call take?"
    if not found:
        return Report(
            question, "`instructions.py`.", "Not measured: valgrind is not on this machine."
        )
    figures = [
        at_most(f"{name}, instructions", found[name] / found[BARE], most, "requests")
        for name, most in TARGETS.items()
    ]
    verdicts = {name: figure.target for name, figure in zip(TARGETS, figures, strict=True)}
    rows = [
        [name, f"{each:,.0f}", f"{each / found[BARE]:.2f}", verdicts.get(name, "")]
        for name, each in found.items()
    ]
    return Report(
        question,
        f"`instructions.py`, {calls} calls of each.",
        markdown("Client | thousands of instructions | by requests | target", "lrrr", rows),
        figures,
        [
            bars(
                "instructions",
                "Instructions of one call",
                "thousands of instructions in user space",
                dict(found),
            )
        ],
        "Counted by valgrind's callgrind: of the client's process, without its start, the kernel"
        " and garbage"
        " collection. The processor's own counters can't be read on a virtual machine like this"
        " one.",
    )


if __name__ == "__main__":
    main()
