"""A program: a service that calls Glance at a constant rate, exports, and tells how it is.

It ends as soon as its standard input does, or nobody reads what it tells.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import logging
import os
import random
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .measures import CALLS, LEAK, read_process
from .slope import WARM_UP

HASTE = 3600 / WARM_UP
"""How many times as fast the clock of this program is. The hour of the exporter's page has filled
when the time begins that is judged."""

if __name__ == "__main__":
    _began, _time = time.time(), time.time
    # Before the package takes it for its clocks.
    time.time = lambda: _began + HASTE * (_time() - _began)

from prometheus_client import Counter  # noqa: E402

from traced_image import RetryPolicy, TracedImageError, connect, exporter, telemetry  # noqa: E402

if TYPE_CHECKING:
    from traced_image import GlanceImageService

THREADS = 4

RETRY = RetryPolicy(
    backoff_base=0.02, backoff_cap=0.1, cooldown_base=0.1, cooldown_cap=0.3, budget_share=None
)
"""Servers cool down for a short time, so that this happens often."""

_NEW = {"name": "new", "disk_format": "raw", "container_format": "bare", "properties": {}}


@dataclass(slots=True)
class Leak:
    """What stays of each call: nothing, memory, or things that are counted.

    Attributes:
        kind: ``memory``, ``counted``, or empty.
        every: Calls after which something that is counted stays.
    """

    kind: str = ""
    every: int = CALLS
    _kept: list[object] = field(default_factory=list)
    _series: Counter | None = None
    _ends: threading.Event = field(default_factory=threading.Event)

    def plant(self, number: int) -> None:
        """Keep 1 KiB, or now and then a descriptor, a thread and a series.

        Args:
            number: The number of the call.
        """
        if self.kind == "memory":
            self._kept.append([None] * (LEAK // 8))
        elif self.kind == "counted" and number % self.every == 0:
            self._kept.append(os.open(os.devnull, os.O_RDONLY))
            threading.Thread(target=self._ends.wait, daemon=True).start()
            if self._series is None:
                self._series = Counter("planted", "Series that nobody needs.", ["number"])
            self._series.labels(number).inc()

    def end(self) -> None:
        """Let the threads end."""
        self._ends.set()


@dataclass(slots=True)
class Traffic:
    """Calls by several threads at a constant rate.

    Attributes:
        service: Makes them.
        images: The ids of images that are there.
        rate: Calls a second of all threads together.
        leak: What stays of each call.
        calls: How many were made.
        failed: How many of them failed, after all attempts.
        unexpected: How many of these failed with an error that this package does not document.
    """

    service: GlanceImageService
    images: list[str]
    rate: float
    leak: Leak = field(default_factory=Leak)
    calls: int = 0
    failed: int = 0
    unexpected: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, number: int, seed: int, ends: threading.Event, warm_up: float = 0.0) -> None:
        """Call until the end; a call that is late is made at once.

        Args:
            number: The number of the thread.
            seed: What its calls come from.
            ends: Set at the end.
            warm_up: Seconds in which there is no pause between calls.
        """
        rng = random.Random(f"{seed}:{number}")
        pause = THREADS / self.rate
        due = time.monotonic()
        warm = due + warm_up
        while not ends.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            due = max(due + pause, now - 1) if now >= warm else now
            self.call_once(rng)

    def call_once(self, rng: random.Random) -> None:
        """Make one call, or a few that belong together."""
        error: Exception | None = None
        try:
            self._call(rng)
        except Exception as raised:  # noqa: BLE001 - the run fails, but goes on
            error = raised
        unexpected = error is not None and not isinstance(error, TracedImageError)
        if unexpected:
            traceback.print_exception(error)
        with self._lock:
            self.calls += 1
            self.failed += error is not None
            self.unexpected += unexpected
            self.leak.plant(self.calls)

    def _call(self, rng: random.Random) -> None:
        image_id = rng.choice(self.images)
        kind = rng.random()
        if kind < 0.3:
            self.service.show(None, image_id)
        elif kind < 0.5:
            self.service.detail(None, limit=10)
        elif kind < 0.7:
            self.service.download(None, image_id, io.BytesIO())
        else:
            made = self.service.create(None, dict(_NEW), os.urandom(1000))
            self.service.delete(None, made["id"])


def describe(traffic: Traffic) -> dict[str, float]:
    """Return the figures of this process, after it has given back what is free."""
    garbage = gc.collect()
    _trim()
    found = read_process(os.getpid())
    # gc.get_objects would break a tuple that another thread is making: bugs.python.org/issue15108
    found |= {"garbage": garbage, "blocks": sys.getallocatedblocks()}
    counts = {"calls": traffic.calls, "failed": traffic.failed, "unexpected": traffic.unexpected}
    return {**found, **counts}


def _trim() -> None:
    """Let the C library give back the memory that is free, so that what stays is seen sooner."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def main() -> None:
    """Call, and answer until the input ends or nobody reads the answers."""
    asked = json.loads(sys.argv[1])
    logging.disable(logging.CRITICAL)  # each failure is a line, of which nobody reads thousands
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = asked["otlp"]
    os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    os.environ["OTEL_METRIC_EXPORT_INTERVAL"] = "5000"
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "1000"
    providers = telemetry.setup()
    ends = threading.Event()
    with (
        connect(
            servers=asked["servers"], retry=RETRY, request_timeout=2.0, deadline=5.0
        ) as service,
        exporter.start(port=0) as handle,
    ):
        traffic = Traffic(
            service, asked["images"], asked["rate"], Leak(asked["leak"], asked["every"])
        )
        threads = [
            threading.Thread(
                target=traffic.run, args=(number, asked["seed"], ends, asked["warm_up"])
            )
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        # What the modules are made of would be looked through at each collection.
        gc.freeze()
        # A run that is killed reads no answer.
        with suppress(BrokenPipeError):
            answer(handle.url, traffic)
        ends.set()
        traffic.leak.end()
        for thread in threads:
            thread.join()
    providers.shutdown()


def answer(url: str, traffic: Traffic) -> None:
    """Tell the exporter's address in a line, and the figures in a line for each line.

    Raises:
        BrokenPipeError: Nobody reads them.
    """
    print(json.dumps({"exporter": url}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(describe(traffic)), flush=True)


if __name__ == "__main__":
    main()
