"""Plays the cases of the diagnosis into one real Prometheus, and asks about them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from diagnosis_cases import CASES, Case
from parts import prometheus, remote_write
from parts.prometheus import Programs
from simulated_scrapes import Series, Target, encode_by_slot, scrape

from traced_image import Server
from traced_image.diagnosis import answer, findings
from traced_image.diagnosis.prometheus import observe
from traced_image.diagnosis.prometheus_api import PrometheusAPI
from traced_image.diagnosis.requests_of_sources import SourceAccess, SourceReader

END = datetime(2026, 11, 1, 12, tzinfo=timezone.utc).timestamp()
SLOT = 1200.0
"""Seconds that are written at once; a Prometheus takes nothing that is an hour older."""


def simulate(name: str) -> tuple[list[Series], dict[int, bytes]]:
    """Return the series of a case's targets, and the same as Prometheus takes them."""
    case = CASES[name]
    servers = [Server.parse(f"{name}-{number}") for number in range(1, case.servers + 1)]
    series = [scrape(name_jobs(name, each), servers, case.fault, END) for each in case.targets]
    return series, encode_by_slot(series, SLOT)


def name_jobs(case: str, target: Target) -> Target:
    """Return a target of a case whose jobs are of no other case."""
    processes = {
        pid: [replace(each, job=f"{case}/{each.job}") for each in several]
        for pid, several in target.processes.items()
    }
    return replace(target, processes=processes)


@dataclass(frozen=True)
class Played:
    """A Prometheus that has seen all cases.

    Attributes:
        url: Its address.
        series: What it was given, by case and target.
    """

    url: str
    series: Mapping[str, Sequence[Series]]

    def count(self, case: str, metric: str, since: float) -> float:
        """Return by how much a metric has grown in a case, restarts and first samples included.

        Args:
            case: The case.
            metric: Its name.
            since: Since when, in seconds until the end; negative.
        """
        every = (points for each in self.series[case] for points in _find(each, metric))
        return sum(_grow(points, END + since) for points in every)


def _find(series: Series, metric: str) -> Iterator[Sequence[tuple[float, float]]]:
    for (name, labels), points in series.items():
        if name == metric and dict(labels).get("verdict", "failed") == "failed":
            yield points


def _grow(points: Sequence[tuple[float, float]], since: float) -> float:
    grown = before = 0.0
    for time, value in points:
        if not math.isnan(value):
            if time > since:
                grown += value - before if value >= before else value
            before = value
    return grown


@contextmanager
def play(cases: Mapping[str, Case], programs: Programs, folder: Path) -> Iterator[Played]:
    """Run a Prometheus that has seen all cases."""
    options = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100y"]
    with (
        ProcessPoolExecutor(2) as pool,
        prometheus.prometheus(programs, folder, "", options) as running,
    ):
        every = dict(zip(cases, pool.map(simulate, cases), strict=True))
        slots: dict[int, list[bytes]] = {}
        for _, by_slot in every.values():
            for number, body in by_slot.items():
                slots.setdefault(number, []).append(body)
        remote_write.send(running.url, (b"".join(slots[number]) for number in sorted(slots)))
        yield Played(running.url, {name: series for name, (series, _) in every.items()})


def list_jobs(name: str, case: Case) -> list[str]:
    """Return the jobs of a case."""
    return sorted({f"{name}/{each.first.job}" for each in case.targets})


def ask(url: str, name: str, case: Case) -> list[dict[str, Any]]:
    """Return what the diagnosis finds in a case, as its JSON has it."""
    with SourceReader(url, SourceAccess(), "Prometheus") as reader:
        api, jobs = PrometheusAPI(reader), list_jobs(name, case)
        seen = observe(api, end=END, window=case.window, jobs=jobs)
    return answer.make_json(findings.find(seen), seen)
