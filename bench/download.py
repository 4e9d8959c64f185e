"""What the download and the upload of a large image take, beside curl and python-glanceclient.

``python bench/download.py [--rounds 5] [--mebibytes 1024]``

Each client has a process of its own, which is told when its turn is. nginx serves a sparse file,
which is removed at the end. The data goes to the null device. What is uploaded is a sparse file
too, which a server takes that keeps nothing.
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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from processes import sink, started
from report import Plot, Report, bars, markdown
from rounds import conditions, small_environment
from serving import IMAGE_PATH, nginx, nginx_version, recorded_image
from targets import Figure, at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processes import Driver

CURL = "curl"
PLAIN, HASHED = "no hash", "sha512"
OURS = {hashing: f"download, {hashing}" for hashing in (PLAIN, HASHED)}
CLIENTS = {hashing: f"python-glanceclient, {hashing}" for hashing in (PLAIN, HASHED)}

UPLOADS = {
    "curl --upload-file": "",
    "create, telemetry off": "upload --observed off",
    "create, wire spans too": "upload --observed wire",
    "requests, Session.put": "requests_upload",
    "python-glanceclient, images.upload": "glanceclient_upload",
}
"""The ways to upload, and what `peer.py` is told."""
CURL_UPLOAD, _, OWN_UPLOAD, PUT, _ = UPLOADS

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
        cpu: Seconds of a core that the last of them took; None for curl.
    """

    seconds: list[float]
    grown: float | None
    cpu: float | None

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
    print(upload_report(uploaded(options.rounds, options.mebibytes), options.mebibytes))
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
        for names, client, *options in (
            (OURS, "download", "--observed", "wire"),
            (CLIENTS, "glanceclient"),
        ):
            for hashing, name in names.items():
                arguments = (client, url, records[hashing]["id"], *options)
                drivers[name] = stack.enter_context(started("peer.py", *arguments))
        for path in bodies:  # the kernel then has both files in its memory
            _curl(f"{url}{path}/file")
        target = f"{url}{next(iter(bodies))}/file"
        runs = {
            CURL: lambda _: [_curl(target)],
            **{name: each.run for name, each in drivers.items()},
        }
        seconds = _interleaved(runs, rounds)
        return {name: _taken(each, drivers.get(name)) for name, each in seconds.items()}


def _taken(seconds: list[float], driver: Driver | None) -> Taken:
    return Taken(seconds, *((driver.grown, driver.cpu) if driver else (None, None)))


def uploaded(rounds: int, mebibytes: int) -> dict[str, Taken]:
    """What the uploads of each client took, by its name."""
    with TemporaryDirectory(prefix="bench-") as folder, sink() as url, ExitStack() as stack:
        path = Path(folder, "data")
        with path.open("wb") as data:
            data.truncate(mebibytes * 2**20)
        drivers: dict[str, Driver] = {}
        for name, told in UPLOADS.items():
            if told:
                client, *options = told.split()
                arguments = ("peer.py", client, url, str(path), *options)
                drivers[name] = stack.enter_context(started(*arguments))
        target = f"{url}/v2/images/x/file"
        upload = ("--upload-file", str(path))
        _curl(target, *upload)  # the kernel then has the file in its memory
        runs: dict[str, Callable[[int], Sequence[float]]] = {
            CURL_UPLOAD: lambda _: [_curl(target, *upload)]
        }
        runs |= {name: each.run for name, each in drivers.items()}
        seconds = _interleaved(runs, rounds)
        return {name: _taken(each, drivers.get(name)) for name, each in seconds.items()}


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


def _curl(url: str, *options: str) -> float:
    """How long curl takes by its own clock, which leaves out the start of its process."""
    program = shutil.which("curl")
    if program is None:
        raise SystemExit("curl is not on this machine: as root, apt-get install curl")
    command = [program, "--silent", "--fail", "--output", os.devnull, *options]
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
    heading = (
        "Client | least s | median s | by curl | by glanceclient, sha512 | s of a core | memory MiB"
    )
    rows = [_row(name, each, curl, client) for name, each in taken.items()]
    return Report(
        f"How long does the download of {_size(mebibytes)} take?",
        f"`download.py`, {len(curl.seconds)} rounds.",
        markdown(heading, "lrrrrrr", rows),
        figures,
        [_plot("download", f"Download of {_size(mebibytes)}", taken)],
        "The memory is by how much the process's peak grows after its first `show`.",
    )


def upload_report(taken: Mapping[str, Taken], mebibytes: int) -> Report:
    """The results of uploads as a table, and those that have a target."""
    curl, put = taken[CURL_UPLOAD], taken[PUT]
    own = taken[OWN_UPLOAD]
    figures = [
        at_most(OWN_UPLOAD, own.median / put.median, RATIO, "requests"),
        Figure("create, growth of memory", own.grown or 0.0, MOST_MEMORY, "MiB"),
    ]
    heading = "Client | least s | median s | by curl | by requests | s of a core | memory MiB"
    rows = [_row(name, each, curl, put) for name, each in taken.items()]
    return Report(
        f"How long does the upload of {_size(mebibytes)} take?",
        f"`download.py`, {len(curl.seconds)} rounds.",
        markdown(heading, "lrrrrrr", rows),
        figures,
        [_plot("upload", f"Upload of {_size(mebibytes)}", taken)],
        "`create` sends the record before the data, and asks for the record after it.",
    )


def _size(mebibytes: int) -> str:
    return f"{mebibytes / 1024:g} GiB"


def _plot(name: str, title: str, taken: Mapping[str, Taken]) -> Plot:
    found = {client: each.median for client, each in taken.items()}
    return bars(name, title, "median duration in seconds", found)


def _row(name: str, taken: Taken, curl: Taken, other: Taken) -> list[str]:
    grown = "" if taken.grown is None else f"+{taken.grown:.1f}"
    cpu = "" if taken.cpu is None else f"{taken.cpu:.2f}"
    times = [f"{min(taken.seconds):.2f}", f"{taken.median:.2f}"]
    ratios = [f"{taken.median / each.median:.2f}" for each in (curl, other)]
    return [name, *times, *ratios, cpu, grown]


if __name__ == "__main__":
    main()
