"""What the download of a large image takes, beside curl and python-glanceclient.

``python bench/download.py [--rounds 5] [--mebibytes 1024]``

Each client has a process of its own, which is told when its turn is. nginx serves a sparse file,
which is removed at the end. The data goes to the null device.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from processes import started
from rounds import conditions, small_environment
from serving import IMAGE_PATH, nginx, nginx_version, recorded_image
from targets import Figure, Report, at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processes import Driver

CURL = "curl"
PLAIN, HASHED = "no hash", "sha512"
OURS = {hashing: f"download, {hashing}" for hashing in (PLAIN, HASHED)}
CLIENTS = {hashing: f"python-glanceclient, {hashing}" for hashing in (PLAIN, HASHED)}

RATIO = 1.05
"""The most that a download may take: beside curl without hashing, beside glanceclient with it."""

MOST_MEMORY = 8.0
"""MiB by which a process may grow while it downloads, whatever the image's size."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What the downloads of one client took.

    Attributes:
        seconds: Each of them.
        grown: MiB by which they let the process grow; None for curl.
    """

    seconds: list[float]
    grown: float | None

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mebibytes", type=int, default=1024, help="of the image")
    options = parser.parse_args()
    small_environment()
    told = conditions(nginx_version())
    print(report(measured(options.rounds, options.mebibytes), options.mebibytes))
    print(", ".join(f"{name} {value}" for name, value in told.items()))


def measured(rounds: int, mebibytes: int) -> dict[str, Taken]:
    """What the downloads of each client took, by its name."""
    _, recorded = recorded_image()
    records = _records(json.loads(recorded[next(iter(recorded))]), mebibytes)
    bodies = {IMAGE_PATH + each["id"]: json.dumps(each).encode() for each in records.values()}
    sizes = dict.fromkeys(bodies, mebibytes * 2**20)
    schemas = {path: body for path, body in recorded.items() if IMAGE_PATH not in path}
    with nginx({**bodies, **schemas}, sizes=sizes) as (url,), ExitStack() as stack:
        drivers: dict[str, Driver] = {}
        for names, client in ((OURS, "download"), (CLIENTS, "glanceclient")):
            for hashing, name in names.items():
                arguments = (client, url, records[hashing]["id"])
                drivers[name] = stack.enter_context(started("peer.py", *arguments))
        for path in bodies:  # the kernel then has both files in its memory
            _curl(f"{url}{path}/file")
        target = f"{url}{next(iter(bodies))}/file"
        runs = {
            CURL: lambda _: [_curl(target)],
            **{name: each.run for name, each in drivers.items()},
        }
        seconds = _interleaved(runs, rounds)
        return {
            name: Taken(each, drivers[name].grown if name in drivers else None)
            for name, each in seconds.items()
        }


def _records(record: dict[str, object], mebibytes: int) -> dict[str, dict[str, str]]:
    """The record of an image of zeros, without a hash and with one."""
    found = hashlib.sha512()
    for _ in range(mebibytes):
        found.update(bytes(2**20))
    sized = {**record, "size": mebibytes * 2**20, "checksum": None}
    hashes = {PLAIN: (None, None), HASHED: ("sha512", found.hexdigest())}
    records: dict[str, dict[str, str]] = {}
    for number, (hashing, (algorithm, value)) in enumerate(hashes.items()):
        image_id = f"00000000-0000-4000-8000-00000000000{number}"
        records[hashing] = {
            **sized,
            "id": image_id,
            "os_hash_algo": algorithm,
            "os_hash_value": value,
        }  # type: ignore[dict-item]
    return records


def _curl(url: str) -> float:
    """How long curl takes by its own clock, which leaves out the start of its process."""
    program = shutil.which("curl")
    if program is None:
        raise SystemExit("curl is not on this machine: as root, apt-get install curl")
    command = [program, "--silent", "--fail", "--output", os.devnull]
    done = subprocess.run(
        [*command, "--write-out", "%{time_total}", url], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _interleaved(
    runs: Mapping[str, Callable[[int], Sequence[float]]], rounds: int
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name in random.sample(list(runs), len(runs)):
            seconds[name] += runs[name](1)
    return seconds


def report(taken: Mapping[str, Taken], mebibytes: int) -> Report:
    """The results as a table, and those that have a target."""
    curl, client = taken[CURL], taken[CLIENTS[HASHED]]
    plain, hashed = (taken[OURS[hashing]] for hashing in (PLAIN, HASHED))
    grown = max(plain.grown or 0.0, hashed.grown or 0.0)
    figures = [
        at_most(OURS[PLAIN], plain.median / curl.median, RATIO, "curl"),
        at_most(OURS[HASHED], hashed.median / client.median, RATIO, "python-glanceclient"),
        Figure("download, growth of memory", grown, MOST_MEMORY, "MiB"),
    ]
    head = [
        "| Client | least s | median s | by curl | by glanceclient, sha512 | memory MiB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rows = [_row(name, each, curl, client) for name, each in taken.items()]
    title = f"`download.py`, {mebibytes} MiB, {len(curl.seconds)} rounds:"
    return Report(title, "\n".join([*head, *rows]), figures)


def _row(name: str, taken: Taken, curl: Taken, client: Taken) -> str:
    grown = "" if taken.grown is None else f"+{taken.grown:.1f}"
    return (
        f"| {name} | {min(taken.seconds):.2f} | {taken.median:.2f}"
        f" | {taken.median / curl.median:.2f} | {taken.median / client.median:.2f} | {grown} |"
    )


if __name__ == "__main__":
    main()
