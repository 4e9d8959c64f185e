"""One run: real servers, calls, faults, and what the checks say of it."""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keystone_scene import forgetful

import traced_image
from traced_image import GlanceImageService, RetryPolicy

from .blame import explain, find_slow
from .callers import Caller, Journal, Traffic
from .checks import find_all, find_truncated
from .limits import (
    CONNECT,
    DEADLINE,
    FERNET,
    LIMITS,
    PATIENCE,
    READ,
    REQUEST,
    RETRIES,
    SHARE,
    THREADS,
    UPLOAD,
    allow_for_records,
)
from .observing import Observer, settle
from .own_faults import OwnFaults
from .records import Evidence, Limits, Seen, Served, Stored, dump_seen
from .stock import NUMBERS, Stock, stock
from .workers import Forker
from .world import World, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .machine import Machine
    from .schedule import Schedule


@dataclass(frozen=True)
class Result:
    """A run that is over.

    Attributes:
        schedule: What was broken.
        found: What each check found, by its name, by the client.
        figures: How much happened, by its name, by the client.
        faults: How often each fault happened.
        overhead: Seconds that it took beside those of the schedule.
    """

    schedule: Schedule
    found: Mapping[str, Mapping[str, list[str]]]
    figures: Mapping[str, Mapping[str, int]]
    faults: Mapping[str, int]
    overhead: float = 0.0

    @property
    def failed(self) -> tuple[tuple[str, str], ...]:
        """The clients and the names of the checks that found something."""
        return tuple(
            (client, name)
            for client, checks in self.found.items()
            for name, found in checks.items()
            if found
        )


def run(schedule: Schedule, machine: Machine, say: Callable[[str], None]) -> Result:
    """Start the servers, call them while the schedule breaks them, and check what became of it.

    Args:
        schedule: What is broken; what the machine can't break is left out.
        machine: What the servers and the stock clients are run with.
        say: Is told where data is, and when the servers and the clients have started.
    """
    began = time.monotonic()
    schedule = schedule.without(machine.find_impossible())
    folder = Path(tempfile.mkdtemp(prefix="traced-image-chaos-"))
    say(f"logs and data are in {folder}")
    is_done = False
    try:
        result = _run(schedule, machine, folder, say)
        is_done = not result.failed
    except KeyboardInterrupt:
        is_done = True
        raise
    finally:
        # What is needed to find out why it failed is kept.
        if is_done:
            shutil.rmtree(folder)
    return replace(result, overhead=time.monotonic() - began - schedule.seconds)


def _run(schedule: Schedule, machine: Machine, folder: Path, say: Callable[[str], None]) -> Result:
    began = time.monotonic()
    (folder / "schedule.json").write_text(schedule.to_json())
    with world(machine, folder / "glances", schedule.seed, schedule.servers) as servers:
        rng = random.Random(f"{schedule.seed} callers")
        seeded = servers.seed(rng)
        with ExitStack() as stack:
            begun = {
                client: stack.enter_context(
                    stock(client, place, folder, servers, seeded, rng, PATIENCE, FERNET)
                )
                for client, place in machine.clients.items()
            }
            for each in begun.values():
                each.wait()
            say(
                f"started in {time.monotonic() - began:.0f} s:"
                f" {len(schedule.events)} faults in {schedule.seconds:g} s are due"
            )
            evidence = _collect(schedule, folder, servers, Journal(seeded), rng, begun)
            ended = time.monotonic() - began
            say(f"calls ended after {ended:.0f} s")
    return Result(
        schedule,
        {client: find_all(each) for client, each in evidence.items()},
        {client: _count(each) for client, each in evidence.items()},
        dict(sorted(Counter(event.fault for event in servers.happened).items())),
    )


def _collect(
    schedule: Schedule,
    folder: Path,
    servers: World,
    journal: Journal,
    rng: random.Random,
    begun: Mapping[str, Stock],
) -> dict[str, Evidence]:
    seen: dict[str, Seen] = {}

    def collect_others() -> None:
        for each in begun.values():
            each.end()
        seen.update((client, each.collect(2 * PATIENCE)) for client, each in begun.items())

    own = play(schedule, servers, journal, rng, collect_others)
    seen = {"pipeline": own, **seen}
    # As the stock clients write theirs, for whoever looks into a failure.
    (folder / "pipeline.seen.json").write_text(dump_seen(own))
    served = tuple(servers.read_served())
    stored = sort_stored(servers.read_stored(), served)
    answered = (*served, *servers.read_asked())
    slow = tuple(find_slow(answered, servers.outages, Limits.slow))
    return {
        client: Evidence(
            **vars(each),
            limits=allow_for_records(LIMITS[client], each),
            served=tuple(line for line in served if find_number(line) == NUMBERS[client]),
            outages=tuple(servers.outages),
            stored=tuple(stored[NUMBERS[client]]),
            slow=slow,
            held_up=own.stalls,
        )
        for client, each in seen.items()
    }


def find_number(line: Served) -> int:
    """The number of the client that sent a request."""
    return int(line.trace[0], 16)


def sort_stored(stored: Iterable[Stored], served: Iterable[Served]) -> dict[int, list[Stored]]:
    """By the number of the client that uploaded it; that of the pipeline for all others."""
    numbers = {line.path: find_number(line) for line in served if line.method == "PUT"}
    found: dict[int, list[Stored]] = defaultdict(list)
    for each in stored:
        found[numbers.get(f"/v2/images/{each.image}/file", NUMBERS["pipeline"])].append(each)
    return found


def play(
    schedule: Schedule,
    servers: World,
    journal: Journal,
    rng: random.Random,
    collect_others: Callable[[], None],
) -> Seen:
    """Call through the pipeline while the schedule breaks the servers.

    Args:
        schedule: What breaks.
        servers: The servers.
        journal: Gets the calls.
        rng: Chooses them.
        collect_others: Ends the other clients, whose connections to proxies are this process's,
            too.
    """
    observer = Observer(FERNET)
    logger = logging.getLogger("traced_image")
    logger.addHandler(observer.log)
    logger.propagate = False
    before = observer.measure()
    observer.pulse.start()
    service = _connect(servers, observer)
    make_caller = partial(Caller, service, None)
    # Each thread has chances of its own, so that what it calls depends on no other thread.
    chances = [random.Random(rng.getrandbits(64)) for _ in range(THREADS)]
    forker = Forker(make_caller, journal, observer, servers.release)
    own = OwnFaults(forker, random.Random(rng.getrandbits(64)), PATIENCE)
    traffic = Traffic([make_caller(journal, each) for each in chances])
    traffic.start()
    servers.play(schedule, own.suffer)
    traffic.end()
    collect_others()
    traffic.wait(PATIENCE)
    service.close()
    observer.pulse.stop()
    after = settle(observer, before)
    logger.removeHandler(observer.log)
    return observer.sum_up(journal.made.values(), before, after)


def _connect(servers: World, observer: Observer) -> GlanceImageService:
    return traced_image.connect(
        servers=servers.urls,
        auth=forgetful(servers.cloud, SHARE),
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


def _count(evidence: Evidence) -> dict[str, int]:
    calls = Counter(made.operation for made in evidence.made)
    failed = Counter(made.error for made in evidence.made if made.error)
    explained = Counter(why for _, why in explain(evidence))
    return {
        "calls": len(evidence.made),
        **{f"calls of {name}": count for name, count in sorted(calls.items())},
        **{f"calls that raised {name}": count for name, count in sorted(failed.items())},
        "attempts": len(evidence.of_kind("attempt")),
        "attempts that failed": explained.total(),
        **{f"attempts that {why} explains": count for why, count in sorted(explained.items())},
        "requests": len(evidence.of_kind("request")),
        "requests in access logs": len(evidence.served),
        "images that retries truncated": len(find_truncated(evidence)),
        "bytes grown": evidence.after.memory - evidence.before.memory,
    }
