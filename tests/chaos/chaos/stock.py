"""Stock clients in a process of their own, which this package observes there."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parts import cache
from parts.process import Process

from .records import Seen, load_seen

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping

    from .world import World

NUMBERS = {"pipeline": 1, "nova": 2, "glanceclient": 3}
"""The clients, and what the ids of their traces begin with."""

STOCK = tuple(NUMBERS)[1:]
"""The stock ones among them."""

THREADS = 2
TIMEOUT = 3.0
"""Seconds for a connection and for each part of a reply."""

RETRIES = 3

DESCRIPTORS = 12
"""Descriptors that clients keep which are never closed."""

_START = 120.0  # seconds until it calls, of which its imports take most
_BEAT = 0.05


@dataclass(frozen=True)
class Stock:
    """A running program that calls.

    Attributes:
        process: The program.
        input: What ends it when it is closed.
        ready: The file that it makes when it begins to call.
        seen: The file that it writes at its end.
    """

    process: Process
    input: int
    ready: Path
    seen: Path

    def wait(self) -> None:
        """Wait until it calls.

        Raises:
            PartFailedError: It has ended, or is not ready in time.
        """
        end = time.monotonic() + _START
        while not self.ready.exists():
            if not self.process.running or time.monotonic() > end:
                raise self.process.failed("did not begin to call")
            time.sleep(_BEAT)

    def end(self) -> None:
        """Have the program make no more calls."""
        os.close(self.input)

    def collect(self, patience: float) -> Seen:
        """Wait for its end; return what it has seen.

        Raises:
            PartFailedError: It has failed.
        """
        if self.process.ended(patience) or not self.seen.exists():
            raise self.process.failed("failed")
        return load_seen(self.seen.read_text())


@contextmanager
def stock(
    client: str,
    environment: Path,
    folder: Path,
    world: World,
    seeded: Mapping[str, str],
    rng: random.Random,
    patience: float,
    secret: str,
) -> Iterator[Stock]:
    """Run a stock client.

    Args:
        client: `nova` or `glanceclient`.
        environment: The environment that has both.
        folder: Where its settings and its log are written.
        world: The servers.
        seeded: The images that it may read.
        rng: Chooses what it calls.
        patience: Seconds in which its last calls must end.
        secret: What must be in nothing that it says.
    """
    session = world.cloud.session(world.cloud.auth("owner"))
    seen, ready = folder / f"{client}.seen.json", folder / f"{client}.ready"
    settings = {
        "client": client,
        "number": NUMBERS[client],
        "urls": world.urls,
        "names": world.names,
        "authority": str(world.authority),
        "token": session.get_token(),
        "user": session.get_user_id(),
        "project": session.get_project_id(),
        "timeout": TIMEOUT,
        "retries": RETRIES,
        "seeded": dict(seeded),
        "seeds": [rng.getrandbits(64) for _ in range(THREADS)],
        "patience": patience,
        "descriptors": DESCRIPTORS,
        "secrets": [secret],
        "ready": str(ready),
        "seen": str(seen),
    }
    file = folder / f"{client}.settings.json"
    file.touch(0o600)
    file.write_text(json.dumps(settings))
    program = Path(__file__).with_name(f"inside_{client}.py")
    command = [*cache.python(environment), str(program), str(file)]
    process = Process(client, command, folder / f"{client}.log")
    hold, end = os.pipe()
    try:
        process.start(hold)
        os.close(hold)
        yield Stock(process, end, ready, seen)
    finally:
        process.close()
