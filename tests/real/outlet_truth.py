"""The questions that an outlet is asked of a scene, and whether what it says is right."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from diagnose_scene import CALLERS, Scene
from prometheus_client.parser import text_string_to_metric_families

from traced_image.telemetry import catalogue

QUESTIONS = {
    "server": "which server",
    "reason": "why",
    "since": "since when",
    "jobs": "who is hit",
    "operations": "which operations",
    "hidden": "did retries hide it",
    "cost": "what did it cost",
}
"""What is asked; the fourth and the fifth are one question of two parts."""

WITHIN = 30.0
"""By how many seconds a time may be wrong."""

KEYSTONE, SLOW, NONE = "Keystone", "slow", "none"
OPERATIONS = {"show": "images.get", "download": "images.data"}
EVERYBODY = tuple({name: None for name, _ in CALLERS})
EVERYTHING = tuple({OPERATIONS[operation]: None for _, operation in CALLERS})


@dataclass(frozen=True)
class Fault:
    """What is true of a scene.

    Attributes:
        title: What is wrong.
        reason: Why attempts fail.
        servers: Which server fails: the first, all, or Keystone.
        jobs: Whom it hits.
        operations: Which operations it hits.
        hidden: Whether retries hide it.
        cost: What it costs: seconds of calls that retries saved, failed calls, or long attempts.
    """

    title: str
    reason: str
    servers: str = "the first"
    jobs: tuple[str, ...] = EVERYBODY
    operations: tuple[str, ...] = EVERYTHING
    hidden: bool = True
    cost: str = "seconds"


FAULTS: Mapping[str, Fault] = {
    "down": Fault("one server is down", "connection_refused"),
    "hanging": Fault("one server accepts connections and never answers", "read_timeout"),
    "slow": Fault(
        "one server takes half a second, the others milliseconds",
        SLOW,
        hidden=False,
        cost="long attempts",
    ),
    "operation": Fault(
        "one server answers 503 to downloads only",
        "503",
        jobs=("image-cache",),
        operations=("images.data",),
    ),
    "network": Fault(
        "one process of one job can't reach one server",
        "network_unreachable",
        jobs=("nova-api",),
        operations=("images.get",),
    ),
    "tls": Fault("the certificate of one server has expired", "tls_error"),
    "flapping": Fault("one server answers 503 to 4 requests of 16", "503"),
    "image": Fault(
        "all servers answer 500 for one image of six",
        "500",
        "all",
        hidden=False,
        cost="failed calls",
    ),
    "all": Fault(
        "all servers are down", "connection_refused", "all", hidden=False, cost="failed calls"
    ),
    "keystone": Fault(
        "Keystone is down", "connection_refused", KEYSTONE, hidden=False, cost="failed calls"
    ),
    "nothing": Fault("nothing is wrong", "", NONE),
}
"""The scenes that outlets are asked about. `stream` is none: see docs/how-to/diagnose.md."""


@dataclass
class Told:
    """What an outlet says, and which read says it.

    Attributes:
        answers: What it says, by question.
        reads: Which read says it first, by question; the first is 1.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)

    def note(self, read: int, **answers: object) -> None:
        """Note what a read says, unless it says nothing, or one before said it."""
        for question, answer in answers.items():
            if answer not in (None, "", frozenset()) and question not in self.answers:
                self.answers[question] = answer
                self.reads[question] = read


@dataclass(frozen=True)
class Cost:
    """What a scene has cost some processes, by their own counters.

    Attributes:
        failed: How many calls failed.
        seconds: What retries added to calls that they saved.
    """

    failed: float
    seconds: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.failed + other.failed, self.seconds + other.seconds)


NOTHING = Cost(0.0, 0.0)


@dataclass(frozen=True)
class Spent:
    """What a scene cost before and after an outlet was read, which takes a while.

    Attributes:
        before: What it had cost before.
        after: What it had cost after.
        elapsed: Seconds from the fault to then.
    """

    before: Cost
    after: Cost
    elapsed: float


def read_cost(exporter: str) -> Cost:
    """Read the counters of a process."""
    failed = seconds = 0.0
    text = requests.get(f"{exporter}/metrics", timeout=10).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"{catalogue.CALL_DURATION.name}_count":
                failed += sample.value * (sample.labels["outcome"] in catalogue.FAILED_OUTCOMES)
            seconds += sample.value * (sample.name == catalogue.RETRY_COST.name)
    return Cost(failed, seconds)


def find_wrong(
    told: Told, scene: Scene, spent: Spent, process: int | None = None
) -> dict[str, Any]:
    """Return the answers that are not true.

    Args:
        told: What an outlet says.
        scene: The scene.
        spent: What it cost.
        process: The number of the process whose page it is, which sees no other.
    """
    fault = FAULTS[scene.name]
    jobs, operations = fault.jobs, fault.operations
    if process is not None:
        job, operation = CALLERS[process]
        jobs, operations = (job,), (OPERATIONS[operation],)
    servers = {"the first": {scene.place(0)}, "all": {*scene.places}, KEYSTONE: {KEYSTONE}}
    right = {
        "server": lambda it: it == servers.get(fault.servers),
        "reason": lambda it: it == fault.reason,
        "since": lambda it: abs(it - scene.began) <= WITHIN,
        "jobs": lambda it: it == {scene.job(each) for each in jobs},
        "operations": lambda it: it == {*operations},
        "hidden": lambda it: it is fault.hidden,
        "cost": lambda it: _is_near(it, fault, spent),
    }
    return {name: it for name, it in told.answers.items() if not right[name](it)}


def _is_near(told: tuple[str, float], fault: Fault, spent: Spent) -> bool:
    """Whether a cost is between those of before and after; a quarter is left to late scrapes."""
    kind, value = told
    if kind == "share of calls":
        return fault.cost == "failed calls" and 0.05 < value <= 1
    if fault.cost == "long attempts":
        return kind == fault.cost and 0.1 < value < 30
    name = "failed" if fault.cost == "failed calls" else "seconds"
    least, most = getattr(spent.before, name), getattr(spent.after, name)
    if kind == fault.cost:
        return 0.75 * least <= value <= 1.25 * most
    # A rate is that of now, and that of milliseconds changes on a busy machine.
    often = 2 if name == "failed" else 10
    every = most / spent.elapsed
    return kind == f"{fault.cost} a second" and every / often < value < every * often
