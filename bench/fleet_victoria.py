"""Whether VictoriaMetrics can take the place of the Prometheus that agents send to.

``PYTHONPATH=dashboards/src python bench/fleet_victoria.py --vmagent … --victoria … --vmalert …``

*rules*: a real vmagent with the files of ``dashboards/fleet`` sends what it adds up to a Prometheus
and to a VictoriaMetrics. Prometheus evaluates the rules of ``dashboards``, and vmalert does so on
VictoriaMetrics. Then their recordings and alerts are compared, and each query of each panel is
asked of both.

*pair*: two totals of one name with different beginnings, as two agents of one name send them, go to
a VictoriaMetrics that deduplicates. One of them ends, and the increase is asked.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from fleet import Meter, agent, free_port, running, store
from scale import DASHBOARDS, HOUR, STEPS, Caller, Prometheus, plain, queries, served

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scale import Query

RULES = (f"{DASHBOARDS}/rules/*.yaml", f"{DASHBOARDS}/fleet/agents.yaml")
TOLERANCE = 0.1
_INTERVAL = 30


@contextmanager
def victoria(program: str, folder: Path, *options: str) -> Iterator[Prometheus]:
    """A VictoriaMetrics, whose answers have what was sent a second ago."""
    place = f"127.0.0.1:{free_port()}"
    command = [
        *(program, f"-httpListenAddr={place}", f"-storageDataPath={folder}/data"),
        *("-search.latencyOffset=1s", "-search.maxStalenessInterval=5m", *options),
    ]
    folder.mkdir()
    with running(command, f"http://{place}/health", folder / "victoria.log") as process:
        yield Prometheus(f"http://{place}", process)


@contextmanager
def alerting(program: str, folder: Path, on: Prometheus) -> Iterator[Prometheus]:
    """A vmalert with the rules of ``dashboards``, which writes where it reads."""
    place = f"127.0.0.1:{free_port()}"
    command = [
        *(program, f"-httpListenAddr={place}", *(f"-rule={each}" for each in RULES)),
        *(f"-datasource.url={on.url}", f"-remoteWrite.url={on.url}", f"-remoteRead.url={on.url}"),
        *("-notifier.blackhole", "-rule.evalDelay=1s"),
    ]
    with running(command, f"http://{place}/health", folder / "vmalert.log") as process:
        yield Prometheus(f"http://{place}", process)


def ask(of: Prometheus, query: str, at: float) -> Mapping[frozenset[tuple[str, str]], float]:
    """The series of an instant query by their labels, without those that only vmalert adds."""
    found = of.ask("query", query=query, time=at)["result"]
    return {
        frozenset(
            (name, value) for name, value in each["metric"].items() if name != "alertgroup"
        ): float(each["value"][1])
        for each in found
    }


def compare(one: Prometheus, other: Prometheus, query: str, at: float) -> str:
    """Say in how far two agree on a query."""
    here, there = ask(one, query, at), ask(other, query, at)
    both = here.keys() & there.keys()
    far = [
        each
        for each in both
        if abs(here[each] - there[each]) > TOLERANCE * max(abs(here[each]), abs(there[each]))
    ]
    for each in sorted(map(sorted, (here.keys() ^ there.keys()) | set(far))):
        values = here.get(frozenset(each)), there.get(frozenset(each))
        print(f"    {dict(each)}: {values[0]} and {values[1]}")
    return (
        f"{len(both)} series in both, {len(here) - len(both)} and {len(there) - len(both)} in one,"
        f" {len(far)} differ by more than {TOLERANCE:.0%}"
    )


def count_answers(of: Prometheus, query: Query, end: float) -> int:
    """How many series a panel's query has; an error if it is no query there."""
    asked = plain(query.expr)
    if query.instant:
        return len(of.ask("query", query=asked, time=end)["result"])
    start, step = end - HOUR / 2, HOUR / STEPS
    return len(of.ask("query_range", query=asked, start=start, end=end, step=step)["result"])


def ask_panels(one: Prometheus, other: Prometheus) -> None:
    """Ask both each panel's queries, and print those that have not as many series."""
    end, alike, every = time.time() - 5, 0, list(queries())
    for query in every:
        counts = [count_answers(each, query, end) for each in (one, other)]
        alike += counts[0] == counts[1]
        if counts[0] != counts[1]:
            print(f"    {query.panel}: {counts[0]} and {counts[1]} series of {query.expr}")
    print(f"  {len(every)} queries of panels, {alike} with as many series", flush=True)


def report_alerting(on: Prometheus) -> None:
    """Print what vmalert says of its rules."""
    groups = requests.get(f"{on.url}/api/v1/rules", timeout=60).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    failed = [(rule["name"], rule["lastError"]) for rule in rules if rule.get("lastError")]
    print(f"  vmalert: {len(rules)} rules, {len(failed)} with an error {failed}")


def measure_rules(programs: argparse.Namespace, seconds: int, callers: int) -> None:
    """Compare the rules and panels of both stores."""
    caller = Caller(3, "full")
    caller.call(300)
    settings = (
        f"{{rule_files: {list(RULES)}, storage: {{tsdb: {{out_of_order_time_window: 30m}}}}}}"
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(served(caller))
        one = stack.enter_context(store(folder / "prometheus", settings))
        other = stack.enter_context(victoria(programs.victoria, folder / "victoria"))
        alerts = stack.enter_context(alerting(programs.vmalert, folder, other))
        for name, to in (("a", one), ("b", other)):
            options = (programs.vmagent, "agent", folder / name, port, callers, to)
            stack.enter_context(agent(*options))
        meters = [Meter(each.process) for each in (one, other, alerts)]
        time.sleep(seconds)
        print(f"{callers} callers, after {seconds} s")
        for name, meter in zip(("Prometheus", "VictoriaMetrics", "vmalert"), meters, strict=True):
            print(f"  {name}: {meter.cost()}")
        report_alerting(alerts)
        at = time.time() - 5
        for kind, query in (
            ("recordings", '{__name__=~"(job|instance|glance).*:.+"}'),
            ("alerts", 'ALERTS{alertstate="firing"}'),
        ):
            print(f"  {kind}: {compare(one, other, query, at)}", flush=True)
        ask_panels(one, other)


def measure_pair(program: str, samples: int = 40) -> None:
    """Send two totals of one name, as two agents do, of which one ends; print the increase."""
    began = int(time.time()) // _INTERVAL * _INTERVAL - samples * _INTERVAL
    lines = [
        f"total {start + number * 10} {(began + _INTERVAL * number) * 1000}"
        for start, count in ((100_000, samples // 2), (5_000, samples))
        for number in range(count)
    ]
    dedup = f"-dedup.minScrapeInterval={_INTERVAL}s"
    with (
        tempfile.TemporaryDirectory() as name,
        victoria(program, Path(name) / "store", dedup) as to,
    ):
        url = f"{to.url}/api/v1/import/prometheus"
        requests.post(url, data="\n".join(lines), timeout=60).raise_for_status()
        requests.get(f"{to.url}/internal/force_flush", timeout=60).raise_for_status()
        past, end = samples * _INTERVAL, began + samples * _INTERVAL
        grown = to.ask("query", query=f"increase(total[{past}s])", time=end)["result"]
    counted = grown[0]["value"][1]
    print(f"a pair of one name, deduplicated: {counted} counted of {(samples - 1) * 10}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["rules", "pair"])
    for name, program in (
        ("vmagent", "vmagent"),
        ("victoria", "victoria-metrics"),
        ("vmalert", "vmalert"),
    ):
        parser.add_argument(f"--{name}", default=shutil.which(program))
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=420, help="of the rules")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    if "rules" in options.parts:
        measure_rules(options, options.seconds, options.callers)
    if "pair" in options.parts:
        measure_pair(options.victoria)
    return 0


if __name__ == "__main__":
    sys.exit(main())
