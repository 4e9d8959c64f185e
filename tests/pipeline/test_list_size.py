"""The bounds of lists: the bytes of all replies together, and the memory of one reply."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from loopback import Loopback, Recorder, answer, closing, conversation, reply
from support import Script, operation_of, rig

from traced_image import Config, GlanceClientWrapper, GlanceConnectionFailed, ListTooLarge
from traced_image.errors import ProtocolError
from traced_image.pipeline.api import records, v1, v2
from traced_image.pipeline.api.list_size import ListSize
from traced_image.pipeline.api.records import CONTAINER_SIZE, MOST_CONTAINERS, parse_object


def page(number, following=True, count=1):
    """A page of API v2 of 200 bytes for each image, with the link to the next one."""
    images = [{"id": f"{number}-{each}", "x": "x" * 176} for each in range(count)]
    link = {"next": f"/v2/images?marker={number}"} if following else {}
    return answer(json.dumps({"images": images, **link}).encode())


def read(operation, wire):
    """What an operation brings, with the check at its end, as the loop of attempts does it."""
    found = operation.perform(wire)
    operation.check()
    return found


def sizes(*replies):
    return sum(len(each.body) for each in replies)


# --- the bytes of all replies ------------------------------------------------------------------


@pytest.mark.parametrize("list_", [v1.list_, v2.list_])
def test_a_list_of_more_bytes_than_allowed_is_refused(list_):
    pages = [page(1, count=20), page(2, count=20), page(3, following=False)]
    with pytest.raises(ListTooLarge) as caught:
        read(list_(max_size=sizes(*pages[:2]) - 1), Recorder(*pages))
    most = sizes(*pages[:2])
    said = f"its replies have {most} bytes so far, and max_list_size is {most - 1}: ask for a part"
    assert said in str(caught.value)


@pytest.mark.parametrize("list_", [v1.list_, v2.list_])
def test_no_page_is_asked_for_after_the_last_allowed_byte(list_):
    wire = Recorder(page(1, count=20), page(2, count=20), page(3, count=20))
    with pytest.raises(ListTooLarge):
        read(list_(max_size=1), wire)
    assert 1 == len(wire.requests)


@pytest.mark.parametrize("list_", [v1.list_, v2.list_])
@pytest.mark.parametrize("room", [0, None])
def test_a_list_of_as_many_bytes_as_allowed_is_whole(list_, room):
    pages = [page(1, count=20), page(2, following=False)]
    most = None if room is None else sizes(*pages)
    assert 21 == len(read(list_(max_size=most), Recorder(*pages)))


def test_what_failed_attempts_brought_counts_too():
    size = ListSize(10)
    assert [True, True, False] == [size.add(answer(b"12345")) for _ in range(3)]


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_has_the_limit_of_its_configuration(server, images, version):
    images.add(name="x" * 200)
    with (
        GlanceClientWrapper(Config(servers=[server.url], max_list_size=100)) as client,
        pytest.raises(ListTooLarge, match="max_list_size is 100"),
    ):
        client.call(None, version, "list")


def test_a_call_may_have_a_limit_of_its_own(server, images):
    images.add()
    with GlanceClientWrapper(Config(servers=[server.url], max_list_size=1)) as client:
        assert 1 == len(client.call(None, 2, "list", max_size=None))


@pytest.mark.parametrize("version", [1, 2])
def test_a_service_has_the_limit_of_its_configuration(opened, server, images, version):
    images.add(name="x" * 200)
    service = opened.service(server, api_version=version, max_list_size=100)
    with pytest.raises(ListTooLarge):
        service.detail(None)


def test_a_limit_is_the_way_out(opened, server, images):
    for _ in range(9):
        images.add(name="x" * 200)
    service = opened.service(server, max_list_size=3000)
    found = service.detail(None, limit=2)
    assert 2 == len(service.detail(None, limit=2, marker=found[-1]["id"]))


def test_a_list_that_is_too_large_accuses_nobody(opened, three, images):
    images.add(name="x" * 200)
    service = opened.service(*three, max_list_size=100)
    with pytest.raises(ListTooLarge) as caught:
        service.detail(None)
    told = [(health.state, health.last_reason) for health in service.servers()]
    assert ((), [("healthy", None)] * 3) == (caught.value.attempts, told)
    assert [1, 0, 0] == [len(each.access_log) for each in three]


def test_endless_pages_end(opened):
    """By the limit, and not by the deadline."""
    pages = [reply(200, page(number, count=50).body) for number in range(100)]
    with Loopback(conversation(*pages)) as server:
        service = opened.service(server, max_list_size=100_000)
        with pytest.raises(ListTooLarge):
            service.detail(None)


def test_what_an_operation_checks_comes_after_the_attempt():
    def check():
        raise ListTooLarge("too large")

    loop = rig(Script([]))
    with pytest.raises(ListTooLarge):
        loop.call(operation_of(check=check))
    assert ([0, 0, 0], []) == (loop.active, loop.told)
    assert [True, False, False] == [h.last_success is not None for h in loop.cycle.health()]


# --- the bytes of one page ---------------------------------------------------------------------

HUGE = b'{"images": [{"id": "x", "name": "' + b"x" * 1000 + b'"}]}'


def chunked(body):
    """A reply in chunks of 100 bytes."""
    pieces = [body[start : start + 100] for start in range(0, len(body), 100)]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


FRAMES = pytest.mark.parametrize(
    "frame",
    [
        lambda body: reply(200, body),
        chunked,
        lambda body: closing(b"HTTP/1.1 200 OK\r\n\r\n" + body),
    ],
    ids=["length", "chunks", "close"],
)


@FRAMES
@pytest.mark.parametrize("version", [1, 2])
def test_a_page_that_is_too_large_is_not_retried_and_accuses_nobody(opened, frame, version):
    with (
        Loopback(conversation(frame(HUGE))) as first,
        Loopback(conversation(frame(HUGE))) as second,
    ):
        service = opened.service(first, second, api_version=version, max_metadata_size=500)
        with pytest.raises(ListTooLarge, match=r"raise max_metadata_size .*by page_size or limit"):
            service.detail(None)
        told = [(health.state, health.last_reason) for health in service.servers()]
        assert ([("healthy", None)] * 2, 1) == (told, len(first.requests + second.requests))


@FRAMES
@pytest.mark.parametrize(
    "body",
    [
        b"<html>" + b"x" * 1000,
        b"[" + b"{}," * 500,
        b'{"images": [{}' + b",{}" * 500,
        b'{"images": ["' + b"x" * 1000,
        b" " * 1000,
    ],
    ids=["html", "array", "empty images", "text", "spaces"],
)
def test_a_reply_that_is_too_large_and_no_page_is_the_servers_fault(opened, frame, body):
    with (
        Loopback(conversation(frame(body))) as first,
        Loopback(conversation(page_of_one())) as second,
    ):
        service = opened.service(first, second, max_metadata_size=500)
        assert ["x"] == [image["id"] for image in service.detail(None)]
        assert "protocol_error" == service.servers()[0].last_reason


@pytest.mark.parametrize(
    "head",
    [f"Content-Length: {1 << 50}\r\n\r\n", f"Transfer-Encoding: chunked\r\n\r\n{1 << 50:x}\r\n"],
    ids=["length", "chunk"],
)
def test_a_length_that_is_not_plausible_is_the_servers_fault(opened, head):
    wrong = f"HTTP/1.1 200 OK\r\n{head}".encode() + HUGE
    with Loopback(conversation(wrong)) as first, Loopback(conversation(page_of_one())) as second:
        assert 1 == len(opened.service(first, second).detail(None))


def page_of_one():
    return reply(200, b'{"images": [{"id": "x"}]}')


@FRAMES
def test_an_image_that_is_too_large_is_the_servers_fault(opened, frame):
    with Loopback(conversation(frame(b'{"id": "x", "name": "' + b"x" * 1000))) as server:
        service = opened.service(server, num_retries=0, max_metadata_size=500)
        with pytest.raises(GlanceConnectionFailed, match="raise max_metadata_size"):
            service.show(None, "x")


def test_members_that_are_too_many_accuse_nobody():
    body = b'{"members": [{"member_id": "' + b"x" * 1000 + b'"}]}'
    config = {"max_metadata_size": 500}
    with (
        Loopback(conversation(reply(200, body))) as server,
        GlanceClientWrapper(Config(servers=[server.url], **config)) as client,
    ):
        with pytest.raises(ListTooLarge):
            client.call(None, 2, "image_members.list", "x")
        assert None is client.servers()[0].last_reason


def test_smaller_pages_are_the_way_out(opened, server, images):
    for _ in range(9):
        images.add(name="x" * 200)
    service = opened.service(server, max_metadata_size=2500)
    with pytest.raises(ListTooLarge):
        service.detail(None)
    assert 9 == len(service.detail(None, page_size=2))


# --- the memory of one reply -------------------------------------------------------------------


@pytest.mark.parametrize("piece", [b"{},", b"[],", b'{"a":{}},'])
def test_a_reply_of_far_too_many_objects_is_not_parsed(piece):
    body = b'{"images":[' + piece * 50_000 + b"{}]}"
    with pytest.raises(ProtocolError, match="lists and objects in"):
        parse_object(answer(body))


def test_as_many_objects_as_allowed_are_parsed():
    count = MOST_CONTAINERS - 2
    body = b'{"images":[' + b",".join([b"{}"] * count) + b"]}"
    assert count == len(parse_object(answer(body))["images"])


def test_the_most_depends_on_the_size():
    count = 2 * MOST_CONTAINERS
    body = b'{"images":[' + b",".join([b"{}".ljust(CONTAINER_SIZE)] * count) + b"]}"
    assert count == len(parse_object(answer(body))["images"])


@pytest.mark.parametrize("value", ["{[" * 20_000, '"{' * 20_000, "\\{" * 20_000, '\\"[{' * 20_000])
def test_a_property_may_have_any_text(value):
    """Otherwise one image could break the lists of all who see it."""
    assert {"x": value} == parse_object(answer(json.dumps({"x": value}).encode()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('{}[]"\\a,:', max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('{[]"\\'), inner),
    max_leaves=30,
)


def containers(value):
    if isinstance(value, dict):
        return 1 + sum(map(containers, value.values()))
    return 1 + sum(map(containers, value)) if isinstance(value, list) else 0


@given(JSON)
@example({'"': ["\\", "\\\\", '\\"', '"', "{"]})
def test_containers_are_counted_as_they_are_parsed(value):
    assert containers(value) == records._count_containers(json.dumps(value).encode())


def test_a_string_that_does_not_end_takes_no_longer():
    """A regular expression would look for its end from each of its quotes."""
    body = b'{"images":["' + b'\\"{[[' * 200_000
    with pytest.raises(ProtocolError, match=r"not JSON$"):
        parse_object(answer(body))


def test_the_next_server_is_asked_after_a_reply_of_too_many_objects(opened, server, images):
    images.add(name="it")
    many = b'{"images":[' + b"{}," * 50_000 + b"{}]}"
    with Loopback(conversation(reply(200, many))) as flooding:
        service = opened.service(flooding, server)
        assert ["it"] == [image["name"] for image in service.detail(None)]
        assert "protocol_error" == service.servers()[0].last_reason
