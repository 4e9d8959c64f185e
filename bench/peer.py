"""One client in a process of its own: ``python bench/peer.py nova|show|… URL IMAGE_ID``.

``--observed`` says how it is observed, and ``--cycle`` gives nova this package's cycle of servers;
the URL may then be several, with commas between them. Uploads have a file's path for the image.

For each line of standard input, which has a number, it makes so many calls and prints how long
each took, as JSON. A second number is the calls a second. It runs in other environments too.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

# An isolated Python does not have its program's folder, and other environments lack the package.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from peer_clients import CLIENTS
from peer_telemetry import HOW, OWN, STOCK, give_cycle, observe

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[], object]


def most_memory() -> float:
    """The most memory that this process has had, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def timed(call: Call) -> tuple[float, float]:
    """How many seconds one call takes, and how many of a core in this thread."""
    core, started = time.thread_time(), time.perf_counter()
    call()
    return time.perf_counter() - started, time.thread_time() - core


def paced(call: Call, calls: int, rate: float) -> list[tuple[float, float]]:
    """What each call takes, of so many a second; without a rate, one follows the other."""
    if not rate:
        return [timed(call) for _ in range(calls)]
    begun, taken = time.perf_counter(), []
    for number in range(calls):
        time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        taken.append(timed(call))
    time.sleep(max(0.0, begun + calls / rate - time.perf_counter()))
    return taken


def make(options: argparse.Namespace) -> Call:
    """Make the client, and observe it if asked to."""
    if options.client in OWN:
        return OWN[options.client](options.url, options.image_id, options.observed or "off")
    if options.observed:
        observe(options.observed)
    if options.cycle:
        give_cycle()
    return CLIENTS[options.client](options.url, options.image_id)


def main() -> None:
    """Make calls until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("client", choices=[*CLIENTS, *OWN])
    parser.add_argument("url")
    parser.add_argument("image_id")
    parser.add_argument("--observed", choices=sorted({*HOW, *STOCK}))
    parser.add_argument("--cycle", action="store_true")
    parser.add_argument("--no-gc", action="store_true", help="so that instructions can be counted")
    options = parser.parse_args()
    call = make(options)
    if options.no_gc:
        gc.disable()
    before = most_memory()
    for line in sys.stdin:
        calls, _, rate = line.partition(" ")
        begun, wall = time.process_time(), time.perf_counter()
        seconds, cores = zip(*paced(call, int(calls), float(rate or 0)), strict=True)
        found = {
            "seconds": seconds,
            "cores": cores,
            "cpu": time.process_time() - begun,
            "wall": time.perf_counter() - wall,
            "grown": most_memory() - before,
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
