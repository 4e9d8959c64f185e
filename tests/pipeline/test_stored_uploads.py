"""An upload that Glance confirms: only a record that says so makes it a success."""

import json

import pytest
from loopback import IMAGE_ID, Loopback, Recorder, answer, conversation, reply
from support import refused

from traced_image import UploadIncomplete, lab
from traced_image.errors import (
    CommunicationError,
    Forbidden,
    ImageUnacceptable,
    InvalidArgument,
    NotFound,
    ProtocolError,
    UnsafeToRepeat,
)
from traced_image.pipeline.api import v2
from traced_image.pipeline.api.upload import UploadBody
from traced_image.pipeline.image_errors import check_stored, name_created_image

META = {"name": "new", "disk_format": "raw", "container_format": "bare"}
HTML = b"<html>Welcome</html>"


def record(status="active", size=4, **fields):
    return {"id": IMAGE_ID, "status": status, "size": size, **fields}


def as_json(status, body):
    return reply(status, json.dumps(body).encode())


def creation(*looks, confirmed=None):
    """A server that creates an image, confirms an upload, and shows these records in turn."""
    return Loopback(
        conversation(
            as_json(201, record("queued", None)),
            confirmed or reply(204),
            *(as_json(200, look) for look in looks),
        )
    )


def sent(data, *, whole=True):
    """The body of an upload that was read, to its end or not."""
    body = UploadBody(data)
    for _ in body:
        if not whole:
            break
    return body


# --- the answer to the upload ------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 203, 205])
def test_another_success_than_204_confirms_no_upload(status):
    wire = Recorder(answer(HTML, status=status))
    with pytest.raises(ProtocolError, match=f"HTTP {status} does not confirm the upload") as caught:
        v2.upload("x", b"data").perform(wire)
    assert caught.value.reached


def test_an_upload_by_the_client_is_not_repeated_after_a_page_of_html(opened):
    with creation(confirmed=reply(200, HTML)) as server:
        with pytest.raises(UnsafeToRepeat, match="does not confirm the upload"):
            opened.service(server, num_retries=3).create(None, META, b"data")
        assert 2 == len(server.requests)


# --- what a body says of itself ----------------------------------------------------------------


@pytest.mark.parametrize("data", [b"data", b"", iter([b"da", b"ta"]), [b"data"]])
def test_a_body_that_was_read_is_complete(data):
    assert sent(data).complete


@pytest.mark.parametrize("data", [iter([b"da", b"ta"]), bytes(200_000)])
def test_a_body_that_was_read_in_part_is_not_complete(data):
    assert not sent(data, whole=False).complete


def test_a_body_counts_what_it_hands_out():
    assert 5 == sent(iter([b"abc", b"", b"de"])).sent


@pytest.mark.parametrize("data", [b"data", [b"data"]])
def test_a_body_that_is_rewound_starts_anew(data):
    body = sent(data)
    body.rewind()
    assert (0, False) == (body.sent, body.complete)


def test_a_body_is_not_wrapped_twice():
    body = UploadBody(b"data")
    assert UploadBody.of(body) is body


# --- the record after it -----------------------------------------------------------------------


@pytest.mark.parametrize("status", ["active", "deactivated"])
def test_a_record_with_data_of_this_size_is_accepted(status):
    check_stored(record(status), sent(b"data"))


@pytest.mark.parametrize(
    "status",
    ["queued", "saving", "uploading", "importing", "killed", "deleted", "pending_delete", None],
)
def test_a_status_of_an_image_without_data_is_refused(status):
    with pytest.raises(UploadIncomplete, match=f"with status {status!r} and size 4"):
        check_stored(record(status), sent(b"data"))


@pytest.mark.parametrize("size", [None, 0, 3, 5])
def test_another_size_is_refused(size):
    with pytest.raises(UploadIncomplete, match=f"'active' and size {size}: delete it"):
        check_stored(record(size=size), sent(b"data"))


def test_a_part_of_the_data_is_refused_although_the_record_has_its_size():
    body = sent(bytes(200_000), whole=False)
    with pytest.raises(UploadIncomplete, match="before all of the data was sent"):
        check_stored(record(size=body.sent), body)


def test_the_error_has_what_glance_has():
    with pytest.raises(UploadIncomplete) as caught:
        check_stored(record("killed", 3), sent(b"data"))
    error = caught.value
    told = (error.image_id, error.status, error.size, error.sent)
    assert (IMAGE_ID, "killed", 3, 4) == told


def test_nova_code_that_catches_unacceptable_images_catches_it():
    assert issubclass(UploadIncomplete, ImageUnacceptable)


# --- by the service ----------------------------------------------------------------------------


def test_an_upload_that_was_lost_is_no_success(opened):
    lost = record("queued", None)
    with creation(lost, lost) as server, pytest.raises(UploadIncomplete, match=IMAGE_ID):
        opened.service(server).create(None, META, b"data")


def test_a_database_that_lags_behind_is_asked_twice(opened):
    with creation(record("saving", 0), record()) as server:
        assert "active" == opened.service(server).create(None, META, b"data")["status"]


def test_a_database_that_does_not_know_the_image_yet_is_asked_twice(opened):
    replies = (as_json(201, record("queued", None)), reply(204), reply(404))
    with Loopback(conversation(*replies, as_json(200, record()))) as server:
        assert "active" == opened.service(server).create(None, META, b"data")["status"]


def test_an_image_that_no_database_knows_is_named(opened):
    replies = (as_json(201, record("queued", None)), reply(204), reply(404))
    named = pytest.raises(NotFound, match=f"the new image {IMAGE_ID} now")
    with Loopback(conversation(*replies)) as server, named:
        opened.service(server).create(None, META, b"data")


def test_an_update_with_data_is_checked_too(opened):
    patched, lost = as_json(200, record("queued", None)), as_json(200, record(size=3))
    with Loopback(conversation(patched, reply(204), lost)) as server:
        service = opened.service(server)
        with pytest.raises(UploadIncomplete, match="size 3"):
            service.update(None, IMAGE_ID, {}, b"data", purge_props=False)


@pytest.mark.parametrize("call", ["create", "update"])
@pytest.mark.parametrize("lost", [{"status": "queued"}, {"status": "killed"}, {"size": 3}])
def test_a_v1_record_is_checked_too(opened, call, lost):
    answered = as_json(201, {"image": record(**lost)})
    with Loopback(conversation(answered)) as server:
        service = opened.service(server, api_version=1)
        arguments = {"create": (META,), "update": (IMAGE_ID, META)}[call]
        with pytest.raises(UploadIncomplete, match=IMAGE_ID):
            getattr(service, call)(None, *arguments, b"data")


@pytest.mark.parametrize("status", ["queued", "saving"])
def test_a_v1_image_from_a_location_may_still_be_without_data(opened, status):
    with Loopback(conversation(as_json(201, {"image": record(status, 0)}))) as server:
        service = opened.service(server, api_version=1)
        image = service.create(None, {**META, "location": "http://store.example/x"})
    assert status == image["status"]


# --- what Glance has after a creation that failed ----------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(lab.faults.status(403), Forbidden), (lab.faults.lost_reply(), UnsafeToRepeat)],
    ids=["refused", "unknown"],
)
def test_a_creation_that_fails_at_the_upload_names_the_image(server, images, opened, fault, kind):
    server.break_with(fault.only(method="PUT"))
    with pytest.raises(kind) as caught:
        opened.service(server).create(None, META, b"data")
    image_id = images.all()[0].id
    said = f"Glance has the new image {image_id} now: look at its status"
    assert (image_id, True) == (caught.value.image_id, said in str(caught.value))


def test_a_creation_that_fails_at_once_names_none(server, opened):
    server.break_with(lab.faults.status(403))
    with pytest.raises(Forbidden) as caught:
        opened.service(server).create(None, META, b"data")
    assert (None, False) == (caught.value.image_id, "new image" in str(caught.value))


def test_data_that_can_not_be_read_leaves_an_image_that_is_named(server, images, opened):
    with pytest.raises(InvalidArgument, match="Glance has the new image"):
        opened.service(server).create(None, META, ["text"])


def test_a_source_of_another_kind_of_error_names_the_image_in_a_note(server, images, opened):
    def broken():
        yield b"data"
        raise ZeroDivisionError("source")

    with pytest.raises(ZeroDivisionError) as caught:
        opened.service(server).create(None, META, broken())
    image_id = images.all()[0].id
    assert ("source", image_id) == (str(caught.value), caught.value.image_id)
    assert [image_id in note for note in caught.value.__notes__] == [True]


def test_an_error_keeps_its_class_and_its_cause():
    cause = refused()
    with pytest.raises(CommunicationError) as caught, name_created_image("it"):
        raise CommunicationError("glance: no answer.") from cause
    said = "glance: no answer; Glance has the new image it now"
    assert (True, cause) == (str(caught.value).startswith(said), caught.value.__cause__)


def test_an_image_is_named_once():
    with pytest.raises(NotFound) as caught, name_created_image("it"), name_created_image("it"):
        raise NotFound("gone")
    assert 1 == str(caught.value).count("new image")
