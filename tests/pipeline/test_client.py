"""The client wrapper, on servers that fail."""

import email.utils
import random
import threading
import time as stdlib

import pytest
from support import LIMIT, InOrder, ManualClock, in_child, together

from traced_image import (
    Config,
    GlanceClientWrapper,
    GlanceConnectionFailed,
    InvalidArgument,
    NotFound,
    RequestContext,
    RetryPolicy,
    Server,
    UnsafeToRepeat,
    lab,
)
from traced_image.errors import (
    CommunicationError,
    DeadlineExceeded,
    InvalidContext,
    InvalidImageID,
    Reason,
    UploadNotRewindable,
)
from traced_image.pipeline.attempts.fleet import Fleet
from traced_image.pipeline.attempts.seams import Layers
from traced_image.pipeline.client import OPERATIONS
from traced_image.pipeline.context import SERVICE

VERSIONS = [(version, method) for version, methods in OPERATIONS.items() for method in methods]


@pytest.fixture
def time():
    """A clock that agrees with that of the servers, whose answers have dates."""
    return ManualClock(epoch=stdlib.time() - 1000.0)


@pytest.fixture
def client(three, time):
    """Build a client that takes the servers in the order in which they are listed."""
    made = []

    def build(layers=None, count=3, **fields):
        config = Config(**{"servers": [server.url for server in three[:count]], **fields})
        fleet = Fleet.of(config.servers, config.retry, time.clock(), InOrder(1))
        made.append(
            GlanceClientWrapper(
                config, layers, fleet=fleet, clock=time.clock(), rng=random.Random(1)
            )
        )
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def idle():
    """A client that is not meant to get as far as a server."""
    wrapper = GlanceClientWrapper(Config(servers=["nobody.invalid"]))
    yield wrapper
    wrapper.close()


def asked(three):
    """How many requests each server has had."""
    return [len(server.access_log) for server in three]


# --- calls ---------------------------------------------------------------------------------------


def test_a_call_brings_what_its_operation_brings(client, image_id):
    assert "cirros" == client().call(None, 2, "get", image_id)["name"]


def test_a_call_of_version_1_brings_it_too(client, image_id):
    assert "cirros" == client().call(None, 1, "get", image_id)["name"]


def test_calls_go_round(client, three, image_id):
    wrapper = client()
    for _ in range(6):
        wrapper.call(None, 2, "get", image_id)

    assert [2, 2, 2] == asked(three)


def test_arguments_may_have_names(client, image_id):
    assert "cirros" == client().call(None, 2, "get", image_id=image_id)["name"]


def test_a_property_may_have_the_name_of_an_argument(client):
    names = {"context": "c", "version": "1.2", "method": "m"}

    record = client().call(None, 2, "create", name="odd", **names)

    assert names == {name: record[name] for name in names}


def test_a_call_without_a_context_is_the_services_own(client, image_id):
    seen = []

    def layer(perform):
        def observed(call):
            seen.append(call.context)
            return perform(call)

        return observed

    client(Layers(call=(layer,))).call(None, 2, "get", image_id)

    assert [SERVICE] == seen


def test_a_call_is_on_behalf_of_its_context(client, three, image_id):
    client().call(RequestContext(request_id="req-7"), 2, "get", image_id)

    assert "req-7" == three[0].access_log[0].global_request_id


# --- what is refused before any request ----------------------------------------------------------


@pytest.mark.parametrize("version", [0, 3, "2", None, [2], 2.5, -1])
def test_an_unknown_version_is_refused(idle, version):
    with pytest.raises(InvalidArgument, match="is not a version of the API: use 1 or 2"):
        idle.call(None, version, "get", "id")


@pytest.mark.parametrize("method", ["show", "", "__init__", None, ["get"], "image_members"])
def test_an_unknown_method_is_refused(idle, method):
    with pytest.raises(InvalidArgument, match=r"API v1 has no .*: use create, data, delete"):
        idle.call(None, 1, method, "id")


@pytest.mark.parametrize(("version", "method"), VERSIONS)
def test_arguments_that_a_method_does_not_have_are_refused(idle, version, method):
    with pytest.raises(InvalidArgument):
        idle.call(None, version, method, *[object()] * 9)


def test_an_argument_that_is_missing_is_named(idle):
    with pytest.raises(InvalidArgument, match=r"get of API v2: .*image_id"):
        idle.call(None, 2, "get")


def test_an_argument_that_is_unknown_is_named(idle):
    with pytest.raises(InvalidArgument, match=r"list of API v2: .*colour"):
        idle.call(None, 2, "list", colour="red")


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("list", ([1],)),
        ("list", ({"size_min": 10**5000},)),
        ("add_image_location", ("id", "memory://a", "ab")),
        ("get", (10**5000,)),
        ("upload", ("id", "\ud800")),
    ],
)
def test_an_argument_of_a_wrong_kind_is_refused(idle, method, args):
    with pytest.raises(InvalidArgument):
        idle.call(None, 2, method, *args)


def test_an_argument_that_can_t_be_used_has_its_own_error(idle):
    with pytest.raises(InvalidImageID):
        idle.call(None, 2, "get", "")


def test_a_context_that_no_request_could_carry_is_refused(idle):
    with pytest.raises(InvalidContext):
        idle.call(RequestContext(auth_token="two\nlines"), 2, "get", "id")


def test_what_was_refused_took_no_server(idle):
    with pytest.raises(InvalidArgument):
        idle.call(None, 2, "get", "")

    assert (0, None) == (idle.servers()[0].active_attempts, idle.servers()[0].last_failure)


# --- servers that fail ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        lab.faults.refuse(),
        lab.faults.reset(),
        lab.faults.lost_reply(),
        lab.faults.cut_body(),
        lab.faults.wrong_length(),
        lab.faults.not_json(),
        lab.faults.wrong_type(),
        lab.faults.redirect_loop(),
        lab.faults.status(429),
        lab.faults.status(502),
        lab.faults.status(503),
        lab.faults.status(504),
    ],
    ids=lambda fault: fault.name,
)
def test_a_server_that_fails_is_made_up_for_by_the_next(client, three, image_id, fault):
    wrapper = client()
    three[0].break_with(fault)

    assert "cirros" == wrapper.call(None, 2, "get", image_id)["name"]


def test_it_is_made_up_for_without_a_wait(client, three, time, image_id):
    wrapper = client()
    three[0].break_with(lab.faults.status(503))

    wrapper.call(None, 2, "get", image_id)

    assert [] == time.slept


def test_after_it_failed_a_server_is_left_alone(client, three, image_id):
    wrapper = client()
    three[0].break_with(lab.faults.status(503))
    for _ in range(5):
        wrapper.call(None, 2, "get", image_id)

    assert 1 == asked(three)[0]


def test_it_is_known_which_server_failed_and_why(client, three, image_id):
    wrapper = client()
    three[0].break_with(lab.faults.refuse())
    wrapper.call(None, 2, "get", image_id)

    health = wrapper.servers()[0]
    assert (Server.parse(three[0].url), "cooling", "connection_refused") == (
        health.server,
        health.state,
        health.last_reason,
    )


def test_a_server_that_recovered_is_asked_again(client, three, time, image_id):
    wrapper = client()
    three[0].break_with(lab.faults.status(503))
    wrapper.call(None, 2, "get", image_id)
    three[0].heal()
    time.now += 1.0

    for _ in range(3):
        wrapper.call(None, 2, "get", image_id)

    assert ["healthy"] * 3 == [health.state for health in wrapper.servers()]


def test_where_all_fail_the_error_has_every_attempt(client, three, image_id):
    wrapper = client()
    three[0].break_with(lab.faults.refuse())
    three[1].break_with(lab.faults.status(503))
    three[2].break_with(lab.faults.reset())

    with pytest.raises(GlanceConnectionFailed) as raised:
        wrapper.call(None, 2, "get", image_id)

    assert ["connection_refused", "503", "connection_reset"] == [
        attempt.reason for attempt in raised.value.attempts[:3]
    ]


def test_the_history_names_the_servers_requests(client, three, image_id):
    wrapper = client(num_retries=2)
    for server in three:
        server.break_with(lab.faults.status(503))

    with pytest.raises(GlanceConnectionFailed) as raised:
        wrapper.call(None, 2, "get", image_id)

    assert [server.access_log[0].request_id for server in three] == [
        attempt.request_id for attempt in raised.value.attempts
    ]


def test_an_image_that_is_not_there_is_not_looked_for_elsewhere(client, three):
    with pytest.raises(NotFound):
        client().call(None, 2, "get", "not-there")

    assert [1, 0, 0] == asked(three)


def test_the_error_of_a_refusal_has_the_failures_before_it(client, three):
    wrapper = client()
    three[0].break_with(lab.faults.status(503))

    with pytest.raises(NotFound) as raised:
        wrapper.call(None, 2, "get", "not-there")

    assert ["503", "404"] == [attempt.reason for attempt in raised.value.attempts]


def test_retry_after_may_be_a_number(client, three, time, image_id):
    wrapper = client(count=1)
    three[0].break_with(lab.faults.status(503, retry_after=9).times(1))

    wrapper.call(None, 2, "get", image_id)

    assert [9.0] == time.slept


def test_retry_after_may_be_a_date(client, three, time, image_id):
    wrapper = client(count=1)
    date = email.utils.formatdate(int(time.epoch + time.now) + 9, usegmt=True)
    three[0].break_with(lab.faults.status(503, retry_after=date).times(1))

    wrapper.call(None, 2, "get", image_id)

    assert [True] == [8.0 <= wait <= 9.0 for wait in time.slept]


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", 31536000, "9" * 400])
def test_retry_after_is_capped(client, three, time, image_id, date):
    wrapper = client(count=1)
    three[0].break_with(lab.faults.status(503, retry_after=date).times(1))

    wrapper.call(None, 2, "get", image_id)

    assert [30.0] == time.slept


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "soon", "-5", "1.5", ""])
def test_retry_after_that_is_past_or_nonsense_is_no_wish(client, three, time, image_id, date):
    wrapper = client(count=1)
    three[0].break_with(lab.faults.status(503, retry_after=date).times(1))

    wrapper.call(None, 2, "get", image_id)

    assert [True] == [wait <= 0.5 for wait in time.slept]


def test_a_server_that_never_answers_does_not_hold_a_call_past_its_deadline(three, image_id):
    config = Config(servers=[three[0].url], deadline=0.2, num_retries=0)
    wrapper = GlanceClientWrapper(config)
    three[0].break_with(lab.faults.never_answer())
    started = stdlib.monotonic()

    with pytest.raises(DeadlineExceeded):
        wrapper.call(None, 2, "get", image_id)

    wrapper.close()
    assert stdlib.monotonic() - started < LIMIT


def test_a_call_that_came_too_late_to_be_sent_was_not_carried_out(client, three, time):
    def layer(send):
        def slow(attempt):
            time.now += 6.0
            return send(attempt)

        return slow

    with pytest.raises(DeadlineExceeded):
        client(Layers(attempt=(layer,)), deadline=5.0).call(None, 2, "create", name="late")

    assert [0, 0, 0] == asked(three)


# --- what can't be repeated without harm ---------------------------------------------------------


def test_a_creation_goes_on_where_the_connection_was_refused(client, three):
    wrapper = client()
    three[0].break_with(lab.faults.refuse())

    assert "new" == wrapper.call(None, 2, "create", name="new")["name"]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("create", {"name": "new"}),
        ("update", {"name": "new"}),
        ("delete", {}),
        ("upload", {"image_data": b"data"}),
    ],
)
def test_what_may_have_been_carried_out_is_not_repeated(client, three, image_id, method, arguments):
    wrapper = client()
    three[0].break_with(lab.faults.lost_reply())
    which = () if method == "create" else (image_id,)

    with pytest.raises(UnsafeToRepeat):
        wrapper.call(None, 2, method, *which, **arguments)

    assert [1, 0, 0] == asked(three)


def test_an_upload_is_repeated_with_all_of_its_data(client, three, images):
    image_id = images.add(name="empty", container_format="bare", disk_format="raw")
    wrapper = client(retry=RetryPolicy(repeat_unsafe=True))
    three[0].break_with(lab.faults.status(503))

    wrapper.call(None, 2, "upload", image_id, b"0123456789" * 100_000)

    assert 1_000_000 == three[1].access_log[0].body_bytes


def test_an_upload_that_was_read_and_cant_be_rewound_is_not_repeated(client, three, images):
    image_id = images.add(name="empty", container_format="bare", disk_format="raw")
    wrapper = client(retry=RetryPolicy.nova_2013())
    three[0].break_with(lab.faults.status(503))

    with pytest.raises(UploadNotRewindable):
        wrapper.call(None, 2, "upload", image_id, iter([b"01234", b"56789"]))

    assert [1, 0, 0] == asked(three)


def test_an_upload_that_cant_be_rewound_is_repeated_if_it_was_not_read(client, three, images):
    image_id = images.add(name="empty", container_format="bare", disk_format="raw")
    wrapper = client()
    three[0].break_with(lab.faults.refuse())

    wrapper.call(None, 2, "upload", image_id, iter([b"01234", b"56789"]))

    assert 10 == three[1].access_log[0].body_bytes


def test_of_data_that_can_t_be_read_no_server_is_to_blame(client, images):
    image_id = images.add(name="empty", container_format="bare", disk_format="raw")
    wrapper = client()

    def data():
        yield b"01234"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        wrapper.call(None, 2, "upload", image_id, data())

    assert [0, 0, 0] == [health.consecutive_failures for health in wrapper.servers()]


# --- lists ---------------------------------------------------------------------------------------


def test_a_list_goes_on_at_the_page_that_failed(client, three, images):
    for number in range(5):
        images.add(name=f"image-{number}")
    wrapper = client()
    three[0].break_with(lab.faults.flapping(None, lab.faults.status(503)))

    found = wrapper.call(None, 2, "list", page_size=2)

    assert ([2, 2, 0], 5) == (asked(three), len(found))


# --- the services of a process -------------------------------------------------------------------


def test_services_with_the_same_servers_share_what_they_know(three, image_id):
    config = Config(servers=[server.url for server in three])
    first, second = GlanceClientWrapper(config), GlanceClientWrapper(config)
    three[0].break_with(lab.faults.refuse())
    for _ in range(3):
        first.call(None, 2, "get", image_id)

    assert 1 == sum(health.state == "cooling" for health in second.servers())
    first.close()
    second.close()


def test_a_stream_that_broke_counts_against_its_server(client):
    wrapper = client()
    server = wrapper.servers()[0].server

    error = CommunicationError("cut", reason=Reason("connection_reset"))
    wrapper.accuse(server, error, retrying=False)

    health = wrapper.servers()[0]
    assert ("cooling", "connection_reset") == (health.state, health.last_reason)


def test_threads_share_a_client(client, three, image_id):
    wrapper = client(retry=RetryPolicy(budget_share=None))
    three[0].break_with(lab.faults.flapping(None, lab.faults.status(503)))

    def work(_number):
        return [wrapper.call(None, 2, "get", image_id)["name"] for _ in range(20)]

    assert [["cirros"] * 20] * 8 == together(8, work)


def test_a_child_makes_calls_while_its_parents_threads_make_calls(client, image_id):
    wrapper = client()
    done = threading.Event()

    def work():
        while not done.is_set():
            wrapper.call(None, 2, "get", image_id)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        names = [in_child(lambda: wrapper.call(None, 2, "get", image_id)["name"]) for _ in range(3)]
    finally:
        done.set()
        for thread in threads:
            thread.join(LIMIT)

    assert ["cirros"] * 3 == names
