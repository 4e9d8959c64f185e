"""`close`: calls under way finish, later ones are refused, and nobody is accused."""

import threading
import time

import pytest
from exchange import LONG, OPERATIONS, reasons

import traced_image
from traced_image import lab
from traced_image.lab import faults


@pytest.fixture
def three(images, secrecy):
    with lab.cluster(3, images=images, tls=secrecy) as servers:
        yield servers


@pytest.fixture
def calls():
    """Make calls in threads; their values or errors in a list."""
    threads, ends = [], []

    def start(work):
        def run():
            try:
                ends.append(work())
            except Exception as error:  # noqa: BLE001 - the test looks at it
                ends.append(error)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    def join():
        for thread in threads:
            thread.join(LONG)
        return ends

    start.join = join
    yield start
    join()


def wait_until_asked(server):
    while not server.access_log:
        threading.Event().wait(0.001)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_calls_under_way_finish_or_say_that_the_service_was_closed(
    open_service, three, image_id, calls, operation
):
    server = three[0]
    server.break_with(faults.delay(0.1))
    service = open_service(server)
    for _ in range(3):
        calls(lambda: OPERATIONS[operation](service, image_id))
    wait_until_asked(server)
    service.close()
    errors = [end for end in calls.join() if isinstance(end, Exception)]
    allowed = (traced_image.ServiceClosed, traced_image.NotFound)
    assert [error for error in errors if not isinstance(error, allowed)] == []


def test_a_call_of_one_request_finishes_though_the_service_is_closed(
    open_service, three, image_id, calls
):
    three[0].break_with(faults.delay(0.1))
    service = open_service(three[0])
    calls(lambda: service.show(None, image_id)["name"])
    wait_until_asked(three[0])
    service.close()
    assert calls.join() == ["cirros"]


def test_close_waits_for_nobody_and_accuses_nobody(open_service, three, image_id, calls):
    three[0].break_with(faults.delay(0.5))
    service = open_service(three[0])
    calls(lambda: service.show(None, image_id))
    wait_until_asked(three[0])
    start = time.monotonic()
    service.close()
    took = time.monotonic() - start
    calls.join()
    assert (took < 0.4, reasons(service)) == (True, [None])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_later_calls_say_that_the_service_is_closed(open_service, three, image_id, operation):
    service = open_service(*three)
    service.close()
    with pytest.raises(traced_image.ServiceClosed):
        OPERATIONS[operation](service, image_id)
    assert (reasons(service), sum(server.connections for server in three)) == ([None] * 3, 0)
