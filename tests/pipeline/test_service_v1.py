"""The service as Grizzly's code used it, on servers of API v1."""

import io
from datetime import datetime, timezone

import pytest
from loopback import Loopback, conversation, reply

from traced_image import RequestContext, lab
from traced_image.errors import (
    ImageNotAuthorized,
    ImageNotFound,
    InvalidArgument,
    InvalidImageRecord,
    InvalidMetadata,
    ProtocolError,
    UnsafeToRepeat,
)

DATA = bytes(range(256)) * 4096
IMAGE_ID = "8f3c1a52-0000-4000-8000-000000000001"
META = {"name": "größe ✓", "disk_format": "qcow2", "container_format": "bare"}
MORNING = 1365051967.0  # 2013-04-04T05:06:07Z


@pytest.fixture
def images():
    return lab.Images(now=lambda: MORNING)


@pytest.fixture
def service(opened, server):
    return opened.service(server, api_version=1)


@pytest.fixture
def image_id(images):
    return images.add(name="cirros", data=DATA, hw="x")


def shown(opened, *headers):
    """What `show` makes of a reply with these headers."""
    with Loopback(conversation(reply(200, b"", *headers))) as server:
        service = opened.service(server, api_version=1, num_retries=0)
        return service.show(None, IMAGE_ID, show_deleted=False)


# --- show and detail ---------------------------------------------------------------------------


def test_show_gives_grizzlys_dict(service, images):
    image_id = images.add(
        id=IMAGE_ID,
        name="größe ✓",
        size=2**40,
        min_ram=5,
        owner="p",
        visibility="private",
        mappings='[{"a": 1}]',
        block_device_mapping="{",
    )
    morning = datetime(2013, 4, 4, 5, 6, 7, tzinfo=timezone.utc)
    expected = {
        "id": IMAGE_ID,
        "name": "größe ✓",
        "status": "queued",
        "size": 2**40,
        "disk_format": None,
        "container_format": None,
        "checksum": None,
        "owner": "p",
        "created_at": morning,
        "updated_at": morning,
        "deleted_at": None,
        "deleted": False,
        "min_disk": 0,
        "min_ram": 5,
        "is_public": False,
        "properties": {"mappings": [{"a": 1}], "block_device_mapping": "{"},
    }
    assert expected == service.show(None, image_id)


def test_show_is_one_request(service, server, image_id):
    # python-glanceclient made another one for the deleted_at that a live image has not.
    service.show(None, image_id)
    asked = [(access.method, access.path) for access in server.access_log]
    assert [("HEAD", f"/v1/images/{image_id}")] == asked


def test_a_list_gives_what_show_gives(service, image_id):
    assert [service.show(None, image_id)] == service.detail(None)


def test_a_list_has_private_images_unless_asked_otherwise(service, images):
    ids = {images.add(visibility=visibility) for visibility in ("public", "private")}
    assert ids == {image["id"] for image in service.detail(None)}


def test_a_list_is_filtered(service, images, image_id):
    images.add(name="other", hw="y")
    found = service.detail(None, filters={"property-hw": "x", "is_public": "true"})
    assert [image_id] == [image["id"] for image in found]


def test_a_deleted_image_is_not_found_where_it_does_not_count(opened):
    head = (f"x-image-meta-id: {IMAGE_ID}", "x-image-meta-deleted: True")
    with pytest.raises(ImageNotFound):
        shown(opened, *head)


def test_a_deleted_image_is_found_where_it_counts(opened):
    head = (
        f"x-image-meta-id: {IMAGE_ID}",
        "x-image-meta-deleted: True",
        "x-image-meta-deleted_at: 2013-04-05T00:00:00",
    )
    with Loopback(conversation(reply(200, b"", *head))) as server:
        image = opened.service(server, api_version=1).show(None, IMAGE_ID)
    expected = (True, datetime(2013, 4, 5, tzinfo=timezone.utc))
    assert expected == (image["deleted"], image["deleted_at"])


def test_a_fraction_of_a_second_is_kept(opened):
    image = shown(
        opened,
        f"x-image-meta-id: {IMAGE_ID}",
        "x-image-meta-created_at: 2013-04-04T05:06:07.250000",
    )
    assert datetime(2013, 4, 4, 5, 6, 7, 250000, tzinfo=timezone.utc) == image["created_at"]


@pytest.mark.parametrize("name", ["created_at", "updated_at", "deleted_at"])
def test_a_wrong_time_stamp_names_the_field_and_accuses_nobody(opened, name):
    head = f"x-image-meta-id: {IMAGE_ID}"
    wrong = conversation(reply(200, b"", head, f"x-image-meta-{name}: yesterday"))
    with Loopback(wrong) as server:
        service = opened.service(server, api_version=1)
        with pytest.raises(InvalidImageRecord, match=f"its {name}, 'yesterday', is not a time"):
            service.show(None, IMAGE_ID)
        assert (1, "healthy") == (len(server.requests), service.servers()[0].state)


def test_an_image_of_others_is_not_found(service, images):
    image_id = images.add(visibility="private", owner_id="p")
    with pytest.raises(ImageNotFound):
        service.show(RequestContext(project_id="q"), image_id)


def test_no_image_is_not_found(service):
    with pytest.raises(ImageNotFound):
        service.show(None, IMAGE_ID)


# --- create and update -------------------------------------------------------------------------


def test_an_image_is_created_with_its_data_by_one_request(service, server):
    service.create(None, META, DATA)
    asked = [(access.method, access.path, access.body_bytes) for access in server.access_log]
    assert [("POST", "/v1/images", len(DATA))] == asked


def test_an_image_is_created_as_it_was_told(service, images):
    meta = {**META, "is_public": True, "min_ram": "5", "properties": {"hw": "x", "mappings": [1]}}
    image = service.create(None, meta, io.BytesIO(b"data"))
    told = {name: image[name] for name in (*META, "is_public", "min_ram", "properties", "status")}
    expected = {
        **META,
        "is_public": True,
        "min_ram": 5,
        "properties": {"hw": "x", "mappings": [1]},
        "status": "active",
    }
    assert expected == told


def test_what_glance_sets_itself_is_not_sent(opened):
    body = b'{"image": {"id": "x"}}'
    meta = {"status": "active", "deleted_at": None, "created_at": "x", "name": "n"}
    with Loopback(conversation(reply(201, body))) as server:
        opened.service(server, api_version=1).create(None, meta)
        lines = server.requests[0].lower().splitlines()
    assert [b"x-image-meta-name: n"] == [line for line in lines if line.startswith(b"x-image")]


def test_a_size_of_0_needs_no_upload(service, server):
    service.create(None, {**META, "size": 0})
    assert 1 == len(server.access_log)


def test_metadata_that_no_header_can_carry_is_refused(service):
    with pytest.raises(InvalidMetadata):
        service.create(None, {"name": "a\nb"})


def test_the_callers_metadata_is_not_changed(service):
    meta = {**META, "status": "x", "properties": {"mappings": [1]}}
    service.create(None, meta)
    assert {**META, "status": "x", "properties": {"mappings": [1]}} == meta


def test_properties_that_are_not_named_are_purged(service, image_id):
    image = service.update(None, image_id, {"name": "new", "properties": {"new": "y"}})
    assert ("new", {"new": "y"}) == (image["name"], image["properties"])


def test_properties_are_kept_where_they_are_not_to_be_purged(service, image_id):
    image = service.update(None, image_id, {"properties": {"new": "y"}}, purge_props=False)
    assert {"hw": "x", "new": "y"} == image["properties"]


@pytest.mark.parametrize("purge_props", [True, False])
def test_a_change_is_one_request(service, server, image_id, purge_props):
    service.update(None, image_id, {"id": "another", "name": "new"}, purge_props=purge_props)
    asked = [(access.method, access.path) for access in server.access_log]
    assert [("PUT", f"/v1/images/{image_id}")] == asked


def test_data_comes_with_a_change(service, images):
    image_id = images.add(**META)
    image = service.update(None, image_id, {"name": "new"}, b"data")
    assert ("active", 4) == (image["status"], image["size"])


def test_a_change_of_no_image_finds_none(service):
    with pytest.raises(ImageNotFound):
        service.update(None, IMAGE_ID, {"name": "new"})


def test_a_change_without_an_answer_is_not_repeated(opened, three, image_id):
    three[0].break_with(lab.faults.lost_reply())
    with pytest.raises(UnsafeToRepeat):
        opened.service(*three, api_version=1).update(None, image_id, {"name": "new"})


# --- delete and download -----------------------------------------------------------------------


def test_an_image_is_deleted(service, images, image_id):
    assert (True, None) == (service.delete(None, image_id), images.get(image_id))


def test_a_protected_image_is_not_deleted(service, images):
    with pytest.raises(ImageNotAuthorized):
        service.delete(None, images.add(protected=True))


def test_data_can_be_iterated_over(service, image_id):
    assert DATA == b"".join(service.download(None, image_id))


def test_data_can_be_written(service, image_id, tmp_path):
    service.download(None, image_id, dst_path=tmp_path / "image")
    assert DATA == (tmp_path / "image").read_bytes()


def test_an_image_without_data_is_not_found(service, images):
    # So says Glance itself in v1.
    with pytest.raises(ImageNotFound):
        service.download(None, images.add(name="queued"))


def test_a_broken_stream_is_told(opened, three, image_id):
    # v1 can't be asked for a part.
    three[0].break_with(lab.faults.cut_body())
    download = opened.service(*three, api_version=1).download(None, image_id)
    with pytest.raises(ProtocolError, match="cut short"):
        b"".join(download)


def test_the_rest_of_a_broken_stream_is_not_asked_for(opened, three, image_id):
    three[0].break_with(lab.faults.cut_body())
    download = opened.service(*three, api_version=1).download(None, image_id)
    with pytest.raises(ProtocolError) as caught:
        b"".join(download)
    assert not isinstance(caught.value.__cause__, InvalidArgument)


def test_a_server_whose_stream_broke_is_left_alone(opened, three, image_id):
    three[0].break_with(lab.faults.cut_body())
    service = opened.service(*three, api_version=1)
    with pytest.raises(ProtocolError, match="cut short"):
        b"".join(service.download(None, image_id))
    assert ["cooling", "healthy", "healthy"] == [health.state for health in service.servers()]


def test_the_location_is_asked_for_by_v2(opened):
    images = lab.Images(show_locations=True)
    image_id = images.add(data=b"x")
    with lab.GlanceServer(images) as server:
        found = opened.service(server, api_version=1).get_location(None, image_id)
    assert f"memory://fs/{image_id}" == found


def test_where_glance_shows_no_location_there_is_none(service, image_id):
    assert service.get_location(None, image_id) is None


def test_v1_lists_no_locations(service, image_id):
    assert [] == service.show(None, image_id, include_locations=True)["locations"]


def test_v1_knows_no_import(service, image_id):
    with pytest.raises(ValueError, match="API v1 has no import: use API v2"):
        service.image_import_copy(None, image_id, ["fast"])
