"""What a Prometheus keeps of simulated callers: scrapes, gaps, restarts, pids, stale series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from parts.remote_write import STALE, encode
from simulated_callers import Fault, Labels, Process, Snapshot, simulate

from traced_image import Server
from traced_image.telemetry import catalogue

Series = dict[tuple[str, Labels], list[tuple[float, float]]]

_MERGE = {each.name: each.merge for each in catalogue.METRICS if each.kind in ("gauge", "updown")}


@dataclass(frozen=True)
class Target:
    """What Prometheus scrapes: one process after the other, or several at a time by their pids.

    Attributes:
        processes: The processes, by their pids; in multiprocess mode if there are several pids.
            A pid may have several processes, one after the other: restarts.
        scrape: Seconds between two scrapes.
        gaps: From when to when no scrape succeeds, in seconds until the end of the case; negative.
        labels: More labels, such as those of federation.
    """

    processes: Mapping[str, Sequence[Process]]
    scrape: float = 15.0
    gaps: Sequence[tuple[float, float]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Process:
        """Its first process."""
        return next(iter(self.processes.values()))[0]


def scrape(target: Target, servers: Sequence[Server], fault: Fault, end: float) -> Series:
    """Return what Prometheus keeps of a target.

    Args:
        target: The target.
        servers: The servers that it asks.
        fault: What fails.
        end: The end of the case, in seconds since the epoch.
    """
    first = target.first
    start = min(each.start for several in target.processes.values() for each in several)
    offset = sum(first.instance.encode()) % 10 / 10 * target.scrape
    count = int((-start - offset) // target.scrape) + 1
    times = [end + start + offset + number * target.scrape for number in range(count)]
    read = {
        pid: [(each, simulate(each, servers, fault, times, end)) for each in several]
        for pid, several in target.processes.items()
    }
    several = len(target.processes) > 1
    found = {}
    for time in times:
        gap = any(begin <= time - end < stop for begin, stop in target.gaps)
        merge = _merge if several else _take_living
        found[time] = {} if gap else merge(read, time)
    labels = {"job": first.job, "instance": first.instance, **target.labels}
    return _make_series(found, tuple(labels.items()))


Read = Mapping[str, Sequence[tuple[Process, Mapping[float, Snapshot]]]]


def _take_living(read: Read, time: float) -> Snapshot:
    """Return what the one process that lives tells; nothing if none does."""
    ((_, told),) = read.items()
    return next((snapshots[time] for _, snapshots in told if time in snapshots), {})


def _merge(read: Read, time: float) -> Snapshot:
    """Return what all pids tell together, as prometheus_client's multiprocess mode does."""
    merged: dict[tuple[str, Labels], float] = {}
    for pid, told in read.items():
        for _, snapshots in told:
            latest = max((each for each in snapshots if each <= time), default=None)
            if latest is not None:
                _add(merged, snapshots[latest], pid, lives=latest == time)
    return merged


def _add(
    merged: dict[tuple[str, Labels], float], snapshot: Snapshot, pid: str, *, lives: bool
) -> None:
    for (name, labels), value in snapshot.items():
        mode = _MERGE.get(name, "sum")
        if not lives and mode.startswith("live"):
            continue
        key = name, (*labels, ("pid", pid)) if mode in ("all", "liveall") else labels
        if mode in ("max", "livemax"):
            merged[key] = max(merged.get(key, value), value)
        elif mode == "livemostrecent":
            merged[key] = value
        else:
            merged[key] = merged.get(key, 0.0) + value


def _make_series(found: Mapping[float, Snapshot], labels: Labels) -> Series:
    """Return the points of each series; a scrape that lacks a series ends it."""
    series: Series = {}
    for time, snapshot in found.items():
        for (name, own), value in snapshot.items():
            series.setdefault((name, (*labels, *own)), []).append((time, value))
    for (before, had), (time, has) in pairwise(found.items()):
        for name, own in had.keys() - has.keys():
            points = series[name, (*labels, *own)]
            number = next(n for n, (at, _) in enumerate(points) if at == before)
            points.insert(number + 1, (time, STALE))
    return series


def encode_by_slot(every: Sequence[Series], slot: float) -> dict[int, bytes]:
    """Return all series in remote write's form, by slots of so many seconds."""
    slots: dict[int, list[bytes]] = {}
    for series in every:
        for (name, labels), points in series.items():
            named = {"__name__": name, **dict(labels)}
            for number, part in groupby(points, key=lambda point: int(point[0] // slot)):
                slots.setdefault(number, []).append(encode(named, list(part)))
    return {number: b"".join(parts) for number, parts in slots.items()}
