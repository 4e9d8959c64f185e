"""What breaks and when: schedules of faults, made from a seed, written to JSON and read back."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

LEAD = 2.0
"""Seconds before the first fault, in which all servers are healthy."""

TAIL = 2.0
"""Seconds after the last fault is due to end."""

GAPS = (1.5, 8.0)
"""The least and the most seconds between two faults of one server."""

KEYSTONE_GAPS = (10.0, 40.0)
"""The same of Keystone, without which hardly any call can be made."""

BURST_GAP = 60.0
"""The least seconds between two bursts: three servers work at 500 calls for half a minute."""


BURST_TIME = 30.0
"""Seconds before the end in which no burst begins: its calls may take as long as their deadline."""


@dataclass(frozen=True)
class Fault:
    """The limits within which chance chooses one kind of fault.

    Attributes:
        seconds: The least and the most seconds that it lasts.
        amounts: The least and the most of its amount; what that is depends on the fault.
    """

    seconds: tuple[float, float]
    amounts: tuple[float, float] = (0.0, 0.0)


PACKETS: Mapping[str, Fault] = {
    "packets_lost": Fault((1.0, 6.0), (0.02, 0.4)),
    "packets_dropped": Fault((1.0, 6.0)),
    "packets_rejected": Fault((1.0, 6.0)),
    "host_unreachable": Fault((1.0, 6.0)),
    "packets_slow": Fault((1.0, 6.0), (10_000.0, 200_000.0)),
    "packets_delayed": Fault((1.0, 6.0), (0.02, 0.5)),
}
"""What happens to the packets of one server, in a network namespace.

- `packets_lost`: the share of packets that are dropped; `packets_dropped`: all of them, so that
  not even a connection can be made; `packets_rejected`: each is answered with RST;
  `host_unreachable`: each is answered with ICMP.
- `packets_slow`: bytes a second, by `tbf`; `packets_delayed`: seconds, by `netem`.
"""

FAULTS: Mapping[str, Fault] = {
    **PACKETS,
    "kill": Fault((1.0, 6.0)),
    "stop": Fault((0.5, 6.0)),
    "restart": Fault((0.0, 0.0)),
    "clock_jump": Fault((1.0, 6.0), (-7200.0, 7200.0)),
    "delay": Fault((1.0, 6.0), (0.05, 0.5)),
    "reset": Fault((1.0, 6.0), (0.02, 0.4)),
    "half_open": Fault((1.0, 6.0)),
    "partition": Fault((0.5, 6.0)),
    "rate": Fault((1.0, 6.0), (4_000.0, 200_000.0)),
    "name_gone": Fault((1.0, 6.0)),
    "name_dead": Fault((1.0, 6.0)),
    "name_flaps": Fault((1.0, 6.0)),
    "expired_certificate": Fault((1.0, 6.0)),
    "bad_gateway": Fault((1.0, 6.0)),
    "gateway_timeout": Fault((1.0, 6.0)),
    "buffering": Fault((1.0, 6.0)),
}
"""By name.

- `kill`: SIGKILL, and a new start at the end; `restart`: a new start at once;
  `stop`: SIGSTOP and SIGCONT; `clock_jump`: a new start with a clock that is wrong by so many
  seconds, and another one with the right one.
- On the way to the server: `delay`: seconds that each piece waits; `reset`: the share of pieces at
  which the connection is reset; `half_open`: the server's end is gone, and the client is told
  nothing; `partition`: no byte passes; `rate`: bytes a second.
- `name_gone`, `name_dead`, `name_flaps`: the name does not resolve, resolves to an address at which
  nobody listens, or does one or the other or is right, by chance.
- `expired_certificate`: of the last server, which speaks TLS.
- With nginx in front: `bad_gateway`: it answers 502 for a server that is killed;
  `gateway_timeout`: 504 for one that is stopped; `buffering`: it answers when it has all.
"""

DISK = {"disk_full": Fault((1.0, 6.0))}
"""What happens to the disk on which all servers keep images."""

OWN = {
    **DISK,
    "burst": Fault((0.0, 0.0), (100, 500)),
    "fork": Fault((0.0, 0.0)),
    "worker_dies": Fault((0.2, 3.0)),
}
"""What is of no server of its own; its number is that after the last server.

- `burst`: so many threads make one call each at once.
- `fork`: a child makes a call, which was forked in the middle of others.
- `worker_dies`: a child is killed in the middle of calls.
- `disk_full`: the disk of all servers' images is full.
"""

KEYSTONE = {
    "keystone_kill": Fault((1.0, 6.0)),
    "keystone_stop": Fault((1.0, 6.0)),
    "keystone_restart": Fault((0.0, 0.0)),
}
"""What happens to Keystone; its number is the next one after the caller's."""

ALL = {**FAULTS, **OWN, **KEYSTONE}
"""All of them."""

OF_LAST = frozenset({"expired_certificate"})
"""Faults of the last server alone."""


@dataclass(frozen=True)
class Event:
    """One fault of one server.

    Attributes:
        start: Seconds since the beginning of the run.
        seconds: How long it lasts.
        fault: Its name in `ALL`.
        server: The number of the server, from 0; then the caller's and
            Keystone's follow.
        amount: How much of it; 0 for a fault without amount.
    """

    start: float
    seconds: float
    fault: str
    server: int
    amount: float = 0.0

    @property
    def end(self) -> float:
        """Seconds since the beginning of the run."""
        return self.start + self.seconds


@dataclass(frozen=True)
class Schedule:
    """All faults of a run.

    Attributes:
        seed: What it was made from.
        seconds: How long the run lasts.
        servers: How many servers there are.
        events: The faults by their start; those of one server do not overlap.
    """

    seed: int
    seconds: float
    servers: int
    events: tuple[Event, ...]

    def with_events(self, events: Collection[Event]) -> Schedule:
        """Return the same run with these faults alone."""
        return replace(self, events=tuple(events))

    def without(self, faults: Collection[str]) -> Schedule:
        """Return the same run without the faults of some names."""
        return self.with_events([event for event in self.events if event.fault not in faults])

    def to_json(self) -> str:
        """Write it so that `from_json` reads it."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is no schedule; the message says why.
        """
        try:
            told = json.loads(text)
            told["events"] = tuple(Event(**each) for each in told["events"])
            schedule = cls(**told)
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(
                f"not a schedule: {error}; fix: give a file of --schedule-file"
            ) from error
        wrong = sorted({each.fault for each in schedule.events} - set(ALL))
        if wrong:
            raise ValueError(f"no such faults: {', '.join(wrong)}; fix: {', '.join(ALL)}")
        return schedule


def generate(
    seed: int, seconds: float, servers: int = 3, faults: Collection[str] = tuple(ALL)
) -> Schedule:
    """Make a schedule; the same arguments make the same one on each machine.

    Args:
        seed: Any number.
        seconds: How long the run lasts.
        servers: How many servers may break, each on its own.
        faults: Names of `ALL`.
    """
    events = [
        event
        for number in range(servers + 2)
        for event in _generate_events(
            random.Random(f"{seed} {number}"),
            seconds,
            number,
            sorted(set(faults) & _find_possible(number, servers)),
        )
    ]
    events.sort(key=lambda event: (event.start, event.server))
    return Schedule(seed, seconds, servers, tuple(events))


def _find_possible(number: int, servers: int) -> set[str]:
    if number >= servers:
        return set(OWN if number == servers else KEYSTONE)
    return set(FAULTS) if number == servers - 1 else set(FAULTS) - OF_LAST


def _generate_events(
    rng: random.Random, seconds: float, server: int, names: list[str]
) -> list[Event]:
    events: list[Event] = []
    now = LEAD
    gaps = KEYSTONE_GAPS if set(names) <= set(KEYSTONE) else GAPS
    while names and now < seconds:
        now += rng.uniform(*gaps)
        due = _find_due(names, events, now)
        if not due:
            continue
        name = rng.choice(due)
        # Rounded, so that a file that was edited by hand is still easy to read.
        lasts = round(rng.uniform(*ALL[name].seconds), 2)
        amount = round(rng.uniform(*ALL[name].amounts), 3)
        if now + lasts > seconds - TAIL:
            break
        if name != "burst" or now < seconds - BURST_TIME:
            events.append(Event(round(now, 2), lasts, name, server, amount))
        now += lasts
    return events


def _find_due(names: Sequence[str], events: Sequence[Event], now: float) -> Sequence[str]:
    last = max((each.start for each in events if each.fault == "burst"), default=-BURST_GAP)
    return [name for name in names if name != "burst" or now >= last + BURST_GAP]
