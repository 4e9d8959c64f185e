"""Uploads and other changes: done only if every byte went and the answer is Glance's."""

import io
import time

import pytest
from exchange import (
    DATA,
    LONG,
    NEW,
    READS,
    SOON,
    WRITES,
    reasons,
    reasons_of,
    upload,
    warm,
    within,
)

import traced_image
from traced_image import errors, lab
from traced_image.lab import faults

BIG = b"x" * (24 << 20)
"""More than the buffers of two sockets hold, so that a client has to wait for the reader."""

FAILED = (
    traced_image.AttemptError,
    traced_image.GlanceConnectionFailed,
    traced_image.UploadIncomplete,
)
PUT = {"method": "PUT", "path": r"/file$"}

VERSIONS = pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])
ENDS = pytest.mark.parametrize("then", ["close", "half_close", "reset", "stall", "hang"])


@pytest.fixture
def pair(images, secrecy):
    with lab.cluster(2, images=images, tls=secrecy) as servers:
        yield servers


@pytest.fixture
def server(pair):
    return pair[0]


def generate(data):
    """Data that can be read once, in pieces."""
    for start in range(0, len(data), 1 << 20):
        yield data[start : start + (1 << 20)]


SOURCES = {"a file": io.BytesIO, "a generator": generate}


def narrow(fault, version):
    """The fault, for uploads only."""
    return fault.only(**PUT) if version == 2 else fault.only(method="POST")


def find_status(error):
    """The status that an error of a call names."""
    return str(getattr(error, "status", None) or error.reason)


# --- A7: answered before it was read -----------------------------------------------------------


@VERSIONS
@ENDS
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_an_upload_that_was_not_read_is_no_success(open_service, server, version, then, source):
    server.break_with(narrow(faults.early_answer(204 if version == 2 else 201, then), version))
    service = open_service(server, api_version=version, num_retries=0, read_timeout=1)
    with within(3), pytest.raises(FAILED):
        service.create(None, dict(NEW), data=source(BIG))


@VERSIONS
@ENDS
def test_a_small_upload_that_was_not_stored_is_no_success(open_service, server, version, then):
    server.break_with(narrow(faults.early_answer(204 if version == 2 else 201, then), version))
    service = open_service(server, api_version=version, num_retries=0, read_timeout=1)
    with within(3), pytest.raises(FAILED):
        upload(service)


@pytest.mark.parametrize("then", ["close", "keep"])
@pytest.mark.parametrize("data", [DATA, BIG], ids=["small", "big"])
def test_a_page_is_no_answer_to_an_upload(open_service, server, then, data):
    server.break_with(faults.early_answer(200, then).only(**PUT))
    service = open_service(server, num_retries=0)
    with within(3), pytest.raises(FAILED):
        upload(service, data=data)


def test_an_update_with_data_that_was_not_stored_is_no_success(open_service, server, images):
    queued = images.add(name="queued", disk_format="raw", container_format="bare")
    server.break_with(faults.early_answer(204).only(**PUT))
    service = open_service(server, num_retries=0)
    with within(3), pytest.raises(FAILED):
        service.update(None, queued, {}, data=io.BytesIO(DATA), purge_props=False)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_only_a_204_is_an_answer_to_an_upload(open_service, server, status):
    server.break_with(faults.status(status).only(**PUT))
    with pytest.raises(FAILED):
        upload(open_service(server, num_retries=0))


def test_an_upload_that_lost_bytes_in_glance_is_no_success(open_service, server, images):
    head = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    server.break_with(faults.raw_reply(head).only(**PUT))
    with pytest.raises(FAILED):
        upload(open_service(server, num_retries=0))


def test_what_the_caller_is_told_names_the_state_in_glance(open_service, server):
    server.break_with(faults.status(204).only(**PUT))
    with pytest.raises(FAILED, match="queued"):
        upload(open_service(server, num_retries=0))


# --- A8: refused early -------------------------------------------------------------------------

REFUSALS = [400, 401, 403, 409, 410, 413, 415, 500, 503]


@pytest.mark.parametrize("then", ["half_close", "stall", "hang", "keep"])
@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_is_seen_while_sending(open_service, server, status, then):
    server.break_with(faults.early_answer(status, then).only(**PUT))
    service = open_service(server, num_retries=0, read_timeout=LONG, upload_timeout=LONG)
    with within(1), pytest.raises(FAILED) as caught:
        upload(service, data=BIG)
    assert str(status) == find_status(caught.value)


@pytest.mark.parametrize("then", ["half_close", "stall", "hang"])
def test_a_refusal_of_an_upload_by_v1_is_seen_while_sending(open_service, server, then):
    server.break_with(faults.early_answer(413, then).only(method="POST"))
    service = open_service(server, num_retries=0, read_timeout=LONG, api_version=1)
    with within(1), pytest.raises(errors.OverLimit):
        upload(service, data=BIG)


def test_a_refusal_reads_no_more_of_the_data(open_service, server):
    server.break_with(faults.early_answer(413, "stall").only(**PUT))
    data = io.BytesIO(BIG)
    with within(1), pytest.raises(errors.OverLimit):
        open_service(server, num_retries=0).create(None, dict(NEW), data=data)
    assert data.tell() < len(BIG)


def test_a_connection_with_an_unread_upload_is_not_used_again(open_service, server, image_id):
    server.break_with(faults.early_answer(413, "stall").only(**PUT))
    service = open_service(server, num_retries=0, read_timeout=1)
    with pytest.raises(FAILED):
        upload(service, data=BIG)
    assert service.show(None, image_id)["name"] == "cirros"


def test_a_server_that_reads_nothing_is_left_in_time(open_service, server):
    server.break_with(faults.never_read())
    service = open_service(server, num_retries=0, read_timeout=SOON, request_timeout=SOON)
    with within(2 * SOON), pytest.raises(FAILED):
        upload(service, data=BIG)


# --- A5, A19: how long -------------------------------------------------------------------------

SLOW = {
    "headers that drip": faults.slow_headers(0.05),
    "an error that drips": faults.slow_error(503, 0.05),
    "an error that hangs": faults.slow_error(503),
    "a flood of 100": faults.interim_replies(100, None, interval=0.001),
    "no answer": faults.never_answer(),
}


@VERSIONS
@pytest.mark.parametrize("fault", SLOW.values(), ids=SLOW)
def test_the_answer_to_an_upload_has_a_limit_of_its_own(open_service, server, fault, version):
    server.break_with(narrow(fault, version))
    service = open_service(server, num_retries=0, api_version=version, upload_timeout=SOON)
    with within(2), pytest.raises(FAILED):
        upload(service)


@VERSIONS
def test_an_upload_may_be_answered_later_than_a_reply_may_come(open_service, server, version):
    server.break_with(narrow(faults.delay(3 * SOON), version))
    service = open_service(
        server, num_retries=0, api_version=version, read_timeout=SOON, request_timeout=SOON
    )
    assert upload(service)["status"] == "active"


def test_a_change_without_data_may_not(open_service, server):
    server.break_with(faults.delay(5).only(method="POST"))
    service = open_service(server, num_retries=0, read_timeout=SOON, request_timeout=SOON)
    with within(SOON), pytest.raises(FAILED):
        WRITES["create"](service, None)


@VERSIONS
def test_the_first_byte_of_a_download_has_the_read_timeout(open_service, server, image_id, version):
    data = r"/file$" if version == 2 else None
    server.break_with(faults.delay(3 * SOON).only(method="GET", path=data))
    service = open_service(
        server, num_retries=0, api_version=version, request_timeout=SOON, read_timeout=LONG
    )
    assert READS["download"](service, image_id) == DATA


def test_a_download_that_does_not_begin_goes_to_the_next_server(open_service, pair, image_id):
    pair[0].break_with(faults.delay(5).only(method="GET", path=r"/file$"))
    service = open_service(*pair, read_timeout=SOON)
    with within(2 * SOON):
        values = [READS["download"](service, image_id) for _ in range(3)]
    assert (values, reasons_of(service, pair[0])) == ([DATA] * 3, "read_timeout")


# --- what must go on ---------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("data", [DATA, BIG], ids=["small", "big"])
def test_an_upload_to_a_healthy_server_is_a_success(open_service, server, version, source, data):
    service = open_service(server, api_version=version, num_retries=0)
    image = service.create(None, dict(NEW), data=source(data))
    assert (image["status"], image["size"]) == ("active", len(data))


def test_an_upload_of_nothing_is_a_success(open_service, server):
    image = upload(open_service(server, num_retries=0), data=b"")
    assert (image["status"], image["size"]) == ("active", 0)


def test_no_server_is_accused_of_what_a_caller_was_refused(open_service, server):
    server.break_with(faults.early_answer(413, "stall").only(**PUT))
    service = open_service(server, num_retries=0)
    with pytest.raises(errors.OverLimit):
        upload(service, data=BIG)
    assert reasons(service) == [None]


def test_the_next_call_after_a_refused_upload_is_not_slow(open_service, server, image_id):
    server.break_with(faults.early_answer(413, "close").only(**PUT))
    service = open_service(server)
    warm(service, image_id, 2)
    with pytest.raises(FAILED):
        upload(service, data=BIG)
    start = time.monotonic()
    service.show(None, image_id)
    assert time.monotonic() - start < 1
