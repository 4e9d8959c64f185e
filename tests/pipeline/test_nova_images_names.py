"""Images whose properties have the names of nova's own fields, and mappings that are no dicts."""

import types

import pytest

from traced_image.errors import InvalidMetadata
from traced_image.pipeline.api import nova_image_dict

BARE = {
    "disk_format": None,
    "container_format": None,
    "name": None,
    "checksum": None,
    "deleted": False,
    "deleted_at": None,
}
"""What nova's dict has even where the record has nothing."""

PROPERTIES = {
    "is_public": "maybe",
    "deleted": "hardly",
    "deleted_at": "never",
    "properties": "of a house",
    "location": "here",
    "self_": "not self",
    "größe": "groß ✓",
}


def circular():
    value = []
    value.append(value)
    return value


def test_properties_may_have_the_names_of_novas_fields():
    expected = {**BARE, "properties": PROPERTIES}
    assert expected == nova_image_dict.from_v2(PROPERTIES)


def test_an_image_that_was_shown_can_be_sent():
    record = {"id": "x", "visibility": "public", "size": 5, "status": "active", "min_ram": 5}
    image = nova_image_dict.from_v2({**record, "hw": "x", "mappings": '[{"a": null}]'})
    expected = {
        "id": "x",
        "name": None,
        "checksum": None,
        "disk_format": None,
        "container_format": None,
        "visibility": "public",
        "min_ram": 5,
        "hw": "x",
        "mappings": '[{"a": null}]',
    }
    assert expected == nova_image_dict.to_v2(image)


def test_mappings_that_are_no_dicts_can_be_sent():
    meta = types.MappingProxyType({"properties": types.MappingProxyType({"mappings": [1]})})
    assert {"mappings": "[1]"} == nova_image_dict.to_v2(meta)


@pytest.mark.parametrize("name", ["block_device_mapping", "mappings"])
@pytest.mark.parametrize("value", [{1, 2}, circular(), {("a",): 1}, b"bytes"])
def test_a_structured_property_without_a_form_in_json_is_named(name, value):
    with pytest.raises(InvalidMetadata, match=f"property {name} can't be written as JSON"):
        nova_image_dict.to_v2({"properties": {name: value}})


@pytest.mark.parametrize("name", ["min_ram", "min_disk"])
def test_an_amount_that_is_no_number_is_named(name):
    with pytest.raises(InvalidMetadata, match=f"{name} is 'much': pass a whole number"):
        nova_image_dict.to_v2({name: "much"})


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (None, "image_meta is NoneType: pass a dict"),
        ({"properties": 5}, "image_meta's properties are not a mapping: pass a dict"),
        ({5: "x"}, "5 is not the name of a field or property: pass text"),
    ],
)
def test_what_can_not_be_sent_is_told(meta, words):
    with pytest.raises(InvalidMetadata) as caught:
        nova_image_dict.to_v2(meta)
    assert words == str(caught.value)
