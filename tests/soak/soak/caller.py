"""A program: a service that calls Glance at a constant rate, exports, and tells how it is.

It ends as soon as its standard input does.
"""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from traced_image import RetryPolicy, TracedImageError, connect, exporter, telemetry

from .measures import LEAK, read_process

if TYPE_CHECKING:
    from traced_image import GlanceImageService

THREADS = 4

RETRY = RetryPolicy(
    backoff_base=0.02, backoff_cap=0.1, cooldown_base=0.1, cooldown_cap=0.3, budget_share=None
)
"""Servers cool down for a short time, so that this happens often."""

_NEW = {"name": "new", "disk_format": "raw", "container_format": "bare", "properties": {}}


@dataclass(slots=True)
class Traffic:
    """Calls by several threads at a constant rate.

    Attributes:
        service: Makes them.
        images: The ids of images that are there.
        rate: Calls a second of all threads together.
        leaks: Whether each call leaves 1 KiB behind.
        calls: How many were made.
        failed: How many of them failed, after all attempts.
    """

    service: GlanceImageService
    images: list[str]
    rate: float
    leaks: bool = False
    calls: int = 0
    failed: int = 0
    _kept: list[list[None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, number: int, seed: int, ends: threading.Event) -> None:
        """Call until the end; a call that is late is made at once."""
        rng = random.Random(f"{seed}:{number}")
        pause = THREADS / self.rate
        due = time.monotonic() + pause * number / THREADS
        while not ends.wait(max(0.0, due - time.monotonic())):
            due = max(due + pause, time.monotonic() - 1)
            self.call_once(rng)

    def call_once(self, rng: random.Random) -> None:
        """Make one call, or a few that belong together."""
        failed = False
        try:
            self._call(rng)
        except TracedImageError:
            failed = True
        with self._lock:
            self.calls += 1
            self.failed += failed
            if self.leaks:
                self._kept.append([None] * (LEAK // 8))

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
    """Return the figures of this process."""
    garbage = gc.collect()
    found = read_process(os.getpid())
    found |= {"garbage": garbage, "objects": len(gc.get_objects())}
    return {**found, "calls": traffic.calls, "failed": traffic.failed}


def main() -> None:
    """Call; tell the exporter's address in a line, and the figures in a line for each line."""
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
        traffic = Traffic(service, asked["images"], asked["rate"], asked["leaks"])
        threads = [
            threading.Thread(target=traffic.run, args=(number, asked["seed"], ends))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        # What the modules are made of would be looked through at each collection.
        gc.freeze()
        print(json.dumps({"exporter": handle.url}), flush=True)
        for _ in sys.stdin:
            print(json.dumps(describe(traffic)), flush=True)
        ends.set()
        for thread in threads:
            thread.join()
    providers.shutdown()


if __name__ == "__main__":
    main()
