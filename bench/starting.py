"""What a start takes, and memory: ``python bench/starting.py [--rounds 8]``.

Each start is a process of its own. All programs take turns, in a new order in each round.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from peer_clients import CLIENTS
from peer_telemetry import OWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from report import Report

CALLS = 100
"""Calls before the memory is read."""

GLANCECLIENT = "python-glanceclient"
OFF, ALL = "traced-image, telemetry off", "traced-image, all spans and metrics"
PROGRAMS = {
    "requests": "requests_get requests",
    "urllib3": "urllib3_get urllib3",
    OFF: "show/off traced_image",
    ALL: "show/all traced_image",
    GLANCECLIENT: "glanceclient_get glanceclient",
    "openstacksdk": "openstacksdk openstack.connection",
    "nova 34": "nova nova.image.glance",
    "cinder 29": "cinder cinder.image.image_utils",
}
"""The client of each and what it imports."""

MOST = 1.0
"""The most that a start may take, and the memory, beside python-glanceclient's."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start.

    Attributes:
        imported: Seconds until the import was done.
        ready: Seconds until the first call was answered, with the import.
        cpu: Seconds of a core until then.
        memory: MiB that the process had at most, after `CALLS` calls.
    """

    imported: float
    ready: float
    cpu: float
    memory: float


def start(program: str, url: str, image_id: str) -> Start:
    """Start a program here."""
    from peer import most_memory

    client, module = program.split()
    begun, cpu = time.perf_counter(), time.process_time()
    if client == "nova":
        # It patches Python's own modules otherwise.
        __import__("os").environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    importlib.import_module(module)
    imported = time.perf_counter() - begun
    name, _, how = client.partition("/")
    call = OWN[name](url, image_id, how) if how else CLIENTS[name](url, image_id)
    call()
    ready, cpu = time.perf_counter() - begun, time.process_time() - cpu
    for _ in range(CALLS):
        call()
    return Start(imported, ready, cpu, most_memory())


def measured(rounds: int) -> dict[str, list[Start]]:
    """The starts of each program."""
    from processes import THIS, service_pythons
    from serving import nginx, recorded_image

    services = {f"{name} {version}": name for name, version in (("nova", 34), ("cinder", 29))}
    pythons = service_pythons()
    commands = {
        name: pythons.get(services[name]) if name in services else list(THIS) for name in PROGRAMS
    }
    found: dict[str, list[Start]] = {name: [] for name, command in commands.items() if command}
    image_id, bodies = recorded_image()
    with nginx(bodies) as (url,):
        for number in range(rounds + 1):
            for name in random.sample(list(found), len(found)):
                one = _started(commands[name] or (), PROGRAMS[name], url, image_id)
                found[name] += [one] if number else []  # the first one writes byte code
    return found


def _started(python: Sequence[str], program: str, url: str, image_id: str) -> Start:
    command = [*python, __file__, "--start", program, url, image_id]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{program} did not start:\n{done.stderr[-2000:]}")
    return Start(**json.loads(done.stdout.splitlines()[-1]))


def report(found: Mapping[str, Sequence[Start]]) -> Report:
    """The results as a table, and those that have a target."""
    from report import Report, bars, markdown
    from targets import at_most

    middle = {name: _middle(each) for name, each in found.items()}
    client = middle[GLANCECLIENT]
    rows = [
        [
            *(
                name,
                f"{1e3 * each.imported:.0f}",
                f"{1e3 * each.ready:.0f}",
                f"{1e3 * each.cpu:.0f}",
            ),
            *(
                f"{each.cpu / client.cpu:.2f}",
                f"{each.memory:.1f}",
                f"{each.memory / client.memory:.2f}",
            ),
        ]
        for name, each in middle.items()
    ]
    own = middle[ALL]
    figures = [
        at_most("start to the first call, s of a core", own.cpu / client.cpu, MOST, GLANCECLIENT),
        at_most("memory after 100 calls", own.memory / client.memory, MOST, GLANCECLIENT),
    ]
    head = (
        "Program | import ms | to the first call ms | ms of a core | by glanceclient"
        " | memory MiB | by glanceclient"
    )
    memory = {name: each.memory for name, each in middle.items()}
    cpu = {name: 1e3 * each.cpu for name, each in middle.items()}
    return Report(
        "What does a program pay before its first call, and in memory?",
        f"`starting.py`, {len(found[OFF])} starts of each.",
        markdown(head, "lrrrrrr", rows),
        figures,
        [
            bars(
                "starting", "Import and first call", "ms of a core, without Python's own start", cpu
            ),
            bars("memory", "Memory of a process after 100 calls", "MiB, with Python's own", memory),
        ],
        "Medians. Python's own start is left out of the durations, and is in the memory.",
    )


def _middle(starts: Sequence[Start]) -> Start:
    found = [asdict(each) for each in starts]
    return Start(**{name: statistics.median(each[name] for each in found) for name in found[0]})


def main() -> None:
    """Run, and print the table; or start one program, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--start", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start:
        print(json.dumps(asdict(start(*options.start))))
        return
    from processes import service_pythons
    from rounds import small_environment

    service_pythons()
    small_environment()
    print(report(measured(options.rounds)))


if __name__ == "__main__":
    main()
