"""A program: a service whose clock is set forward tells how it is each hour of that clock.

What is kept by time, such as the hour of the exporter's page, fills and is forgotten by it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import sys
import time
import urllib.request

_NOW = [time.time()]
# Before the package takes it for its clocks.
time.time = lambda: _NOW[0]

from traced_image import TracedImageError, connect, exporter  # noqa: E402

from .caller import RETRY, Traffic, describe  # noqa: E402


def main() -> None:
    """Make so many calls each minute, and write the figures in a line for each hour."""
    asked = json.loads(sys.argv[1])
    logging.disable(logging.CRITICAL)
    rng = random.Random(1)
    with (
        connect(servers=asked["servers"], retry=RETRY, request_timeout=2.0) as service,
        exporter.start(port=0) as handle,
    ):
        traffic = Traffic(service, asked["images"], rate=0)
        for minute in range(60 * asked["hours"]):
            _NOW[0] += 60
            for _ in range(asked["calls"]):
                with contextlib.suppress(TracedImageError):
                    traffic.call_once(rng)
            for page in ("/", "/metrics"):
                urllib.request.urlopen(handle.url + page).read()
            if minute % 60 == 59:
                print(json.dumps(describe(traffic)), flush=True)


if __name__ == "__main__":
    main()
