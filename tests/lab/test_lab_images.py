"""The store, as a test fills it."""

import json

import pytest

from traced_image import lab
from traced_image.errors import InvalidArgument


def test_an_image_with_data_is_active_and_has_its_digests(images):
    view = images.get(images.add(name="cirros", data=b"data")).view()
    assert (
        view["status"],
        view["size"],
        view["checksum"],
        view["os_hash_algo"],
        len(view["os_hash_value"]),
    ) == ("active", 4, "8d777f385d3dfec8815d20f7496026dc", "sha512", 128)


def test_an_image_without_data_is_queued(images):
    assert images.get(images.add()).status == "queued"


def test_what_is_given_wins_over_what_follows_from_the_data(images):
    image = images.get(images.add(data=b"data", size=2**60, disk_format="raw", status="killed"))
    assert (
        image.base["size"],
        image.base["disk_format"],
        image.status,
    ) == (2**60, "raw", "killed")


def test_raw_data_has_a_virtual_size(images):
    assert images.get(images.add(data=b"data", disk_format="raw")).base["virtual_size"] == 4


def test_properties_keep_their_names(images):
    image_id = images.add(**{"hw:x y": "1", "größe": "µ"})
    view = images.get(image_id).view()
    assert (view["hw:x y"], view["größe"]) == ("1", "µ")


def test_a_null_property_is_shown_empty_as_glance_does(images):
    assert images.get(images.add(old=None)).view()["old"] == ""


def test_tags_are_sorted(images):
    assert images.get(images.add(tags=["b", "a"])).view()["tags"] == ["a", "b"]


def test_locations_can_be_given(images):
    location = {"url": "rbd://pool/image", "metadata": {}}
    image = images.get(images.add(data=b"x", locations=[location]))
    assert [location] == image.view(show_locations=True)["locations"]


def test_data_has_a_location_in_the_store(images):
    image = images.get(images.add(data=b"x"))
    assert [location["url"] for location in image.locations] == [f"memory://fs/{image.id}"]


@pytest.mark.parametrize(
    "given",
    [
        {"name": "\ud800"},
        {"name": b"cirros"},
        {"os_distro": object},
        {"locations": "file:///x"},
        {"locations": [{}]},
    ],
    ids=str,
)
def test_an_image_that_no_list_could_show_is_refused(images, given):
    with pytest.raises(InvalidArgument, match="No reply can have this image"):
        images.add(**given)
    assert [] == images.all()


def test_an_image_can_be_given_its_id(images):
    assert images.add(id="an-id") == "an-id"


def test_all_gives_the_newest_first(images):
    ids = [images.add(), images.add()]
    assert ids[::-1] == [image.id for image in images.all()]


def test_times_are_whole_seconds_of_the_stores_clock():
    images = lab.Images(now=lambda: 1e9 + 0.7)
    assert images.get(images.add()).base["created_at"] == "2001-09-09T01:46:40Z"


def test_an_id_stays_used_when_its_image_has_gone(images):
    image_id = images.add()
    images.remove(image_id)
    assert (images.get(image_id), images.is_used(image_id)) == (None, True)


@pytest.mark.parametrize("show_locations", [False, True])
def test_the_keys_of_a_view_are_in_glances_order(images, show_locations):
    keys = list(images.get(images.add(data=b"x", p="q")).view(show_locations=show_locations))
    expected = "p name disk_format container_format visibility size virtual_size status checksum"
    expected += " protected min_ram min_disk owner os_hidden os_hash_algo os_hash_value id"
    expected += " created_at updated_at"
    expected += " locations direct_url" if show_locations else ""
    expected += " tags self file schema stores"
    assert expected.split() == keys


def test_an_image_without_a_location_has_no_direct_url(images):
    view = images.get(images.add()).view(show_locations=True)
    assert (view["locations"], "direct_url" in view) == ([], False)


def test_the_json_of_an_image_is_its_view(images):
    image = images.get(images.add(data=b"x", größe="µ"))
    assert image.view() == json.loads(image.json)
