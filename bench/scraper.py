"""A process that fetches URLs when it is told to: what a Prometheus does to an exporter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

GZIP = {"Accept-Encoding": "gzip"}
FORMATS = {
    "text": GZIP,
    "OpenMetrics": {**GZIP, "Accept": "application/openmetrics-text; version=1.0.0"},
}


class Scraper:
    """Fetches URLs in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._asked = 0

    def ask(self, url: str, headers: dict[str, str]) -> None:
        """Have it fetch a URL, and go on meanwhile."""
        print(json.dumps([url, headers]), file=self._process.stdin, flush=True)
        self._asked += 1

    def answers(self) -> list[float]:
        """Wait for what it was asked for; the seconds that each took."""
        found = [float(self._process.stdout.readline()) for _ in range(self._asked)]  # type: ignore[union-attr]
        self._asked = 0
        return found


@contextmanager
def scraper() -> Iterator[Scraper]:
    """A scraper beside nginx, which ends as soon as its standard input does."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Scraper(process)
    finally:
        process.stdin.close()  # type: ignore[union-attr]
        process.wait()


def main() -> None:
    """Fetch each URL that a line of standard input names, and print the seconds that it took."""
    os.sched_setaffinity(0, sorted(range(os.cpu_count() or 1))[-1:])
    for line in sys.stdin:
        url, headers = json.loads(line)
        started = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
            reply.read()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
