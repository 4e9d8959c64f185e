"""How rules and panels do with many callers: a real Prometheus, the real rules, generated series.

``PYTHONPATH=dashboards/src python bench/scale.py [--callers 100 300 1000] [--seconds 360]``

For each number of callers a Prometheus of its own scrapes that many, every 15 seconds and for some
minutes, so that the windows of the rules are full. All callers are served by one process, and show
the same: what a registry has in which calls are counted as time goes on, on servers of which one
fails. What is recorded and scraped of each caller is there for the hour before, too. Then each rule
group's duration is read from Prometheus, and each query of each panel of ``dashboards/`` is asked
for an hour in 240 steps, as a panel of a usual width does. Last, an hour is diagnosed.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from prometheus_client import CollectorRegistry, generate_latest
from traced_image_dashboards.recording import BY_CALLER, GROUPS, MONTH, OUTAGES

from traced_image import Server, Telemetry
from traced_image.diagnosis.prometheus import observe
from traced_image.diagnosis.prometheus_api import PrometheusAPI
from traced_image.diagnosis.requests_of_sources import SourceAccess, SourceReader
from traced_image.errors import DiagnosisError, Reason
from traced_image.pipeline.attempts.host_state import HostState
from traced_image.telemetry import catalogue
from traced_image.telemetry.shared_metrics import share_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

DASHBOARDS = Path(__file__).parents[1] / "dashboards"
SCRAPE_SECONDS = 15
HOUR = 3600
STEPS = 240
MOST_SECONDS = 1.0
"""What a panel may take."""

ASKED = 3
"""How often each query is asked; the median counts."""

_START_LIMIT = 60.0
_OPERATIONS = ("images.get", "images.list", "images.data")
_REASON = Reason("connection_refused")

_SETTINGS = """\
global: {{scrape_interval: {seconds}s, evaluation_interval: 30s}}
rule_files: ["{rules}/*.yaml"]
scrape_configs:
- job_name: nova-compute
  file_sd_configs: [{{files: [targets.json]}}]
"""


class Caller:
    """A process that calls Glance: ten calls a second, one server of the cycle failing.

    Args:
        servers: How many servers it has.
        detail: Which labels its metrics have.
    """

    def __init__(self, servers: int, detail: str) -> None:
        self.registry = CollectorRegistry()
        telemetry = Telemetry(registry=self.registry, meter_provider=False, detail=detail)
        self._metrics = share_metrics(telemetry)
        self._servers = [Server.parse(f"10.0.0.{number + 1}") for number in range(servers)]
        self._metrics.known(self._servers)
        self._hosts = [HostState(server) for server in self._servers]
        self._hosts[0].enter("cooling", 0.0)
        for host in self._hosts:
            self._metrics.host(host)
        self._calls = 0

    def call(self, times: int) -> None:
        """Make calls; those that meet the failing server are retried elsewhere."""
        for _ in range(times):
            self._calls += 1
            operation = _OPERATIONS[self._calls % len(_OPERATIONS)]
            server = self._servers[self._calls % len(self._servers)]
            failing = server is self._servers[0]
            if failing:
                self._fail(operation, server)
                server = self._servers[-1]
            self._attempt(operation, server, "", 0.03)
            outcome = "success_after_retry" if failing else "success_first_try"
            self._metrics.call(operation, outcome, "", 0.032, None)

    def _fail(self, operation: str, server: Server) -> None:
        self._attempt(operation, server, _REASON, 0.002)
        self._metrics.retry(operation, server, _REASON, 0.0, None)
        self._metrics.call_retries(operation, 1, None)
        self._metrics.saved({(server, _REASON): 0.002}, None)
        self._hosts[0].blame(_REASON, time.time())
        self._metrics.host(self._hosts[0])

    def _attempt(self, operation: str, server: Server, reason: str, seconds: float) -> None:
        metrics, place = self._metrics, self._metrics.find_place(server)
        metrics.attempt_started(place, self._calls)
        metrics.attempt_left(place, self._calls)
        verdict = "failed" if reason else "success"
        metrics.attempt_ended(operation, place, verdict, reason, seconds, None)

    @property
    def calls(self) -> int:
        """How many calls it has made."""
        return self._calls

    def exposition(self) -> bytes:
        """What it shows, gzipped."""
        return gzip.compress(generate_latest(self.registry), 1)


@contextmanager
def served(caller: Caller) -> Iterator[int]:
    """Serve what a caller shows, while it goes on; the port."""
    body = [caller.exposition()]
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            data = body[0]
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def handle(self) -> None:
            with suppress(OSError):  # Prometheus has ended
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    def go_on() -> None:
        while not over.wait(SCRAPE_SECONDS / 3):
            caller.call(SCRAPE_SECONDS * 10 // 3)
            body[0] = caller.exposition()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threads = [threading.Thread(target=each) for each in (server.serve_forever, go_on)]
    for thread in threads:
        thread.start()
    try:
        yield server.server_address[1]
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus.

    Attributes:
        url: Its address.
        process: Its process.
    """

    url: str
    process: subprocess.Popen[bytes]

    def ask(self, what: str, **parameters: object) -> dict[str, object]:
        """Ask its API."""
        reply = requests.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=120)
        answer = reply.json()
        if answer["status"] != "success":
            raise RuntimeError(f"{parameters}: {answer['error']}")
        return answer["data"]

    def value(self, promql: str) -> float:
        """The one value of a query."""
        found = self.ask("query", query=promql)["result"]
        return float(found[0]["value"][1]) if found else 0.0

    @property
    def processor_seconds(self) -> float:
        """Seconds of a core that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> int:
        """Bytes of memory that are resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024


@contextmanager
def prometheus(callers: int, servers: int, port: int) -> Iterator[Prometheus]:
    """A Prometheus that scrapes so many callers at one port, and evaluates the rules."""
    targets = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": f"compute-{number:04}:9293"}}
        for number in range(callers)
    ]
    with socket.socket() as sock, tempfile.TemporaryDirectory() as name:
        sock.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{sock.getsockname()[1]}"
        sock.close()
        folder = Path(name)
        (folder / "targets.json").write_text(json.dumps(targets))
        rules = DASHBOARDS / "rules"
        settings = _SETTINGS.format(seconds=SCRAPE_SECONDS, rules=rules)
        (folder / "prometheus.yml").write_text(settings)
        backfill(folder, callers, servers)
        command = [
            str(shutil.which("prometheus")),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={place}",
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until_ready(f"http://{place}/-/ready", process)
            yield Prometheus(f"http://{place}", process)
        finally:
            process.terminate()
            process.wait()


def backfill(folder: Path, callers: int, servers: int) -> None:
    """Write an hour of what panels read of single callers, as it was recorded and scraped."""
    names = [f"compute-{number:04}:9293" for number in range(callers)]
    places = [
        f'server_address="10.0.0.{number + 1}",server_port="9292"' for number in range(servers)
    ]
    by_caller = [
        rule.record
        for group in (*GROUPS.values(), MONTH, OUTAGES, BY_CALLER)
        for rule in group
        if "instance" in rule.record
    ]
    now = int(time.time())
    with (folder / "hour.txt").open("w") as file:
        for name in (*by_caller, "up", "scrape_duration_seconds", "scrape_samples_scraped"):
            more = places if name.startswith("instance_server") else [""]
            if name.startswith("instance:glance_client_calls"):
                more = [f'outcome="{outcome}"' for outcome in catalogue.OUTCOMES]
            if "telemetry_errors" in name:
                continue  # nothing fails
            step = 30 if ":" in name else SCRAPE_SECONDS
            for caller, labels in itertools.product(names, more):
                series = f'{name}{{job="nova-compute",instance="{caller}",{labels}}}'.replace(
                    ",}", "}"
                )
                file.writelines(f"{series} 1 {at}\n" for at in range(now - HOUR, now, step))
        file.write("# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q"]
    subprocess.run([*command, f"{folder}/hour.txt", f"{folder}/data"], check=True)
    (folder / "hour.txt").unlink()


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program's address answers."""
    end = time.monotonic() + _START_LIMIT
    while process.poll() is None and time.monotonic() < end:
        try:
            if requests.get(url, timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


@dataclass(frozen=True)
class Query:
    """A query of a panel.

    Attributes:
        panel: The dashboard's and the panel's titles.
        expr: What is asked.
        instant: Whether it is asked for now alone, as tables and single values are.
    """

    panel: str
    expr: str
    instant: bool

    def ask(self, server: Prometheus, end: float) -> None:
        """Ask it as Grafana does."""
        asked = plain(self.expr)
        if self.instant:
            server.ask("query", query=asked, time=end)
            return
        start, step = end - HOUR, HOUR / STEPS
        server.ask("query_range", query=asked, start=start, end=end, step=step)


def queries() -> Iterator[Query]:
    """Each query of each panel."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text())
        for panel in _panels(board["panels"]):
            for target in panel.get("targets", ()):
                if target.get("expr"):
                    name = f"{board['title']}: {panel['title']}"
                    yield Query(name, target["expr"], target.get("instant", False))


def _panels(panels: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))


_VALUES = {
    "__rate_interval": "1m",
    "__interval": "15s",
    "__range": "1h",
    "__range_s": "3600",
    "caller": "compute-0001:9293",
}


def plain(expr: str) -> str:
    """A query as Grafana asks it with everything chosen."""
    return re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda found: _VALUES.get(found[1], ".*"), expr)


def panel_seconds(server: Prometheus) -> dict[str, float]:
    """How long each panel's queries take together, by its name."""
    end = time.time()
    taken: dict[str, float] = {}
    for query in queries():
        times = []
        for _ in range(ASKED):
            started = time.perf_counter()
            query.ask(server, end)
            times.append(time.perf_counter() - started)
        taken[query.panel] = taken.get(query.panel, 0.0) + statistics.median(times)
    return taken


def rule_seconds(server: Prometheus) -> dict[str, float]:
    """How long each group of rules takes."""
    groups = server.ask("rules")["groups"]
    return {group["name"]: group["evaluationTime"] for group in groups}


def slowest_rules(server: Prometheus, count: int = 8) -> list[tuple[float, str]]:
    """The rules that take longest, and for how many seconds each."""
    groups = server.ask("rules")["groups"]
    rules = [(rule["evaluationTime"], rule["name"]) for each in groups for rule in each["rules"]]
    return sorted(rules, reverse=True)[:count]


def diagnosis_seconds(server: Prometheus) -> float:
    """How long the diagnosis of an hour takes."""
    started = time.perf_counter()
    with SourceReader(server.url, SourceAccess(), "Prometheus") as reader:
        try:
            observe(PrometheusAPI(reader), end=time.time(), window=HOUR)
        except DiagnosisError as error:
            print(f"  {error}")
    return time.perf_counter() - started


def measure(callers: int, servers: int, port: int, seconds: int) -> bool:
    """Measure one size of fleet and print it; whether all panels are fast enough."""
    started = time.monotonic()
    with prometheus(callers, servers, port) as server:
        time.sleep(seconds)
        scraped = server.value("sum(scrape_samples_scraped) / count(up)")
        cores = server.processor_seconds / (time.monotonic() - started)
        up = server.value("count(up == 1)")
        print(f"\n{callers} callers: {up:.0f} up, {scraped:.0f} series each")
        print(f"  Prometheus: {server.memory / 2**20:.0f} MiB, {cores:.2f} cores on average")
        rules = rule_seconds(server)
        for name, taken in rules.items():
            print(f"  rules {name}: {taken:.3f} s")
        for taken, name in slowest_rules(server):
            print(f"    {taken:.3f} s  {name}")
        panels = panel_seconds(server)
        diagnosis = diagnosis_seconds(server)
    print(f"  diagnosis: {diagnosis:.3f} s")
    for name, taken in sorted(panels.items(), key=lambda item: -item[1]):
        print(f"  {taken:7.3f} s  {name}")
    slowest = max(panels.values())
    verdict = "met" if slowest <= MOST_SECONDS else "missed"
    print(f"  slowest panel: {slowest:.3f} s (≤ {MOST_SECONDS:.0f} {verdict})")
    return slowest <= MOST_SECONDS


def main() -> int:
    """Run, print the figures, and tell whether they are within what they may be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--callers", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--servers", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=360, help="of scraping, for each size")
    parser.add_argument("--detail", default="full")
    options = parser.parse_args()
    caller = Caller(options.servers, options.detail)
    caller.call(3000)
    with served(caller) as port:
        met = [
            measure(callers, options.servers, port, options.seconds) for callers in options.callers
        ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
