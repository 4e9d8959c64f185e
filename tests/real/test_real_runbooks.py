"""Three alerts of a real Prometheus, followed to their causes by their own text and links alone.

The steps are those of docs/how-to/alert.md, and the queries are read from there. Each cause is put
into the scene: no Glance runs, one process has an old list of servers, one process has ended.
"""

import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from alert_scene import RULES, caller, faster
from grafana import BOARDS, ask
from parts import alertmanager
from parts.cache import PartUnavailableError
from parts.ports import free_port
from parts.prometheus import Prometheus
from parts.prometheus import prometheus as run_prometheus
from runbooks import RUNBOOKS, fill, headed, queries, silences

from traced_image import RetryPolicy, lab
from traced_image.lab import faults

ROOT = Path(__file__).parents[2]
STEPS = (ROOT / "docs/how-to/alert.md").read_text("utf-8")
REGION, ELSEWHERE = "one", "two"
SCRAPE = "1s"
PAUSE = 0.4  # seconds between two calls of a process
RETRY = RetryPolicy(cooldown_base=0.05, cooldown_cap=0.2)


def now(rules):
    """Rules that are faster, and alerts that wait for nothing."""
    return re.sub(r"\bfor: \w+", "for: 0s", faster(rules))


@dataclass(frozen=True)
class Incident:
    """An alert that fires, and what its reader has.

    Attributes:
        prometheus: Where it fires.
        labels: Its labels.
        annotations: Its annotations.
    """

    prometheus: Prometheus
    labels: dict
    annotations: dict

    def panel(self, title):
        """What a panel shows behind the alert's link: the answers of its queries."""
        link = urlsplit(self.annotations["dashboard_url"])
        uid = link.path.removeprefix("/d/")
        (board,) = (name for name, each in BOARDS.items() if each["uid"] == uid)
        given = parse_qs(link.query)
        chosen = {
            name.removeprefix("var-"): value
            for name, (value,) in given.items()
            if name.startswith("var-")
        }
        return ask(self.prometheus, board, title, float(self.prometheus.query("time()")[1]), chosen)

    def steps(self):
        """What the queries of the steps find, in their order."""
        for query in queries(headed(STEPS, self.labels["alertname"])):
            yield [
                (found["metric"], float(found["value"][1]))
                for found in self.prometheus.query(fill(query, self.labels))
            ]


class Scene:
    """Callers of three jobs, and what becomes of them.

    Args:
        stack: What closes all of it.
        folder: Where Prometheus keeps its data.
        programs: Prometheus's programs.
    """

    def __init__(self, stack, folder, programs):
        self.down = stack.enter_context(lab.cluster(2))
        self.healthy = stack.enter_context(lab.cluster(2))
        self.old = f"http://127.0.0.1:{free_port()}"
        self.ended = ExitStack()
        stack.enter_context(self.ended)
        down, healthy = ([each.url for each in each_] for each_ in (self.down, self.healthy))
        self.targets = [
            *(self._call(stack, "nova-api", f"api-{number}", down) for number in (1, 2)),
            self._call(stack, "nova-compute", "compute-1", healthy),
            self._call(stack, "nova-compute", "compute-3", [self.old]),
            self._call(stack, "nova-compute", "compute-2", healthy, ELSEWHERE),
            self._call(stack, "cinder-volume", "cinder-1", healthy),
            self._call(self.ended, "cinder-volume", "cinder-2", healthy),
        ]
        (folder / "rules").mkdir()
        for file in RULES.glob("*.yaml"):
            (folder / "rules" / file.name).write_text(now(file.read_text()))
        every = {
            "global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE},
            "rule_files": [f"{folder}/rules/*.yaml"],
            "scrape_configs": self.targets,
        }
        self.prometheus = stack.enter_context(
            run_prometheus(programs, folder / "prometheus", yaml.dump(every))
        )

    def _call(self, stack, job, instance, urls, region=REGION):
        calling = caller(urls, lambda service: service.detail(None), PAUSE, retry=RETRY)
        port = stack.enter_context(calling)
        labels = {"job": job, "instance": instance, "region": region}
        return {
            "job_name": f"{job} {instance} {region}",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}],
        }

    def break_all(self):
        """Stop the servers, and end a process; its last scrapes were recorded."""
        for server in self.down:
            server.break_with(faults.refuse())
        seen = 'instance:traced_image_build_info:seen{instance="cinder-2"} offset 4s'
        self.prometheus.until(lambda: self.prometheus.query(seen), "did not see cinder-2")
        self.ended.close()
        last = "glance_client_server_last_{}_timestamp_seconds"
        failing = f'{last.format("failure")}{{job="nova-api"}} > {last.format("success")}'
        self.prometheus.until(
            lambda: self.prometheus.query(f"count({failing}) == 4"), "no outage of nova-api"
        )

    def incident(self, name, job, *words):
        """Wait until an alert of a job fires, and its description has some words."""
        found = []

        def fires():
            found[:] = [
                each
                for each in self.prometheus.get("alerts")["alerts"]
                if each["state"] == "firing"
                and {"alertname": name, "job": job}.items() <= each["labels"].items()
                and all(word in each["annotations"]["description"] for word in words)
            ]
            return found

        self.prometheus.until(fires, f"{name} does not fire")
        (alert,) = found
        return Incident(self.prometheus, alert["labels"], alert["annotations"])


@pytest.fixture(scope="module")
def scene(prometheus, tmp_path_factory):
    """The scene, after all has happened that is to happen."""
    with ExitStack() as stack:
        played = Scene(stack, tmp_path_factory.mktemp("runbooks"), prometheus.programs)
        played.break_all()
        yield played


def test_every_server_fails_because_no_glance_runs(scene):
    servers = {("127.0.0.1", str(each.port)) for each in scene.down}
    named = [f"{address}:{port} connection_refused" for address, port in servers]
    alert = scene.incident("GlanceAllServersFailing", "nova-api", *named)

    rows = alert.panel("What fails now")["A"].by("server_address", "server_port", "error_type")
    assert {(*each, "connection_refused") for each in servers} == rows.keys()

    (found,) = alert.steps()
    processes = {(it["server_address"], it["server_port"]): count for it, count in found}
    assert dict.fromkeys(servers, 2) == processes

    command = [Path(sys.executable).with_name("traced-image"), "servers"]
    command += [word for each in scene.down for word in ("--server", each.url)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert 2 == said.count("connection_refused"), said


def test_one_compute_is_cut_off_because_its_list_of_servers_is_old(scene):
    alert = scene.incident("GlanceCallerFailing", "nova-compute")
    old = ("127.0.0.1", scene.old.rpartition(":")[2])
    assert ("compute-3", REGION) == (alert.labels["instance"], alert.labels["region"])

    failed = alert.panel("Its failed attempts")["A"]
    assert {(*old, "connection_refused")} == failed.by(
        "server_address", "server_port", "error_type"
    ).keys()

    asked, reached = alert.steps()
    assert [old] == [(it["server_address"], it["server_port"]) for it, _ in asked]
    assert {(each.host, str(each.port)): 1 for each in scene.healthy} == {
        (it["server_address"], it["server_port"]): count for it, count in reached
    }


def test_telemetry_is_gone_because_a_process_has_ended(scene):
    alert = scene.incident("GlanceTelemetryAbsent", "cinder-volume")
    assert 1 == alert.panel("Processes that can't be scraped")["A"].value

    (found,) = alert.steps()
    assert ["cinder-2"] == [it["instance"] for it, _ in found]

    targets = scene.prometheus.get("targets")["activeTargets"]
    (error,) = [it["lastError"] for it in targets if it["labels"]["instance"] == "cinder-2"]
    assert error.endswith("connection refused")


@pytest.mark.parametrize(
    "name", ["GlanceAllServersFailing", "GlanceCallerFailing", "GlanceTelemetryAbsent"]
)
def test_the_steps_are_few_and_their_queries_are_those_of_the_runbook(name):
    text = headed(STEPS, name)
    written = [" ".join(each.split()) for each in queries(headed(RUNBOOKS, name))]
    assert [] == [q for q in queries(text) if " ".join(q.split()) not in written]
    assert len(re.findall(r"^\d\. ", text, re.MULTILINE)) <= 5


@pytest.mark.parametrize("query", queries(RUNBOOKS))
def test_prometheus_evaluates_each_query_of_the_runbooks(scene, query):
    labels = {"job": "nova-compute", "region": REGION, "instance": "compute-3"}
    server = {"server_address": "127.0.0.1", "server_port": scene.old.rpartition(":")[2]}
    scene.prometheus.query(fill(query, {**labels, **server}))


def test_a_real_alertmanager_takes_each_silence_of_the_runbooks(tmp_path, prometheus):
    try:
        program = alertmanager.install(print)
    except PartUnavailableError as error:
        pytest.skip(str(error))
    commands = [shlex.split(each) for each in silences(RUNBOOKS)]
    routes = "route: {receiver: none}\nreceivers: [{name: none}]\n"
    amtool = Path(program).with_name("amtool")
    with alertmanager.alertmanager(program, tmp_path / "alertmanager", routes) as address:
        # An alert without a region has nothing in its place.
        for command in commands:
            words = [word.replace("region=REGION", "region=") for word in command[1:]]
            done = subprocess.run(
                [amtool, f"--alertmanager.url=http://{address}", *words],
                capture_output=True,
                text=True,
                check=False,
            )
            assert (0, "") == (done.returncode, done.stderr), command
