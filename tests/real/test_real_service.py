"""Every facade method on real Glance servers, API v2."""

import io
import os
from pathlib import Path

import pytest
from parts.images import RECIPES

from traced_image import RequestContext
from traced_image.errors import ChecksumMismatch, ImageNotFound, ImageUnacceptable

RAW = {"disk_format": "raw", "container_format": "bare"}
DATA = os.urandom(300_000)


@pytest.fixture(scope="module")
def with_data(service):
    """The id of an image that has `DATA`."""
    return service.create(None, {"name": "with data", **RAW}, DATA)["id"]


def test_show_gives_the_custom_properties(service, image_ids):
    image = service.show(None, image_ids["odd values"])
    assert RECIPES["odd values"].record == image["properties"]


def test_show_hides_a_private_image_from_a_stranger(service, image_ids):
    with pytest.raises(ImageNotFound):
        service.show(RequestContext(user_id="stranger"), image_ids["private"])


def test_show_gives_a_private_image_to_the_owner_of_its_property(service, image_ids):
    context = RequestContext(project_id="of owner_id")
    assert service.show(context, image_ids["odd names"])["id"] == image_ids["odd names"]


def test_detail_pages_through_all_images(service):
    names = {f"page {number}" for number in range(7)}
    for name in names:
        service.create(None, {"name": name, "properties": {"paged": "yes"}})
    found = service.detail(None, filters={"property-paged": "yes"}, page_size=2)
    assert sorted(names) == sorted(image["name"] for image in found)


def test_detail_starts_after_the_marker(service):
    everything = [image["id"] for image in service.detail(None)]
    found = service.detail(None, marker=everything[2], limit=3)
    assert everything[3:6] == [image["id"] for image in found]


def test_create_without_data_leaves_a_queued_image(service):
    assert service.create(None, {"name": "queued"})["status"] == "queued"


def test_create_of_size_0_activates_an_empty_image(service):
    assert service.create(None, {"name": "empty", "size": 0})["status"] == "active"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: DATA, id="bytes"),
        pytest.param(lambda: io.BytesIO(DATA), id="file"),
        pytest.param(lambda: (DATA[i : i + 999] for i in range(0, len(DATA), 999)), id="iterator"),
    ],
)
def test_create_with_data_stores_it(data, service):
    image = service.create(None, {"name": "stored", **RAW}, data())
    assert b"".join(service.download(None, image["id"])) == DATA


def test_create_shares_the_image_with_the_owner_of_the_instance(service):
    properties = {"instance_owner": "tenant-7"}
    image = service.create(None, {"visibility": "shared", "properties": properties})
    members = service._client.call(None, 2, "image_members.list", image["id"])
    assert [member["member_id"] for member in members] == ["tenant-7"]


def test_update_removes_the_other_properties(service):
    image = service.create(None, {"properties": {"old": "1", "kept": "1"}})
    service.update(None, image["id"], {"properties": {"kept": "2"}})
    assert service.show(None, image["id"])["properties"] == {"kept": "2"}


def test_update_without_purge_keeps_the_other_properties(service):
    image = service.create(None, {"properties": {"old": "1"}})
    service.update(None, image["id"], {"properties": {"new": "2"}}, purge_props=False)
    assert service.show(None, image["id"])["properties"] == {"old": "1", "new": "2"}


def test_update_takes_back_what_show_gave(service):
    image = service.create(None, {"name": "whole", **RAW, "properties": {"a/b~c": "ñ"}})
    shown = service.show(None, image["id"])
    changed = service.update(None, image["id"], {"name": "new", "properties": shown["properties"]})
    assert {**shown, "name": "new"} == {**changed, "updated_at": shown["updated_at"]}


def test_update_with_data_stores_it(service):
    image = service.create(None, {"name": "later", **RAW})
    service.update(None, image["id"], {}, DATA)
    assert b"".join(service.download(None, image["id"])) == DATA


def test_download_gives_an_iterator(service, with_data):
    assert b"".join(service.download(None, with_data)) == DATA


def test_download_writes_to_a_file_object(service, with_data):
    target = io.BytesIO()
    service.download(None, with_data, data=target)
    assert target.getvalue() == DATA


def test_download_writes_to_a_path(service, with_data, tmp_path):
    target = tmp_path / "image"
    service.download(None, with_data, dst_path=target)
    assert target.read_bytes() == DATA


def test_download_of_an_image_without_data(service, image_ids):
    with pytest.raises(ImageUnacceptable):
        service.download(None, image_ids["queued"])


def test_download_of_data_that_changed_in_the_store(service, tmp_path):
    image = service.create(None, {"name": "rotten", **RAW}, DATA)
    location = service.get_location(None, image["id"])
    Path(location.removeprefix("file://")).write_bytes(DATA[::-1])
    with pytest.raises(ChecksumMismatch):
        service.download(None, image["id"], dst_path=tmp_path / "image")


def test_get_location_is_where_the_store_has_the_data(service, with_data):
    location = service.get_location(None, with_data)
    assert Path(location.removeprefix("file://")).read_bytes() == DATA


def test_get_location_of_an_image_without_data(service, image_ids):
    assert service.get_location(None, image_ids["queued"]) is None


def test_delete_says_true(service):
    assert service.delete(None, service.create(None, {})["id"]) is True


def test_a_deleted_image_is_not_found(service):
    image = service.create(None, {})
    service.delete(None, image["id"])
    with pytest.raises(ImageNotFound):
        service.show(None, image["id"])
