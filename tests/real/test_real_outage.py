"""One of three Glances killed or stopped under a running loop of calls."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from parts.http import HTTPPart
from parts.outage import restored, under_load
from prometheus_client import CollectorRegistry

import traced_image
from traced_image import RetryPolicy, Telemetry, UnsafeToRepeat

LARGE = os.urandom(24 * 1024**2)
CALLERS = 12
STOPPED = 3.0  # seconds, far from the default of 60 for an answer
LIMIT = 15.0  # seconds for a server that is back to be used again


@pytest.fixture(scope="module", params=["kill", "stop"])
def outage(request, glances, urls, image_ids):
    """The loop, the dead server, what is known of the servers and of the attempts."""
    registry = CollectorRegistry()
    service = traced_image.connect(
        servers=urls,
        read_timeout=1.0,
        # A policy of its own, so that the servers' health is its own, too.
        retry=RetryPolicy(cooldown_base=2.0),
        telemetry=Telemetry(registry=registry),
    )
    victim = glances[0]
    with restored(glances):
        loop = under_load(
            lambda: service.show(None, image_ids["active"]), getattr(victim, request.param)
        )
        servers = service.servers()
    service.close()
    return SimpleNamespace(loop=loop, victim=victim, servers=servers, registry=registry)


def test_no_call_fails(outage):
    assert outage.loop.errors == []


def test_the_log_names_the_dead_server_and_no_other(outage):
    named = {line.partition("'")[2].partition("'")[0] for line in outage.loop.lines}
    assert {f"127.0.0.1:{outage.victim.port}"} == named


def test_the_servers_health_names_the_dead_server(outage):
    unhealthy = {health.server.port for health in outage.servers if health.last_failure}
    assert {outage.victim.port} == unhealthy


def test_the_dead_server_is_not_healthy(outage):
    (state,) = {h.state for h in outage.servers if h.server.port == outage.victim.port}
    assert state != "healthy"


def test_the_metrics_name_the_dead_server_and_no_other(outage):
    failed = {
        (sample.labels["server_address"], sample.labels["server_port"])
        for metric in outage.registry.collect()
        for sample in metric.samples
        if sample.name == "glance_client_attempt_duration_seconds_count"
        and sample.labels["error_type"]
        and sample.value
    }
    assert {("127.0.0.1", str(outage.victim.port))} == failed


def test_a_server_that_is_back_is_used_again(breakable, urls, image_ids):
    policy = RetryPolicy(cooldown_base=0.1, cooldown_cap=0.5)
    service = traced_image.connect(servers=urls, retry=policy, telemetry=False)
    breakable[1].kill()
    for _ in urls:
        service.show(None, image_ids["active"])
    breakable[1].restart()
    end = time.monotonic() + LIMIT
    while _state(service, breakable[1]) != "healthy" and time.monotonic() < end:
        service.show(None, image_ids["active"])
    service.close()
    assert _state(service, breakable[1]) == "healthy"


def test_at_the_default_timeouts_a_stopped_server_holds_up_few_callers(breakable, urls, image_ids):
    policy = RetryPolicy(cooldown_base=2.5)
    service = traced_image.connect(servers=urls, retry=policy, telemetry=False)
    over = threading.Event()

    def calls(_number):
        done = 0
        while not over.is_set():
            service.show(None, image_ids["active"])
            done += 1
        return done

    with ThreadPoolExecutor(CALLERS) as pool:
        made = pool.map(calls, range(CALLERS))
        breakable[0].stop()
        over.wait(STOPPED)
        held = {h.server.port: h.active_attempts for h in service.servers()}[breakable[0].port]
        over.set()
        breakable[0].cont()
        made = list(made)
    service.close()
    assert held <= CALLERS * 2 // 3
    assert sum(count > 10 for count in made) >= CALLERS - held


def test_two_of_three_killed(breakable, urls, image_ids):
    policy = RetryPolicy(cooldown_base=0.3)
    service = traced_image.connect(servers=urls, retry=policy, telemetry=False)

    def kill_two():
        breakable[0].kill()
        breakable[2].kill()

    loop = under_load(lambda: service.show(None, image_ids["active"]), kill_two)
    service.close()
    assert loop.errors == []


def test_a_list_goes_on_where_a_server_was_killed(breakable, urls, image_ids):
    policy = RetryPolicy(cooldown_base=0.4)
    service = traced_image.connect(servers=urls, retry=policy, telemetry=False)
    loop = under_load(
        lambda: service.detail(None, page_size=3, limit=12), breakable[2].kill, calls=12
    )
    service.close()
    assert loop.errors == []


@pytest.fixture(scope="module")
def large_id(service):
    """An image larger than what a connection keeps on its way."""
    return service.create(None, {"disk_format": "raw", "container_format": "bare"}, LARGE)["id"]


def test_a_download_goes_on_where_its_server_was_killed(breakable, service, large_id):
    download = service.download(None, large_id)
    chunks = iter(download)
    received = [next(chunks)]
    _by_port(breakable, download.server.port).kill()
    received += chunks
    assert b"".join(received) == LARGE


def test_a_download_goes_on_where_its_server_was_stopped(breakable, urls, large_id):
    policy = RetryPolicy(cooldown_base=0.6)
    service = traced_image.connect(servers=urls, read_timeout=1.0, retry=policy, telemetry=False)
    download = service.download(None, large_id)
    chunks = iter(download)
    received = [next(chunks)]
    _by_port(breakable, download.server.port).stop()
    received += chunks
    service.close()
    assert b"".join(received) == LARGE


def test_an_upload_whose_server_was_killed_is_an_error(breakable, urls):
    policy = RetryPolicy(cooldown_base=0.7)
    service = traced_image.connect(servers=urls[:1], retry=policy, telemetry=False)
    image = service.create(None, {"disk_format": "raw", "container_format": "bare"})

    def data():
        yield LARGE[: len(LARGE) // 2]
        breakable[0].kill()
        yield LARGE[len(LARGE) // 2 :]

    with pytest.raises(UnsafeToRepeat):
        service.update(None, image["id"], {}, data(), purge_props=False)
    service.close()


def _by_port(glances, port) -> HTTPPart:
    (found,) = [one for one in glances if one.port == port]
    return found


def _state(service, part: HTTPPart) -> str:
    (state,) = {h.state for h in service.servers() if h.server.port == part.port}
    return state
