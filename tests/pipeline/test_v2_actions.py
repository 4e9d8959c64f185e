"""API v2 beside the image itself: members, tags, locations, actions, imports."""

import json

import pytest
from loopback import Recorder, answer

from traced_image import Config, GlanceClientWrapper, lab
from traced_image.errors import (
    Conflict,
    Forbidden,
    InvalidImageID,
    InvalidMetadata,
    NotFound,
    ProtocolError,
)
from traced_image.pipeline.api import v2, v2_actions

RECORD = answer(b'{"id": "x"}')


@pytest.fixture
def shared(images):
    return images.add(name="shared", visibility="shared")


@pytest.fixture
def located():
    """A server that shows locations, and an image with three of them."""
    images = lab.Images(show_locations=True)
    locations = [{"url": f"memory://{name}", "metadata": {}} for name in "abc"]
    image_id = images.add(name="located", data=b"x", locations=locations)
    with lab.GlanceServer(images) as server:
        yield server, image_id


def said(operation, reply=RECORD):
    """Method, path and body of the one request of an operation."""
    wire = Recorder(reply)
    operation.perform(wire)
    (request,) = wire.requests
    return request.method, request.path, request.body and json.loads(request.body)


# --- members -----------------------------------------------------------------------------------


def test_a_member_comes_and_goes(server, shared, opened):
    sender = opened.sender(server)
    sender(v2_actions.create_member(shared, "p1"))
    sender(v2_actions.update_member(shared, "p1", "accepted"))
    status = sender.value(v2_actions.get_member(shared, "p1"))["status"]
    listed = [m["member_id"] for m in sender.value(v2_actions.list_members(shared))]
    sender(v2_actions.delete_member(shared, "p1"))
    left = sender.value(v2_actions.list_members(shared))
    assert (status, listed, left) == ("accepted", ["p1"], [])


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (v2_actions.get_member("i/d", "p/1"), ("GET", "/v2/images/i%2Fd/members/p%2F1", None)),
        (v2_actions.create_member("x", "p"), ("POST", "/v2/images/x/members", {"member": "p"})),
        (
            v2_actions.update_member("x", "p", "rejected"),
            ("PUT", "/v2/images/x/members/p", {"status": "rejected"}),
        ),
        (v2_actions.delete_member("x", "p"), ("DELETE", "/v2/images/x/members/p", None)),
        (v2_actions.update_tag("x", "a b"), ("PUT", "/v2/images/x/tags/a%20b", None)),
        (v2_actions.delete_tag("x", "ü"), ("DELETE", "/v2/images/x/tags/%C3%BC", None)),
        (v2_actions.deactivate("x"), ("POST", "/v2/images/x/actions/deactivate", None)),
        (v2_actions.reactivate("x"), ("POST", "/v2/images/x/actions/reactivate", None)),
        (
            v2_actions.add_image_location("x", "rbd://a"),
            ("POST", "/v2/images/x/locations", {"url": "rbd://a"}),
        ),
        (
            v2_actions.add_image_location("x", "rbd://a", {"os_hash_algo": "sha512"}),
            (
                "POST",
                "/v2/images/x/locations",
                {"url": "rbd://a", "validation_data": {"os_hash_algo": "sha512"}},
            ),
        ),
        (
            v2_actions.add_location("x", "rbd://a", {"b": "c"}),
            (
                "PATCH",
                "/v2/images/x",
                [
                    {
                        "op": "add",
                        "path": "/locations/-",
                        "value": {"url": "rbd://a", "metadata": {"b": "c"}},
                    }
                ],
            ),
        ),
    ],
)
def test_what_is_asked(operation, expected):
    assert said(operation) == expected


@pytest.mark.parametrize("status", ["Accepted", "", None, 5, ["pending"]])
def test_a_bad_member_status_is_refused_before_any_request(status):
    with pytest.raises(InvalidMetadata, match="use pending, accepted or rejected"):
        v2_actions.update_member("x", "p", status)


@pytest.mark.parametrize(
    "build",
    [
        lambda bad: v2_actions.get_member("x", bad),
        lambda bad: v2_actions.create_member("x", bad),
        lambda bad: v2_actions.update_member("x", bad, "pending"),
        lambda bad: v2_actions.delete_member("x", bad),
        lambda bad: v2_actions.update_tag("x", bad),
        lambda bad: v2_actions.delete_tag("x", bad),
    ],
)
@pytest.mark.parametrize("bad", ["", "..", None, 5, "\ud800"])
def test_a_bad_member_or_tag_is_refused_before_any_request(build, bad):
    with pytest.raises(InvalidMetadata):
        build(bad)


@pytest.mark.parametrize(
    "build",
    [
        v2_actions.list_members,
        v2_actions.deactivate,
        v2_actions.reactivate,
        v2_actions.image_import,
        lambda bad: v2_actions.get_member(bad, "p"),
        lambda bad: v2_actions.update_tag(bad, "t"),
        lambda bad: v2_actions.add_location(bad, "u"),
        lambda bad: v2_actions.add_image_location(bad, "u"),
        lambda bad: v2_actions.delete_locations(bad, ["u"]),
    ],
)
def test_a_bad_id_is_refused_before_any_request(build):
    with pytest.raises(InvalidImageID):
        build("")


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (v2_actions.list_members("x"), b'{"members": [{"image_id": "x"}, {"image_id": "y"}]}'),
        (v2_actions.get_member("x", "p"), b'{"image_id": "y"}'),
        (v2_actions.create_member("x", "p"), b'{"image_id": "y"}'),
        (v2_actions.update_member("x", "p", "pending"), b'{"image_id": "y"}'),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_membership_of_another_image_is_refused(operation, body):
    with pytest.raises(ProtocolError, match="not about the image that was requested"):
        operation.perform(Recorder(answer(body)))


@pytest.mark.parametrize("body", [b"{}", b'{"members": [5]}', b"[]"])
def test_what_are_no_members_is_refused(body):
    with pytest.raises(ProtocolError):
        v2_actions.list_members("x").perform(Recorder(answer(body)))


# --- tags and actions --------------------------------------------------------------------------


def test_a_tag_comes_and_goes(server, images, image_id, opened):
    sender = opened.sender(server)
    sender(v2_actions.update_tag(image_id, "a b"))
    tagged = images.get(image_id).tags
    sender(v2_actions.delete_tag(image_id, "a b"))
    assert (tagged, images.get(image_id).tags) == (("a b",), ())


def test_a_deactivated_image_gives_no_data_until_it_is_reactivated(server, image_id, opened):
    sender = opened.sender(server)
    sender(v2_actions.deactivate(image_id))
    with pytest.raises(Forbidden):
        sender(v2.data(image_id))
    sender(v2_actions.reactivate(image_id))
    assert b"".join(sender.value(v2.data(image_id))) == b"0123456789"


# --- imports -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ({}, {"method": {"name": "glance-direct"}}),
        (
            {"method": "web-download", "uri": "http://a"},
            {"method": {"name": "web-download", "uri": "http://a"}},
        ),
        (
            {"method": "copy-image", "stores": ["a", "b"]},
            {
                "method": {"name": "copy-image"},
                "stores": ["a", "b"],
                "all_stores_must_succeed": False,
            },
        ),
        (
            {"method": "copy-image", "stores": "ceph", "allow_failure": False},
            {"method": {"name": "copy-image"}, "stores": ["ceph"], "all_stores_must_succeed": True},
        ),
        (
            {"method": "copy-image", "all_stores": True},
            {
                "method": {"name": "copy-image"},
                "all_stores": True,
                "all_stores_must_succeed": False,
            },
        ),
    ],
)
def test_an_import_says_what_and_where(arguments, body):
    found = said(v2_actions.image_import("x", **arguments))
    assert found == ("POST", "/v2/images/x/import", body)


@pytest.mark.parametrize("stores", [5, [""], [None], ["a", 5]])
def test_bad_stores_are_refused_before_any_request(stores):
    with pytest.raises(InvalidMetadata, match=r"stores is .*: pass a list of texts"):
        v2_actions.image_import("x", "copy-image", stores=stores)


def test_an_import_that_can_t_be_is_a_conflict(server, images, opened):
    with pytest.raises(Conflict):
        opened.sender(server)(v2_actions.image_import(images.add(name="queued"), "copy-image"))


# --- locations ---------------------------------------------------------------------------------


def test_a_location_is_added_by_a_patch(located, opened):
    server, image_id = located
    record = opened.sender(server).value(v2_actions.add_location(image_id, "memory://d"))
    assert [location["url"][-1] for location in record["locations"]] == ["a", "b", "c", "d"]


def test_a_location_is_added_by_the_call_for_services(server, images, opened):
    image_id = images.add(name="queued", disk_format="raw", container_format="bare")
    opened.sender(server)(v2_actions.add_image_location(image_id, "memory://a"))
    assert [location["url"] for location in images.get(image_id).locations] == ["memory://a"]


def test_locations_are_removed_by_their_urls(located, opened):
    server, image_id = located
    urls = {"memory://a", "memory://c"}
    record = opened.sender(server).value(v2_actions.delete_locations(image_id, urls))
    assert [location["url"] for location in record["locations"]] == ["memory://b"]


@pytest.mark.parametrize("urls", [["memory://d"], ["memory://a", "memory://d"], [], "memory://d"])
def test_a_location_that_is_not_there_is_not_removed(located, opened, urls):
    server, image_id = located
    operation = v2_actions.delete_locations(image_id, urls)
    opened.sender(server)(operation)
    with pytest.raises(InvalidMetadata, match="the image has no such location"):
        operation.check()
    assert [access.method for access in server.access_log] == ["GET"]


@pytest.mark.parametrize("urls", [5, [5], [["a"]], [""]])
def test_bad_urls_are_refused_before_any_request(urls):
    with pytest.raises(InvalidMetadata, match=r"url_set is .*: pass a list of texts"):
        v2_actions.delete_locations("x", urls)


@pytest.mark.parametrize(
    "locations",
    [["memory://a"], [{}], [{"url": 5}], [{"url": ["a"]}], [None], None, "a", {"a": 1}, 5],
)
def test_locations_of_an_odd_form_are_no_such_location(locations):
    body = json.dumps({"id": "x", "locations": locations}).encode()
    operation = v2_actions.delete_locations("x", ["a"])
    operation.perform(Recorder(answer(body)))
    with pytest.raises(InvalidMetadata, match="no such location"):
        operation.check()


def test_a_location_is_removed_beside_those_of_an_odd_form():
    locations = [None, {"url": 5}, {"url": "a"}]
    wire = Recorder(answer(json.dumps({"id": "x", "locations": locations}).encode()), RECORD)
    v2_actions.delete_locations("x", ["a"]).perform(wire)
    assert [{"op": "remove", "path": "/locations/2"}] == json.loads(wire.requests[1].body)


def test_a_location_that_is_not_there_accuses_nobody(opened, located):
    server, image_id = located
    with GlanceClientWrapper(Config(servers=[server.url])) as client:
        with pytest.raises(InvalidMetadata, match="no such location") as caught:
            client.call(None, 2, "delete_locations", image_id, ["memory://d"])
        assert ((), None) == (caught.value.attempts, client.servers()[0].last_reason)


def test_an_image_that_shows_no_locations_has_none():
    operation = v2_actions.delete_locations("x", ["a"])
    operation.perform(Recorder(RECORD))
    with pytest.raises(InvalidMetadata, match="no such location"):
        operation.check()


def test_what_has_no_form_in_json_is_refused_before_any_request():
    with pytest.raises(InvalidMetadata, match="the request can't be sent as JSON"):
        v2_actions.add_image_location("x", "u", {"os_hash_algo": object()})


@pytest.mark.parametrize("add", [v2_actions.add_image_location, v2_actions.add_location])
@pytest.mark.parametrize("url", ["", None, 5, b"memory://a", object(), ["memory://a"]])
def test_what_is_no_location_is_refused_before_any_request(add, url):
    with pytest.raises(InvalidMetadata, match="a location is empty or not text: pass a URL"):
        add("x", url)


@pytest.mark.parametrize("add", [v2_actions.add_image_location, v2_actions.add_location])
@pytest.mark.parametrize("more", ["ab", 5, ["ab"], [("a", "b")]])
def test_what_is_no_mapping_is_refused_before_any_request(add, more):
    with pytest.raises(InvalidMetadata, match=r"data is .*: pass a dict"):
        add("x", "memory://a", more)


@pytest.mark.parametrize(
    ("operation", "name", "repeatable"),
    [
        (v2_actions.list_members("x"), "image_members.list", True),
        (v2_actions.get_member("x", "p"), "image_members.get", True),
        (v2_actions.create_member("x", "p"), "image_members.create", False),
        (v2_actions.update_member("x", "p", "pending"), "image_members.update", False),
        (v2_actions.delete_member("x", "p"), "image_members.delete", False),
        (v2_actions.update_tag("x", "t"), "image_tags.update", False),
        (v2_actions.delete_tag("x", "t"), "image_tags.delete", False),
        (v2_actions.deactivate("x"), "images.deactivate", False),
        (v2_actions.reactivate("x"), "images.reactivate", False),
        (v2_actions.image_import("x"), "images.image_import", False),
        (v2_actions.add_location("x", "u"), "images.add_location", False),
        (v2_actions.add_image_location("x", "u"), "images.add_image_location", False),
        (v2_actions.delete_locations("x", ["u"]), "images.delete_locations", False),
    ],
)
def test_names_and_what_may_be_repeated(operation, name, repeatable):
    assert (operation.name, operation.repeatable) == (name, repeatable)


def test_an_image_that_is_not_there_has_no_members(server, opened):
    with pytest.raises(NotFound):
        opened.sender(server)(v2_actions.list_members("missing"))
