"""Metrics of a server with several processes: a real gunicorn, whose workers die under load."""

import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from prefork_server import Gunicorn

from traced_image import lab
from traced_image.lab import faults
from traced_image.telemetry import catalogue

CLIENTS, DEATHS, ENOUGH = 4, 3, 12
MOST = 2000  # requests of one client
SIZE = 10

SERVER = ("server_address", "server_port")
CALLS = f"{catalogue.CALL_DURATION.name}_count"
ATTEMPTS = f"{catalogue.ATTEMPT_DURATION.name}_count"
SUMS = (
    CALLS,
    ATTEMPTS,
    f"{catalogue.CALL_RETRIES.name}_sum",
    f"{catalogue.RETRY_DELAYS.name}_count",
    catalogue.RETRIES.name,
    catalogue.STREAM_BYTES.name,
)


def place(server):
    return "127.0.0.1", str(server.port)


class Load:
    """Clients that ask for an image's record and its data in turn.

    Attributes:
        answered: By the action asked for, how many requests were answered.
        by: By process, how many it answered.
    """

    def __init__(self, server, image_id):
        self.answered = Counter()
        self.by = Counter()
        self._server = server
        self._image_id = image_id
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._clients = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self):
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for client in self._clients:
            client.join()

    def _run(self):
        for number in range(MOST):
            if self._stop.is_set():
                return
            action = ("show", "data")[number % 2]
            pid = self._server.get(f"/{action}/{self._image_id}")
            with self._lock:
                self.answered[action] += pid is not None
                self.by[pid] += 1

    def until_each_worker_has_enough(self):
        """Wait until each living process has answered so much that it has met every server."""
        end = time.monotonic() + 30.0
        while min(self.by[pid] for pid in self._server.workers) < ENOUGH:
            assert time.monotonic() < end, self.by
            time.sleep(0.01)


@pytest.fixture(
    scope="module",
    params=[pytest.param(False, marks=pytest.mark.slow), True],
    ids=["after-the-fork", "before-the-fork"],
)
def prefork(request, tmp_path_factory):
    """What was counted, answered and logged when workers had died under load, and when all had.

    Each that is killed under load waits, at that time, for a server that never answers it. So it
    is known exactly what it has done and counted before.
    """
    images = lab.Images()
    image_id, held_id = images.add(data=b"x" * SIZE), images.add()
    folder = tmp_path_factory.mktemp("gunicorn")
    began = time.time()
    with lab.cluster(3, images=images) as (failing, *well):
        failing.break_with(faults.status(503))
        for server in well:
            server.break_with(faults.never_answer().only(path=held_id))
        with Gunicorn(folder, (failing, *well), preload=request.param) as server:
            held = []
            with Load(server, image_id) as load:
                for _ in range(DEATHS):
                    load.until_each_worker_has_enough()
                    held.append(hold_and_kill(server, held_id, well))
                load.until_each_worker_has_enough()
            ended = time.time()
            live = server.live - {server.pid}
            counted, workers = frozen(server), server.workers
            server.kill(*workers)
            yield SimpleNamespace(
                failing=failing,
                servers=(failing, *well),
                load=load,
                held=held,
                workers=workers,
                window=(began, ended),
                counted=counted,
                live=live,
                anew=frozen(server),
                anew_live=server.live - {server.pid},
                anew_workers=server.workers,
            )


def hold_and_kill(server, held_id, well):
    """Have a worker wait for an answer, and kill it; return what it had under way."""
    client = threading.Thread(target=server.get, args=(f"/hold/{held_id}",))
    client.start()
    pid = server.holder(*map(place, well))
    active = sum(server.of(catalogue.ACTIVE_ATTEMPTS.name, only=pid).values())
    server.kill(pid)
    client.join()
    return SimpleNamespace(pid=pid, active=active)


def frozen(server):
    """The samples of now, to be asked for as `Gunicorn.of` is."""
    samples = server.samples()

    def of(name, *labels):
        total = Counter()
        for sample in samples:
            if sample.name == name:
                total[tuple(sample.labels[label] for label in labels)] += sample.value
        return dict(total)

    return of


def logged(*servers):
    """How many attempts had which end on which server, by the logs of what was answered.

    A download's attempt asks for the record before the data.
    """
    return Counter(
        (*place(server), str(access.status) if access.status >= 400 else "")
        for server in servers
        for access in server.access_log
        if access.status is not None and not access.path.endswith("/file")
    )


# --- sums ---------------------------------------------------------------------------------------


def test_every_request_that_was_answered_is_a_call(prefork):
    answered = prefork.load.answered
    counted = prefork.counted(CALLS, "operation")
    assert {
        ("images.get",): answered["show"],
        ("images.data",): answered["data"],
    } == counted


def test_attempts_of_all_processes_are_those_that_the_servers_logged(prefork):
    assert logged(*prefork.servers) == prefork.counted(ATTEMPTS, *SERVER, "error_type")


def test_retries_of_all_processes_are_the_failures_that_the_servers_logged(prefork):
    failures = {key: count for key, count in logged(*prefork.servers).items() if key[-1]}
    counted = prefork.counted(catalogue.RETRIES.name, *SERVER, "error_type")
    assert failures == {key: count for key, count in counted.items() if count}


def test_bytes_of_all_processes_are_those_of_the_downloads_that_were_answered(prefork):
    counted = prefork.counted(catalogue.STREAM_BYTES.name, "direction")
    assert {
        ("download",): float(SIZE * prefork.load.answered["data"]),
        ("upload",): 0.0,
    } == counted


def test_no_telemetry_failed(prefork):
    assert 0.0 == sum(prefork.counted(catalogue.TELEMETRY_ERRORS.name).values())


@pytest.mark.parametrize("name", SUMS)
def test_what_was_counted_stays_when_all_who_counted_it_are_dead(prefork, name):
    assert prefork.counted(name) == prefork.anew(name)


@pytest.mark.slow  # workers start anew three times, for five seconds
def test_a_worker_that_dies_at_any_time_loses_what_it_had_under_way_at_most(
    servers, image_id, tmp_path
):
    servers[0].break_with(faults.status(503))
    with Gunicorn(tmp_path, servers, preload=False) as server, Load(server, image_id) as load:
        for _ in range(DEATHS):
            load.until_each_worker_has_enough()
            server.kill(max(server.workers, key=load.by.__getitem__))
    calls, attempts = server.of(CALLS), server.of(ATTEMPTS, *SERVER, "error_type")
    more_calls = sum(calls.values()) - load.answered.total()
    lost_attempts = [count - attempts[key] for key, count in logged(*servers).items()]
    assert 0 <= more_calls <= DEATHS
    assert 0 <= min(lost_attempts) <= sum(lost_attempts) <= DEATHS


# --- gauges -------------------------------------------------------------------------------------


def test_workers_died_with_an_attempt_under_way(prefork):
    assert [1.0] * DEATHS == [held.active for held in prefork.held]


def test_no_attempt_of_a_dead_worker_is_under_way(prefork):
    assert {place(server): 0.0 for server in prefork.servers} == prefork.counted(
        catalogue.ACTIVE_ATTEMPTS.name, *SERVER
    )


def test_only_the_living_have_gauges_of_the_living(prefork):
    assert prefork.workers == prefork.live


def test_of_those_who_took_their_places_none_is_dead(prefork):
    """Who was forked of a loaded application has gauges from its first call on."""
    assert set() == prefork.anew_live - prefork.anew_workers


def states(of):
    found = of(catalogue.SERVER_STATE.name, *SERVER, "state")
    return {key for key, value in found.items() if value}


def test_each_server_is_in_one_state(prefork):
    found = Counter(key[:2] for key in states(prefork.counted))
    assert {place(server): 1 for server in prefork.servers} == found


def test_the_failing_server_alone_is_not_healthy(prefork):
    unhealthy = {key[:2] for key in states(prefork.counted) if key[2] != "healthy"}
    assert {place(prefork.failing)} == unhealthy


def test_workers_that_know_of_no_failure_call_a_server_healthy(prefork):
    assert {(*place(server), "healthy") for server in prefork.servers} == states(prefork.anew)


def test_failures_in_a_row_are_the_most_that_a_living_worker_has_seen(prefork):
    found = prefork.counted(catalogue.CONSECUTIVE_FAILURES.name, *SERVER)
    assert [True, False, False] == [found[place(server)] > 1 for server in prefork.servers]


def test_failures_that_only_the_dead_have_seen_are_forgotten(prefork):
    assert {0.0} == set(prefork.anew(catalogue.CONSECUTIVE_FAILURES.name, *SERVER).values())


@pytest.mark.parametrize("metric", [catalogue.LAST_SUCCESS, catalogue.LAST_FAILURE])
def test_the_last_success_or_failure_was_while_there_was_load_or_never(prefork, metric):
    found = prefork.counted(metric.name, *SERVER)
    began, ended = prefork.window
    happened = [began < found[place(server)] < ended for server in prefork.servers]
    assert [metric is catalogue.LAST_FAILURE, *[metric is catalogue.LAST_SUCCESS] * 2] == happened


@pytest.mark.parametrize("metric", [catalogue.LAST_SUCCESS, catalogue.LAST_FAILURE])
def test_the_last_success_or_failure_that_the_dead_have_seen_is_remembered(prefork, metric):
    assert prefork.counted(metric.name, *SERVER) == prefork.anew(metric.name, *SERVER)


def test_the_version_is_told_once(prefork):
    assert {(): 1.0} == prefork.counted(catalogue.BUILD_INFO.name)
