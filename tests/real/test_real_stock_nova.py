"""Stock nova, which never imports this package: dashboards, alerts and its page name its server."""

import os
import sys
import time
from pathlib import Path

import dashboards_scene as stage
import pytest
import requests
from grafana import ask
from parts import cache
from parts.ports import free_port
from parts.process import Process

from traced_image import lab
from traced_image.lab import faults

PROGRAM = Path(__file__).parent / "parts/inside/stock_nova.py"
JOB = "nova-compute"


@pytest.fixture(scope="module")
def scene(prometheus, tmp_path_factory):
    """Nova with three servers of which one refuses connections, and a Prometheus that has seen it.

    Yields:
        The Prometheus, the port of nova's page, and the port of the failing server.
    """
    environment = cache.install(cache.OBSERVED_NOVA, sys.stderr.write)
    folder, port = tmp_path_factory.mktemp("nova"), free_port()
    images = lab.Images()
    image = images.add(name="cirros", visibility="public")
    with lab.cluster(3, images=images) as servers:
        command = [*cache.python(environment), str(PROGRAM), image]
        nova = Process(
            "nova",
            [*command, *(each.url for each in servers)],
            folder / "nova.log",
            env={"TRACED_IMAGE_EXPORTER": f"127.0.0.1:{port}"},
        )
        hold, input_end = os.pipe()
        nova.start(hold)
        try:
            targets = [stage.Caller("compute-1", JOB, port)]
            with stage.watched(prometheus.programs, folder, targets) as own:
                own.until(lambda: own.query("job:glance_client_all_calls:rate5m > 0"), "no calls")
                servers[1].break_with(faults.refuse())
                bad = f'job="{JOB}", server_port="{servers[1].port}"'
                fires = f'ALERTS{{alertname="GlanceServerFailing", alertstate="firing", {bad}}}'
                # The alert counts what failed among the attempts of five minutes.
                own.until(lambda: own.query(fires), "the alert does not fire")
                yield own, port, str(servers[1].port)
        finally:
            os.close(input_end)
            os.close(hold)
            nova.close()


def test_the_alert_is_of_the_failing_server_alone(scene):
    own, _, bad = scene
    found = own.query('ALERTS{alertname="GlanceServerFailing"}')
    assert {bad} == {each["metric"]["server_port"] for each in found}


def test_overview_names_server_reason_operation_and_job(scene):
    own, _, bad = scene
    answer = ask(own, "overview", "What fails now", time.time(), {"job": JOB})
    rows = answer["A"].by("server_port", "error_type", "operation", "job")
    assert {(bad, "connection_refused", "images.get", JOB)} == rows.keys()


def test_the_page_shows_it_as_failing(scene):
    _, port, bad = scene
    servers = requests.get(f"http://127.0.0.1:{port}/servers", timeout=10).json()["servers"]
    failed = {each["port"]: list(each["reasons"]) for each in servers if each["failed"]}
    assert {bad: ["connection_refused"]} == failed
