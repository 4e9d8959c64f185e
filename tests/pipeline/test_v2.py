"""API v2: what is asked, how a list goes on, patches, and replies that are not what they claim."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Pieces, Recorder, answer

from traced_image import Server, lab
from traced_image.errors import (
    InvalidImageID,
    InvalidMetadata,
    InvalidPatch,
    InvalidQuery,
    NotFound,
    ProtocolError,
)
from traced_image.pipeline.api import v2

JSON_VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())


def page(*names, following=None):
    body = {"images": [{"id": name} for name in names]}
    if following is not None:
        body["next"] = following
    return answer(json.dumps(body).encode())


def ids(records):
    return [record["id"] for record in records]


# --- get ---------------------------------------------------------------------------------------


def test_one_request_brings_a_record(server, image_id, opened):
    record = opened.sender(server).value(v2.get(image_id))
    log = [(access.method, access.path) for access in server.access_log]
    assert (record["name"], log) == ("cirros", [("GET", f"/v2/images/{image_id}")])


@pytest.mark.parametrize(
    ("image_id", "path"),
    [
        ("../../etc", "/v2/images/..%2F..%2Fetc"),
        ("%2e%2e", "/v2/images/%252e%252e"),
        ("a?b#c", "/v2/images/a%3Fb%23c"),
        ("ü", "/v2/images/%C3%BC"),
        ("a\r\nb", "/v2/images/a%0D%0Ab"),
    ],
)
def test_an_id_arrives_quoted(server, opened, image_id, path):
    with pytest.raises(NotFound):
        opened.sender(server)(v2.get(image_id))
    assert server.access_log[0].path == path


@pytest.mark.parametrize(
    "build",
    [
        v2.get,
        v2.update,
        v2.delete,
        v2.data,
        lambda image_id: v2.patch(image_id, []),
        lambda image_id: v2.upload(image_id, b""),
    ],
)
@pytest.mark.parametrize("image_id", ["", "..", None, 5])
def test_a_bad_id_is_refused_before_any_request(build, image_id):
    with pytest.raises(InvalidImageID):
        build(image_id)


@given(st.binary() | st.dictionaries(st.text(), JSON_VALUES).map(json.dumps).map(str.encode))
def test_whatever_is_answered_it_is_the_record_or_a_protocol_error(body):
    with contextlib.suppress(ProtocolError):
        assert v2.get("x").perform(Recorder(answer(body)))["id"].lower() == "x"


# --- list --------------------------------------------------------------------------------------


def test_a_list_asks_for_what_it_is_told():
    wire = Recorder(page("a"))
    v2.list_(
        {"tag": ["x", "y"], "name": "ü&"},
        marker="m",
        limit=5,
        page_size=3,
        sort_key=["name", "size"],
        sort_dir="asc",
    ).perform(wire)
    assert wire.requests[0].path == (
        "/v2/images?limit=3&tag=x&tag=y&name=%C3%BC%26"
        "&sort_key=name&sort_key=size&sort_dir=asc&marker=m"
    )


@pytest.mark.parametrize(
    ("limit", "page_size", "asked"),
    [(None, None, 200), (0, 0, 200), (5, None, 5), (500, None, 200), (None, 7, 7), (3, 7, 3)],
)
def test_the_size_of_a_page(limit, page_size, asked):
    wire = Recorder(page())
    v2.list_(limit=limit, page_size=page_size).perform(wire)
    assert wire.requests[0].path == f"/v2/images?limit={asked}"


@pytest.mark.parametrize(
    ("filters", "arguments", "query"),
    [
        ({"limit": 5}, {}, "limit=200"),
        ({"limit": 5}, {"limit": 7}, "limit=7"),
        ({"marker": "f"}, {}, "limit=200&marker=f"),
        ({"marker": "f"}, {"marker": "m"}, "limit=200&marker=m"),
        ({"sort_key": "f"}, {"sort_key": "m"}, "limit=200&sort_key=m"),
        ({"sort_dir": "asc"}, {"sort_key": "m"}, "limit=200&sort_dir=asc&sort_key=m"),
    ],
)
def test_an_argument_counts_before_a_filter_of_its_name(filters, arguments, query):
    wire = Recorder(page())
    v2.list_(filters, **arguments).perform(wire)
    assert f"/v2/images?{query}" == wire.requests[0].path


def test_a_list_follows_its_pages():
    wire = Recorder(page("a", following="/v2/images?marker=a&limit=1"), page("b"))
    records = v2.list_(page_size=1).perform(wire)
    assert (ids(records), wire.requests[1].path) == (["a", "b"], "/v2/images?marker=a&limit=1")


def test_a_list_ends_at_its_limit():
    wire = Recorder(
        page("a", "b", following="/v2/images?marker=b"),
        page("c", "d", following="/v2/images?marker=d"),
    )
    records = v2.list_(limit=3, page_size=2).perform(wire)
    assert (ids(records), len(wire.requests)) == (["a", "b", "c"], 2)


def test_all_images_are_listed(server, images, opened):
    expected = {images.add(name=str(n)) for n in range(7)}
    records = opened.sender(server).value(v2.list_(page_size=3))
    assert (set(ids(records)), len(server.access_log)) == (expected, 3)


def test_images_are_listed_by_filter_and_order(server, images, opened):
    for name in ("b", "a", "c"):
        images.add(name=name, os="linux" if name != "c" else "other")
    records = opened.sender(server).value(
        v2.list_({"os": "linux"}, sort_key="name", sort_dir="asc")
    )
    assert [record["name"] for record in records] == ["a", "b"]


@pytest.mark.parametrize(
    "following",
    [
        "http://elsewhere.example/v2/images?marker=a",
        "//elsewhere.example/v2/images?marker=a",
        "https://glance-1:9292/v2/images?marker=a",
        "/v2/images/x?marker=a",
        "/v2/images",
        "/v1/images?marker=a",
        "v2/images?marker=a",
        "@elsewhere.example/v2/images?marker=a",
        "/v2/images?limit=200",
        "http://glance-1:9293/v2/images?marker=a",
        "http://glance-1/v2/images?marker=a",
        "http://glance-1:9292@elsewhere.example/v2/images?marker=a",
        "http://glance-1:9292/image/v2/images?marker=a",
        "http://[::1/v2/images?marker=a",
        "ftp://glance-1:9292/v2/images?marker=a",
        5,
        ["/v2/images?marker=a"],
        {},
        True,
        "/v2/images?marker=a b",
        "/v2/images?marker=a\r\nX-Auth-Token: b",
        "/v2/images?marker=a\n",
        "/v2/images?marker=\0",
        "/v2/images?marker=\xfc",
        "/v2/images?marker=\u65e5",
        "/v2/images?marker=\ud800",
    ],
)
def test_a_next_page_that_is_none_is_refused(following):
    with pytest.raises(ProtocolError, match="the link to the list's next page is not valid"):
        v2.list_().perform(Recorder(page("a", following=following)))


def test_a_next_page_that_leads_back_is_refused():
    first, second = "/v2/images?marker=a", "/v2/images?marker=b"
    wire = Recorder(
        page("a", following=first), page("b", following=second), page("c", following=first)
    )
    with pytest.raises(ProtocolError, match="next page"):
        v2.list_().perform(wire)


def test_an_empty_page_may_have_a_next_one():
    wire = Recorder(page(following="/v2/images?marker=a"), page("b"))
    assert ["b"] == ids(v2.list_().perform(wire))


def test_two_empty_pages_in_a_row_may_not_have_a_next_one():
    wire = Recorder(
        page("a", following="/v2/images?marker=a"),
        page(following="/v2/images?marker=b"),
        page(following="/v2/images?marker=c"),
    )
    with pytest.raises(ProtocolError, match="next page"):
        v2.list_().perform(wire)


def test_empty_pages_between_others_are_followed():
    wire = Recorder(
        page(following="/v2/images?marker=a"),
        page("b", following="/v2/images?marker=b"),
        page(following="/v2/images?marker=c"),
        page("d"),
    )
    assert ["b", "d"] == ids(v2.list_().perform(wire))


@pytest.mark.parametrize(
    ("server", "following"),
    [
        ("glance-1", "http://glance-1:9292/v2/images?marker=a"),
        ("glance-1", "HTTP://Glance-1:9292/v2/images?marker=a"),
        ("https://glance.example", "https://glance.example/v2/images?marker=a"),
        ("https://glance.example/image", "https://glance.example:443/image/v2/images?marker=a"),
        ("https://glance.example/image", "/image/v2/images?marker=a"),
        ("https://glance.example/image", "/v2/images?marker=a"),
        ("[fd00::3]:9292", "http://[FD00:0::3]:9292/v2/images?marker=a"),
    ],
)
def test_a_next_page_of_the_same_server_is_followed_by_its_path(server, following):
    body = json.dumps({"images": [{"id": "a"}], "next": following}).encode()
    wire = Recorder(answer(body, server=Server.parse(server)), page("b"))
    v2.list_().perform(wire)
    assert "/v2/images?marker=a" == wire.requests[1].path


def test_a_list_with_an_empty_link_is_at_its_end():
    assert ["a"] == ids(v2.list_().perform(Recorder(page("a", following=""))))


@given(st.text() | st.text().map("/v2/images?{}".format), st.lists(st.text(max_size=3), max_size=2))
def test_whatever_page_is_next_it_is_one_of_this_server_or_a_protocol_error(following, names):
    wire = Recorder(page(*names, following=following), page())
    try:
        v2.list_().perform(wire)
    except ProtocolError:
        return
    assert following == "" or re.fullmatch(r"/v2/images\?[!-~]*", wire.requests[1].path)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"images": 5}', b'{"images": [{}]}', b"<html>"])
def test_what_is_no_list_is_refused(body):
    with pytest.raises(ProtocolError):
        v2.list_().perform(Recorder(answer(body)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": -1},
        {"limit": "many"},
        {"page_size": 1.5},
        {"marker": 5},
        {"marker": ""},
        {"sort_key": 5},
        {"sort_dir": [""]},
        {"filters": {"a": None}},
        {"filters": {"a": "\ud800"}},
    ],
)
def test_a_bad_query_is_refused_before_any_request(arguments):
    with pytest.raises(InvalidQuery):
        v2.list_(**arguments)


def test_a_list_resumes_at_the_failed_page_on_another_server(three, images, opened):
    expected = {images.add(name=str(number)) for number in range(6)}
    three[0].break_with(lab.faults.flapping(None, lab.faults.status(503)))
    found = opened.service(*three).detail(None, page_size=2)
    assert {image["id"] for image in found} == expected
    assert [access.status for access in three[0].access_log] == [200, 503]
    # The last page is full too, so that Glance tells of an empty one behind it.
    assert [access.status for access in three[1].access_log] == [200, 200, 200]
    assert "marker=" in three[1].access_log[0].path


def test_a_page_that_broke_is_not_taken_twice():
    broken = page("b", following="http://elsewhere.example")
    listing = v2.list_()
    with pytest.raises(ProtocolError):
        listing.perform(Recorder(page("a", following="/v2/images?marker=a"), broken))
    wire = Recorder(page("b"))
    assert (ids(listing.perform(wire)), wire.requests[0].path) == (
        ["a", "b"],
        "/v2/images?marker=a",
    )


# --- create, patch, delete ---------------------------------------------------------------------


def test_a_record_is_created(server, images, opened):
    attributes = {"name": "ü", "os": "x", "visibility": "private", "min_ram": 5}
    created = opened.sender(server).value(v2.create(**attributes))
    image = images.get(created["id"])
    assert (image.base["name"], image.base["min_ram"], image.properties) == ("ü", 5, {"os": "x"})


def test_what_has_no_form_in_json_is_refused_before_any_request():
    with pytest.raises(InvalidMetadata, match="image_meta can't be sent as JSON"):
        v2.create(name=object())


def test_a_created_record_must_be_one():
    with pytest.raises(ProtocolError):
        v2.create(name="x").perform(Recorder(answer(b"{}")))


def test_an_update_is_one_patch():
    wire = Recorder(answer(b'{"id": "x"}'))
    v2.update("x", ["old", "name"], **{"name": "n", "a/b~c": "d"}).perform(wire)
    request = wire.requests[0]
    assert (request.method, request.headers, json.loads(request.body)) == (
        "PATCH",
        {"Content-Type": "application/openstack-images-v2.1-json-patch"},
        [
            {"op": "add", "path": "/name", "value": "n"},
            {"op": "add", "path": "/a~1b~0c", "value": "d"},
            {"op": "remove", "path": "/old"},
        ],
    )


def test_an_update_changes_adds_and_removes(server, images, opened):
    image_id = images.add(name="old", os="x", arch="y")
    opened.sender(server)(v2.update(image_id, ["arch"], name="new", os="z", more="w"))
    image = images.get(image_id)
    assert (image.base["name"], image.properties) == ("new", {"os": "z", "more": "w"})


def test_an_attribute_may_be_called_image_id():
    wire = Recorder(answer(b'{"id": "x"}'))
    v2.update("x", image_id="y").perform(wire)
    assert json.loads(wire.requests[0].body)[0]["path"] == "/image_id"


def test_an_update_must_answer_with_the_image():
    with pytest.raises(ProtocolError, match="not about the image"):
        v2.update("x", name="n").perform(Recorder(answer(b'{"id": "y"}')))


@pytest.mark.parametrize(
    "changes",
    [
        5,
        None,
        "add",
        {"op": "add"},
        [5],
        [None],
        [[]],
        [{}],
        [{"op": "test", "path": "/a", "value": 1}],
        [{"op": ["add"], "path": "/a", "value": 1}],
        [{"op": "add", "path": "/a"}],
        [{"op": "replace", "path": "/a"}],
        [{"op": "remove", "path": "/a", "value": 1}],
        [{"op": "remove", "path": 5}],
        [{"op": "remove"}],
        [{"op": "remove", "path": ""}],
        [{"op": "remove", "path": "a"}],
        [{"op": "remove", "path": "/"}],
        [{"op": "remove", "path": "/a/"}],
        [{"op": "remove", "path": "/a//b"}],
        [{"op": "remove", "path": "/a~2b"}],
        [{"op": "remove", "path": "/a~"}],
    ],
)
def test_a_bad_patch_is_refused_before_any_request(changes):
    with pytest.raises(InvalidPatch):
        v2.patch("x", changes)


@pytest.mark.parametrize("name", ["", None, 5, b"x"])
def test_a_bad_name_is_refused_before_any_request(name):
    with pytest.raises(InvalidPatch, match="is not a property name: pass text"):
        v2.make_changes({name: 1}, [])


def test_a_patch_that_has_no_form_in_json_is_refused_before_any_request():
    with pytest.raises(InvalidMetadata, match="the patch can't be sent as JSON"):
        v2.patch("x", [{"op": "add", "path": "/a", "value": object()}])


CHANGES = st.lists(
    st.dictionaries(st.sampled_from(["op", "path", "value", "from"]), st.text() | JSON_VALUES)
    | st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "move"]), "path": st.text().map("/".__add__)}
    )
    | JSON_VALUES,
    max_size=2,
)


@given(CHANGES | JSON_VALUES)
def test_whatever_the_patch_it_is_sent_as_given_or_refused(changes):
    wire = Recorder(answer(b'{"id": "x"}'))
    try:
        v2.patch("x", changes).perform(wire)
    except (InvalidPatch, InvalidMetadata):
        return
    assert json.loads(wire.requests[0].body) == changes


@given(st.text(min_size=1))
def test_any_name_is_a_pointer_that_a_patch_takes(name):
    assert v2.patch("x", v2.make_changes({}, [name])).method == "PATCH"


def test_an_image_is_deleted(server, images, image_id, opened):
    opened.sender(server)(v2.delete(image_id))
    assert images.get(image_id) is None


# --- data and upload ---------------------------------------------------------------------------


def test_data_is_asked_for_after_its_record():
    record = answer(b'{"id": "x"}')
    wire = Recorder(record, answer(chunks=Pieces(b"ab")))
    assert list(v2.data("x").perform(wire)) == [b"ab"]
    found = [(request.path, request.stream) for request in wire.requests]
    assert found == [("/v2/images/x", False), ("/v2/images/x/file", True)]


@pytest.mark.parametrize(("offset", "headers"), [(0, {}), (5, {"Range": "bytes=5-"})])
def test_data_is_asked_for_from_an_offset(offset, headers):
    wire = Recorder(answer(b'{"id": "x"}'), answer(chunks=Pieces()))
    v2.data("x", offset).perform(wire)
    assert wire.requests[1].headers == headers


def test_an_upload_says_what_it_is():
    wire = Recorder(answer(status=204))
    v2.upload("x", b"data", 4).perform(wire)
    request = wire.requests[0]
    assert (request.method, request.path, request.headers) == (
        "PUT",
        "/v2/images/x/file",
        {"Content-Type": "application/octet-stream", "x-openstack-image-size": "4"},
    )


@pytest.mark.parametrize("size", [-1, "x", 1.5, True])
def test_a_bad_size_is_refused_before_any_request(size):
    with pytest.raises(InvalidQuery, match="image_size"):
        v2.upload("x", b"data", size)


@pytest.mark.parametrize(
    ("operation", "repeatable", "transfer"),
    [
        (v2.get("x"), True, False),
        (v2.list_(), True, False),
        (v2.data("x"), True, False),
        (v2.create(), False, False),
        (v2.update("x"), False, False),
        (v2.patch("x", []), False, False),
        (v2.delete("x"), False, False),
        (v2.upload("x", b""), False, True),
    ],
)
def test_what_may_be_repeated_and_what_has_no_deadline(operation, repeatable, transfer):
    assert (operation.repeatable, operation.transfer) == (repeatable, transfer)
