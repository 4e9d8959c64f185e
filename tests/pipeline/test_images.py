"""Creating and changing images: which calls that takes, and what is done where Glance is old."""

import copy
import io
import json

import pytest

from traced_image import RetryPolicy, lab
from traced_image.config import Config, Server
from traced_image.errors import (
    Conflict,
    Forbidden,
    ImageBadRequest,
    Invalid,
    InvalidArgument,
    InvalidMetadata,
    NotFound,
    ServerError,
    UnsafeToRepeat,
    UploadNotRewindable,
    status_error,
)
from traced_image.pipeline.api.operation import Reply
from traced_image.pipeline.api.upload import UploadBody
from traced_image.pipeline.images_v1 import ImagesV1
from traced_image.pipeline.images_v2 import ImagesV2

META = {"name": "new", "disk_format": "raw", "container_format": "bare"}
URL = "http://store.example/image"


class Client:
    """A client that notes the operations, performs them on a wire of its own, and fails some."""

    def __init__(self, **failures):
        self.performed = []
        self.requests = []
        self.config = Config(servers=["glance"])
        self._failures = failures
        self._size = 0

    def perform(self, context, operation):
        self.performed.append((context, operation.name))
        if operation.action in self._failures:
            raise self._failures[operation.action]
        return operation.perform(self._send)

    def _send(self, request):
        self.requests.append(request)
        if isinstance(request.body, UploadBody):
            self._size = sum(len(chunk) for chunk in request.body)
        record = {"id": "it", "name": request.method, "status": "active", "size": self._size}
        body = json.dumps({"image": record} if "/v1/" in request.path else record)
        status = 204 if request.path.endswith("/file") else 200
        return Reply(status, {}, body.encode(), Server.parse("glance"))


def refusal(status):
    return status_error(status, "no", retry_after=None, request_id=None)


@pytest.fixture
def images():
    return lab.Images(show_locations=True)


@pytest.fixture
def service(opened, server):
    return opened.service(server)


def asked(server):
    """Methods and paths of what a server was asked, without the images' ids."""
    found = []
    for access in server.access_log:
        parts = access.path.split("/")
        found.append(f"{access.method} {'/'.join([*parts[:3], *parts[4:]])}")
    return found


# --- creating by v2 ----------------------------------------------------------------------------


def test_a_record_takes_one_request(service, server):
    service.create(None, META)
    assert ["POST /v2/images"] == asked(server)


def test_an_image_is_created_as_it_was_told(service):
    meta = {**META, "min_ram": "5", "is_public": False, "properties": {"hw": "x", "n": 7}}
    image_id = service.create(None, meta)["id"]
    found = service.show(None, image_id)
    told = {name: found[name] for name in (*META, "min_ram", "is_public", "properties", "status")}
    expected = {
        **META,
        "min_ram": 5,
        "is_public": False,
        "properties": {"hw": "x", "n": "7"},
        "status": "queued",
    }
    assert expected == told


def test_the_new_image_is_returned_as_show_gives_it(service):
    image = service.create(None, META, b"data")
    assert service.show(None, image["id"]) == image


def test_an_image_may_bring_its_id(service, images):
    image_id = "8f3c1a52-0000-4000-8000-000000000009"
    assert image_id == service.create(None, {**META, "id": image_id})["id"]


def test_data_takes_an_upload_and_another_look(service, server):
    service.create(None, META, b"data")
    assert ["POST /v2/images", "PUT /v2/images/file", "GET /v2/images"] == asked(server)


@pytest.mark.parametrize("make", [bytes, io.BytesIO, lambda data: iter([data[:2], data[2:]])])
def test_data_may_come_from_anywhere(service, images, make):
    image = service.create(None, META, make(b"0123"))
    assert b"0123" == images.get(image["id"]).data


@pytest.mark.parametrize("size", [0, 5, None])
def test_empty_data_is_data(service, size):
    image = service.create(None, {**META, "size": size}, b"")
    assert ("active", 0) == (image["status"], image["size"])


def test_a_size_of_0_without_data_activates_the_image(service):
    assert "active" == service.create(None, {"name": "snapshot", "size": 0})["status"]


def test_an_image_that_is_activated_empty_is_raw_and_bare(service):
    image = service.create(None, {"size": 0})
    assert ("raw", "bare") == (image["disk_format"], image["container_format"])


def test_an_image_that_is_activated_empty_may_be_in_another_container(service):
    meta = {"size": 0, "disk_format": "raw", "container_format": "ovf"}
    assert "ovf" == service.create(None, meta)["container_format"]


def test_an_image_that_is_not_raw_can_not_be_activated_empty(service):
    with pytest.raises(ImageBadRequest, match="force activate with disk_format=qcow2: use raw"):
        service.create(None, {**META, "disk_format": "qcow2", "size": 0})


def test_what_can_not_be_activated_is_not_created(service, server):
    with pytest.raises(ImageBadRequest):
        service.create(None, {**META, "disk_format": "qcow2", "size": 0})
    assert [] == asked(server)


@pytest.mark.parametrize("size", [None, 5, "0"])
def test_any_other_size_activates_nothing(service, size):
    assert "queued" == service.create(None, {**META, "size": size})["status"]


def test_the_owner_of_an_instance_becomes_a_member(service, images):
    meta = {**META, "visibility": "shared", "properties": {"instance_owner": "project-2"}}
    image_id = service.create(None, meta)["id"]
    assert ["project-2"] == list(images.get(image_id).members)


def test_the_owner_of_an_instance_is_no_property(service):
    meta = {**META, "visibility": "shared", "properties": {"instance_owner": "p", "hw": "x"}}
    assert {"hw": "x"} == service.create(None, meta)["properties"]


def test_without_an_owner_of_an_instance_there_is_no_member(service, server):
    service.create(None, {**META, "properties": {"instance_owner": ""}})
    assert ["POST /v2/images"] == asked(server)


def test_the_callers_metadata_is_not_changed(service):
    meta = {
        "name": "new",
        "size": 0,
        "location": None,
        "visibility": "shared",
        "properties": {"instance_owner": "p", "mappings": [1]},
    }
    before = copy.deepcopy(meta)
    service.create(None, meta)
    assert before == meta


def test_a_location_is_added_by_the_call_for_services(service, server):
    service.create(None, {**META, "location": URL})
    assert ["POST /v2/images", "POST /v2/images/locations"] == asked(server)


def test_an_image_is_where_it_was_told(service, images):
    image_id = service.create(None, {**META, "location": URL})["id"]
    assert [URL] == [location["url"] for location in images.get(image_id).locations]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_old_glance_has_the_location_patched(service, server, images, status):
    server.break_with(lab.faults.status(status).only(path="/locations$"))
    image_id = service.create(None, {**META, "location": URL})["id"]
    assert [URL] == [location["url"] for location in images.get(image_id).locations]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_old_glance_is_asked_twice(service, server, status):
    server.break_with(lab.faults.status(status).only(path="/locations$"))
    service.create(None, {**META, "location": URL})
    assert ["POST /v2/images/locations", "PATCH /v2/images"] == asked(server)[1:]


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Invalid), (403, Forbidden), (409, Conflict), (500, ServerError)]
)
def test_a_location_that_is_refused_is_not_patched(service, server, status, kind):
    server.break_with(lab.faults.status(status).only(path="/locations$"))
    with pytest.raises(kind):
        service.create(None, {**META, "location": URL})
    assert "PATCH /v2/images" not in asked(server)


@pytest.mark.parametrize("status", [400, 406, 422])
def test_only_405_of_the_invalid_ones_says_that_glance_is_old(status):
    client = Client(add_image_location=refusal(status))
    with pytest.raises(Invalid):
        ImagesV2(client).create(None, {"location": URL}, None)
    assert [(None, "images.create"), (None, "images.add_image_location")] == client.performed


def test_what_the_patch_of_a_location_meets_is_told(opened):
    with lab.GlanceServer() as server:
        # It does not show locations, so that it does not let them be patched either.
        server.break_with(lab.faults.status(404).only(path="/locations$"))
        with pytest.raises(Forbidden, match="locations are invisible"):
            opened.service(server).create(None, {**META, "location": URL})


def test_all_that_creating_can_take_is_in_novas_order():
    client = Client()
    meta = {"location": URL, "properties": {"instance_owner": "p"}}
    ImagesV2(client).create("context", meta, b"data")
    assert [
        ("context", "images.create"),
        ("context", "images.add_image_location"),
        ("context", "image_members.create"),
        ("context", "images.upload"),
        ("context", "images.get"),
    ] == client.performed


@pytest.mark.parametrize("name", ["version", "method", "context", "remove_props", "data", "a/b~c"])
def test_a_property_may_have_the_name_of_an_argument_when_created(service, name):
    image = service.create(None, {**META, "properties": {name: "x"}})
    assert {name: "x"} == image["properties"]


def test_a_creation_is_refused_by_the_plain_names(service, server):
    server.break_with(lab.faults.status(404).only(method="POST"))
    with pytest.raises(NotFound) as caught:
        service.create(None, META)
    assert NotFound is type(caught.value)


UNUSABLE = {"a number": 5, "an object": object(), "a file of text": io.StringIO("data")}


@pytest.mark.parametrize("data", UNUSABLE.values(), ids=UNUSABLE)
def test_data_that_is_none_is_refused(service, data):
    with pytest.raises(InvalidMetadata):
        service.create(None, META, data)


CREATIONS = {
    **{f"{name} as data": ({}, data) for name, data in UNUSABLE.items()},
    "text that is no Unicode": ({}, "\ud800"),
    "an object as location": ({"location": object()}, None),
    "a number as location": ({"location": 5}, None),
    "a location that is no Unicode": ({"location": "http://\ud800"}, None),
    "a path as owner": ({"properties": {"instance_owner": ".."}}, None),
    "an object as name": ({"name": object()}, b"data"),
}


@pytest.mark.parametrize(("meta", "data"), CREATIONS.values(), ids=CREATIONS)
def test_a_creation_that_can_not_be_sent_whole_is_not_begun(service, server, meta, data):
    with pytest.raises(InvalidArgument):
        service.create(None, {**META, **meta}, data)
    assert [] == asked(server)


def test_a_file_is_uploaded_from_where_it_stands(service, images):
    data = io.BytesIO(b"-0123")
    data.read(1)
    image = service.create(None, META, data)
    assert b"0123" == images.get(image["id"]).data


def test_a_creation_without_an_answer_is_not_repeated(opened, three):
    three[0].break_with(lab.faults.lost_reply())
    with pytest.raises(UnsafeToRepeat):
        opened.service(*three).create(None, META)
    assert [1, 0, 0] == [len(server.access_log) for server in three]


def test_an_upload_that_was_read_already_is_not_repeated(opened, three):
    three[0].break_with(lab.faults.refuse())
    service = opened.service(*three, retry=RetryPolicy(repeat_unsafe=True))
    for server in three[1:]:
        server.break_with(lab.faults.status(503).only(path="/file$"))
    with pytest.raises(UploadNotRewindable):
        service.create(None, META, iter([b"data"]))


# --- changing by v2 ----------------------------------------------------------------------------


@pytest.fixture
def image_id(images):
    return images.add(name="old", min_ram=5, kept="k", other="o")


def test_properties_that_are_not_named_are_purged(service, image_id):
    image = service.update(None, image_id, {"properties": {"kept": "K", "new": 7}})
    assert {"kept": "K", "new": "7"} == image["properties"]


def test_without_properties_all_are_purged(service, image_id):
    assert {} == service.update(None, image_id, {"name": "new"})["properties"]


def test_properties_are_kept_where_they_are_not_to_be_purged(service, image_id):
    meta = {"properties": {"kept": "K", "new": "7"}}
    image = service.update(None, image_id, meta, purge_props=False)
    assert {"kept": "K", "other": "o", "new": "7"} == image["properties"]


def test_a_kernel_that_is_not_sent_is_not_purged_either(service, images):
    image_id = images.add(kernel_id="k", other="o")
    image = service.update(None, image_id, {"properties": {"kernel_id": "None"}})
    assert {"kernel_id": "k"} == image["properties"]


def test_purging_takes_another_look(service, server, image_id):
    service.update(None, image_id, {"name": "new"})
    assert ["GET /v2/images", "PATCH /v2/images"] == asked(server)


def test_not_purging_takes_one_request(service, server, image_id):
    service.update(None, image_id, {"name": "new"}, purge_props=False)
    assert ["PATCH /v2/images"] == asked(server)


def test_fields_that_are_not_named_are_kept(service, image_id):
    image = service.update(None, image_id, {"name": "new"})
    assert ("new", 5) == (image["name"], image["min_ram"])


def test_the_id_among_the_metadata_does_not_count(service, image_id):
    assert image_id == service.update(None, image_id, {"id": "another", "name": "new"})["id"]


def test_an_image_that_was_shown_can_be_changed(service, images):
    image_id = images.add(name="old", properties_="p", mappings="[1]")
    shown = service.show(None, image_id)
    given = {name: shown[name] for name in ("id", "name", "status", "created_at", "properties")}
    given["name"] = "new"
    changed = service.update(None, image_id, given)
    expected = {**shown, "name": "new", "updated_at": changed["updated_at"]}
    assert expected == changed


@pytest.mark.parametrize("name", ["image_id", "remove_props", "method", "version", "a/b~c", "ü"])
@pytest.mark.parametrize("purge_props", [True, False])
def test_a_property_may_have_any_name_when_changed(service, image_id, name, purge_props):
    meta = {"properties": {"kept": "k", "other": "o", name: "x"}}
    image = service.update(None, image_id, meta, purge_props=purge_props)
    assert {"kept": "k", "other": "o", name: "x"} == image["properties"]


def test_a_property_of_an_odd_name_is_purged(service, images):
    image_id = images.add(**{"a/b~c": "x", "image_id": "y", "ü": "z"})
    assert {} == service.update(None, image_id, {"name": "new"})["properties"]


CHANGES = {
    **{f"{name} as data": ({}, data) for name, data in UNUSABLE.items()},
    "an object as location": ({"location": object()}, None),
    "an object as name": ({"name": object()}, b"data"),
}


@pytest.mark.parametrize("purge_props", [True, False])
@pytest.mark.parametrize(("meta", "data"), CHANGES.values(), ids=CHANGES)
def test_a_change_that_can_not_be_sent_whole_is_not_begun(
    service, server, image_id, meta, data, purge_props
):
    with pytest.raises(InvalidArgument):
        service.update(None, image_id, {"name": "new", **meta}, data, purge_props)
    assert [] == asked(server)


def test_data_comes_with_a_change(service, images):
    image_id = images.add(disk_format="raw", container_format="bare")
    image = service.update(None, image_id, {"name": "new"}, b"data")
    assert ("new", "active", 4) == (image["name"], image["status"], image["size"])


def test_a_location_comes_with_a_change(service, images, image_id):
    service.update(None, image_id, {"location": URL})
    assert [URL] == [location["url"] for location in images.get(image_id).locations]


def test_a_locations_old_way_comes_with_a_change():
    client = Client(add_image_location=refusal(501))
    meta = {"location": URL, "name": "n"}
    ImagesV2(client).update("context", "it", meta, b"data", lambda: ["gone"])
    assert [
        ("context", "images.update"),
        ("context", "images.add_image_location"),
        ("context", "images.add_location"),
        ("context", "images.upload"),
        ("context", "images.get"),
    ] == client.performed


def test_a_change_sets_fields_and_removes_properties_by_one_patch():
    client = Client()
    meta = {"id": "other", "name": "n", "properties": {"kept": "x"}}
    ImagesV2(client).update(None, "it", meta, None, lambda: ["kept", "gone"])
    assert [
        [
            {"op": "add", "path": "/name", "value": "n"},
            {"op": "add", "path": "/kept", "value": "x"},
            {"op": "remove", "path": "/gone"},
        ]
    ] == [json.loads(request.body) for request in client.requests]


def test_a_change_without_data_returns_what_the_patch_brought():
    image = ImagesV2(Client()).update(None, "it", {"name": "n"}, None, None)
    assert "PATCH" == image["name"]


def test_a_change_with_data_returns_what_is_there_afterwards():
    image = ImagesV2(Client()).update(None, "it", {"name": "n"}, b"", None)
    assert "GET" == image["name"]


def test_the_callers_metadata_is_not_changed_by_an_update(service, image_id):
    meta = {"id": "x", "name": "new", "location": None, "properties": {"mappings": [1]}}
    before = copy.deepcopy(meta)
    service.update(None, image_id, meta)
    assert before == meta


# --- v1 ----------------------------------------------------------------------------------------


def test_creating_by_v1_is_one_call():
    client = Client()
    ImagesV1(client).create("context", {"name": "n", "status": "x"}, b"data")
    assert [("context", "images.create")] == client.performed


def test_what_is_sent_by_v1_leaves_out_what_glance_sets():
    client = Client()
    ImagesV1(client).create(None, {"name": "n", "status": "x"}, None)
    assert [{"x-image-meta-name": "n"}] == [request.headers for request in client.requests]


@pytest.mark.parametrize(("find", "purge"), [(lambda: ["not", "asked"], "true"), (None, "false")])
def test_changing_by_v1_is_one_call(find, purge):
    client = Client()
    ImagesV1(client).update("context", "it", {"id": "other", "name": "n"}, None, find)
    assert [{"x-image-meta-name": "n", "x-glance-registry-purge-props": purge}] == [
        request.headers for request in client.requests
    ]
