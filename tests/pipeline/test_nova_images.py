"""nova's dict and Glance's records: both ways, key by key and type by type.

What is expected here was compared with what nova 34's own functions return.
"""

import contextlib
import copy
import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image import RequestContext
from traced_image.errors import InvalidImageRecord, InvalidMetadata, InvalidQuery
from traced_image.pipeline.api import nova_image_dict
from traced_image.pipeline.context import SERVICE

CREATED = datetime(2026, 11, 23, 10, 0, 0, tzinfo=timezone.utc)

RECORD = {
    "id": "x",
    "name": "名 é 🦀",
    "status": "active",
    "visibility": "public",
    "protected": True,
    "os_hidden": False,
    "checksum": "c",
    "os_hash_algo": "sha512",
    "os_hash_value": "v",
    "owner": "p",
    "size": 2**70,
    "virtual_size": 5,
    "container_format": "bare",
    "disk_format": "raw",
    "created_at": "2026-11-23T10:00:00Z",
    "updated_at": "2026-11-23T10:00:00Z",
    "tags": ["a"],
    "min_ram": 1,
    "min_disk": 2,
    "self": "/v2/images/x",
    "file": "/v2/images/x/file",
    "schema": "/v2/schemas/image",
    "direct_url": "rbd://x",
    "locations": [{"url": "rbd://x", "metadata": {}}],
    "stores": "fs",
    "kernel_id": "k",
    "": "empty",
    "deleted": "custom",
    "odd name/~": None,
    "mappings": '[{"device": "vda"}]',
    "block_device_mapping": "[]",
}

IMAGE = {
    "id": "x",
    "name": "名 é 🦀",
    "status": "active",
    "is_public": True,
    "os_hidden": False,
    "checksum": "c",
    "os_hash_algo": "sha512",
    "os_hash_value": "v",
    "owner": "p",
    "size": 2**70,
    "container_format": "bare",
    "disk_format": "raw",
    "created_at": CREATED,
    "updated_at": CREATED,
    "deleted": False,
    "deleted_at": None,
    "min_ram": 1,
    "min_disk": 2,
    "stores": "fs",
    "properties": {
        "kernel_id": "k",
        "": "empty",
        "deleted": "custom",
        "odd name/~": None,
        "mappings": [{"device": "vda"}],
        "block_device_mapping": [],
    },
}


# --- from Glance, API v2 -----------------------------------------------------------------------


def test_a_record_with_everything_becomes_nova_s_dict():
    assert nova_image_dict.from_v2(RECORD) == IMAGE


def test_a_record_is_left_as_it_was():
    record = copy.deepcopy(RECORD)
    nova_image_dict.from_v2(record, include_locations=True)
    assert record == RECORD


def test_locations_come_where_they_are_asked_for():
    image = nova_image_dict.from_v2(RECORD, include_locations=True)
    assert image == {
        **IMAGE,
        "direct_url": "rbd://x",
        "locations": [{"url": "rbd://x", "metadata": {}}],
    }


def test_a_record_with_nothing_has_nova_s_defaults():
    assert nova_image_dict.from_v2({"id": "x"}) == {
        "id": "x",
        "properties": {},
        "deleted": False,
        "deleted_at": None,
        "disk_format": None,
        "container_format": None,
        "name": None,
        "checksum": None,
    }


NULLS = ("name", "checksum", "os_hash_algo", "owner", "container_format", "disk_format")


@pytest.mark.parametrize("name", NULLS)
def test_a_null_stays_null(name):
    assert nova_image_dict.from_v2({**RECORD, name: None}) == {**IMAGE, name: None}


def test_a_size_that_is_null_is_0():
    assert nova_image_dict.from_v2({**RECORD, "size": None}) == {**IMAGE, "size": 0}


@pytest.mark.parametrize(
    ("visibility", "public"),
    [("public", True), ("private", False), ("shared", False), ("community", False)],
)
def test_public_is_what_everybody_sees(visibility, public):
    image = nova_image_dict.from_v2({"visibility": visibility})
    assert image["is_public"] is public


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T10:00:00Z", CREATED),
        ("2026-11-23T10:00:00", CREATED),
        ("2026-11-23T10:00:00.123456", CREATED.replace(microsecond=123456)),
        ("2026-11-23T11:00:00+01:00", CREATED.astimezone(timezone(timedelta(hours=1)))),
    ],
)
def test_a_time_stamp_knows_its_zone(text, expected):
    found = nova_image_dict.from_v2({"created_at": text})["created_at"]
    assert (found, found.utcoffset()) == (expected, expected.utcoffset())


@pytest.mark.parametrize("name", ["mappings", "block_device_mapping"])
@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "x"])
def test_a_structured_property_that_is_no_json_stays_text(name, text):
    assert nova_image_dict.from_v2({name: text})["properties"] == {name: text}


@pytest.mark.parametrize("value", [None, 5, [1]])
def test_a_structured_property_that_is_no_text_stays(value):
    assert nova_image_dict.from_v2({"mappings": value})["properties"] == {"mappings": value}


VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=2)


@given(st.dictionaries(st.sampled_from(list(RECORD)) | st.text(), VALUES), st.booleans())
def test_whatever_a_record_has_it_is_an_image_or_an_odd_record(record, include_locations):
    with contextlib.suppress(InvalidImageRecord):
        image = nova_image_dict.from_v2(record, include_locations=include_locations)
        assert isinstance(image["properties"], dict)


@given(st.dictionaries(st.sampled_from([*RECORD, "properties"]), VALUES))
def test_whatever_a_v1_record_has_it_is_an_image_or_an_odd_record(record):
    with contextlib.suppress(InvalidImageRecord):
        image = nova_image_dict.from_v1(record)
        assert record.get("properties", {}) == image["properties"]


def test_the_message_of_an_odd_record_has_no_secret_and_no_control_character():
    record = {"id": "x\x1b", "created_at": "token=gAAAAABsecret\n"}
    with pytest.raises(InvalidImageRecord) as caught:
        nova_image_dict.from_v2(record)
    assert str(caught.value).isprintable()
    assert "gAAAA" not in str(caught.value)


@pytest.mark.parametrize("properties", [{}, {"deleted": ""}, None, "deleted", ["deleted"]])
def test_an_image_is_not_deleted_unless_its_record_says_so(properties):
    assert not nova_image_dict.is_deleted({"deleted": False, "properties": properties})


@pytest.mark.parametrize(
    "image",
    [{"deleted": True, "properties": {}}, {"deleted": False, "properties": {"deleted": "yes"}}],
)
def test_an_image_is_deleted_by_its_field_or_its_property(image):
    assert nova_image_dict.is_deleted(image)


# --- from Glance, API v1 -----------------------------------------------------------------------


def test_a_v1_record_becomes_grizzly_s_dict():
    record = {
        "id": "x",
        "size": 5,
        "is_public": False,
        "created_at": "2013-04-04T00:00:00",
        "virtual_size": 9,
        "protected": True,
        "properties": {"mappings": "[]", "os": "x"},
    }
    assert nova_image_dict.from_v1(record) == {
        "id": "x",
        "size": 5,
        "is_public": False,
        "created_at": datetime(2013, 4, 4, tzinfo=timezone.utc),
        "updated_at": None,
        "deleted_at": None,
        "deleted": None,
        "disk_format": None,
        "owner": None,
        "container_format": None,
        "checksum": None,
        "name": None,
        "status": None,
        "min_disk": None,
        "min_ram": None,
        "properties": {"mappings": [], "os": "x"},
    }


def test_a_v1_record_is_left_as_it_was():
    record = {"properties": {"mappings": "[]"}}
    nova_image_dict.from_v1(record)
    assert record == {"properties": {"mappings": "[]"}}


# --- to Glance ---------------------------------------------------------------------------------


def test_an_image_becomes_the_fields_to_send():
    meta = {
        "name": "n",
        "is_public": False,
        "min_ram": "512",
        "min_disk": 1.0,
        "size": 5,
        "deleted": False,
        "deleted_at": None,
        "created_at": CREATED,
        "updated_at": CREATED,
        "status": "active",
        "owner": "p",
        "properties": {
            "text": "t",
            "none": None,
            "number": 5,
            "flag": True,
            "list": [1],
            "kernel_id": "None",
            "ramdisk_id": " ",
            "mappings": [{"device": "vda"}],
            "block_device_mapping": "[]",
        },
    }
    assert nova_image_dict.to_v2(meta) == {
        "name": "n",
        "visibility": "private",
        "min_ram": 512,
        "min_disk": 1,
        "owner": "p",
        "text": "t",
        "none": None,
        "number": "5",
        "flag": "True",
        "list": "[1]",
        "mappings": '[{"device": "vda"}]',
        "block_device_mapping": "[]",
    }


@pytest.mark.parametrize(
    ("value", "sent"),
    [("k", {"kernel_id": "k"}), (None, {"kernel_id": None}), ("NONE", {}), ("", {})],
)
def test_a_kernel_that_is_not_set_is_not_sent(value, sent):
    assert nova_image_dict.to_v2({"properties": {"kernel_id": value}}) == sent


def test_the_caller_s_dict_is_left_as_it_was():
    meta = {"status": "x", "properties": {"mappings": [1], "a": 5}}
    before = copy.deepcopy(meta)
    nova_image_dict.to_v2(meta)
    nova_image_dict.to_v1(meta)
    assert meta == before


def test_v1_fields_are_kept_with_their_properties():
    meta = {"name": "n", "size": 5, "status": "x", "properties": {"mappings": [1], "a": 5}}
    assert nova_image_dict.to_v1(meta) == {
        "name": "n",
        "size": 5,
        "properties": {"mappings": "[1]", "a": 5},
    }


@pytest.mark.parametrize(
    "meta",
    [
        None,
        [],
        "name",
        {"properties": None},
        {"properties": []},
        {"properties": "a"},
        {5: "x"},
        {"": "x"},
        {"properties": {5: "x"}},
        {"properties": {"": "x"}},
        {"properties": {None: "x"}},
        {"properties": {"mappings": object()}},
        {"properties": {"mappings": {1: {2}}}},
        {"min_ram": "many"},
        {"min_ram": None},
        {"min_disk": []},
        {"min_disk": float("inf")},
        {"min_disk": float("nan")},
        {"min_disk": "9" * 5000},
    ],
)
def test_what_can_t_be_sent_is_refused(meta):
    with pytest.raises(InvalidMetadata):
        nova_image_dict.to_v2(meta)


@given(
    st.dictionaries(st.sampled_from(["name", "min_ram", "is_public", "size"]) | st.text(), VALUES)
    | VALUES,
    st.dictionaries(st.text() | st.integers(), VALUES) | st.none(),
    st.sampled_from([nova_image_dict.to_v1, nova_image_dict.to_v2]),
)
def test_whatever_an_image_has_it_can_be_sent_or_is_refused(meta, properties, to_glance):
    if isinstance(meta, dict) and properties is not None:
        meta["properties"] = properties
    try:
        record = to_glance(meta)
    except InvalidMetadata:
        return
    assert all(isinstance(name, str) and name for name in record)


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_text_properties_come_back_as_they_were_sent(properties):
    own = {f"x_{name}": value for name, value in properties.items()}
    sent = nova_image_dict.to_v2({"properties": own})
    received = json.loads(json.dumps(sent))
    assert nova_image_dict.from_v2(received)["properties"] == own


# --- availability ------------------------------------------------------------------------------


def image(public=False, **properties):
    return {"is_public": public, "properties": properties}


@pytest.mark.parametrize(
    ("context", "image", "expected"),
    [
        (RequestContext(auth_token="t"), image(), True),
        (SERVICE, image(), True),
        (RequestContext(is_admin=True), image(), True),
        (RequestContext(), image(public=True), True),
        (RequestContext(), image(), False),
        (RequestContext(auth_token=""), image(), False),
        (RequestContext(project_id="p"), image(owner_id="p"), True),
        (RequestContext(project_id="p"), image(owner_id="q"), False),
        (RequestContext(project_id="p"), image(owner_id="q", project_id="p"), False),
        (RequestContext(project_id="p", user_id="u"), image(owner_id="q", user_id="u"), False),
        (RequestContext(project_id="p"), image(project_id="p"), True),
        (RequestContext(project_id="p"), image(project_id="q"), False),
        (RequestContext(project_id="p", user_id="u"), image(project_id="q", user_id="u"), False),
        (RequestContext(project_id="p", user_id="u"), image(user_id="u"), True),
        (RequestContext(user_id="u"), image(owner_id="p", user_id="u"), True),
        (RequestContext(user_id="u"), image(user_id="v"), False),
        (RequestContext(), image(user_id="None"), True),
        (RequestContext(project_id=5), image(owner_id="5"), True),
        (RequestContext(project_id="None"), image(owner_id=None), True),
        (SimpleNamespace(), image(), False),
        (SimpleNamespace(), image(public=True), True),
        (SimpleNamespace(user_id="u"), image(user_id="u"), True),
        (RequestContext(), {"is_public": None, "properties": None}, False),
    ],
)
def test_who_may_see_an_image(context, image, expected):
    assert nova_image_dict.is_available(context, image) is expected


# --- queries -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {}),
        ({"name": "n", "status": "active"}, {"name": "n", "status": "active"}),
        ({"is_public": "true"}, {"visibility": "public"}),
        ({"is_public": "1"}, {"visibility": "public"}),
        ({"is_public": True}, {"visibility": "public"}),
        ({"is_public": "FALSE"}, {"visibility": "private"}),
        ({"is_public": 0}, {"visibility": "private"}),
        ({"is_public": "none"}, {}),
        ({"is_public": None}, {}),
        ({"changes-since": "2026-11-23"}, {"updated_at": "gte:2026-11-23"}),
        ({"property-os": "x"}, {"os": "x"}),
        ({"property-type": "x"}, {"type": "x"}),
        ({"property-property-x": "x"}, {"property-x": "x"}),
        ({"visibility": "shared"}, {"visibility": "shared"}),
    ],
)
def test_filters_are_those_of_api_v2(filters, expected):
    assert nova_image_dict.make_query_v2({"filters": filters}) == {"filters": expected}


@pytest.mark.parametrize("params", [{}, {"filters": None}, {"filters": {}}])
def test_without_filters_api_v1_lists_private_images_too(params):
    assert nova_image_dict.make_query_v1(params) == {"filters": {"is_public": "none"}}


def test_filters_are_kept_for_api_v1():
    found = nova_image_dict.make_query_v1({"filters": {"is_public": "true", "property-os": "x"}})
    assert found == {"filters": {"is_public": "true", "property-os": "x"}}


def test_other_arguments_are_kept_where_they_say_something():
    params = {"marker": "m", "limit": 5, "page_size": None, "sort_key": "", "sort_dir": "asc"}
    assert nova_image_dict.make_query_v2(params) == {
        "marker": "m",
        "limit": 5,
        "sort_dir": "asc",
        "filters": {},
    }


@pytest.mark.parametrize("offset", [0, 5, None, "x"])
@pytest.mark.parametrize(
    "make_query", [nova_image_dict.make_query_v1, nova_image_dict.make_query_v2]
)
def test_an_offset_is_ignored_as_nova_ignores_it(make_query, offset):
    assert make_query({}) == make_query({"offset": offset})


@pytest.mark.parametrize(
    "params", [{"filter": {}}, {"filters": [1]}, {"filters": "a"}, {"x": None}]
)
def test_what_is_no_query_is_refused(params):
    with pytest.raises(InvalidQuery, match=r"detail: .*use filters, marker, limit"):
        nova_image_dict.make_query_v2(params)


def test_the_caller_s_filters_are_left_as_they_were():
    filters = {"is_public": "true", "property-os": "x"}
    nova_image_dict.make_query_v1({"filters": filters})
    nova_image_dict.make_query_v2({"filters": filters})
    assert filters == {"is_public": "true", "property-os": "x"}
