"""Dicts equal to nova 34's, key by key and type by type, for images with every field there is."""

import pytest
from parts.images import RECIPES
from parts.nova import NovaRaisedError, as_tagged


@pytest.mark.parametrize("name", RECIPES)
def test_show(name, service, nova, urls, image_ids):
    expected = nova.call(urls, "show", image_ids[name])
    assert expected == as_tagged(service.show(None, image_ids[name]))


@pytest.mark.parametrize("name", RECIPES)
def test_show_with_locations(name, service, nova, urls, image_ids):
    expected = nova.call(urls, "show", image_ids[name], include_locations=True)
    assert expected == as_tagged(service.show(None, image_ids[name], include_locations=True))


def test_show_where_glance_shows_no_locations(keystone, nova, project_service):
    image_id = project_service.create(None, {"name": "unlocated"})["id"]
    context = {"auth_token": keystone.token("owner")}
    servers = [keystone.glance.url]
    expected = nova.call(servers, "show", image_id, context=context, include_locations=True)
    assert expected == as_tagged(project_service.show(None, image_id, include_locations=True))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"limit": 3},
        {"limit": 7, "page_size": 2},
        {"page_size": 5, "sort_key": "name", "sort_dir": "asc"},
        {"sort_key": ["status", "id"], "sort_dir": ["asc", "desc"]},
        {"filters": {"name": "active"}},
        {"filters": {"is_public": "true"}},
        {"filters": {"is_public": "false"}},
        {"filters": {"visibility": "community"}},
        {"filters": {"os_hidden": "true"}},
        {"filters": {"status": "in:queued,killed"}},
        {"filters": {"property-upper": "of upper"}},
        {"filters": {"property-ключ": "of ключ"}},
        {"filters": {"name": "every field ✓", "os_hidden": "true", "tag": ["größe", "a/b"]}},
        {"filters": {"changes-since": "2020-01-01T00:00:00Z"}},
        {"filters": {"changes-since": "2090-01-01T00:00:00Z"}},
        {"filters": {"size_min": "1", "size_max": "4000"}},
        {"filters": {"name": "nobody's"}},
    ],
    ids=str,
)
@pytest.mark.usefixtures("image_ids")
def test_detail(arguments, service, nova, urls):
    expected = nova.call(urls, "detail", **arguments)
    assert expected == as_tagged(service.detail(None, **arguments))


def test_detail_finds_a_property_whose_name_begins_with_letters_of_property(service, image_ids):
    # nova strips the letters of "property-" from the left, whatever comes after the hyphen.
    found = service.detail(None, filters={"property-eñe": "of eñe"})
    assert [image_ids["odd names"]] == [image["id"] for image in found]


@pytest.fixture
def broken_id(service):
    """An image whose mappings are not JSON."""
    image_id = service.create(None, {"name": "broken", "properties": {"mappings": "{"}})["id"]
    yield image_id
    service.delete(None, image_id)


def test_mappings_that_are_not_json_fail_novas_list(nova, urls, broken_id):
    with pytest.raises(NovaRaisedError):
        nova.call(urls, "detail")


def test_mappings_that_are_not_json_stay_text(service, broken_id):
    assert "{" == service.show(None, broken_id)["properties"]["mappings"]


_META = {
    "name": "made",
    "is_public": True,
    "min_disk": "3",
    "min_ram": 4.0,
    "disk_format": "raw",
    "container_format": "bare",
    "status": "active",
    "deleted": False,
    "properties": {
        "number": 12,
        "truth": True,
        "kernel_id": "None",
        "ramdisk_id": None,
        "block_device_mapping": [{"device": "größe"}],
        "mappings": "[]",
    },
}


def test_create_returns_what_novas_returns(service, nova, urls):
    expected = nova.call(urls, "create", _META)
    assert _timeless(expected) == _timeless(as_tagged(service.create(None, _META)))


@pytest.mark.parametrize("purge_props", [True, False])
def test_update_returns_what_novas_returns(purge_props, service, nova, urls):
    change = {"name": "changed", "min_ram": 5, "properties": {"number": "13", "new/n~w": "1"}}
    ids = [service.create(None, _META)["id"] for _ in range(2)]
    expected = nova.call(urls, "update", ids[0], change, purge_props=purge_props)
    actual = service.update(None, ids[1], change, purge_props=purge_props)
    assert _timeless(expected) == _timeless(as_tagged(actual))


def _timeless(image):
    """A tagged image without what differs from one image to another."""
    kind, fields = image
    varying = {"id", "created_at", "updated_at"}
    return kind, {name: value for name, value in fields.items() if name not in varying}
