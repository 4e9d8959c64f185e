"""A program: lab servers that flap, and an OTLP receiver that counts what it gets.

It ends as soon as its standard input does.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from traced_image import lab
from traced_image.lab import faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COUNT = 3
KEPT = 20
"""Images that are always there."""

DATA = bytes(range(256)) * 256
"""The data of each: 64 KiB."""

_FAULTS = (
    None,
    faults.refuse(),
    faults.reset(),
    faults.status(503),
    faults.lost_reply(),
    faults.garbage_headers(),
    faults.delay(0.02),
)
"""Few, so that each server soon has met each of them in each operation: then no series is new."""


def flap(
    servers: Sequence[lab.GlanceServer],
    kept: set[str],
    seed: int,
    ends: threading.Event,
    warm_up: float,
) -> None:
    """Break and heal all servers but one at a time, and forget what would fill the memory."""
    rng = random.Random(seed)
    warm = time.monotonic() + warm_up
    # At first often, so that clients soon have met each fault of each server.
    while not ends.wait(rng.uniform(0.3, 1.5) * (1 if time.monotonic() >= warm else 0.1)):
        for server in rng.sample(list(servers), len(servers) - 1):
            fault = rng.choice(_FAULTS)
            server.heal() if fault is None else server.break_with(fault)
        for server in servers:
            server.clear_log()
        images = servers[0].images
        for image in images.all()[KEPT:]:
            if image.id not in kept:
                images.remove(image.id)


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.counts[self.path] = self.server.counts.get(self.path, 0) + 1  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log no requests."""


@contextmanager
def receive() -> Iterator[ThreadingHTTPServer]:
    """Serve the receiver; its attribute ``counts`` has the requests of each path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    server.daemon_threads = True
    server.counts = {}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    """Serve; tell the addresses in a line, and the receiver's counts in a line for each line."""
    asked = json.loads(sys.argv[1])
    ends = threading.Event()
    with lab.cluster(COUNT) as servers, receive() as receiver:
        images = servers[0].images
        kept = [images.add(name=f"image-{n}", data=DATA) for n in range(KEPT)]
        told = {"servers": [each.url for each in servers], "images": kept}
        told["otlp"] = f"http://127.0.0.1:{receiver.server_port}"  # type: ignore[assignment]
        print(json.dumps(told), flush=True)
        flapping = threading.Thread(
            target=flap,
            args=(servers, set(kept), asked["seed"], ends, asked["warm_up"]),
            daemon=True,
        )
        flapping.start()
        for _ in sys.stdin:
            print(json.dumps(receiver.counts), flush=True)  # type: ignore[attr-defined]
        ends.set()
        flapping.join()


if __name__ == "__main__":
    main()
