"""What the embedded Glance costs: a show, a start, 1,000 connections, and 1,000 cycles.

``python bench/lab.py [--rounds 5000] [--connections 1000] [--cycles 1000]``
"""

from __future__ import annotations

import argparse
import gc
import resource
import socket
import statistics
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from traced_image import lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHOW_TARGET = 0.2
START_TARGET = 2.0
"""Milliseconds, by the median."""

WARM_UP = 100
MEMORY_TARGET = 2048
"""KiB by which the memory of the process may grow in all cycles together."""

_TIMEOUT = 30.0


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5000, help="shows, on one connection")
    parser.add_argument("--connections", type=int, default=1000, help="open at once")
    parser.add_argument("--cycles", type=int, default=1000, help="of start, show and stop")
    options = parser.parse_args()
    print("| What | Figure | Target |")
    print("|---|--:|---|")
    for name, figure, target, met in rows(options.rounds, options.connections, options.cycles):
        print(f"| {name} | {figure} | {target}: {'met' if met else 'missed'} |")


def rows(rounds: int, connections: int, cycles: int) -> Iterator[tuple[str, str, str, bool]]:
    """Each figure: its name, its text, its target, and whether the target is met."""
    show = time_shows(rounds)
    yield "show, median", f"{show:.3f} ms", f"< {SHOW_TARGET} ms", show < SHOW_TARGET
    start = time_starts(max(WARM_UP, rounds // 10))
    yield "start and stop, median", f"{start:.2f} ms", f"< {START_TARGET} ms", start < START_TARGET
    served, seconds = serve_connections(connections)
    text = f"{served:,} in {seconds:.2f} s"
    yield f"{connections:,} connections at once", text, "all are served", served == connections
    threads, files, memory = run_cycles(cycles)
    text = f"{threads} threads, {files} files, {memory:,} KiB"
    target = f"0 threads, 0 files, < {MEMORY_TARGET:,} KiB"
    kept = threads == files == 0 and memory < MEMORY_TARGET
    yield f"left after {cycles:,} cycles", text, target, kept


def time_shows(rounds: int) -> float:
    """Return the median of a show in milliseconds, without a client library."""
    with lab.GlanceServer() as server:
        image_id = server.images.add(name="cirros", data=b"...")
        with _connect(server) as sock:
            return _time(lambda: _ask(sock, f"/v2/images/{image_id}"), rounds)


def time_starts(rounds: int) -> float:
    """Return the median of a start and a stop in milliseconds."""

    def cycle() -> None:
        with lab.GlanceServer():
            pass

    return _time(cycle, rounds)


def serve_connections(count: int) -> tuple[int, float]:
    """Return how many of so many open connections are served, and the seconds for all."""
    _allow_files(2 * count + 100)
    began = time.monotonic()
    with lab.GlanceServer() as server, ExitStack() as stack:
        socks = [stack.enter_context(_connect(server)) for _ in range(count)]
        served = sum(_ask(sock, "/healthcheck").startswith(b"HTTP/1.1 200") for sock in socks)
    return served, time.monotonic() - began


def run_cycles(count: int) -> tuple[int, int, int]:
    """Return the threads, open files and KiB of memory that so many cycles leave behind."""
    for _ in range(WARM_UP):
        _cycle()
    before = _measure()
    for _ in range(count):
        _cycle()
    threads, files, memory = (now - then for now, then in zip(_measure(), before, strict=True))
    return threads, files, memory


def _cycle() -> None:
    with lab.GlanceServer() as server:
        image_id = server.images.add(name="cirros", data=b"...")
        with _connect(server) as sock:
            _ask(sock, f"/v2/images/{image_id}")
        server.break_with(lab.faults.reset())
        server.break_with(lab.faults.refuse())


def _measure() -> tuple[int, int, int]:
    gc.collect()
    status = Path("/proc/self/status").read_text("utf-8")
    memory = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), int(memory)


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def _connect(server: lab.GlanceServer) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=_TIMEOUT)


def _ask(sock: socket.socket, path: str) -> bytes:
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: glance\r\nAccept: */*\r\n\r\n".encode())
    return sock.recv(1 << 16)


def _time(work: Callable[[], object], rounds: int) -> float:
    milliseconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        milliseconds.append((time.perf_counter() - began) * 1000)
    return statistics.median(milliseconds)


if __name__ == "__main__":
    main()
