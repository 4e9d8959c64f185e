"""One run: real servers, calls, faults, and what the checks say of it."""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keystone_scene import forgetful

import traced_image
from traced_image import GlanceImageService, RetryPolicy

from . import stock as stock_client
from .callers import Caller, Journal, Traffic
from .checks import find_all
from .observing import Observer, settle
from .own_faults import OwnFaults
from .records import Evidence, Limits, Seen
from .stock import NUMBERS, Stock, stock
from .workers import Forker
from .world import World, world

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .schedule import Schedule

THREADS = 4
CONNECT, READ, REQUEST, UPLOAD, DEADLINE = 2.0, 3.0, 4.0, 6.0, 30.0
"""The limits of the service in seconds; each is shorter than the longest fault, or nearly so."""

RETRIES = 3
PATIENCE = 90.0
"""Seconds after the end of the faults in which the last calls must end."""

SHARE = 0.03
"""The share of the calls that need a new token."""

FERNET = "gAAAA"
"""How each token of Keystone begins; it is the secret that must be nowhere."""

_MEMORY = 128 * 1024**2  # 500 threads at once take some, which the allocator keeps
_RECORD = 2048  # bytes, rather more than a span and what belongs to it

LIMITS = {
    # A machine that does much else adds two seconds.
    "pipeline": Limits(REQUEST + 2.0, 1 + RETRIES, 1.0, _MEMORY),
    # Without a limit for a whole request, its connection and its answer have one each.
    "nova": Limits(
        2 * stock_client.TIMEOUT + 2.0, 1 + stock_client.RETRIES, 1.0, _MEMORY, 12, may_repeat=True
    ),
    "glanceclient": Limits(2 * stock_client.TIMEOUT + 2.0, 1, 1.0, _MEMORY, 12),
}
"""What each client may not exceed."""


@dataclass(frozen=True)
class Result:
    """A run that is over.

    Attributes:
        schedule: What was broken.
        found: What each check found, by its name, by the client.
        figures: How much happened, by its name, by the client.
        faults: How often each fault happened.
    """

    schedule: Schedule
    found: Mapping[str, Mapping[str, list[str]]]
    figures: Mapping[str, Mapping[str, int]]
    faults: Mapping[str, int]

    @property
    def failed(self) -> tuple[tuple[str, str], ...]:
        """The clients and the names of the checks that found something."""
        return tuple(
            (client, name)
            for client, checks in self.found.items()
            for name, found in checks.items()
            if found
        )


def run(
    schedule: Schedule, clients: Collection[str], say: Callable[[str], None], faketime: str = ""
) -> Result:
    """Start the servers, call them while the schedule breaks them, and check what became of it.

    Args:
        schedule: What is broken.
        clients: Names of `NUMBERS` beside the pipeline, which always calls.
        say: Is told what is installed, and where data is.
        faketime: The path of libfaketime; empty if no clock is to jump.
    """
    if not faketime:
        schedule = schedule.without("clock_jump")
    folder = Path(tempfile.mkdtemp(prefix="traced-image-chaos-"))
    say(f"logs and data are in {folder}")
    (folder / "schedule.json").write_text(schedule.to_json())
    with world(folder / "glances", schedule.seed, say, schedule.servers, faketime) as servers:
        rng = random.Random(f"{schedule.seed} callers")
        seeded = servers.seed(rng)
        with ExitStack() as stack:
            begun = {
                client: stack.enter_context(
                    stock(client, folder, servers, seeded, rng, PATIENCE, FERNET, say)
                )
                for client in clients
            }
            evidence = _collect(schedule, servers, Journal(seeded), rng, begun)
    result = Result(
        schedule,
        {client: find_all(each) for client, each in evidence.items()},
        {client: _count(each) for client, each in evidence.items()},
        dict(sorted(Counter(event.fault for event in servers.happened).items())),
    )
    if not result.failed:
        shutil.rmtree(folder)
    return result


def _collect(
    schedule: Schedule,
    servers: World,
    journal: Journal,
    rng: random.Random,
    begun: Mapping[str, Stock],
) -> dict[str, Evidence]:
    seen: dict[str, Seen] = {}

    def end_others() -> None:
        seen.update((client, each.end(PATIENCE)) for client, each in begun.items())

    own = play(schedule, servers, journal, rng, end_others)
    seen = {"pipeline": own, **seen}
    served, stored = tuple(servers.read_served()), tuple(servers.read_stored())
    return {
        client: Evidence(
            **vars(each),
            limits=_allow_for_records(LIMITS[client], each),
            served=tuple(line for line in served if int(line.trace[0], 16) == NUMBERS[client]),
            outages=tuple(servers.outages),
            stored=stored,
        )
        for client, each in seen.items()
    }


def _allow_for_records(limits: Limits, seen: Seen) -> Limits:
    """Let a process grow by what it keeps for the checks."""
    return replace(limits, memory=limits.memory + _RECORD * len(seen.spans))


def play(
    schedule: Schedule,
    servers: World,
    journal: Journal,
    rng: random.Random,
    end_others: Callable[[], None],
) -> Seen:
    """Call through the pipeline while the schedule breaks the servers.

    Args:
        schedule: What breaks.
        servers: The servers.
        journal: Gets the calls.
        rng: Chooses them.
        end_others: Ends the other clients, whose connections to proxies are this process's, too.
    """
    observer = Observer(FERNET)
    logger = logging.getLogger("traced_image")
    logger.addHandler(observer.log)
    logger.propagate = False
    before = observer.measure()
    service = _connect(servers, observer)
    make_caller = partial(Caller, service, None)
    # Each thread has chances of its own, so that what it calls depends on no other thread.
    chances = [random.Random(rng.getrandbits(64)) for _ in range(THREADS)]
    forker = Forker(make_caller, journal, observer, servers.release)
    own = OwnFaults(forker, random.Random(rng.getrandbits(64)), PATIENCE)
    traffic = Traffic([make_caller(journal, each) for each in chances])
    traffic.start()
    try:
        servers.play(schedule, own.suffer)
    finally:
        traffic.stop(PATIENCE)
        service.close()
    end_others()
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
    return {
        "calls": len(evidence.made),
        **{f"calls of {name}": count for name, count in sorted(calls.items())},
        **{f"calls that raised {name}": count for name, count in sorted(failed.items())},
        "attempts": len(evidence.of_kind("attempt")),
        "attempts that failed": sum(s.outcome == "failed" for s in evidence.of_kind("attempt")),
        "requests": len(evidence.of_kind("request")),
        "requests in access logs": len(evidence.served),
        "bytes grown": evidence.after.memory - evidence.before.memory,
    }
