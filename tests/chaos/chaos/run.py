"""One run: real servers, calls, faults, and what the checks say of it."""

from __future__ import annotations

import gc
import logging
import random
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keystone_scene import impatient

import traced_image
from traced_image import GlanceImageService, RetryPolicy

from .callers import Caller, Journal, Traffic
from .checks import find_all
from .observing import Observer
from .records import Evidence, Limits, Resources
from .workers import Forker
from .world import World, world

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .schedule import Event, Schedule

THREADS = 6
CONNECT, READ, REQUEST, UPLOAD, DEADLINE = 2.0, 3.0, 4.0, 6.0, 30.0
"""The limits of the service in seconds; each is shorter than the longest fault, or nearly so."""

RETRIES = 3
FERNET = "gAAAA"
"""How each token of Keystone begins; it is the secret that must be nowhere."""

_BEAT = 0.1
PATIENCE = 90.0
"""Seconds after the end of the faults in which the last calls must end."""

LIMITS = Limits(attempt=REQUEST + 2.0, attempts=1 + RETRIES, grace=1.0, memory=64 * 1024**2)
"""The slack of two seconds is for a machine that does much else."""


@dataclass(frozen=True)
class Result:
    """A run that is over.

    Attributes:
        schedule: What was broken.
        found: What each check found, by its name.
        figures: How much happened, by its name.
    """

    schedule: Schedule
    found: Mapping[str, list[str]]
    figures: Mapping[str, int]

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that found something."""
        return tuple(name for name, found in self.found.items() if found)


def run(schedule: Schedule, say: Callable[[str], None]) -> Result:
    """Start the servers, call them while the schedule breaks them, and check what became of it."""
    folder = Path(tempfile.mkdtemp(prefix="traced-image-chaos-"))
    say(f"logs and data are in {folder}")
    with world(folder / "glances", schedule.seed, say, schedule.servers) as servers:
        rng = random.Random(f"{schedule.seed} callers")
        journal = Journal(servers.seed(rng))
        evidence = _play(schedule, servers, journal, rng)
    return Result(schedule, find_all(evidence), _count(evidence, servers.happened))


def _play(schedule: Schedule, servers: World, journal: Journal, rng: random.Random) -> Evidence:
    observer = Observer(FERNET)
    logger = logging.getLogger("traced_image")
    logger.addHandler(observer.log)
    logger.propagate = False
    before = observer.measure()
    service = _connect(servers, observer)
    # Each thread has chances of its own, so that what it calls depends on no other thread.
    seeds = [rng.getrandbits(64) for _ in range(THREADS)]
    make_caller = partial(Caller, service, None)
    traffic = Traffic([make_caller(journal, random.Random(each)) for each in seeds])
    own = OwnFaults(
        Forker(make_caller, journal, observer, servers.release), random.Random(f"{seeds} own")
    )
    traffic.start()
    try:
        servers.play(schedule, own.suffer)
    finally:
        traffic.stop(PATIENCE)
        service.close()
    after = _settle(observer, before)
    logger.removeHandler(observer.log)
    observer.search_metrics()
    return Evidence(
        limits=LIMITS,
        made=tuple(journal.made.values()),
        spans=tuple(observer.spans),
        served=tuple(servers.read_served()),
        outages=tuple(servers.outages),
        stored=tuple(servers.read_stored()),
        counted=observer.count_calls(),
        attempts=observer.count_attempts(),
        before=before,
        after=after,
        leaks=tuple(sorted(observer.leaks)),
    )


@dataclass(frozen=True)
class OwnFaults:
    """What happens to this process.

    Attributes:
        forker: Forks, and makes callers.
        rng: Chooses what is called.
    """

    forker: Forker
    rng: random.Random

    def suffer(self, event: Event) -> None:
        """Have it happen, until it is over."""
        seed = self.rng.getrandbits(64)
        if event.fault == "fork":
            self.forker.call_once(seed)
        elif event.fault == "worker_dies":
            self.forker.call_and_die(seed, event.seconds)
        else:
            self._burst(int(event.amount))

    def _burst(self, count: int) -> None:
        callers = [
            self.forker.make_caller(self.forker.journal, random.Random(self.rng.getrandbits(64)))
            for _ in range(count)
        ]
        threads = [
            threading.Thread(target=each.call, args=("show",), name="burst", daemon=True)
            for each in callers
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))


def _connect(servers: World, observer: Observer) -> GlanceImageService:
    return traced_image.connect(
        servers=servers.urls,
        auth=impatient(servers.cloud),
        num_retries=RETRIES,
        connect_timeout=CONNECT,
        read_timeout=READ,
        request_timeout=REQUEST,
        upload_timeout=UPLOAD,
        deadline=DEADLINE,
        cafile=str(servers.authority),
        # A policy of its own, so that the servers' health is its own, too.
        retry=RetryPolicy(cooldown_cap=3.0),
        telemetry=observer.telemetry,
    )


def _settle(observer: Observer, before: Resources) -> Resources:
    """Measure after the proxies, which are in this process, have seen that the service is gone."""
    for _ in range(50):
        gc.collect()
        after = observer.measure()
        if after.descriptors <= before.descriptors and after.threads == before.threads:
            break
        time.sleep(_BEAT)
    return after


def _count(evidence: Evidence, happened: Sequence[Event]) -> dict[str, int]:
    calls = Counter(made.operation for made in evidence.made)
    faults = Counter(event.fault for event in happened)
    failed = Counter(made.error for made in evidence.made if made.error)
    return {
        "calls": len(evidence.made),
        **{f"calls of {name}": count for name, count in sorted(calls.items())},
        **{f"calls that raised {name}": count for name, count in sorted(failed.items())},
        "attempts": len(evidence.of_kind("attempt")),
        "attempts that failed": sum(s.outcome == "failed" for s in evidence.of_kind("attempt")),
        "requests": len(evidence.of_kind("request")),
        "requests in access logs": len(evidence.served),
        "faults": len(happened),
        **{f"faults of {name}": count for name, count in sorted(faults.items())},
        "images stored": len(evidence.stored),
        "bytes grown": evidence.after.memory - evidence.before.memory,
    }
