"""What services share that talk to the same servers."""

import gc
import itertools
import threading
import weakref

import pytest
from support import LIMIT, InOrder, ManualClock, in_child, servers, together

from traced_image import Config, GlanceClientWrapper, RetryPolicy, Server
from traced_image.errors import Reason
from traced_image.pipeline import shared
from traced_image.pipeline.shared import KEPT, Fleet, shared_fleet

POLICY = RetryPolicy()

_numbers = itertools.count()


@pytest.fixture
def some():
    """Servers that no other test has."""
    return (Server.parse(f"shared-{next(_numbers)}"), Server.parse(f"shared-{next(_numbers)}"))


def others(count):
    """Ask for fleets that nobody else asks for."""
    for _ in range(count):
        shared_fleet((Server.parse(f"other-{next(_numbers)}"),), POLICY)


def test_the_same_list_has_the_same_fleet(some):
    assert shared_fleet(some, POLICY) is shared_fleet(some, POLICY)


def test_the_order_of_the_list_does_not_matter(some):
    assert shared_fleet(some, POLICY) is shared_fleet(some[::-1], POLICY)


def test_how_a_server_is_written_does_not_matter(some):
    written = tuple(Server.parse(f"http://{server.host.upper()}:9292/v2") for server in some)

    assert shared_fleet(some, POLICY) is shared_fleet(written, POLICY)


def test_an_equal_policy_has_the_same_fleet(some):
    assert shared_fleet(some, POLICY) is shared_fleet(some, RetryPolicy())


def test_another_policy_has_a_fleet_of_its_own(some):
    assert shared_fleet(some, POLICY) is not shared_fleet(some, RetryPolicy.seed())


def test_another_list_has_a_fleet_of_its_own(some):
    assert shared_fleet(some, POLICY) is not shared_fleet(some[:1], POLICY)


def test_threads_that_ask_at_once_get_the_same(some):
    fleets = together(16, lambda _number: shared_fleet(some, POLICY))

    assert 1 == len({id(fleet) for fleet in fleets})


def test_a_fleet_has_the_servers_of_its_list(some):
    found = {health.server for health in shared_fleet(some, POLICY).cycle.health()}

    assert set(some) == found


def test_a_fleet_has_the_budget_of_its_policy():
    fleet = Fleet.of(servers(1), RetryPolicy(budget_share=0.0, budget_floor=0.1))

    assert [True, False] == [fleet.budget.retry() for _ in range(2)]


def test_a_fleet_of_ones_own_has_ones_own_clock():
    time = ManualClock()
    fleet = Fleet.of(servers(1), RetryPolicy(budget_share=1.0), time.clock(), InOrder(1))
    fleet.cycle.succeeded(fleet.cycle.pick())

    assert time.epoch + time.now == fleet.cycle.health()[0].last_success


def test_it_survives_its_services(some):
    def service_that_finds_a_dead_server():
        cycle = GlanceClientWrapper(Config(servers=some))._fleet.cycle
        cycle.failed(cycle.pick(), Reason("connection_refused"))

    service_that_finds_a_dead_server()
    gc.collect()

    health = GlanceClientWrapper(Config(servers=some)).servers()
    assert ["cooling", "healthy"] == sorted(each.state for each in health)


def test_what_nobody_has_is_forgotten_in_the_end(some):
    fleet = weakref.ref(shared_fleet(some, POLICY))

    others(KEPT)
    gc.collect()

    assert fleet() is None


def test_what_is_asked_for_again_and_again_is_not_forgotten(some):
    fleet = weakref.ref(shared_fleet(some, POLICY))

    for _ in range(3):
        others(KEPT - 1)
        shared_fleet(some, POLICY)
    gc.collect()

    assert fleet() is shared_fleet(some, POLICY)


def test_what_a_service_has_is_not_forgotten(some):
    fleet = shared_fleet(some, POLICY)

    others(2 * KEPT)

    assert fleet is shared_fleet(some, POLICY)


def test_what_a_service_had_is_remembered_once_it_is_asked_for(some):
    fleet = shared_fleet(some, POLICY)
    others(2 * KEPT)
    remembered = weakref.ref(shared_fleet(some, POLICY))
    del fleet
    gc.collect()

    assert remembered() is shared_fleet(some, POLICY)


def test_a_child_has_the_fleets_of_its_parent(some):
    fleet = shared_fleet(some, POLICY)

    assert in_child(lambda: fleet is shared_fleet(some, POLICY))


def test_a_child_is_not_held_up_by_a_lock_that_was_held_at_the_fork(some):
    held, done = threading.Event(), threading.Event()

    def hold():
        with shared._registry._lock:
            held.set()
            done.wait(LIMIT)

    holding = threading.Thread(target=hold, daemon=True)
    holding.start()
    held.wait(LIMIT)
    try:
        assert 2 == in_child(lambda: len(shared_fleet(some, POLICY).cycle.health()))
    finally:
        done.set()
        holding.join(LIMIT)


def test_after_a_fork_the_registry_has_a_lock_of_its_own():
    before = shared._registry._lock

    shared._registry.after_fork()

    assert before is not shared._registry._lock
