"""v2: JSON patch. What is expected was seen of Glance 33."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image.lab.error_responses import Refused
from traced_image.lab.http1 import ReceivedRequest
from traced_image.lab.v2.patch import parse

NEW = "application/openstack-images-v2.1-json-patch"
OLD = "application/openstack-images-v2.0-json-patch"


def op(name, path, *value):
    return {"op": name, "path": path, **({"value": value[0]} if value else {})}


@pytest.fixture
def target(images):
    return images.add(name="n", data=b"x", a="b", tags=["t"])


@pytest.mark.parametrize(
    ("operation", "name", "value"),
    [
        (op("add", "/new", "v"), "new", "v"),
        (op("add", "/a", "c"), "a", "c"),
        (op("replace", "/a", "d"), "a", "d"),
        (op("add", "/a~1b~0c", "v"), "a/b~c", "v"),
        (op("add", "/a b ", "v"), "a b", "v"),
        (op("replace", "/name", None), "name", None),
        (op("replace", "/tags", ["y", "x", "y"]), "tags", ["x", "y"]),
        (op("replace", "/visibility", "private"), "visibility", "private"),
        (op("replace", "/min_ram", 7), "min_ram", 7),
        (op("replace", "/protected", True), "protected", True),
        (op("replace", "/owner", "me"), "owner", "me"),
    ],
)
def test_a_change_is_made_and_shown(patch, images, target, operation, name, value):
    response = patch(target, operation)
    assert (200, value, value) == (
        response.status,
        json.loads(response.body)[name],
        images.get(target).view()[name],
    )


def test_a_property_is_removed(patch, images, target):
    patch(target, op("remove", "/a"))
    assert images.get(target).properties == {}


def test_a_change_sets_the_time(patch, images, target):
    before = images.get(target).base["updated_at"]
    patch(target, op("add", "/b", "c"))
    assert before < images.get(target).base["updated_at"]


def test_no_changes_set_no_time(patch, images, target):
    before = images.get(target)
    assert (200, before) == (patch(target).status, images.get(target))


def test_a_queued_image_may_change_its_formats(patch, images):
    image_id = images.add()
    patch(image_id, op("replace", "/disk_format", "raw"))
    assert images.get(image_id).base["disk_format"] == "raw"


@pytest.mark.parametrize(
    ("operation", "status", "words"),
    [
        (op("replace", "/nope", "v"), 409, "Property nope does not exist."),
        (op("remove", "/nope"), 409, "Property nope does not exist."),
        (op("remove", "/stores"), 409, "Property stores does not exist."),
        (op("remove", "/name"), 403, "Property name may not be removed."),
        (op("remove", "/tags"), 403, "Property tags may not be removed."),
        (op("replace", "/disk_format", "raw"), 403, "can be only replaced for a queued image"),
        (op("replace", "/min_disk", -1), 400, "Cannot be a negative value"),
        (op("foo", "/a", "b"), 400, "Invalid operation: `foo`"),
        ({"path": "/a"}, 400, "Unable to find `op` in JSON Schema change."),
        ({"op": "add", "value": "x"}, 400, "Unable to find 'path' in JSON Schema change"),
        (op("add", "/a"), 400, 'Operation "add" requires a member named "value".'),
        (op("add", "a", "b"), 400, 'Pointer `a` does not start with "/".'),
        (op("add", "/a//b", "c"), 400, 'contains adjacent "/"'),
        (op("add", "/a/", "c"), 400, 'Pointer `/a/` end with "/".'),
        (op("add", "/a~2", "c"), 400, "recognized escape sequence"),
        (op("add", "/a~", "c"), 400, "recognized escape sequence"),
        (op("add", "/a/b", "c"), 400, "Invalid JSON pointer for this resource: '/a/b'"),
        (op("add", "/tags/-", "c"), 400, "Invalid JSON pointer for this resource: '/tags/-'"),
        (op("replace", "/status", "x"), 403, "Attribute 'status' is read-only."),
        (op("remove", "/size"), 403, "Attribute 'size' is read-only."),
        (op("add", "/deleted", "x"), 403, "Attribute 'deleted' is reserved."),
        (op("add", "/os_glance_x", "x"), 403, "Attribute 'os_glance_x' is reserved."),
        (op("add", "/b", 3), 400, "3 is not of type 'string'"),
        (op("replace", "/visibility", "x"), 400, "'x' is not one of"),
        ("add", 400, "Operations must be JSON objects."),
    ],
)
def test_a_change_that_glance_refuses_is_refused(glance, images, target, operation, status, words):
    before = images.get(target)
    headers = {"content-type": NEW, "accept": "text/plain"}
    response = glance("PATCH", f"/v2/images/{target}", [operation], headers)
    assert (status, True, before) == (
        response.status,
        words in response.body.decode(),
        images.get(target),
    )


def test_of_several_changes_all_are_made_or_none(patch, images, target):
    before = images.get(target)
    patch(target, op("add", "/b", "1"), op("replace", "/nope", "2"))
    assert before is images.get(target)


def test_a_patch_of_an_unknown_image_is_404(patch):
    assert patch("nope", op("add", "/a", "b")).status == 404


def test_a_patch_that_is_no_list_is_400(glance, target, text):
    response = glance("PATCH", f"/v2/images/{target}", {}, {"content-type": NEW})
    assert "must be a JSON array" in text(response)


@pytest.mark.parametrize("kind", ["application/json", "application/json-patch+json", None])
def test_another_media_type_is_415_and_says_which_are_taken(glance, target, kind):
    headers = {} if kind is None else {"content-type": kind}
    response = glance("PATCH", f"/v2/images/{target}", [], headers)
    assert (415, f"{OLD}, {NEW}") == (response.status, response.header("Accept-Patch"))


def test_a_media_type_may_have_parameters(glance, target):
    headers = {"content-type": f"{NEW}; charset=utf-8"}
    assert glance("PATCH", f"/v2/images/{target}", [], headers).status == 200


@pytest.mark.parametrize(
    ("operation", "status", "words"),
    [
        ({"add": "/new", "value": "v"}, 200, '"new": "v"'),
        ({"replace": "/a", "value": "v"}, 200, '"a": "v"'),
        ({"remove": "/a"}, 200, '"name": "n"'),
        ({"add": "/a", "value": "v"}, 409, "Property a already present."),
        ({"add": "/a", "remove": "/b"}, 400, "must contain only one member"),
        ({"foo": "/a"}, 400, "must contain exactly one member"),
    ],
)
def test_the_notation_of_v2_0_is_taken_too(glance, target, operation, status, words):
    headers = {"content-type": OLD, "accept": "text/plain"}
    response = glance("PATCH", f"/v2/images/{target}", [operation], headers)
    assert (status, True) == (response.status, words in response.body.decode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["op", "path", "value", "add", "remove", "replace"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from([OLD, NEW]))
def test_whatever_is_sent_is_a_patch_or_refused(value, kind):
    request = ReceivedRequest("PATCH", "/", {"content-type": kind}, json.dumps(value).encode())
    try:
        changes = parse(request)
    except Refused as refused:
        changes = refused
    assert (
        changes.status in (400, 403) if isinstance(changes, Refused) else len(value) == len(changes)
    )
