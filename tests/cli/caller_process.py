"""A process that calls Glance, with an exporter, until its standard input ends.

It is given JSON: ``servers``, the id of an ``image``, and the ``operation``. It prints the address
of its exporter. OTEL_SERVICE_NAME is the name of its service.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time

LIMIT = 120.0
"""Seconds after which it ends in any case."""


@contextlib.contextmanager
def calling(servers, image, *kinds):
    """Run processes of these kinds, each a service and an operation; yield their exporters."""
    with contextlib.ExitStack() as stack:
        running = []
        for service, operation in kinds:
            told = {"servers": servers, "image": image, "operation": operation}
            process = subprocess.Popen(
                [sys.executable, __file__, json.dumps(told)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # the log of what fails
                text=True,
                env={**os.environ, "OTEL_SERVICE_NAME": service},
            )
            running.append(stack.enter_context(process))
        yield [process.stdout.readline().strip() for process in running]


def main():
    """Call until standard input ends."""
    import traced_image
    from traced_image import RetryPolicy, TracedImageError, exporter

    told = json.loads(sys.argv[1])
    retry = RetryPolicy(backoff_base=0.01, budget_share=None, cooldown_base=0.5, cooldown_cap=2)
    service = traced_image.connect(
        servers=told["servers"], num_retries=3, read_timeout=0.5, retry=retry
    )
    call = {
        "show": lambda: service.show(None, told["image"]),
        "list": lambda: service.detail(None, limit=1),
        "download": lambda: b"".join(service.download(None, told["image"])),
    }[told["operation"]]
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    end = time.monotonic() + LIMIT
    with exporter.start(port=0) as page:
        sys.stdout.write(f"{page.url}\n")
        sys.stdout.flush()
        while not ended.wait(random.uniform(0.05, 0.1)) and time.monotonic() < end:
            with contextlib.suppress(TracedImageError):
                call()


if __name__ == "__main__":
    main()
