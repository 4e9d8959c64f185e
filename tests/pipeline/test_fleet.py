"""What services share that talk to the same servers."""

import gc
import itertools
import threading
import weakref

import pytest
from support import LIMIT, InOrder, ManualClock, in_child, servers, together

from traced_image import Config, GlanceClientWrapper, RetryPolicy, Server
from traced_image.errors import Reason
from traced_image.pipeline.attempts import fleet
from traced_image.pipeline.attempts.fleet import KEPT, Fleet, share_fleet

_numbers = itertools.count()


def fleet_of(servers, **fields):
    return share_fleet(Config(servers=servers, **fields))


@pytest.fixture
def some():
    """Servers that no other test has."""
    return (Server.parse(f"shared-{next(_numbers)}"), Server.parse(f"shared-{next(_numbers)}"))


def others(count):
    """Ask for fleets that nobody else asks for."""
    for _ in range(count):
        fleet_of([Server.parse(f"other-{next(_numbers)}")])


def test_the_same_list_has_the_same_fleet(some):
    assert fleet_of(some) is fleet_of(some)


def test_the_order_of_the_list_does_not_matter(some):
    assert fleet_of(some) is fleet_of(some[::-1])


def test_how_a_server_is_written_does_not_matter(some):
    written = tuple(Server.parse(f"http://{server.host.upper()}:9292/v2") for server in some)

    assert fleet_of(some) is fleet_of(written)


def test_an_equal_policy_has_the_same_fleet(some):
    assert fleet_of(some) is fleet_of(some, retry=RetryPolicy())


@pytest.mark.parametrize("policy", [RetryPolicy(backoff_cap=9.0), RetryPolicy(repeat_unsafe=True)])
def test_what_does_not_bear_on_servers_does_not_part_services(some, policy):
    assert fleet_of(some) is fleet_of(some, retry=policy)


@pytest.mark.parametrize(
    "policy",
    [
        RetryPolicy.nova_2013(),
        RetryPolicy(cooldown_base=2.0),
        RetryPolicy(cooldown_cap=9.0),
        RetryPolicy(budget_share=None),
        RetryPolicy(budget_floor=1.0),
        RetryPolicy(statuses=frozenset({404, 503})),
        RetryPolicy(protocol_errors=False),
    ],
)
def test_other_rules_have_a_fleet_of_their_own(some, policy):
    assert fleet_of(some) is not fleet_of(some, retry=policy)


def test_who_trusts_other_certificates_has_a_fleet_of_its_own(some):
    assert fleet_of(some) is not fleet_of(some, insecure=True)


def test_another_list_has_a_fleet_of_its_own(some):
    assert fleet_of(some) is not fleet_of(some[:1])


def test_threads_that_ask_at_once_get_the_same(some):
    fleets = together(16, lambda _number: fleet_of(some))

    assert 1 == len({id(fleet) for fleet in fleets})


def test_a_fleet_has_the_servers_of_its_list(some):
    found = {health.server for health in fleet_of(some).cycle.health()}

    assert set(some) == found


def test_a_fleet_has_the_budget_of_its_policy():
    fleet = Fleet.of(servers(1), RetryPolicy(budget_share=0.0, budget_floor=0.1))

    assert [True, False] == [fleet.budget.retry() for _ in range(2)]


def test_a_fleet_of_ones_own_has_ones_own_clock():
    time = ManualClock()
    fleet = Fleet.of(servers(1), RetryPolicy(budget_share=1.0), time.clock(), InOrder(1))
    fleet.cycle.record_success(fleet.cycle.pick())

    assert time.epoch + time.now == fleet.cycle.health()[0].last_success


def test_it_survives_its_services(some):
    def service_that_finds_a_dead_server():
        cycle = GlanceClientWrapper(Config(servers=some))._fleet.cycle
        cycle.record_failure(cycle.pick(), Reason("connection_refused"))

    service_that_finds_a_dead_server()
    gc.collect()

    health = GlanceClientWrapper(Config(servers=some)).servers()
    assert ["cooling", "healthy"] == sorted(each.state for each in health)


def test_what_nobody_has_is_forgotten_in_the_end(some):
    fleet = weakref.ref(fleet_of(some))

    others(KEPT)
    gc.collect()

    assert fleet() is None


def test_what_is_asked_for_again_and_again_is_not_forgotten(some):
    fleet = weakref.ref(fleet_of(some))

    for _ in range(3):
        others(KEPT - 1)
        fleet_of(some)
    gc.collect()

    assert fleet() is fleet_of(some)


def test_what_a_service_has_is_not_forgotten(some):
    fleet = fleet_of(some)

    others(2 * KEPT)

    assert fleet is fleet_of(some)


def test_what_a_service_had_is_remembered_once_it_is_asked_for(some):
    fleet = fleet_of(some)
    others(2 * KEPT)
    remembered = weakref.ref(fleet_of(some))
    del fleet
    gc.collect()

    assert remembered() is fleet_of(some)


def test_a_child_has_the_fleets_of_its_parent(some):
    fleet = fleet_of(some)

    assert in_child(lambda: fleet is fleet_of(some))


def test_a_child_is_not_held_up_by_a_lock_that_was_held_at_the_fork(some):
    held, done = threading.Event(), threading.Event()

    def hold():
        with fleet._registry._lock:
            held.set()
            done.wait(LIMIT)

    holding = threading.Thread(target=hold, daemon=True)
    holding.start()
    held.wait(LIMIT)
    try:
        assert 2 == in_child(lambda: len(fleet_of(some).cycle.health()))
    finally:
        done.set()
        holding.join(LIMIT)


def test_after_a_fork_the_registry_has_a_lock_of_its_own():
    before = fleet._registry._lock

    fleet._registry.after_fork()

    assert before is not fleet._registry._lock
