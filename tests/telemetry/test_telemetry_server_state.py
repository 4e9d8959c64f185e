"""The state of servers: the gauges say what ``service.servers()`` does, at every step."""

import gc
import time as clocks
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from watching import LIMIT, Counts, InOrder, by_api, by_gauges, until

import traced_image
from traced_image import (
    ChecksumMismatch,
    Config,
    GlanceClientWrapper,
    GlanceConnectionFailed,
    GlanceImageService,
    RetryPolicy,
    Telemetry,
)
from traced_image.lab import faults
from traced_image.pipeline.attempts.fleet import Fleet
from traced_image.telemetry.layers import make_layers

SERVER = ("server_address", "server_port")
POLICY = RetryPolicy(backoff_base=0.0, cooldown_base=1.0, cooldown_cap=8.0)


def state_of(service, server):
    (health,) = [each for each in service.servers() if each.server.port == server.port]
    return health.state


@contextmanager
def held(service, image_id, server):
    """A request that `server` keeps waiting, as long as the context lasts."""
    server.break_with(faults.never_answer())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(service.show, None, image_id)
        try:
            until(lambda: any(health.active_attempts for health in service.servers()))
            until(lambda: server.access_log and server.access_log[-1].fault == "never_answer")
            yield
        finally:
            server.heal()
        answer.result(LIMIT)


@pytest.fixture
def steps(service, servers, image_id, time):
    """A server that fails, cools down, fails its trial, and heals; with its state at each step."""
    shown = service(servers=[servers[0].url, servers[1].url], retry=POLICY, num_retries=2)
    guilty = servers[0]

    def play():
        yield "before any call"
        guilty.break_with(faults.status(503))
        shown.show(None, image_id)
        yield "it has failed"
        shown.show(None, image_id)
        yield "it cools down"
        time.now += 2.0
        shown.show(None, image_id)
        shown.show(None, image_id)
        yield "its trial has failed"
        time.now += 4.0
        with held(shown, image_id, guilty):
            yield "it is on trial"
        yield "it has healed"
        guilty.break_with(faults.corrupt_data())
        for _ in range(2):
            download = shown.download(None, image_id)
            if download.server.port == guilty.port:
                with pytest.raises(ChecksumMismatch):
                    list(download)
            download.close()
        yield "its data was wrong"

    def run():
        for step in play():
            yield step, shown, state_of(shown, guilty)

    return run


def test_the_gauges_say_what_the_service_says_after_every_step(steps, counts):
    differing = [step for step, shown, _ in steps() if by_api(shown) != by_gauges(counts)]
    assert [] == differing


def test_a_server_goes_through_all_of_its_states(steps):
    assert [
        ("before any call", "healthy"),
        ("it has failed", "cooling"),
        ("it cools down", "cooling"),
        ("its trial has failed", "cooling"),
        ("it is on trial", "trial"),
        ("it has healed", "healthy"),
        ("its data was wrong", "cooling"),
    ] == [(step, state) for step, _, state in steps()]


def test_failures_in_a_row_are_counted_until_one_succeeds(steps, servers, counts):
    place = ("127.0.0.1", str(servers[0].port))
    name = "glance_client_server_consecutive_failures"
    assert [0.0, 1.0, 1.0, 2.0, 2.0, 0.0, 1.0] == [
        counts.of(name, *SERVER, zeros=True)[place] for _ in steps()
    ]


def test_it_is_told_when_a_server_last_succeeded_and_failed(service, servers, image_id, counts):
    shown = service(servers=[servers[0].url, servers[1].url], retry=POLICY)
    servers[0].break_with(faults.status(503))
    before = clocks.time()
    shown.show(None, image_id)
    after = clocks.time()
    told = {
        kind: counts.of(f"glance_client_server_last_{kind}_timestamp_seconds", "server_port")
        for kind in ("success", "failure")
    }
    assert {"success": {(str(servers[1].port),)}, "failure": {(str(servers[0].port),)}} == {
        kind: set(found) for kind, found in told.items()
    }
    assert all(before <= when <= after for found in told.values() for when in found.values())


def test_an_attempt_is_active_while_its_server_keeps_it_waiting(service, servers, image_id, counts):
    shown = service(servers=[servers[0].url, servers[1].url])
    seen = []
    with held(shown, image_id, servers[0]):
        seen.append(counts.of("glance_client_active_attempts", "server_port"))
    seen.append(counts.of("glance_client_active_attempts", "server_port"))
    assert [{(str(servers[0].port),): 1.0}, {}] == seen


def test_an_interrupted_attempt_is_no_longer_active(service, counts):
    class Interrupted:
        def __iter__(self):
            raise KeyboardInterrupt

    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    with pytest.raises(KeyboardInterrupt):
        service().create(None, fields, Interrupted())
    assert {} == counts.of("glance_client_active_attempts", *SERVER)


# --- services that share their servers ---------------------------------------------------------


@pytest.fixture
def sharing(servers, time):
    """Build services that take their servers from one cycle."""
    config = Config(servers=[server.url for server in servers], retry=POLICY, num_retries=2)
    clock, rng = time.clock(), InOrder()
    fleet = Fleet.of(config.servers, config.retry, clock, rng)
    made = []

    def build(registry):
        telemetry = Telemetry(registry=registry)
        layers = make_layers(telemetry, config.servers)
        client = GlanceClientWrapper(config, layers, fleet=fleet, clock=clock, rng=rng)
        made.append(GlanceImageService(client))
        return made[-1]

    yield build
    for one in made:
        one.close()


def test_what_one_service_meets_is_shown_wherever_its_servers_are(sharing, servers, image_id):
    registries = [CollectorRegistry(), CollectorRegistry()]
    services = [sharing(registry) for registry in registries]
    servers[0].break_with(faults.refuse())
    services[0].show(None, image_id)
    said = [by_gauges(Counts(registry)) for registry in registries]
    assert [by_api(services[0]), by_api(services[1])] == said


def test_a_service_that_comes_later_shows_what_is_known_already(sharing, servers, image_id):
    servers[0].break_with(faults.refuse())
    sharing(CollectorRegistry()).show(None, image_id)
    registry = CollectorRegistry()
    assert by_api(sharing(registry)) == by_gauges(Counts(registry))


def test_services_of_one_registry_show_the_same(sharing, servers, image_id, registry, counts):
    services = [sharing(registry), sharing(registry)]
    servers[0].break_with(faults.refuse())
    for service in services:
        service.show(None, image_id)
    assert by_api(services[0]) == by_gauges(counts)


def watches(service):
    """What is shown the servers of a service, once a change has been shown."""
    service.show(None, next(iter(service.detail(None)))["id"])
    return service._client._fleet.cycle._watches


def test_a_registry_is_shown_each_change_once(sharing, registry, image_id):
    services = [sharing(registry) for _ in range(3)]
    assert [3] == list(watches(services[0]).values())


def test_services_that_were_closed_are_forgotten(sharing, image_id):
    remaining = sharing(CollectorRegistry())
    for _ in range(50):
        sharing(CollectorRegistry()).close()
    assert 1 == len(watches(remaining))


def test_services_that_nobody_has_any_more_are_forgotten(servers, image_id):
    urls = [server.url for server in servers]
    remaining = traced_image.connect(servers=urls)
    for _ in range(10):
        traced_image.connect(servers=urls, telemetry=Telemetry(registry=CollectorRegistry()))
    gc.collect()
    assert 1 == len(watches(remaining))
    remaining.close()


def test_a_service_that_is_closed_twice_leaves_others_of_its_registry_alone(
    sharing, servers, image_id, registry, counts
):
    first, second = sharing(registry), sharing(registry)
    second.close()
    second.close()
    servers[0].break_with(faults.refuse())
    first.show(None, image_id)
    assert by_api(first) == by_gauges(counts)


def test_attempts_of_all_services_are_active(sharing, servers, image_id, registry, counts):
    first, second = sharing(registry), sharing(registry)
    with held(first, image_id, servers[0]), held(second, image_id, servers[1]):
        said = by_gauges(counts), by_api(first)
    assert said[0] == said[1]


def test_under_threads_the_gauges_say_what_the_service_says_in_the_end(
    service, servers, image_id, counts
):
    servers[0].break_with(faults.flapping(faults.status(503), None))
    policy = RetryPolicy(backoff_base=0.0, cooldown_base=1e-4, cooldown_cap=1e-3, budget_share=None)
    shown = service(retry=policy, num_retries=9)

    def work(_):
        for _ in range(20):
            with suppress(GlanceConnectionFailed):
                shown.show(None, image_id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert by_api(shown) == by_gauges(counts)


# --- in the child of a fork --------------------------------------------------------------------

FORKED = """
    import logging
    import os
    import sys

    sys.path.insert(0, sys.argv[1])

    from prometheus_client import CollectorRegistry
    from watching import Counts, by_api, by_gauges

    import traced_image
    from traced_image import lab

    logging.disable()
    images, registry = lab.Images(), CollectorRegistry()
    image_id = images.add()
    with lab.cluster(2, images=images) as servers:
        service = traced_image.connect(
            servers=[server.url for server in servers],
            retry=traced_image.RetryPolicy(backoff_base=0.0),
            telemetry=traced_image.Telemetry(registry=registry),
        )


        def tell(who):
            states = sorted(health.state for health in service.servers())
            same = by_api(service) == by_gauges(Counts(registry))
            print(who, *states, same, flush=True)


        servers[0].break_with(lab.faults.status(503))
        for _ in range(2):
            service.show(None, image_id)
        tell("parent")
        servers[1].break_with(lab.faults.status(503))
        child = os.fork()
        if not child:
            tell("child")
            try:
                service.show(None, image_id)
            except traced_image.GlanceConnectionFailed:
                tell("child")
            os._exit(0)
        os.waitpid(child, 0)
        tell("parent")
        service.close()
"""


@pytest.mark.parametrize("shared", [False, True], ids=["one process", "multiprocess mode"])
def test_in_the_child_of_a_fork_the_gauges_say_what_the_service_says(run_python, tmp_path, shared):
    """In prometheus_client's multiprocess mode a child starts with gauges that say nothing."""
    folder = str(Path(__file__).parent)
    files = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if shared else {}
    assert [
        "parent cooling healthy True",
        "child cooling healthy True",
        "child cooling cooling True",
        "parent cooling healthy True",
    ] == run_python(FORKED, folder, PYTHONWARNINGS="ignore", **files)
