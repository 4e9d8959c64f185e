"""The service as nova's code uses it, on servers of API v2."""

import io
import json
import pickle
from types import SimpleNamespace

import pytest
from loopback import Loopback, closing, conversation, reply

from traced_image import RequestContext, lab
from traced_image.errors import (
    ChecksumMismatch,
    Conflict,
    Forbidden,
    GlanceConnectionFailed,
    ImageBadRequest,
    ImageDeleteConflict,
    ImageImportImpossible,
    ImageNotAuthorized,
    ImageNotFound,
    ImageQuotaExceeded,
    ImageUnacceptable,
    Invalid,
    InvalidArgument,
    InvalidContext,
    InvalidImageID,
    InvalidImageRecord,
    InvalidMetadata,
    InvalidQuery,
    NotFound,
    ProtocolError,
    ServerError,
    Unauthorized,
    UnsafeToRepeat,
)

DATA = bytes(range(256)) * 4096
NOBODY = "8f3c1a52-0000-4000-8000-00000000ffff"
ALICE = RequestContext(user_id="alice", project_id="wonderland")


@pytest.fixture
def service(opened, server):
    return opened.service(server)


@pytest.fixture
def image_id(images):
    return images.add(name="cirros", data=DATA)


def paths(server):
    return [f"{access.method} {access.path}" for access in server.access_log]


def failure(call, *args, **kwargs):
    """The error that a call ends with."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 what it is is what is looked at
        call(*args, **kwargs)
    return caught.value


def reasons(error):
    return [attempt.reason for attempt in error.attempts]


# --- show --------------------------------------------------------------------------------------


def test_show_is_one_request(service, server, image_id):
    service.show(None, image_id)
    assert [f"GET /v2/images/{image_id}"] == paths(server)


def test_show_gives_novas_dict(service, images):
    image_id = images.add(name="größe", min_ram=5, visibility="private", hw="x", mappings="[1]")
    image = service.show(None, image_id)
    told = {name: image[name] for name in ("name", "min_ram", "is_public", "size", "properties")}
    expected = {
        "name": "größe",
        "min_ram": 5,
        "is_public": False,
        "size": 0,
        "properties": {"hw": "x", "mappings": [1]},
    }
    assert expected == told


def test_an_image_whose_mappings_are_not_json_is_listed(service, images):
    image_id = images.add(name="broken", mappings="{")
    images.add(name="well")
    found = {image["id"]: image["properties"] for image in service.detail(None)}
    assert {"mappings": "{"} == found[image_id]


def test_show_without_locations_has_none(opened):
    images = lab.Images(show_locations=True)
    image_id = images.add(data=b"x")
    with lab.GlanceServer(images) as server:
        image = opened.service(server).show(None, image_id)
    assert set() == {"locations", "direct_url"} & image.keys()


def test_show_adds_the_direct_url_to_the_locations(opened):
    images = lab.Images(show_locations=True)
    image_id = images.add(data=b"x")
    with lab.GlanceServer(images) as server:
        image = opened.service(server).show(None, image_id, include_locations=True)
    url = f"memory://fs/{image_id}"
    expected = [{"url": url, "metadata": {"store": "fs"}}, {"url": url, "metadata": {}}]
    assert expected == image["locations"]


def test_where_glance_shows_no_locations_there_are_none(service, image_id):
    assert [] == service.show(None, image_id, include_locations=True)["locations"]


@pytest.mark.parametrize(
    ("properties", "context"),
    [
        ({"owner_id": "looking-glass"}, ALICE),
        ({"user_id": "hatter"}, ALICE),
        ({}, ALICE),
        ({"user_id": "alice"}, RequestContext()),
    ],
)
def test_an_image_of_others_is_not_found(service, images, properties, context):
    image_id = images.add(visibility="private", **properties)
    with pytest.raises(ImageNotFound, match=f"Image {image_id} could not be found."):
        service.show(context, image_id)


@pytest.mark.parametrize(
    ("properties", "context"),
    [
        ({"owner_id": "wonderland"}, ALICE),
        ({"user_id": "alice"}, ALICE),
        ({"user_id": "hatter"}, RequestContext(auth_token="t")),
        ({}, RequestContext(is_admin=True)),
        ({}, None),
    ],
)
def test_an_image_of_ones_own_is_found(service, images, properties, context):
    image_id = images.add(visibility="private", **properties)
    assert image_id == service.show(context, image_id)["id"]


def test_what_v2_shows_is_never_deleted(service, images):
    image_id = images.add(deleted="yes")
    assert False is service.show(None, image_id)["deleted"]


def test_a_property_may_say_that_an_image_is_deleted(service, images):
    """As in nova."""
    image_id = images.add(deleted="yes")
    with pytest.raises(ImageNotFound):
        service.show(None, image_id, show_deleted=False)


@pytest.mark.parametrize("image_id", ["", None, 5, ".."])
def test_an_id_that_is_none_is_refused(service, image_id):
    with pytest.raises(InvalidImageID):
        service.show(None, image_id)


# --- what is answered about one image ----------------------------------------------------------


ABOUT_IMAGE = [
    (400, ImageBadRequest),
    (401, ImageNotAuthorized),
    (403, ImageNotAuthorized),
    (404, ImageNotFound),
    (405, Invalid),
    (409, Conflict),
    (413, ImageQuotaExceeded),
    (500, ServerError),
]
CALLS = {
    "show": lambda service, image_id: service.show(None, image_id),
    "update": lambda service, image_id: service.update(None, image_id, {"name": "n"}),
    "patch": lambda service, image_id: service.update(
        None, image_id, {"name": "n"}, purge_props=False
    ),
    "delete": lambda service, image_id: service.delete(None, image_id),
    "download": lambda service, image_id: service.download(None, image_id),
    "get_location": lambda service, image_id: service.get_location(None, image_id),
    "import": lambda service, image_id: service.image_import_copy(None, image_id, ["fast"]),
}
SPECIAL = {("delete", 409): ImageDeleteConflict, ("import", 409): ImageImportImpossible}


@pytest.mark.parametrize(("status", "kind"), ABOUT_IMAGE)
@pytest.mark.parametrize("name", CALLS)
def test_a_refusal_about_one_image_gets_novas_name(name, status, kind, service, server, image_id):
    server.break_with(lab.faults.status(status))
    expected = SPECIAL.get((name, status), kind)
    assert expected is type(failure(CALLS[name], service, image_id))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Invalid), (401, Unauthorized), (403, Forbidden), (404, NotFound), (409, Conflict)],
)
@pytest.mark.parametrize(
    "call",
    [
        lambda service: service.detail(None),
        lambda service: service.create(None, {"name": "n"}),
    ],
    ids=["detail", "create"],
)
def test_a_refusal_about_no_image_keeps_its_plain_name(call, status, kind, service, server):
    server.break_with(lab.faults.status(status))
    assert kind is type(failure(call, service))


@pytest.mark.parametrize("name", ["show", "download", "get_location"])
def test_a_refusal_tells_what_was_tried_before(name, opened, three):
    three[0].break_with(lab.faults.status(503))
    service = opened.service(*three)
    assert ["503", "404"] == reasons(failure(CALLS[name], service, NOBODY))


def test_a_refusal_says_which_servers_were_tried(opened, three):
    three[0].break_with(lab.faults.status(503))
    error = failure(opened.service(*three).show, None, NOBODY)
    assert [three[0].url, three[1].url] == [attempt.server for attempt in error.attempts]


def test_a_refusal_has_the_servers_request_id(service, server):
    error = failure(service.show, None, NOBODY)
    assert server.access_log[0].request_id == error.request_id


@pytest.mark.parametrize("name", CALLS)
def test_giving_up_is_told_by_all_calls(name, service, server, image_id):
    server.break_with(lab.faults.refuse())
    assert isinstance(failure(CALLS[name], service, image_id), GlanceConnectionFailed)


# --- records that are wrong --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["created_at", "updated_at"])
def test_a_wrong_time_stamp_names_the_image_and_the_field(name, service, images):
    image_id = images.add(**{name: "yesterday"})
    error = failure(service.show, None, image_id)
    words = (
        f"image '{image_id}': its {name}, 'yesterday', is not a time stamp: correct the record in"
        " Glance's database"
    )
    assert (InvalidImageRecord, name, words) == (type(error), error.field, str(error))


def test_a_wrong_time_stamp_is_not_retried_and_accuses_nobody(opened, three, images):
    service = opened.service(*three)
    error = failure(service.show, None, images.add(created_at="yesterday"))
    told = [(health.state, health.last_reason) for health in service.servers()]
    assert ([], [("healthy", None)] * 3) == (reasons(error), told)
    assert [1, 0, 0] == [len(each.access_log) for each in three]


def test_a_wrong_time_stamp_of_a_new_image_names_the_image(opened):
    body = b'{"id": "x", "created_at": "yesterday"}'
    with Loopback(conversation(reply(201, body))) as first:
        error = failure(opened.service(first, first).create, None, {"name": "n"})
        found = (type(error), error.image_id, len(first.requests))
    assert (InvalidImageRecord, "x", 1) == found


def test_the_error_of_an_odd_record_survives_a_pickle(service, images):
    error = failure(service.show, None, images.add(created_at="yesterday"))
    assert "created_at" == pickle.loads(pickle.dumps(error)).field


def test_odd_locations_are_returned_as_they_are(opened):
    body = b'{"id": "x", "locations": "memory://a"}'
    with Loopback(conversation(reply(200, body))) as server:
        image = opened.service(server).show(None, "x", include_locations=True)
    assert "memory://a" == image["locations"]


# --- detail ------------------------------------------------------------------------------------


def test_detail_without_arguments_lists_all(service, images):
    ids = [images.add(name=str(n), visibility=v) for n, v in enumerate(["public", "private"])]
    assert set(ids) == {image["id"] for image in service.detail(None)}


def test_detail_leaves_out_what_the_caller_may_not_see(service, images):
    ids = [
        images.add(visibility="private", owner_id="wonderland"),
        images.add(visibility="private", owner_id="looking-glass"),
        images.add(visibility="public", owner_id="looking-glass"),
    ]
    assert {ids[0], ids[2]} == {image["id"] for image in service.detail(ALICE)}


def test_detail_filters_sorts_and_limits(service, images):
    for name in "cab":
        images.add(name=name, hw="x")
    images.add(name="d", hw="y")
    filters = {"property-hw": "x"}
    found = service.detail(None, filters=filters, sort_key="name", sort_dir="asc", limit=2)
    assert ["a", "b"] == [image["name"] for image in found]


def test_detail_goes_on_after_a_marker(service, images):
    ids = [images.add(name=name) for name in "abc"]
    found = service.detail(None, marker=ids[0], sort_key="name", sort_dir="asc", page_size=1)
    assert ids[1:] == [image["id"] for image in found]


@pytest.mark.parametrize("arguments", [{"sort": "name"}, {"filters": 5}, {"limit": -1}])
def test_detail_refuses_what_glance_would_not_understand(service, server, arguments):
    with pytest.raises(InvalidQuery):
        service.detail(None, **arguments)


def test_what_is_refused_is_not_sent(service, server):
    failure(service.detail, None, sort="name")
    assert [] == paths(server)


# --- create, update, delete --------------------------------------------------------------------


def test_metadata_that_can_not_be_sent_is_refused(service):
    with pytest.raises(InvalidMetadata):
        service.create(None, {"min_ram": "much"})


def test_update_of_an_image_of_others_finds_none(service, images):
    image_id = images.add(visibility="private", owner_id="looking-glass")
    with pytest.raises(ImageNotFound):
        service.update(ALICE, image_id, {"name": "n"})


def test_update_of_no_image_finds_none(service):
    with pytest.raises(ImageNotFound):
        service.update(None, NOBODY, {"name": "n"}, purge_props=False)


def test_delete_says_that_it_did(service, image_id):
    assert True is service.delete(None, image_id)


def test_what_was_deleted_is_gone(service, images, image_id):
    service.delete(None, image_id)
    assert images.get(image_id) is None


def test_a_protected_image_is_not_deleted(service, images):
    image_id = images.add(protected=True)
    with pytest.raises(ImageNotAuthorized):
        service.delete(None, image_id)


def test_a_deletion_without_an_answer_is_not_repeated(opened, three, image_id):
    three[0].break_with(lab.faults.lost_reply())
    with pytest.raises(UnsafeToRepeat):
        opened.service(*three).delete(None, image_id)


# --- download ----------------------------------------------------------------------------------


def test_data_can_be_iterated_over(service, image_id):
    assert DATA == b"".join(service.download(None, image_id))


def test_data_can_be_written_to_a_file(service, image_id):
    file = io.BytesIO()
    service.download(None, image_id, data=file)
    assert DATA == file.getvalue()


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_data_can_be_written_to_a_path(service, image_id, tmp_path, kind):
    path = tmp_path / "image"
    service.download(None, image_id, dst_path=kind(path))
    assert DATA == path.read_bytes()


def test_a_file_goes_before_a_path(service, image_id, tmp_path):
    service.download(None, image_id, data=io.BytesIO(), dst_path=tmp_path / "image")
    assert [] == list(tmp_path.iterdir())


def test_what_is_written_is_not_returned(service, image_id):
    assert service.download(None, image_id, data=io.BytesIO()) is None


def test_an_image_without_data_is_unacceptable(service, images):
    image_id = images.add(name="queued")
    with pytest.raises(ImageUnacceptable, match=f"Image {image_id} is unacceptable: it has no"):
        service.download(None, image_id)


def test_an_image_without_data_leaves_no_file(service, images, tmp_path):
    failure(service.download, None, images.add(name="queued"), dst_path=tmp_path / "image")
    assert [] == list(tmp_path.iterdir())


def test_a_deactivated_image_is_not_given(service, images, image_id):
    images.save(images.get(image_id).with_base(status="deactivated"))
    with pytest.raises(ImageNotAuthorized):
        service.download(None, image_id)


def test_signatures_are_not_verified_here(service, server, image_id):
    with pytest.raises(InvalidArgument, match="trusted_certs: this service verifies no signatures"):
        service.download(None, image_id, trusted_certs=["cert"])


@pytest.mark.parametrize("none", [None, [], ()])
def test_no_certificates_will_do(service, image_id, none):
    assert DATA == b"".join(service.download(None, image_id, trusted_certs=none))


def test_a_broken_stream_goes_on_from_another_server(opened, three, image_id):
    three[0].break_with(lab.faults.cut_body().only(path="/file$"))
    assert DATA == b"".join(opened.service(*three).download(None, image_id))


def test_a_server_whose_stream_broke_is_left_alone(opened, three, image_id):
    three[0].break_with(lab.faults.cut_body().only(path="/file$"))
    service = opened.service(*three)
    b"".join(service.download(None, image_id))
    assert ["cooling", "healthy", "healthy"] == [health.state for health in service.servers()]


def test_a_stream_goes_on_as_often_as_a_call_is_retried(opened, server, image_id):
    server.break_with(lab.faults.cut_body().only(path="/file$"))
    download = opened.service(server, num_retries=3).download(None, image_id)
    with pytest.raises(ProtocolError, match="cut short"):
        b"".join(download)
    assert 4 == len([path for path in paths(server) if path.endswith("/file")])


def test_a_stream_does_not_go_on_where_nothing_is_retried(opened, server, image_id):
    server.break_with(lab.faults.cut_body().only(path="/file$"))
    download = opened.service(server, num_retries=0).download(None, image_id)
    with pytest.raises(ProtocolError, match="cut short"):
        b"".join(download)
    assert 1 == len([path for path in paths(server) if path.endswith("/file")])


def test_wrong_data_is_told(service, server, image_id):
    server.break_with(lab.faults.corrupt_data())
    with pytest.raises(ChecksumMismatch):
        b"".join(service.download(None, image_id))


def test_wrong_data_is_not_asked_for_again(opened, three, image_id):
    three[0].break_with(lab.faults.corrupt_data())
    failure(lambda: b"".join(opened.service(*three).download(None, image_id)))
    assert [2, 0, 0] == [len(server.access_log) for server in three]


def test_a_server_with_wrong_data_is_blamed(opened, three, image_id):
    three[0].break_with(lab.faults.corrupt_data())
    service = opened.service(*three)
    failure(lambda: b"".join(service.download(None, image_id)))
    assert "checksum_mismatch" == service.servers()[0].last_reason


# --- locations, imports, servers ---------------------------------------------------------------


def test_the_location_is_the_direct_url(opened):
    images = lab.Images(show_locations=True)
    image_id = images.add(data=b"x")
    with lab.GlanceServer(images) as server:
        found = opened.service(server).get_location(None, image_id)
    assert f"memory://fs/{image_id}" == found


def test_where_glance_shows_no_location_there_is_none(service, image_id):
    assert service.get_location(None, image_id) is None


def test_the_location_of_an_image_of_others_is_not_found(service, images):
    image_id = images.add(visibility="private", owner_id="looking-glass")
    with pytest.raises(ImageNotFound):
        service.get_location(ALICE, image_id)


@pytest.mark.parametrize("name", ["show", "get_location", "download"])
def test_an_id_that_is_odd_is_not_told_as_it_is(name, service, images):
    images.add(id="a\0b", visibility="private", owner_id="looking-glass")
    error = failure(getattr(service, name), ALICE, "a\0b")
    assert str(error).startswith(r"Image 'a\x00b' ")


def test_an_import_is_asked_for(opened):
    with Loopback(conversation(reply(202))) as server:
        opened.service(server).image_import_copy(None, NOBODY, ["fast", "slow"])
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
    expected = (
        f"POST /v2/images/{NOBODY}/import HTTP/1.1".encode(),
        {
            "method": {"name": "copy-image"},
            "stores": ["fast", "slow"],
            "all_stores_must_succeed": False,
        },
    )
    assert expected == (head.splitlines()[0], json.loads(body))


def test_an_import_returns_nothing(opened):
    with Loopback(conversation(reply(202))) as server:
        assert opened.service(server).image_import_copy(None, NOBODY, iter(["fast"])) is None


def test_an_image_that_is_not_active_is_not_imported(service, images):
    with pytest.raises(ImageImportImpossible, match="Only images with status active"):
        service.image_import_copy(None, images.add(name="queued"), ["fast"])


def test_the_servers_are_told(opened, three):
    service = opened.service(*three)
    assert [server.url for server in three] == [health.server.url for health in service.servers()]


@pytest.mark.parametrize("status", [200, 204])
def test_a_record_that_is_empty_is_no_record(opened, status):
    with Loopback(conversation(closing(reply(status)))) as server:
        error = failure(opened.service(server, num_retries=0).show, None, NOBODY)
    assert ["protocol_error"] == reasons(error)


# --- on whose behalf ---------------------------------------------------------------------------


class FalseContext(RequestContext):
    """A caller whose object counts as false."""

    def __bool__(self):
        return False


def test_a_context_that_counts_as_false_is_not_the_service_itself(opened, server, images):
    image_id = images.add(name="private", visibility="private", owner_id="alice")
    error = failure(opened.service(server).show, FalseContext(), image_id)
    assert isinstance(error, ImageNotFound)


METHODS = {
    "show": (NOBODY,),
    "detail": (),
    "create": ({"name": "new"},),
    "update": (NOBODY, {"name": "new"}),
    "delete": (NOBODY,),
    "download": (NOBODY,),
}


@pytest.mark.parametrize("context", [{"auth_token": "t"}, "t", 0, [], object()], ids=type)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_context_is_rejected_by_every_method(opened, server, method, context):
    own = SimpleNamespace(get_token=lambda: "service", invalidate=lambda: False)
    error = failure(getattr(opened.service(server, auth=own), method), context, *METHODS[method])
    assert (InvalidContext, []) == (type(error), paths(server))
