"""python-glanceclient over sessions that send requests again, on real Glances: one is killed.

Run by ``make test-clients``.
"""

import io
import re
import sys
from pathlib import Path

import glanceclient
import pytest
from keystoneauth1.noauth import NoAuth
from keystoneauth1.session import Session
from prometheus_client import CollectorRegistry

from traced_image import lab
from traced_image.instrumentation import GlanceInstrumentor
from traced_image.lab import faults

sys.path.append(str(Path(__file__).parents[1] / "real"))

from parts import cache, glance

RETRIES = {
    "connect_retries": 1,
    "connect_retry_delay": 0.01,
    "status_code_retries": 1,
    "status_code_retry_delay": 0.01,
}
USES = (
    lambda client, image: client.images.get(image)["id"],
    lambda client, image: sorted(each["id"] for each in client.images.list()),
    lambda client, image: b"".join(client.images.data(image)),
    lambda client, image: client.images.get("none"),
)
WELL, KILLED, BROKEN = range(3)


def describe(use, client, image):
    """What a call gives or raises, and where that was raised, without this package's own code."""
    try:
        return use(client, image)
    except Exception as error:  # noqa: BLE001
        frames, trace = [], error.__traceback__
        while trace is not None:
            if "/traced_image/" not in trace.tb_frame.f_code.co_filename:
                frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        return type(error), re.sub("0x[0-9a-f]+|req-[0-9a-f-]+", "", str(error)), frames


def add_image(url):
    """Add an image to a Glance, and return its id."""
    images = glanceclient.Client("2", session=Session(auth=NoAuth(endpoint=url))).images
    created = images.create(name="cirros", disk_format="raw", container_format="bare")
    images.upload(created["id"], io.BytesIO(b"0123456789" * 1000))
    return created["id"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the calls give without the instrumentor and with it, the samples, and the servers."""
    registry = CollectorRegistry()
    environment = cache.install(cache.GLANCE, sys.stderr.write)
    home = tmp_path_factory.mktemp("glance") / "home"

    def call_all():
        clients = [
            glanceclient.Client("2", session=Session(auth=NoAuth(endpoint=url)), **RETRIES)
            for url in asked
        ]
        return [describe(use, each, image) for each in clients for use in USES]

    with (
        glance.glances(environment, home, count=2) as (well, killed),
        lab.cluster(1) as (broken,),
    ):
        asked = [well.url, killed.url, broken.url]
        image = add_image(well.url)
        broken.break_with(faults.status(503))
        killed.kill()
        stock = call_all()
        GlanceInstrumentor().instrument(registry=registry, meter_provider=False)
        try:
            observed = call_all()
        finally:
            GlanceInstrumentor().uninstrument()
    return stock, observed, registry, [url.rpartition(":")[2] for url in asked]


def test_results_and_errors_are_the_same(seen):
    stock, observed, *_ = seen
    assert stock == observed


def test_each_time_that_a_request_is_sent_is_an_attempt_of_its_server(seen):
    *_, registry, ports = seen
    counted = {}
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name == "glance_client_attempt_duration_seconds_count":
                key = sample.labels["server_port"], sample.labels["error_type"]
                counted[key] = counted.get(key, 0) + sample.value
    assert {
        (ports[WELL], ""): 3.0,
        (ports[WELL], "404"): 1.0,
        (ports[KILLED], "connection_refused"): 8.0,
        (ports[BROKEN], "503"): 8.0,
    } == counted


def test_the_dead_and_the_broken_server_are_failing(seen):
    *_, registry, ports = seen
    name = "glance_client_server_state"
    states = [
        {
            state
            for state in ("healthy", "failing")
            if registry.get_sample_value(
                name, {"server_address": "127.0.0.1", "server_port": port, "state": state}
            )
        }
        for port in ports
    ]
    assert [{"healthy"}, {"failing"}, {"failing"}] == states
