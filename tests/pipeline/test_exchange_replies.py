"""Replies that are more, less or other than they say: none reaches another call."""

import pytest
from exchange import (
    DATA,
    EFFECTS,
    EXPECTED,
    LONG,
    OPERATIONS,
    READS,
    WRITES,
    names,
    reasons,
    reasons_of,
    warm,
    within,
)

import traced_image
from traced_image import errors, lab
from traced_image.lab import faults


@pytest.fixture
def server(images, secrecy):
    with lab.GlanceServer(images, tls=secrecy) as running:
        yield running


@pytest.fixture
def pair(images, secrecy):
    with lab.cluster(2, images=images, tls=secrecy) as servers:
        yield servers


VERSIONS = pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])


# --- A1: nothing is left over ------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("fill", [0, 8192])
def test_no_call_gets_what_was_left_of_the_call_before(open_service, server, images, version, fill):
    ids = {name: images.add(name=name, data=DATA) for name in ("one", "two", "three")}
    server.break_with(faults.extra_reply(fill=fill))
    service = open_service(server, api_version=version, num_retries=0)
    seen = [service.show(None, ids[name])["name"] for name in (*ids, *ids)]
    assert seen == [*ids, *ids]


@VERSIONS
@pytest.mark.parametrize("fill", [0, 8192])
def test_a_connection_with_something_left_is_not_used_again(
    open_service, server, image_id, version, fill
):
    service = open_service(server, api_version=version, num_retries=0)
    server.break_with(faults.extra_reply(fill=fill))
    warm(service, image_id, 3)
    assert server.connections == 3


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fill", [0, 8192])
def test_every_operation_ends_well_beside_extra_replies(
    open_service, server, images, image_id, operation, fill
):
    server.break_with(faults.extra_reply(fill=fill))
    value = OPERATIONS[operation](open_service(server, num_retries=0), image_id)
    assert (
        value if operation in READS else EXPECTED.get(operation),
        names(images),
    ) == (EXPECTED.get(operation), EFFECTS.get(operation, ["cirros"]))


@pytest.mark.parametrize("code", [204, 404])
@pytest.mark.parametrize("fill", [0, 8192])
def test_nothing_is_left_after_an_error_or_a_204(
    open_service, server, images, image_id, code, fill
):
    other = images.add(name="other")
    service = open_service(server, num_retries=0)
    server.break_with(faults.extra_reply(code, fill=fill).only(method="DELETE"))
    if code == 204:
        service.delete(None, image_id)
    else:
        with pytest.raises(traced_image.ImageNotFound):
            service.delete(None, image_id)
    assert service.show(None, other)["name"] == "other"


def test_a_connection_is_used_again_if_nothing_is_left(open_service, server, image_id):
    service = open_service(server)
    for read in READS.values():
        read(service, image_id)
        read(service, image_id)
    assert server.connections == 1


# --- A2: interim replies -----------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("code", [100, 102, 103])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_interim_replies_are_read_over(
    open_service, pair, images, image_id, operation, code, version
):
    service = open_service(*pair, api_version=version)
    for server in pair:
        server.break_with(faults.interim_replies(code, 2))
    value = OPERATIONS[operation](service, image_id)
    assert (
        value if operation in READS else EXPECTED.get(operation),
        names(images),
        reasons(service),
    ) == (EXPECTED.get(operation), EFFECTS.get(operation, ["cirros"]), [None, None])


def test_a_connection_is_used_again_after_interim_replies(open_service, server, image_id):
    server.break_with(faults.interim_replies(103, 3))
    warm(open_service(server), image_id)
    assert server.connections == 1


@pytest.mark.parametrize("operation", READS)
def test_a_flood_of_interim_replies_ends_soon_and_another_server_is_asked(
    open_service, pair, image_id, operation
):
    service = open_service(*pair, read_timeout=LONG, request_timeout=LONG)
    pair[0].break_with(faults.interim_replies(103, None))
    with within(1):
        values = [READS[operation](service, image_id) for _ in range(3)]
    assert (values, reasons_of(service, pair[0])) == ([EXPECTED[operation]] * 3, "protocol_error")


# --- A9: bodies that are none ------------------------------------------------------------------


def test_a_204_has_no_body_whatever_it_says(open_service, server, images, image_id):
    server.break_with(faults.unexpected_body(204).only(method="DELETE").after_effect())
    with within(0.5):
        open_service(server, num_retries=0).delete(None, image_id)
    assert names(images) == []


@pytest.mark.parametrize("code", [204, 304])
@pytest.mark.parametrize("operation", READS)
def test_a_read_that_is_answered_without_a_body_goes_to_the_next_server(
    open_service, pair, image_id, operation, code
):
    service = open_service(*pair, request_timeout=LONG)
    pair[0].break_with(faults.unexpected_body(code))
    with within(1):
        values = [READS[operation](service, image_id) for _ in range(3)]
    assert (values, reasons_of(service, pair[0])) == ([EXPECTED[operation]] * 3, "protocol_error")


@pytest.mark.parametrize("operation", ["create", "update"])
def test_a_change_that_is_answered_by_a_204_without_an_end_is_told_soon(
    open_service, server, image_id, operation
):
    service = open_service(server, num_retries=0, request_timeout=LONG)
    server.break_with(faults.unexpected_body(204))
    with within(1), pytest.raises(traced_image.TracedImageError) as caught:
        WRITES[operation](service, image_id)
    assert isinstance(caught.value, (errors.ProtocolError, traced_image.GlanceConnectionFailed))


# --- A10: lengths and chunks -------------------------------------------------------------------

BAD_LENGTHS = {
    "a list": ("Content-Length: 5, 5",),
    "two": ("Content-Length: 5", "Content-Length: 6"),
    "below zero": ("Content-Length: -5",),
    "a plus": ("Content-Length: +5",),
    "hex": ("Content-Length: 0x5",),
    "empty": ("Content-Length:",),
    "two numbers": ("Content-Length: 5 5",),
    "an underscore": ("Content-Length: 1_0",),
    "an odd digit": ("Content-Length: \xb2",),
    "gzip": ("Transfer-Encoding: gzip, chunked",),
    "unknown": ("Transfer-Encoding: xyz",),
    "twice chunked": ("Transfer-Encoding: chunked, chunked",),
    "both": ("Transfer-Encoding: chunked", "Content-Length: {length}"),
    "both, the other way": ("Content-Length: {length}", "Transfer-Encoding: chunked"),
    "beyond 2^63": ("Content-Length: 9223372036854775808",),
    "beyond all": ("Content-Length: " + "9" * 5000,),
}
BAD_CHUNKS = {
    "huge": faults.bad_chunk(),
    "beyond 2^64": faults.bad_chunk("f" * 17),
    "endless": faults.bad_chunk("0" * 100_000),
    "below zero": faults.bad_chunk("-5"),
    "a plus": faults.bad_chunk("+5"),
    "no hex": faults.bad_chunk("xyz"),
    "0x": faults.bad_chunk("0x5"),
    "an underscore": faults.bad_chunk("1_0"),
    "empty": faults.bad_chunk(""),
    "a bad end": faults.bad_chunk(None, end=b"XX"),
    "no end": faults.bad_chunk(None, end=b""),
}
BAD_FRAMING = {
    **{f"length: {name}": faults.framing(*lines) for name, lines in BAD_LENGTHS.items()},
    **{f"chunk: {name}": fault for name, fault in BAD_CHUNKS.items()},
}


@pytest.mark.parametrize("kept", [False, True], ids=["first call", "kept connection"])
@pytest.mark.parametrize("fault", BAD_FRAMING.values(), ids=BAD_FRAMING)
def test_wrong_framing_is_a_protocol_error_at_once(open_service, pair, image_id, fault, kept):
    service = open_service(*pair, read_timeout=LONG, request_timeout=LONG)
    if kept:
        warm(service, image_id)
    pair[0].break_with(fault)
    with within(0.5):
        values = [service.show(None, image_id)["name"] for _ in range(3)]
    assert (values, reasons_of(service, pair[0])) == (["cirros"] * 3, "protocol_error")


@pytest.mark.parametrize("operation", ["detail", "download"])
@pytest.mark.parametrize("fault", BAD_FRAMING.values(), ids=BAD_FRAMING)
def test_wrong_framing_of_a_list_or_of_data_is_seen_too(
    open_service, pair, image_id, operation, fault
):
    service = open_service(*pair, read_timeout=LONG, request_timeout=LONG)
    pair[0].break_with(fault)
    with within(1):
        values = [READS[operation](service, image_id) for _ in range(3)]
    assert (values, reasons_of(service, pair[0])) == ([EXPECTED[operation]] * 3, "protocol_error")


@pytest.mark.parametrize("fault", BAD_FRAMING.values(), ids=BAD_FRAMING)
def test_a_change_with_a_reply_of_wrong_framing_is_not_repeated(open_service, pair, images, fault):
    for server in pair:
        server.break_with(fault)
    service = open_service(*pair, read_timeout=LONG, request_timeout=LONG)
    with within(0.5), pytest.raises(traced_image.UnsafeToRepeat) as caught:
        service.create(None, {"name": "new"})
    assert (caught.value.reason, names(images)) == ("protocol_error", ["new"])


LEGAL = {
    "small chunks": faults.chunked(1),
    "one chunk": faults.chunked(100_000),
    "extensions": faults.chunked(5, extension=';name="a value";other'),
    "trailers": faults.chunked(5, trailers=("X-Checksum: 1", "X-Other: 2")),
    "no length": faults.framing(close=True),
}


@VERSIONS
@pytest.mark.parametrize("operation", READS)
@pytest.mark.parametrize("fault", LEGAL.values(), ids=LEGAL)
def test_what_http_allows_is_understood(open_service, server, image_id, operation, fault, version):
    server.break_with(fault)
    service = open_service(server, num_retries=0, api_version=version)
    assert [EXPECTED[operation]] * 2 == [READS[operation](service, image_id) for _ in range(2)]


HEADS = {
    "HTTP/1.0": b"HTTP/1.0 200 OK",
    "no reason": b"HTTP/1.1 200 ",
    "no space": b"HTTP/1.1 200",
    "an odd reason": b"HTTP/1.1 200 \xc3\x84hem: well, OK",
}


@pytest.mark.parametrize("line", HEADS.values(), ids=HEADS)
def test_odd_status_lines_are_understood(open_service, server, image_id, line):
    record = b'{"id": "%s", "name": "odd", "status": "queued"}' % image_id.encode()
    head = b"%s\r\nContent-Length: %d\r\n\r\n" % (line, len(record))
    server.break_with(faults.raw_reply(head + record))
    assert open_service(server, num_retries=0).show(None, image_id)["name"] == "odd"
