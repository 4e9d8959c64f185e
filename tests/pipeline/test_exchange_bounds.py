"""Everything that a server sends is bounded: headers, replies, lists, and cookies are not kept."""

import gc
import tracemalloc

import pytest
from exchange import LONG, READS, connect, warm, within
from loopback import Loopback, conversation, reply

import traced_image
from traced_image import lab
from traced_image.lab import faults


@pytest.fixture
def server(images, secrecy):
    with lab.GlanceServer(images, tls=secrecy) as running:
        yield running


VERSIONS = pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])


# --- A11: cookies ------------------------------------------------------------------------------


def test_no_cookie_is_sent_back():
    record = b'{"id": "8f3c1a52-0000-4000-8000-000000000001", "name": "x", "status": "queued"}'
    talk = conversation(reply(200, record, "Set-Cookie: a=b; Path=/"))
    with Loopback(talk) as server, connect(server) as service:
        warm(service, "8f3c1a52-0000-4000-8000-000000000001", 3)
        assert [b"cookie" in request.lower() for request in server.requests] == [False] * 3


def test_cookies_are_not_kept(open_service, server, image_id):
    server.break_with(faults.new_cookies())
    service = open_service(server)
    warm(service, image_id, 50)
    server.clear_log()
    tracemalloc.start()
    warm(service, image_id, 100)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    warm(service, image_id, 200)
    server.clear_log()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 200_000


# --- A9, A17: how much -------------------------------------------------------------------------

TOO_MUCH = {
    "headers without an end": faults.endless_headers(),
    "a body without an end": faults.endless_body(),
    "20,000 headers": faults.many_headers(20_000),
    "a huge list": faults.huge_json(2 << 20),
}


@pytest.mark.parametrize("operation", READS)
@pytest.mark.parametrize("fault", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_reply_that_is_too_large_is_not_held(open_service, server, image_id, operation, fault):
    server.break_with(fault)
    service = open_service(server, num_retries=0, max_metadata_size=1 << 20, request_timeout=LONG)
    with within(1), pytest.raises(traced_image.TracedImageError) as caught:
        READS[operation](service, image_id)
    assert caught.value.reason == "protocol_error"


def test_the_message_names_the_limit_of_a_reply(open_service, server, image_id):
    server.break_with(faults.huge_json(2 << 20))
    service = open_service(server, num_retries=0, max_metadata_size=1 << 20)
    with pytest.raises(traced_image.TracedImageError, match="max_metadata_size"):
        service.detail(None)


def test_a_body_without_an_end_takes_no_memory(open_service, server, image_id):
    server.break_with(faults.endless_body())
    service = open_service(server, num_retries=0, max_metadata_size=1 << 20)
    tracemalloc.start()
    with pytest.raises(traced_image.TracedImageError):
        service.show(None, image_id)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


@VERSIONS
def test_a_list_without_an_end_is_bounded(open_service, server, version):
    server.break_with(faults.endless_pages(100_000))
    service = open_service(server, num_retries=0, api_version=version, max_list_size=1_000_000)
    with within(2), pytest.raises(traced_image.TracedImageError, match=r"max_list_size|limit"):
        service.detail(None)


@VERSIONS
def test_a_limit_is_the_way_out_of_a_list_without_an_end(open_service, server, version):
    server.break_with(faults.endless_pages(100_000))
    service = open_service(server, num_retries=0, api_version=version, max_list_size=1_000_000)
    assert len(service.detail(None, limit=3)) == 3
