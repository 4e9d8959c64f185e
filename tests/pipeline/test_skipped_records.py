"""Lists with records that can't be shown, and data whose record is odd: who is told, of what."""

import io
import json
import logging

import pytest
from loopback import Loopback, conversation, reply
from support import operation_of

from traced_image import Config, GlanceClientWrapper, InvalidImageRecord, UploadIncomplete
from traced_image.pipeline.api.digest import find_odd_checksum, find_size
from traced_image.pipeline.api.operation import SkippedRecord
from traced_image.pipeline.api.upload import UploadBody
from traced_image.pipeline.attempts.seams import Layers, Skips
from traced_image.pipeline.image_errors import check_stored
from traced_image.pipeline.log import MOST_SKIPS, log_skips

GOOD = {"id": "good"}
BAD_DATE = {"id": "odd", "updated_at": "yesterday"}


def page(*records):
    return reply(200, json.dumps({"images": list(records)}).encode())


def lines(caplog):
    return [record.getMessage() for record in caplog.records]


# --- lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("record", "image", "field"),
    [
        (BAD_DATE, "'odd'", "updated_at"),
        ({"id": 5}, "5", "id"),
        ({"name": "x"}, "None", "id"),
        (None, "None", "record"),
    ],
)
def test_a_list_goes_on_and_names_what_it_leaves_out(opened, caplog, version, record, image, field):
    with Loopback(conversation(page(record, GOOD))) as server:
        service = opened.service(server, api_version=version)
        assert ["good"] == [image["id"] for image in service.detail(None)]
    line = f"Left a record out of the list: image {image}, its {field} can't be read."
    assert [(logging.WARNING, line)] == [(r.levelno, r.getMessage()) for r in caplog.records]


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_list_leaves_out_accuses_nobody_and_is_not_retried(opened, version):
    with Loopback(conversation(page(BAD_DATE, None, GOOD))) as server:
        service = opened.service(server, server, api_version=version)
        service.detail(None)
        (health,) = service.servers()
        assert (1, "healthy", None) == (len(server.requests), health.state, health.last_reason)


@pytest.mark.parametrize("version", [1, 2])
def test_the_next_server_is_asked_after_a_page_without_any_record(opened, version):
    with Loopback(conversation(page({}, 5))) as wrong, Loopback(conversation(page(GOOD))) as right:
        service = opened.service(wrong, right, api_version=version)
        assert ["good"] == [image["id"] for image in service.detail(None)]
        assert "protocol_error" == service.servers()[0].last_reason


def test_a_list_without_any_image_that_can_be_shown_is_empty(opened):
    with Loopback(conversation(page(BAD_DATE))) as server:
        assert [] == opened.service(server).detail(None)


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_s_list_has_records_as_they_are(caplog, version):
    with (
        Loopback(conversation(page(BAD_DATE, 5))) as server,
        GlanceClientWrapper(Config(servers=[server.url])) as client,
    ):
        assert [BAD_DATE] == client.call(None, version, "list")
    assert 1 == len(caplog.records)


def test_what_a_failed_attempt_left_out_is_named_once(opened, caplog):
    link = {"images": [5, GOOD], "next": "/v2/images?marker=good"}
    broken = conversation(reply(200, json.dumps(link).encode()), reply(503))
    with Loopback(broken) as first, Loopback(conversation(page(GOOD))) as second:
        assert 2 == len(opened.service(first, second).detail(None))
    assert 1 == sum("Left a record out" in line for line in lines(caplog))


def test_a_page_that_was_refused_names_nothing(opened, caplog):
    link = {"images": [5, GOOD], "next": "http://elsewhere/"}
    wrong = conversation(reply(200, json.dumps(link).encode()))
    with Loopback(wrong) as first, Loopback(conversation(page(GOOD))) as second:
        opened.service(first, second).detail(None)
    assert not any("Left a record out" in line for line in lines(caplog))


def test_a_full_page_with_an_odd_record_is_not_the_last_one_of_v1(opened):
    pages = [page(*({"id": str(n)} for n in range(19)), 5), page(GOOD)]
    with Loopback(conversation(*pages)) as server:
        assert 20 == len(opened.service(server, api_version=1).detail(None))


def test_members_go_on_and_name_the_image(caplog):
    body = b'{"members": [5, {"member_id": "p"}]}'
    with (
        Loopback(conversation(reply(200, body))) as server,
        GlanceClientWrapper(Config(servers=[server.url])) as client,
    ):
        assert [{"member_id": "p"}] == client.call(None, 2, "image_members.list", "x")
    assert ["Left a record out of the list: image 'x', its record can't be read."] == lines(caplog)


# --- the log and the layers --------------------------------------------------------------------


def test_no_line_has_a_secret_or_a_control_character(caplog):
    log_skips(Skips("images.list", [SkippedRecord("\x1b[2Jtoken=gAAAAABsecret", "id")]))
    (line,) = lines(caplog)
    assert line.isprintable()
    assert "gAAAA" not in line


def test_a_list_of_many_odd_records_writes_a_bounded_number_of_lines(caplog):
    log_skips(Skips("images.list", [SkippedRecord("x", "id")] * (MOST_SKIPS + 7)))
    assert (MOST_SKIPS + 1, "Left 7 more records out of the list.") == (
        len(caplog.records),
        lines(caplog)[-1],
    )


def test_a_line_has_its_operation(caplog):
    log_skips(Skips("images.list", [SkippedRecord("x", "id")]))
    assert ["images.list"] == [record.operation for record in caplog.records]


def client_of(server, layer):
    return GlanceClientWrapper(Config(servers=[server.url]), Layers(skips=(layer,)))


def test_a_layer_is_told_of_all_that_a_list_left_out():
    told = []
    with (
        Loopback(conversation(page(5, GOOD))) as server,
        client_of(server, lambda _: told.append) as client,
    ):
        client.call(None, 2, "list")
    assert [Skips("images.list", [SkippedRecord(None, "record")])] == told


def test_a_layer_that_fails_does_not_fail_the_list():
    def fail(_skips):
        raise OSError

    with (
        Loopback(conversation(page(5, GOOD))) as server,
        client_of(server, lambda _: fail) as client,
    ):
        assert [GOOD] == client.call(None, 2, "list")


def test_an_operation_leaves_nothing_out_unless_it_says_so():
    assert () == operation_of().skipped


# --- data --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "odd"),
    [
        ({}, None),
        ({"checksum": None, "os_hash_algo": None, "os_hash_value": None}, None),
        ({"checksum": "abc"}, None),
        ({"checksum": 5}, "checksum"),
        ({"checksum": True}, "checksum"),
        ({"checksum": 5, "os_hash_algo": "md5", "os_hash_value": "abc"}, None),
        ({"checksum": "abc", "os_hash_algo": "md5", "os_hash_value": ["abc"]}, "os_hash_value"),
        ({"checksum": "abc", "os_hash_algo": 5, "os_hash_value": "abc"}, "os_hash_algo"),
        ({"os_hash_algo": 5}, None),
    ],
)
def test_a_checksum_is_odd_if_it_would_be_used_and_is_no_text(fields, odd):
    assert odd == find_odd_checksum(fields)


@pytest.mark.parametrize("size", [None, 0, -1, True, "10", 10.0, [], {}])
def test_a_size_that_is_no_number_of_bytes_is_unknown(size):
    assert None is find_size({"size": size})


@pytest.mark.parametrize(
    "fetch",
    [
        lambda service: service.download(None, "x"),
        lambda service: service.download_rest(None, "x", io.BytesIO()),
    ],
    ids=["all", "the rest"],
)
def test_data_that_can_t_be_checked_is_not_fetched(opened, fetch):
    record = b'{"id": "x", "checksum": 5}'
    with Loopback(conversation(reply(200, record))) as server:
        service = opened.service(server)
        with pytest.raises(InvalidImageRecord, match="its checksum, 5, is no text") as caught:
            fetch(service)
        told = (len(server.requests), service.servers()[0].last_reason, caught.value.field)
    assert (1, None, "checksum") == told


@pytest.mark.parametrize("fields", [{"status": ["active"]}, {"size": True}, {"size": "1"}])
def test_an_odd_record_does_not_confirm_an_upload(fields):
    body = UploadBody.of(b"x")
    assert b"x" == b"".join(body)
    with pytest.raises(UploadIncomplete):
        check_stored({"id": "x", "status": "active", "size": 1, **fields}, body)
