"""API v1: records in headers both ways, paging by markers, and what a v1 server may say wrongly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, Pieces, Recorder, answer, conversation, reply

from traced_image import lab
from traced_image.errors import (
    GlanceConnectionFailed,
    InvalidImageID,
    InvalidMetadata,
    InvalidQuery,
    NotFound,
    ProtocolError,
)
from traced_image.pipeline.api import v1

# --- headers to a record -----------------------------------------------------------------------


def test_fields_and_properties_come_in_headers():
    headers = {
        "x-image-meta-id": "x",
        "X-Image-Meta-Name": "cirros",
        "x-image-meta-property-Kernel_ID": "k",
        "X-IMAGE-META-PROPERTY-a-b": "c",
        "content-type": "text/html",
    }
    assert v1.read_image_headers(headers) == {
        "id": "x",
        "name": "cirros",
        "properties": {"kernel_id": "k", "a-b": "c"},
    }


@pytest.mark.parametrize("name", ["is_public", "protected", "deleted"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("True", True),
        (" yes ", True),
        ("t", True),
        ("1", True),
        ("False", False),
        ("on", False),
        ("", False),
        ("2", False),
    ],
)
def test_flags_are_read_as_in_python_glanceclient(name, value, expected):
    assert v1.read_image_headers({f"x-image-meta-{name}": value})[name] is expected


@pytest.mark.parametrize("name", ["size", "min_ram", "min_disk", "virtual_size"])
@pytest.mark.parametrize(
    ("value", "expected"), [("5", 5), ("-1", -1), (str(2**70), 2**70), ("five", "five"), ("", "")]
)
def test_a_number_that_is_none_stays_text(name, value, expected):
    assert v1.read_image_headers({f"x-image-meta-{name}": value})[name] == expected


@pytest.mark.parametrize(
    ("raw", "expected"), [("ü".encode().decode("latin-1"), "ü"), ("\xfc", "ü"), ("plain", "plain")]
)
def test_headers_are_utf_8_or_else_latin_1(raw, expected):
    assert v1.read_image_headers({"x-image-meta-name": raw})["name"] == expected


@given(st.dictionaries(st.text(), st.text()))
def test_whatever_the_headers_there_is_a_record(headers):
    assert isinstance(v1.read_image_headers(headers)["properties"], dict)


# --- a record to headers -----------------------------------------------------------------------


def test_a_record_goes_in_headers():
    meta = {
        "name": "ü",
        "min_ram": 5,
        "is_public": True,
        "owner": None,
        "properties": {"a": 1, "b": None},
    }
    assert v1.make_image_headers(meta) == {
        "x-image-meta-name": "\xc3\xbc",
        "x-image-meta-min_ram": "5",
        "x-image-meta-is_public": "True",
        "x-image-meta-property-a": "1",
        "x-image-meta-property-b": "",
    }


@pytest.mark.parametrize("value", ["a\r\nX-Auth-Token: b", "a\nb", "a\rb", "a\0b", "\n"])
@pytest.mark.parametrize("where", [lambda v: {"name": v}, lambda v: {"properties": {"a": v}}])
def test_a_value_that_would_be_another_header_is_refused(where, value):
    with pytest.raises(InvalidMetadata, match="line break, which API v1 can't carry: use v2"):
        v1.make_image_headers(where(value))


@pytest.mark.parametrize("name", ["a:b", "a b", "", "a\r\nb", "ü", "a/b", 5, None, "a\0", "a;"])
@pytest.mark.parametrize("where", [lambda n: {n: "v"}, lambda n: {"properties": {n: "v"}}])
def test_a_name_that_is_no_header_s_is_refused(where, name):
    with pytest.raises(InvalidMetadata, match="can't be a header's name"):
        v1.make_image_headers(where(name))


def test_a_value_without_utf_8_is_refused():
    with pytest.raises(InvalidMetadata, match="not valid Unicode"):
        v1.make_image_headers({"name": "\ud800"})


@pytest.mark.parametrize("properties", [None, [], "a", 5])
def test_properties_must_be_a_mapping(properties):
    with pytest.raises(InvalidMetadata, match="properties are not a mapping"):
        v1.make_image_headers({"properties": properties})


NAMES = st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True)


@given(st.dictionaries(NAMES, st.text()))
def test_properties_come_back_as_they_were_sent(properties):
    try:
        headers = v1.make_image_headers({"properties": properties})
    except InvalidMetadata:
        return
    assert v1.read_image_headers(headers)["properties"] == properties


@given(st.dictionaries(st.text() | st.integers(), st.text() | st.none() | st.integers()))
def test_whatever_is_sent_no_header_has_a_line_break(properties):
    try:
        headers = v1.make_image_headers({"properties": properties})
    except InvalidMetadata:
        return
    text = "".join([*headers, *headers.values()]).encode("latin-1")
    assert not set(b"\r\n\0") & set(text)


# --- get ---------------------------------------------------------------------------------------


def test_one_head_brings_a_record(server, image_id, opened):
    record = opened.sender(server).value(v1.get(image_id))
    found = (record["id"], record["name"], record["size"], record["is_public"])
    assert found == (image_id, "cirros", 10, True)


def test_a_get_is_one_request(server, image_id, opened):
    opened.sender(server)(v1.get(image_id))
    log = [(access.method, access.path) for access in server.access_log]
    assert log == [("HEAD", f"/v1/images/{image_id}")]


def test_an_id_is_quoted():
    assert v1.get("../a?b").path == "/v1/images/..%2Fa%3Fb"


@pytest.mark.parametrize("build", [v1.get, v1.update, v1.delete, v1.data])
def test_a_bad_id_is_refused_before_any_request(build):
    with pytest.raises(InvalidImageID):
        build("")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-image-meta-name": "x"},
        {"x-image-meta-id": "y"},
        {"x-image-meta-id": ""},
    ],
)
def test_headers_that_are_no_record_of_the_image_are_refused(headers):
    with pytest.raises(ProtocolError):
        v1.get("x").perform(Recorder(answer(b"", headers=headers)))


# --- list --------------------------------------------------------------------------------------


def listed(*names):
    return answer(json.dumps({"images": [{"id": name} for name in names]}).encode())


def test_a_list_asks_for_details():
    wire = Recorder(listed("a"))
    v1.list_({"property-os": "x", "is_public": "none"}, marker="m", sort_key="name").perform(wire)
    path = "/v1/images/detail?limit=20&property-os=x&is_public=none&sort_key=name&marker=m"
    assert wire.requests[0].path == path


@pytest.mark.parametrize(
    ("filters", "marker", "query"),
    [
        ({"limit": 5}, None, "limit=1"),
        ({"marker": "f"}, None, "limit=1&marker=f"),
        ({"marker": "f"}, "m", "limit=1&marker=m"),
    ],
)
def test_an_argument_counts_before_a_filter_of_its_name(filters, marker, query):
    wire = Recorder(listed("a"), listed())
    v1.list_(filters, marker=marker, page_size=1).perform(wire)
    expected = [f"/v1/images/detail?{query}", "/v1/images/detail?limit=1&marker=a"]
    assert expected == [request.path for request in wire.requests]


def test_a_list_goes_on_after_the_last_image_of_a_full_page():
    wire = Recorder(listed("a", "b"), listed("c"))
    records = v1.list_(page_size=2).perform(wire)
    assert [record["id"] for record in records] == ["a", "b", "c"]
    assert wire.requests[1].path == "/v1/images/detail?limit=2&marker=b"


def test_a_list_may_end_with_an_empty_page():
    records = v1.list_(page_size=1).perform(Recorder(listed("a"), listed()))
    assert [record["id"] for record in records] == ["a"]


@pytest.mark.parametrize(
    ("limit", "page_size", "asked"),
    [(None, None, 20), (5, None, 5), (100, None, 20), (None, 50, 50), (100, 50, 50), (3, 50, 3)],
)
def test_the_size_of_a_page(limit, page_size, asked):
    wire = Recorder(listed())
    v1.list_(limit=limit, page_size=page_size).perform(wire)
    assert wire.requests[0].path == f"/v1/images/detail?limit={asked}"


def test_a_list_ends_at_its_limit():
    wire = Recorder(listed("a", "b"), listed("c", "d"))
    assert len(v1.list_(limit=3, page_size=2).perform(wire)) == 3


def test_all_images_are_listed(server, images, opened):
    expected = {images.add(name=str(n)) for n in range(7)}
    records = opened.sender(server).value(v1.list_(page_size=3))
    assert {record["id"] for record in records} == expected


def test_a_list_that_repeats_its_page_is_refused():
    with pytest.raises(ProtocolError, match="repeats its last page"):
        v1.list_(page_size=1).perform(Recorder(listed("a"), listed("a")))


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"images": [{}]}', b'{"images": [5, null]}'])
def test_what_is_no_list_is_refused(body):
    with pytest.raises(ProtocolError):
        v1.list_().perform(Recorder(answer(body)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": -1},
        {"page_size": "x"},
        {"sort_key": 5},
        {"sort_dir": ""},
        {"filters": {"a": None}},
    ],
)
def test_a_bad_query_is_refused_before_any_request(arguments):
    with pytest.raises(InvalidQuery):
        v1.list_(**arguments)


def test_a_list_resumes_at_the_failed_page_on_another_server(three, images, opened):
    for number in range(6):
        images.add(name=str(number))
    three[0].break_with(lab.faults.flapping(None, lab.faults.status(503)))
    service = opened.service(*three, api_version=1)
    assert len(service.detail(None, page_size=2)) == 6
    assert [access.status for access in three[0].access_log] == [200, 503]
    assert "marker=" in three[1].access_log[0].path


# --- create, update, delete --------------------------------------------------------------------


def test_a_record_is_created(server, images, opened):
    created = opened.sender(server).value(v1.create(name="ü", properties={"os": "x"}))
    image = images.get(created["id"])
    assert (image.base["name"], image.properties) == ("ü", {"os": "x"})


def test_an_image_is_created_with_its_data(server, images, opened):
    attributes = {"name": "n", "disk_format": "raw", "container_format": "bare"}
    created = opened.sender(server).value(v1.create(b"data", **attributes))
    assert (images.get(created["id"]).data, created["status"]) == (b"data", "active")


def test_an_update_drops_other_properties_if_asked_to(server, images, opened):
    image_id = images.add(name="n", os="x", arch="y")
    opened.sender(server)(v1.update(image_id, purge_props=True, properties={"os": "z"}))
    assert images.get(image_id).properties == {"os": "z"}


def test_an_update_keeps_other_properties_unless_asked_to(server, images, opened):
    image_id = images.add(name="n", os="x", arch="y")
    opened.sender(server)(v1.update(image_id, properties={"os": "z"}))
    assert images.get(image_id).properties == {"os": "z", "arch": "y"}


def test_an_update_may_bring_data(server, images, opened):
    image_id = images.add(name="n", disk_format="raw", container_format="bare")
    opened.sender(server)(v1.update(image_id, iter([b"da", b"ta"])))
    assert images.get(image_id).data == b"data"


def test_an_update_that_is_answered_with_another_image_is_refused():
    wire = Recorder(answer(b'{"image": {"id": "y"}}'))
    with pytest.raises(ProtocolError, match="not about the image that was requested"):
        v1.update("x", min_ram=5).perform(wire)


def test_a_field_may_have_the_name_of_an_argument():
    operation = v1.update("x", data="d", image_id="i")
    wire = Recorder(answer(b'{"image": {"id": "x"}}'))
    operation.perform(wire)
    headers = wire.requests[0].headers
    assert (headers["x-image-meta-data"], headers["x-image-meta-image_id"]) == ("d", "i")


def test_an_image_is_deleted(server, images, image_id, opened):
    opened.sender(server)(v1.delete(image_id))
    assert images.get(image_id) is None


@pytest.mark.parametrize("body", [b"{}", b'{"image": null}', b'{"image": {"name": "x"}}', b"x"])
def test_a_create_whose_reply_is_none_is_refused(body):
    with pytest.raises(ProtocolError):
        v1.create(name="x").perform(Recorder(answer(body)))


@pytest.mark.parametrize(
    ("operation", "repeatable", "transfer"),
    [
        (v1.get("x"), True, False),
        (v1.list_(), True, False),
        (v1.data("x"), True, False),
        (v1.create(), False, False),
        (v1.create(b"x"), False, True),
        (v1.update("x"), False, False),
        (v1.update("x", b"x"), False, True),
        (v1.delete("x"), False, False),
    ],
)
def test_what_may_be_repeated_and_what_has_no_deadline(operation, repeatable, transfer):
    assert (operation.repeatable, operation.transfer) == (repeatable, transfer)


@pytest.mark.parametrize("operation", [v1.create(iter([b"x"])), v1.update("x", iter([b"x"]))])
def test_data_that_was_read_can_t_be_sent_again(operation):
    operation.perform(Reading(answer(b'{"image": {"id": "x"}}')))
    assert operation.rewind() is False


class Reading(Recorder):
    """A wire that reads what is sent."""

    def __call__(self, request):
        list(request.body)
        return super().__call__(request)


def test_a_record_without_data_needs_no_rewinding():
    assert v1.create().rewind is None


# --- numbers that are none ---------------------------------------------------------------------

NUMBERS = ["size", "min_ram", "min_disk", "virtual_size"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["abc", "", "5x", "1.5"])
def test_a_number_that_is_none_is_returned_as_text(name, value):
    headers = {"x-image-meta-id": "x", f"x-image-meta-{name}": value}
    record = v1.get("x").perform(Recorder(answer(headers=headers)))
    assert {"id": "x", "properties": {}, name: value} == record


@pytest.mark.parametrize("name", NUMBERS)
def test_a_list_has_numbers_that_are_none_as_text(name):
    body = json.dumps({"images": [{"id": "x", name: "abc"}, {"id": "y"}]}).encode()
    records = v1.list_().perform(Recorder(answer(body)))
    assert [{"id": "x", name: "abc"}, {"id": "y"}] == records


@pytest.mark.parametrize("name", [*NUMBERS, "name", "created_at", "properties"])
@pytest.mark.parametrize("value", [{}, ["a"], None, 5, True])
def test_a_field_of_a_list_may_have_any_type(name, value):
    body = json.dumps({"images": [{"id": "x", name: value}]}).encode()
    assert [{"id": "x", name: value}] == v1.list_().perform(Recorder(answer(body)))


def test_data_of_an_image_whose_size_is_no_number_is_fetched():
    headers = {"x-image-meta-id": "x", "x-image-meta-size": "many"}
    download = v1.data("x").perform(Recorder(answer(headers=headers, chunks=Pieces(b"data"))))
    assert b"data" == b"".join(download)


# --- data --------------------------------------------------------------------------------------


def test_data_comes_with_its_record(server, image_id, opened):
    assert b"".join(opened.sender(server).value(v1.data(image_id))) == b"0123456789"


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"x-image-meta-id": "y"}, "not about the image that was requested"),
        ({}, "not an image record"),
        ({"content-type": "text/html"}, "and not image data"),
    ],
    ids=["another image", "no record", "a page"],
)
def test_what_is_not_the_data_of_the_image_is_refused(headers, problem):
    data = Pieces(b"x")
    wire = Recorder(answer(headers=headers, chunks=data))
    with pytest.raises(ProtocolError, match=problem):
        v1.data("x").perform(wire)
    assert 1 == data.closed


def test_a_reply_without_data_and_record_is_not_glance_s():
    with pytest.raises(ProtocolError, match="not an image record"):
        v1.data("x").perform(Recorder(answer(status=204)))


def test_an_image_without_data_has_none(server, images, opened):
    with pytest.raises(NotFound):
        opened.sender(server)(v1.data(images.add(name="queued")))


def test_the_bytes_of_a_header_reach_the_server(opened):
    with Loopback(conversation(reply(200, b'{"image": {"id": "x"}}'))) as server:
        opened.sender(server)(v1.create(name="ü"))
    assert b"x-image-meta-name: \xc3\xbc\r\n" in server.requests[0]


def test_a_cut_list_on_every_server_is_a_failed_connection(three, opened):
    for server in three:
        server.break_with(lab.faults.cut_body())
    with pytest.raises(GlanceConnectionFailed):
        opened.service(*three, api_version=1).detail(None)
