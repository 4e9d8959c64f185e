"""A process that calls Glance until it is ended, with an exporter; see `diagnose_scene`.

It is given JSON: ``servers``, ids of ``images``, the ``operation``, the ``port`` of its exporter,
the port of its ``keystone`` or none, the ``cafile`` of its servers or none, and two files: it calls
if ``begin`` exists, and while ``cut`` exists it reaches no server of ``unreachable``, alone.
"""

import contextlib
import errno
import gc
import json
import os
import random
import socket
import sys
import time
from pathlib import Path

import traced_image
from traced_image import RetryPolicy, TracedImageError, exporter, telemetry


class TokensOf:
    """A source of tokens that fails while nothing listens on a port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get_token(self) -> str:
        """Return a token."""
        socket.create_connection(("127.0.0.1", self._port), 1).close()
        return "token"

    def invalidate(self) -> bool:
        """Do nothing: there is no other token."""
        return False


def close_connections(ports: list[int]) -> None:
    """Break the connections to these ports, as a network does that is gone."""
    for each in gc.get_objects():
        if isinstance(each, socket.socket):
            with contextlib.suppress(OSError):
                if each.getpeername()[1] in ports:
                    each.shutdown(socket.SHUT_RDWR)


def cut_off(cut: Path, ports: list[int]) -> None:
    """Have no connection to these ports while a file exists."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.connect" and cut.exists():
            address = arguments[1]
            if isinstance(address, tuple) and address[1] in ports:
                raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    sys.addaudithook(hook)


def main() -> None:
    """Call until the process is ended, or for some minutes at most."""
    told = json.loads(sys.argv[1])
    providers = telemetry.setup()
    cut_off(Path(told["cut"]), told["unreachable"])
    keystone = told["keystone"]
    service = traced_image.connect(
        servers=told["servers"],
        auth=TokensOf(keystone) if keystone else None,
        cafile=told["cafile"],
        num_retries=3,
        read_timeout=1.0,
        retry=RetryPolicy(backoff_base=0.01, budget_share=None, cooldown_base=0.5, cooldown_cap=2),
    )
    calls = {
        "show": lambda image: service.show(None, image),
        "list": lambda _: service.detail(None, limit=1),
        "download": lambda image: b"".join(service.download(None, image)),
    }
    end = time.monotonic() + 420
    with exporter.start(port=told["port"]):
        while not Path(told["begin"]).exists() and time.monotonic() < end:
            time.sleep(0.05)
        while time.monotonic() < end:
            image = random.choice(told["images"])
            if told["unreachable"] and Path(told["cut"]).exists():
                close_connections(told["unreachable"])
            with contextlib.suppress(TracedImageError):
                calls[told["operation"]](image)
            time.sleep(random.uniform(0.2, 0.4))
    providers.shutdown()


if __name__ == "__main__":
    main()
