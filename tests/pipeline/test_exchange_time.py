"""Time: one slow server of three fails no call, whatever it drips, and `close` waits for nobody."""

import time

import pytest
from exchange import (
    EXPECTED,
    LONG,
    OPERATIONS,
    READS,
    SOON,
    WRITES,
    connect,
    reasons,
    reasons_of,
    warm,
    within,
)

import traced_image
from traced_image import RetryPolicy, lab
from traced_image.lab import faults

FAILED = (traced_image.AttemptError, traced_image.GlanceConnectionFailed)
VERSIONS = pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])


@pytest.fixture
def three(images, secrecy):
    with lab.cluster(3, images=images, tls=secrecy) as servers:
        yield servers


# --- A3: one of three is slow ------------------------------------------------------------------

SLOW = {
    "headers that drip": faults.slow_headers(0.05),
    "a body that drips": faults.slow_body(0.05),
    "no answer": faults.never_answer(),
    "nothing is read": faults.never_read(),
    "late": faults.delay(LONG),
    "pieces without an end": faults.endless_body(interval=0.05),
    "interim replies without an end": faults.interim_replies(102, None, interval=0.05),
}


@VERSIONS
@pytest.mark.parametrize("operation", ["show", "detail"])
@pytest.mark.parametrize("kept", [False, True], ids=["first call", "kept connection"])
@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW)
def test_no_read_fails_with_one_of_three_servers_slow(
    open_service, three, image_id, operation, fault, kept, version
):
    service = open_service(
        *three, api_version=version, request_timeout=SOON, trial_timeout=SOON, read_timeout=LONG
    )
    if kept:
        warm(service, image_id, 6)
    three[0].break_with(fault)
    with within(2 * SOON):
        values = [READS[operation](service, image_id) for _ in range(6)]
    accused = reasons_of(service, three[0])
    # API v1 shows an image by HEAD, whose reply has no body that could drip.
    harmless = (version, operation, fault.name) == (1, "show", "slow_body")
    assert (values, harmless or accused in {"read_timeout", "protocol_error"}) == (
        [EXPECTED[operation]] * 6,
        True,
    )


@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW)
def test_no_download_fails_with_one_of_three_servers_slow(open_service, three, image_id, fault):
    service = open_service(*three, request_timeout=SOON, trial_timeout=SOON, read_timeout=SOON)
    three[0].break_with(fault)
    with within(3 * SOON):
        values = [READS["download"](service, image_id) for _ in range(6)]
    assert [EXPECTED["download"]] * 6 == values


@pytest.mark.parametrize("name", ["headers that drip", "a body that drips", "no answer"])
def test_the_slow_server_is_accused_of_a_read_timeout(open_service, three, image_id, name):
    service = open_service(*three, request_timeout=SOON, read_timeout=LONG)
    three[0].break_with(SLOW[name])
    warm(service, image_id, 3)
    assert (reasons_of(service, three[0]), sorted(map(str, reasons(service)))) == (
        "read_timeout",
        ["None", "None", "read_timeout"],
    )


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("name", ["headers that drip", "no answer", "nothing is read"])
def test_a_change_on_a_slow_server_ends_in_time(open_service, three, image_id, operation, name):
    three[0].break_with(SLOW[name])
    service = open_service(
        three[0], request_timeout=SOON, read_timeout=LONG, upload_timeout=SOON, num_retries=0
    )
    with within(2 * SOON), pytest.raises(FAILED):
        OPERATIONS[operation](service, image_id)


@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW)
def test_a_call_ends_at_its_deadline_if_every_server_is_slow(open_service, three, image_id, fault):
    for server in three:
        server.break_with(fault)
    service = open_service(*three, deadline=SOON, read_timeout=LONG)
    with within(SOON), pytest.raises(FAILED):
        service.show(None, image_id)


@pytest.mark.parametrize("name", ["headers that drip", "no answer", "nothing is read"])
def test_a_trial_takes_no_longer_than_it_may(open_service, three, image_id, name):
    policy = RetryPolicy(backoff_base=0.001, cooldown_base=0.01, cooldown_cap=0.01)
    service = open_service(*three, request_timeout=2, trial_timeout=0.1, retry=policy)
    three[0].break_with(SLOW[name])
    warm(service, image_id, 3)
    slowest, before = 0.0, three[0].connections
    end = time.monotonic() + LONG
    while three[0].connections == before and time.monotonic() < end:
        start = time.monotonic()
        service.show(None, image_id)
        slowest = max(slowest, time.monotonic() - start)
    assert (three[0].connections > before, slowest < 1.5) == (True, True)


def test_a_request_may_take_thirty_seconds_unless_told_otherwise(open_service, three):
    assert open_service(*three).config.request_timeout is None


# --- A3: the handshake -------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_handshake_that_never_ends_fails_no_call(images, tls, operation):
    with lab.cluster(2, images=images, tls=tls) as pair:
        pair[0].break_with(faults.silent_tls())
        with connect(*pair, tls=tls, connect_timeout=SOON) as service, within(2 * SOON):
            for _ in range(3):
                image_id = images.add(name="cirros", data=b"0123456789")
                OPERATIONS[operation](service, image_id)
            assert reasons_of(service, pair[0]) == "connect_timeout"


# --- A4: slow errors ---------------------------------------------------------------------------

SLOW_ERRORS = {
    "hangs": faults.slow_error,
    "drips": lambda status: faults.slow_error(status, 0.2),
    "never ends": faults.endless_body,
}


@VERSIONS
@pytest.mark.parametrize("make", SLOW_ERRORS.values(), ids=SLOW_ERRORS)
def test_the_page_of_an_error_that_can_be_retried_costs_a_second(
    open_service, three, image_id, make, version
):
    service = open_service(*three[:2], api_version=version, read_timeout=LONG, request_timeout=LONG)
    three[0].break_with(make(503))
    with within(1):
        values = [READS["detail"](service, image_id) for _ in range(4)]
    assert (values, reasons_of(service, three[0])) == ([EXPECTED["detail"]] * 4, "503")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
@pytest.mark.parametrize("make", SLOW_ERRORS.values(), ids=SLOW_ERRORS)
def test_the_status_decides_what_the_caller_is_told(open_service, three, image_id, make, status):
    service = open_service(three[0], num_retries=0, read_timeout=LONG, request_timeout=LONG)
    three[0].break_with(make(status))
    with within(1), pytest.raises(traced_image.HTTPStatusError) as caught:
        service.show(None, image_id)
    assert status == caught.value.status


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("make", SLOW_ERRORS.values(), ids=SLOW_ERRORS)
def test_a_change_that_is_refused_slowly_is_told_soon(
    open_service, three, image_id, make, operation
):
    service = open_service(three[0], num_retries=0, read_timeout=LONG, request_timeout=LONG)
    three[0].break_with(make(403))
    with within(1), pytest.raises(traced_image.Forbidden):
        WRITES[operation](service, image_id)


def test_a_connection_whose_error_was_not_read_is_not_used_again(open_service, three, image_id):
    service = open_service(three[0], num_retries=0)
    three[0].break_with(faults.slow_error(404, 0.2).times(1))
    with pytest.raises(traced_image.ImageNotFound):
        service.show(None, image_id)
    assert service.show(None, image_id)["name"] == "cirros"
