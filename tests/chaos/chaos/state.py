"""The rounds of a run, kept in a file so that a run that was interrupted can go on."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING

from .checks import CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .run import Result

ROUND = 120.0
"""Seconds for which servers are broken, before they are started anew."""


@dataclass(frozen=True)
class Order:
    """What is to be done; a file with another order is not gone on with.

    Attributes:
        seed: What all schedules come from.
        seconds: How long servers are broken in all rounds together.
        clients: The stock clients that are to call.
        faults: The faults that may happen.
    """

    seed: int
    seconds: float
    clients: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def rounds(self) -> int:
        """How many rounds it takes."""
        return max(1, ceil(self.seconds / ROUND))

    def find_seed(self, number: int) -> int:
        """The seed of a round; that of the first one is the order's, so that it can be replayed."""
        rng = random.Random(f"{self.seed} round {number}")
        return rng.getrandbits(32) if number else self.seed


@dataclass(frozen=True)
class Round:
    """A round that is over.

    Attributes:
        seed: What its schedule came from.
        seconds: How long servers were broken.
        overhead: Seconds that it took beside them.
        found: What each check found, by its name, by the client.
        figures: How much happened, by its name, by the client.
        faults: How often each fault happened.
    """

    seed: int
    seconds: float
    overhead: float
    found: Mapping[str, Mapping[str, list[str]]]
    figures: Mapping[str, Mapping[str, int]]
    faults: Mapping[str, int]

    @classmethod
    def of(cls, result: Result) -> Round:
        """Keep of a result what is written."""
        return cls(
            result.schedule.seed,
            result.schedule.seconds,
            round(result.overhead, 1),
            result.found,
            result.figures,
            result.faults,
        )


@dataclass(frozen=True)
class State:
    """A run, done or not.

    Attributes:
        order: What is to be done.
        conditions: The versions, the machine and when it began, as `conditions` has them.
        lacking: What the machine has not, and what the run is without because of it.
        rounds: What was done.
    """

    order: Order
    conditions: Mapping[str, object]
    lacking: Mapping[str, str]
    rounds: list[Round] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether no round is left."""
        return len(self.rounds) >= self.order.rounds

    def save(self, path: Path) -> None:
        """Write it as a whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)) + "\n", "utf-8")
        new.replace(path)

    def summarize(self) -> dict[str, object]:
        """Return what a page of the documentation says of it; the keys do not change.

        `conditions`, `seed`, `seconds`, `rounds`; `calls`: by the client; `faults`: how often, by
        the fault; `checks`: by the check, then by the client, the number of violations; `lacking`.
        """
        clients = list(dict.fromkeys(client for each in self.rounds for client in each.found))
        return {
            "conditions": self.conditions,
            "seed": self.order.seed,
            "seconds": sum(each.seconds for each in self.rounds),
            "rounds": len(self.rounds),
            "calls": {client: self._add("calls", client) for client in clients},
            "faults": self._add_faults(),
            "checks": {
                name: {client: self._count_found(client, name) for client in clients}
                for name in CHECKS
            },
            "lacking": self.lacking,
        }

    def _add(self, name: str, client: str) -> int:
        return sum(each.figures.get(client, {}).get(name, 0) for each in self.rounds)

    def _add_faults(self) -> dict[str, int]:
        names = sorted({name for each in self.rounds for name in each.faults})
        return {name: sum(each.faults.get(name, 0) for each in self.rounds) for name in names}

    def _count_found(self, client: str, check: str) -> int:
        return sum(len(each.found.get(client, {}).get(check, ())) for each in self.rounds)


def load(path: Path) -> State:
    """Read what `State.save` has written.

    Raises:
        OSError: There is no such file.
        ValueError: It is of another version of this program.
    """
    told = json.loads(path.read_text("utf-8"))
    try:
        asked = told["order"]
        order = Order(
            asked["seed"], asked["seconds"], tuple(asked["clients"]), tuple(asked["faults"])
        )
        rounds = [Round(**each) for each in told["rounds"]]
        return State(order, told["conditions"], told["lacking"], rounds)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no state of a run: {error}; fix: remove it") from error


def go_on(path: Path, new: State) -> State:
    """Return the state of a file if it is of the same order and not done, else the new one.

    What other versions have done does not count.
    """
    try:
        found = load(path)
    except (OSError, ValueError):
        return new
    same = found.order == new.order
    versions = found.conditions.get("versions") == new.conditions.get("versions")
    return replace(new, rounds=found.rounds) if same and versions and not found.is_done else new
