"""The cases of the diagnosis: what callers meet, and what a Prometheus has to conclude of it.

Times are seconds until the end of a case, and negative. Most cases have three servers and three
processes of two jobs, which are well for five minutes; then something fails for ten more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simulated_callers import BREAKS, Asked, Fault, Process, Work
from simulated_scrapes import Target

START, BROKE = -900.0, -600.0
HOUR, DAY = 3600.0, 86400.0
GET, LIST, DATA = "images.get", "images.list", "images.data"
REFUSED, TIMEOUT = "connection_refused", "read_timeout"
NOVA, CACHE, PROBER = "nova-api", "image-cache", "glance-exporter"
SHOWS, LOADS = (Work(GET, 3.0), Work(LIST, 8.0)), (Work(DATA, 4.0),)


@dataclass(frozen=True)
class Finding:
    """What is to be found.

    Attributes:
        rule: The rule.
        servers: The numbers of the servers; none for Keystone.
        reason: The first reason.
        since: Since when; None for unknown.
        until: When it ended; None for not.
    """

    rule: str
    servers: Sequence[int]
    reason: str | None
    since: float | None = BROKE
    until: float | None = None


@dataclass(frozen=True)
class Case:
    """A case.

    Attributes:
        fault: What fails.
        finds: What is to be found.
        targets: The callers.
        servers: How many servers there are.
        window: How far to look back, in seconds.
        exact: How many seconds the times may be off.
        near: The rules that just don't apply.
    """

    fault: Fault
    finds: Sequence[Finding]
    targets: Sequence[Target]
    servers: int = 3
    window: float = HOUR
    exact: float = 20.0
    near: Sequence[str] = field(default=())


# --- callers -----------------------------------------------------------------------------------


def one(
    job: str = NOVA,
    instance: str = "node-1",
    work: Sequence[Work] = SHOWS,
    start: float = START,
    restarts: Sequence[float] = (),
    stop: float = 0.0,
    quiet: float = 0.0,
    forgets: int = 0,
    **target: object,
) -> Target:
    """A target with one process, which may be restarted, and then asks some servers less."""
    starts, stops = (start, *restarts), (*restarts, stop)
    several = [
        Process(job, instance, work, begin, end, quiet, forgets if begin > start else 0)
        for begin, end in zip(starts, stops, strict=True)
    ]
    return Target({"1": several}, **target)


def three(**told: object) -> list[Target]:
    """The usual callers."""
    return [
        one(NOVA, "node-1", SHOWS, **told),
        one(NOVA, "node-2", SHOWS, **told),
        one(CACHE, "node-3", LOADS, **told),
    ]


def pids(count: int, job: str = NOVA, died: float = 0.0) -> Target:
    """A target in multiprocess mode; the first pid may die."""
    stops = [died, *[0.0] * (count - 1)]
    return Target(
        {str(n): [Process(job, "node-1", SHOWS, START - n, stop)] for n, stop in enumerate(stops)}
    )


PROBING = one(PROBER, "exporter-1", (Work("probe", 15.0),))


# --- what fails --------------------------------------------------------------------------------


def fails(
    reason: str | float,
    *servers: int,
    begin: float = BROKE,
    end: float = 1.0,
    operations: Sequence[str] = (),
    instances: Sequence[str] = (),
    images: Sequence[int] = range(8),
    jobs: Sequence[str] = (),
) -> Fault:
    """What fails for a reason, or is slow, on some servers; on all without any."""

    def fault(asked: Asked) -> str | float | None:
        applies = (
            (not servers and asked.server > 0) or asked.server in servers,
            begin <= asked.time < end,
            not operations or asked.operation in operations,
            not instances or asked.instance in instances,
            not jobs or asked.job.split("/")[-1] in jobs,
            asked.image in images,
        )
        return reason if all(applies) else None

    return fault


def both(*faults: Fault) -> Fault:
    """The first of several that applies."""
    return lambda asked: next((told for each in faults if (told := each(asked)) is not None), None)


def by_turns(reason: str, server: int, period: float, broken: float) -> Fault:
    """A server that fails for the first seconds of each period."""
    failing = fails(reason, server)
    return lambda asked: failing(asked) if asked.time % period < broken else None


def nothing(_: Asked) -> None:
    """All is well."""


def _long(length: float) -> Target:
    """A caller over a long time, in which little happens."""
    return one(NOVA, "node-1", (Work(GET, 12.0),), start=-length, scrape=60.0)


def _case(fault: Fault, *finds: Finding, **told: object) -> Case:
    return Case(fault, finds, told.pop("targets", None) or three(), **told)


CASES: Mapping[str, Case] = {
    # --- each rule, and what resembles it ------------------------------------------------------
    "nothing": _case(nothing),
    "down": _case(fails(REFUSED, 1), Finding("down", [1], REFUSED)),
    "hangs": _case(fails(TIMEOUT, 1), Finding("down", [1], TIMEOUT)),
    "one-image-is-fine": _case(
        fails("503", 1, images=range(1, 8)), Finding("flapping", [1], "503"), near=["down"]
    ),
    "one-caller": _case(
        fails("network_unreachable", 1, instances=["node-1"]),
        Finding("one_caller", [1], "network_unreachable"),
    ),
    "one-job": _case(fails(REFUSED, 1, jobs=[NOVA]), Finding("one_caller", [1], REFUSED)),
    "one-caller-times-out": _case(
        fails(TIMEOUT, 1, instances=["node-1"]), Finding("one_caller", [1], TIMEOUT)
    ),
    "one-caller-two-servers": _case(
        fails("connect_timeout", 1, 2, instances=["node-1"]),
        Finding("one_caller", [1, 2], "connect_timeout"),
    ),
    "one-caller-at-times": _case(
        both(fails(REFUSED, 1, instances=["node-1"], images=range(4))),
        Finding("flapping", [1], REFUSED),
        near=["one_caller"],
    ),
    "one-caller-by-its-operation": _case(
        fails(TIMEOUT, 1, operations=[DATA]),
        Finding("one_operation", [1], TIMEOUT),
        near=["one_caller"],
    ),
    "one-image": _case(fails("500", images=[3]), Finding("one_image", [1, 2, 3], "500")),
    "one-image-one-server": _case(
        fails("500", 1, images=[3]),
        Finding("sometimes", [1], "500"),
        near=["one_image", "flapping"],
        exact=60.0,
    ),
    "all-images": _case(fails("500"), Finding("all_servers", [1, 2, 3], "500"), near=["one_image"]),
    "all-servers": _case(fails(REFUSED), Finding("all_servers", [1, 2, 3], REFUSED)),
    "two-of-three": _case(
        fails(REFUSED, 1, 2),
        Finding("down", [1], REFUSED),
        Finding("down", [2], REFUSED),
        near=["all_servers"],
    ),
    "all-servers-one-operation": _case(
        fails("503", operations=[DATA]), Finding("all_servers_one_operation", [1, 2, 3], "503")
    ),
    "two-of-three-one-operation": _case(
        fails("503", 1, 2, operations=[DATA]),
        Finding("one_operation", [1], "503"),
        Finding("one_operation", [2], "503"),
        near=["all_servers_one_operation"],
    ),
    "one-operation": _case(
        fails("503", 1, operations=[DATA]), Finding("one_operation", [1], "503")
    ),
    "one-operation-of-one-process": _case(
        fails("503", 1, operations=[LIST]), Finding("one_operation", [1], "503")
    ),
    "one-operation-at-times": _case(
        fails("503", 1, operations=[DATA], images=range(4)),
        Finding("flapping", [1], "503"),
        near=["one_operation"],
        exact=60.0,
    ),
    "stream-breaks": _case(
        fails(BREAKS, 1, operations=[DATA]), Finding("one_operation", [1], BREAKS)
    ),
    "flaps-every-minute": _case(by_turns("503", 1, 60.0, 30.0), Finding("flapping", [1], "503")),
    "once": _case(
        fails(REFUSED, 1, begin=-400, end=-280),
        Finding("down", [1], REFUSED, -400, -280),
    ),
    "sometimes": _case(
        fails("503", 1, begin=-400, end=-390), Finding("sometimes", [1], "503", -400, -390)
    ),
    "refusals": _case(
        fails("404", 1, images=[1, 2]), Finding("refuses", [1], "404"), near=["sometimes"]
    ),
    "refusals-by-all": _case(fails("404", images=[1, 2]), near=["refuses"]),
    "slow": _case(fails(1.0, 1, operations=[GET]), Finding("slow", [1], None)),
    "a-little-slower": _case(fails(0.02, 1, operations=[GET]), near=["slow"]),
    "all-slow": _case(
        fails(6.0, operations=[GET]),
        *(Finding("slow", [each], None) for each in (1, 2, 3)),
        exact=60.0,
    ),
    "large-images": _case(fails(30.0, operations=[DATA]), near=["slow"]),
    "probes": _case(
        fails("connect_timeout", 1, jobs=[PROBER]),
        Finding("probes", [1], "connect_timeout"),
        targets=[*three(), PROBING],
    ),
    "probes-and-callers": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=[*three(), PROBING],
        near=["probes"],
    ),
    "keystone": _case(fails("502", 0), Finding("keystone", [], "502")),
    "keystone-once": _case(
        fails("502", 0, begin=-300, end=-290, instances=["node-1"]),
        Finding("keystone", [], "502", -300, -290),
    ),
    "keystone-was-gone": _case(
        fails("502", 0, end=-300), Finding("keystone", [], "502", BROKE, -300)
    ),
    # --- what makes it hard ----------------------------------------------------------------------
    "restarts": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=three(restarts=[-400, -200]),
    ),
    "restart-as-it-fails": _case(
        fails(REFUSED, 1), Finding("down", [1], REFUSED), targets=three(restarts=[-600])
    ),
    "process-dies": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=[one(stop=-300.0), *three()[1:]],
    ),
    "last-process-of-a-job-dies": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=[*three()[:2], one(CACHE, "node-3", LOADS, stop=-120.0)],
    ),
    "gap-in-the-middle": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=three(gaps=[(-400, -250)]),
    ),
    "gap-at-the-start": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=three(gaps=[(-660, -540)]),
    ),
    "gap-at-the-end": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=three(gaps=[(-40, 1)]),
    ),
    "yesterday": _case(
        fails(REFUSED, 1, begin=-DAY, end=-DAY + 1800),
        Finding("down", [1], REFUSED, -DAY, -DAY + 1800),
        targets=[_long(DAY + HOUR)],
        window=DAY + HOUR,
        exact=120.0,
    ),
    "six-hours": _case(
        fails(REFUSED, 1, begin=-6 * HOUR),
        Finding("down", [1], REFUSED, -6 * HOUR),
        targets=[_long(7 * HOUR)],
        window=6 * HOUR,
        exact=60.0,
    ),
    "two-reasons": _case(
        both(fails(REFUSED, 1), fails("tls_error", 2, begin=-300)),
        Finding("down", [1], REFUSED),
        Finding("down", [2], "tls_error", -300),
    ),
    "one-dead-one-slow": _case(
        both(fails(REFUSED, 1), fails(1.0, 2, operations=[GET])),
        Finding("down", [1], REFUSED),
        Finding("slow", [2], None),
    ),
    "fleet": _case(fails(TIMEOUT, 7), Finding("down", [7], TIMEOUT), servers=20, exact=60.0),
    "fleet-of-slow-ones": _case(
        fails(1.0, 3, 4, 5, operations=[GET]),
        *(Finding("slow", [each], None) for each in (3, 4, 5)),
        servers=20,
        exact=60.0,
    ),
    "fleet-is-dead": _case(
        fails(REFUSED),
        Finding("all_servers", range(1, 21), REFUSED),
        servers=20,
        exact=60.0,
    ),
    "pids": _case(
        fails(REFUSED, 1), Finding("down", [1], REFUSED), targets=[pids(4), *three()[1:]]
    ),
    "pid-dies": _case(
        fails(REFUSED, 1), Finding("down", [1], REFUSED), targets=[pids(4, died=-250)]
    ),
    "caller-falls-silent": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=[one(quiet=-300.0), *three()[1:]],
    ),
    "all-fall-silent": _case(
        fails(REFUSED, 1), Finding("down", [1], REFUSED), targets=three(quiet=-400.0)
    ),
    "new-caller": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED, -100),
        targets=[one(start=-100.0)],
        exact=30.0,
    ),
    "new-caller-among-others": _case(
        fails(REFUSED, 1, jobs=[NOVA]),
        Finding("one_caller", [1], REFUSED, -100),
        targets=[one(start=-100.0), *[one(CACHE, f"node-{n}", LOADS) for n in (3, 4)]],
        exact=30.0,
    ),
    "rare-caller": _case(
        fails("network_unreachable", 1, 2, jobs=[CACHE]),
        Finding("one_caller", [1, 2], "network_unreachable"),
        targets=[
            one(NOVA, "node-1", (Work(GET, 0.12),), start=-900.0),
            one(CACHE, "node-3", (Work(DATA, 60.0),)),
        ],
        exact=90.0,
    ),
    "rare-callers-only": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=[one(NOVA, f"node-{n}", (Work(GET, 60.0),)) for n in range(3)],
        exact=90.0,
    ),
    "replicas": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=[
            each for name in ("a", "b") for each in three(labels={"prometheus_replica": name})
        ],
    ),
    "recovered": _case(
        fails(REFUSED, 1, end=-300),
        Finding("down", [1], REFUSED, BROKE, -300),
        near=["flapping"],
        exact=60.0,  # a server that fails is asked now and then
    ),
    "rolling-restart": _case(
        both(*(fails(REFUSED, n, begin=-400 + 60 * n, end=-360 + 60 * n) for n in (1, 2, 3))),
        *(Finding("down", [n], REFUSED, -400 + 60 * n, -360 + 60 * n) for n in (1, 2, 3)),
        near=["all_servers"],
    ),
    "worse-than-before": _case(
        both(fails("503", 1, end=-400, operations=[DATA]), fails(REFUSED, 1, begin=-400)),
        Finding("down", [1], REFUSED, -400),
    ),
    "all-but-one-after-the-other": _case(
        both(fails(REFUSED, 1), fails(REFUSED, 2, begin=-400), fails(REFUSED, 3, begin=-200)),
        Finding("all_servers", [1, 2, 3], REFUSED, -200),
    ),
    "one-server-only": _case(fails(REFUSED, 1), Finding("down", [1], REFUSED), servers=1),
    "left-out": Case(
        fails(REFUSED, 1),
        [Finding("down", [1], REFUSED, BROKE, -240.0)],
        three(restarts=[-240.0], forgets=1),
        exact=60.0,
    ),
    "all-hang": _case(fails(TIMEOUT), Finding("all_servers", [1, 2, 3], TIMEOUT)),
    "crash-loop": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=three(restarts=range(-870, 0, 60)),
    ),
    "one-job-is-cut-off": _case(
        fails("network_unreachable", jobs=[CACHE]),
        Finding("one_caller", [1, 2, 3], "network_unreachable"),
    ),
    "one-caller-trusts-nobody": _case(
        fails("tls_error", instances=["node-1"]), Finding("one_caller", [1, 2, 3], "tls_error")
    ),
    "just-began": _case(fails(REFUSED, 1, begin=-40), Finding("down", [1], REFUSED, -40)),
    "callers-restart": _case(nothing, targets=three(restarts=[-400, -200])),
    "names-with-signs": _case(
        fails(REFUSED, 1),
        Finding("down", [1], REFUSED),
        targets=[one(f"nova (api|{n}+)", f"[::{n}]:9293") for n in "ab"],
    ),
    "slow-then-dead": _case(
        both(fails(REFUSED, 1, begin=-330), fails(2.0, 1, operations=[GET])),
        Finding("down", [1], REFUSED, -330),
    ),
    "one-operation-then-all": _case(
        both(fails("503", 1, begin=-330), fails("503", 1, operations=[DATA])),
        Finding("down", [1], "503", -330),
    ),
    "long-slow": _case(
        fails(1.0, 1, begin=-6 * HOUR, operations=[GET]),
        Finding("slow", [1], None, -6 * HOUR),
        targets=[_long(7 * HOUR)],
        window=7 * HOUR,
        exact=240.0,
    ),
}
