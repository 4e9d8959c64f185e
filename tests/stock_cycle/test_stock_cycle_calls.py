"""Calls of stock nova and cinder over a cycle that remembers: servers, outcomes and waits."""

import contextlib
import io

import pytest
from keystoneauth1 import plugin
from stock_libraries import KINDS

from traced_image.lab import faults

pytestmark = pytest.mark.usefixtures("cycle")

NEW = {"name": "new", "disk_format": "raw", "container_format": "bare"}


def asked(servers):
    """How many requests each server got for an image."""
    return [
        sum(access.path.startswith("/v2/images") for access in server.access_log)
        for server in servers
    ]


@pytest.fixture
def unavailable(library):
    """The errors of calls that gave up."""
    return library.module.exception.GlanceConnectionFailed


# --- the servers -------------------------------------------------------------------------------


def test_clients_that_are_made_for_each_call_take_the_servers_in_turn(library, servers, image_id):
    for _ in range(6):
        library.call("get", image_id)
    assert [2, 2, 2] == asked(servers)


def test_a_server_that_failed_is_left_out_by_the_next_clients(library, servers, image_id, states):
    servers[0].break_with(faults.status(503))
    for _ in range(6):
        library.call("get", image_id)
    assert [1, 3, 3] == asked(servers)
    assert ["cooling", "healthy", "healthy"] == states()


def test_a_server_that_is_well_again_is_so_after_its_trial(
    library, servers, image_id, states, time
):
    servers[0].break_with(faults.status(503))
    library.call("get", image_id)
    servers[0].heal()
    time.now += 10
    for _ in range(3):
        library.call("get", image_id)
    assert ["healthy"] * 3 == states()


def test_a_call_that_is_not_safe_to_repeat_leaves_a_trial_to_others(
    library, servers, images, image_id, time
):
    servers[0].break_with(faults.status(503))
    library.call("get", image_id)
    servers[0].heal()
    time.now += 10
    for _ in range(4):
        library.call("delete", images.add(name="other", data=b"0"))
    assert [1, 3, 2] == asked(servers)


def test_a_server_that_is_named_outside_of_a_call_is_the_librarys_next(library, servers):
    turns = library.module.get_api_servers(library.context())
    found = [next(turns) for _ in range(6)]
    assert (found[:3], 3) == (found[3:], len(set(found)))


def test_the_servers_are_an_iterator(library, servers):
    turns = library.module.get_api_servers(library.context())
    assert turns is iter(turns)


def test_a_list_that_names_no_usable_server_has_the_librarys_order(library, servers, caplog):
    library.set_servers(["http://glance:0", "http://other:9292"])
    for _ in range(2):
        turns = library.module.get_api_servers(library.context())
        assert 2 == len({next(turns), next(turns)})
    assert (
        f"{library.name} calls its servers in its own order: server (from {library.name}):"
    ) in caplog.text
    assert 1 == len(caplog.records)


# --- what an outcome says ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (faults.status(404), "healthy"),
        (faults.status(500), "failing"),
        (faults.status(502), "cooling"),
        (faults.status(503), "cooling"),
        (faults.refuse(), "cooling"),
        (faults.lost_reply(), "cooling"),
        (faults.not_json(), "healthy"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_failure_says_of_its_server(library, servers, image_id, states, fault, state):
    servers[0].break_with(fault)
    with contextlib.suppress(Exception):
        library.call("get", image_id)
    assert state == states()[0]


def test_the_last_attempt_counts_as_well(library, servers, image_id, states, unavailable):
    library.set_servers([server.url for server in servers], retries=0)
    servers[0].break_with(faults.refuse())
    with pytest.raises(unavailable):
        library.call("get", image_id)
    assert ["cooling", "healthy", "healthy"] == states()


def test_an_argument_that_cant_be_used_says_nothing(library, servers, states, image_id):
    servers[0].break_with(faults.status(500))
    with pytest.raises(Exception, match="500"):
        library.call("get", image_id)
    for _ in range(3):
        with pytest.raises(TypeError):
            library.call("get")
    assert ["failing", "healthy", "healthy"] == states()


def test_an_interrupt_says_nothing(library, servers, states, slept, image_id, monkeypatch):
    def interrupt(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(library.module.time._module, "sleep", interrupt)
    servers[0].break_with(faults.status(503))
    with pytest.raises(KeyboardInterrupt):
        library.call("get", image_id)
    assert ["cooling", "healthy", "healthy"] == states()


def test_what_the_caller_handled_before_is_no_reason(library, servers, states, image_id):
    try:
        raise ConnectionResetError  # noqa: TRY301
    except ConnectionResetError:
        with pytest.raises(TypeError):
            library.call("get")
    assert ["healthy"] * 3 == states()


class Source(io.RawIOBase):
    """Data whose reading fails."""

    def readable(self):
        return True

    def read(self, _size=-1):
        raise ConnectionResetError


def test_an_upload_that_breaks_accuses_nobody(library, servers, states, slept, images):
    with pytest.raises(Exception, match=r"."):
        library.call("upload", images.add(**NEW), Source())
    assert ["healthy"] * 3 == states()
    assert {1} == set(slept)


def test_an_upload_that_a_server_refuses_accuses_it(library, servers, states, images):
    servers[0].break_with(faults.refuse())
    library.call("upload", images.add(**NEW), io.BytesIO(b"012"))
    assert ["cooling", "healthy", "healthy"] == states()


only_nova = pytest.mark.parametrize(
    "library", [kind for kind in KINDS if kind.name == "nova"], indirect=True
)


class NoToken(plugin.BaseAuthPlugin):
    """A Keystone that can't be reached."""

    def get_endpoint(self, session, **kwargs):
        return None

    def get_headers(self, session, **kwargs):
        session.get("http://127.0.0.1:1/v3", authenticated=False)


@only_nova  # cinder asks no Keystone here
def test_a_keystone_that_fails_accuses_nobody(library, servers, states, slept, image_id):
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        library.call("get", image_id, auth=NoToken())
    assert (["healthy"] * 3, {1}) == (states(), set(slept))


# --- lists -------------------------------------------------------------------------------------


def test_a_list_that_is_fetched_when_it_is_read_says_nothing(library, servers, states, image_id):
    servers[0].break_with(faults.status(500))
    with pytest.raises(Exception, match="500"):
        library.call("get", image_id)
    servers[0].heal()
    for _ in servers:
        library.call("list")
    # nova reads it before the call ends.
    assert ("healthy" if library.name == "nova" else "failing") == states()[0]


# --- the waits ---------------------------------------------------------------------------------


def test_there_is_no_wait_for_another_server_that_is_healthy(library, servers, image_id, slept):
    servers[0].break_with(faults.status(503))
    library.call("get", image_id)
    assert [0] == slept


def test_the_wait_grows_if_no_healthy_server_is_left(
    library, servers, image_id, slept, unavailable
):
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(unavailable):
        library.call("get", image_id)
    assert [0, 0, 2.0] == slept


def test_the_wait_for_the_same_server_grows(library, servers, image_id, slept, unavailable):
    library.set_servers([servers[0].url])
    servers[0].break_with(faults.status(503))
    with pytest.raises(unavailable):
        library.call("get", image_id)
    assert [0.5, 1.0, 2.0] == slept


def test_a_retry_beyond_the_budget_waits_as_long_as_ever(
    library, servers, image_id, slept, cycle, make_cycle
):
    cycle.remove()
    make_cycle(budget_share=0.0, budget_floor=0.0).install()
    servers[0].break_with(faults.status(503))
    library.call("get", image_id)
    assert [1] == slept


def test_a_client_of_one_endpoint_waits_as_long_as_ever(
    library, servers, image_id, slept, unavailable, states
):
    servers[0].break_with(faults.status(503))
    with pytest.raises(unavailable):
        library.call("get", image_id, client=library.make(servers[0].url))
    assert ([1, 1, 1], []) == (slept, states())


def test_a_wait_outside_of_a_call_is_as_long_as_ever(library, slept):
    library.module.time.sleep(3)
    assert [3] == slept


def test_as_many_attempts_are_made_as_ever(library, servers, images, unavailable):
    for server in servers:
        server.break_with(faults.status(503))
    for method in ("get", "delete"):
        with pytest.raises(unavailable):
            library.call(method, images.add(name="x"))
    assert 8 == sum(asked(servers))
