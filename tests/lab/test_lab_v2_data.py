"""v2: upload, stage, download and import. What is expected was seen of Glance 33."""

import json
import time

import pytest

from traced_image import lab
from traced_image.lab.app import App

LIMIT = 10.0

OCTETS = {"content-type": "application/octet-stream"}


@pytest.fixture
def queued(images):
    return images.add(disk_format="raw", container_format="bare")


def test_an_upload_makes_the_image_active(glance, images, queued):
    response = glance("PUT", f"/v2/images/{queued}/file", b"data", OCTETS)
    image = images.get(queued)
    assert (response.status, image.status, image.data) == (204, "active", b"data")


@pytest.mark.parametrize("kind", [None, "text/plain"])
@pytest.mark.parametrize("path", ["file", "stage"])
def test_an_upload_of_another_media_type_is_415(glance, queued, kind, path, text):
    headers = {} if kind is None else {"content-type": kind}
    response = glance("PUT", f"/v2/images/{queued}/{path}", b"data", headers)
    assert (response.status, f"Invalid content type {kind}" in text(response)) == (415, True)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("file", "Image status transition from active to saving is not allowed"),
        ("stage", "Image status transition from active to uploading is not allowed"),
    ],
)
def test_an_upload_to_an_active_image_is_409(glance, image_id, text, path, words):
    response = glance("PUT", f"/v2/images/{image_id}/{path}", b"data", OCTETS)
    assert (response.status, words in text(response)) == (409, True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Properties disk_format, container_format must be set prior to saving data."),
        ({"disk_format": "raw"}, "Property container_format must be set prior to saving data."),
    ],
)
def test_an_upload_before_the_formats_are_set_is_400(glance, images, text, given, words):
    response = glance("PUT", f"/v2/images/{images.add(**given)}/file", b"data", OCTETS)
    assert (response.status, words in text(response)) == (400, True)


@pytest.mark.parametrize("path", ["file", "stage"])
@pytest.mark.parametrize(
    ("size", "data", "words"),
    [
        ("x", b"data", "Invalid or missing image size in request headers."),
        ("5", b"data", "Size mismatch: expected 5 bytes, got 4 bytes"),
        ("3", b"data", "Size exceeds: expected 3 bytes, got 4 bytes"),
        ("-1", b"data", "Size exceeds: expected -1 bytes, got 4 bytes"),
        ("70000", b"0" * 300_000, "Size exceeds: expected 70000 bytes, got 131072 bytes"),
    ],
)
def test_data_of_another_size_than_its_header_says_is_400(
    path, size, data, words, glance, images, queued, text
):
    headers = {**OCTETS, "x-openstack-image-size": size}
    response = glance("PUT", f"/v2/images/{queued}/{path}", data, headers)
    assert (400, True, "queued") == (
        response.status,
        words in text(response),
        images.get(queued).status,
    )


@pytest.mark.parametrize("size", ["4", "0", " 4 "])
def test_data_of_the_size_that_its_header_says_is_stored(size, glance, queued):
    headers = {**OCTETS, "x-openstack-image-size": size}
    assert 204 == glance("PUT", f"/v2/images/{queued}/file", b"data", headers).status


def test_a_download_gives_the_data_and_its_checksum(glance, image_id):
    response = glance("GET", f"/v2/images/{image_id}/file")
    assert (
        response.status,
        response.body,
        response.header("Content-MD5"),
    ) == (200, b"0123456789", "781e5e245d69b566979b86e28d23f2c7")


def test_a_download_of_an_image_without_data_is_204(glance, queued):
    assert glance("GET", f"/v2/images/{queued}/file").status == 204


def test_a_download_of_a_deactivated_image_is_403(glance, images):
    image_id = images.add(data=b"x", status="deactivated")
    assert glance("GET", f"/v2/images/{image_id}/file").status == 403


def test_an_administrator_downloads_a_deactivated_image(glance, images):
    image_id = images.add(data=b"x", status="deactivated")
    app = App(images, {"t": lab.Identity("p", roles=("admin",))})
    headers = {"x-auth-token": "t"}
    assert glance("GET", f"/v2/images/{image_id}/file", headers=headers, app=app).body == b"x"


@pytest.mark.parametrize(
    ("wanted", "data", "said"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=5-", b"56789", "bytes 5-9/10"),
        ("bytes=2-100", b"23456789", "bytes 2-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-30", b"0123456789", "bytes 0-9/10"),
        ("bytes=-0", b"0123456789", "bytes 0-9/10"),
        (f"bytes=1-{'9' * 30}", b"123456789", "bytes 1-9/10"),
    ],
)
def test_a_range_is_given(glance, image_id, wanted, data, said):
    response = glance("GET", f"/v2/images/{image_id}/file", headers={"range": wanted})
    assert (206, data, said) == (
        response.status,
        response.body,
        response.header("Content-Range"),
    )


@pytest.mark.parametrize(
    ("wanted", "status", "words"),
    [
        ("bytes=1-2,4-5", 400, "Requests with multiple ranges are not supported"),
        ("x", 416, "Invalid Range header."),
        ("bytes=-", 416, "Invalid Range header."),
        ("bytes=4-2", 416, "Invalid Range header."),
        ("bytes=10-", 416, "Start position MUST be in the inclusive range [0, 9]."),
    ],
)
def test_a_range_that_is_none_is_refused(glance, image_id, text, wanted, status, words):
    response = glance("GET", f"/v2/images/{image_id}/file", headers={"range": wanted})
    assert (status, True) == (response.status, words in text(response))


def test_staging_keeps_the_data_for_an_import(glance, images, queued):
    response = glance("PUT", f"/v2/images/{queued}/stage", b"data", OCTETS)
    image = images.get(queued)
    assert (
        response.status,
        image.status,
        image.staged,
        image.data,
    ) == (204, "uploading", b"data", None)


def start(glance, image_id, name, **rest):
    uri = rest.pop("uri", None)
    method = {"name": name, **({} if uri is None else {"uri": uri})}
    headers = {"accept": "text/plain"}
    return glance("POST", f"/v2/images/{image_id}/import", {"method": method, **rest}, headers)


def test_a_direct_import_makes_the_staged_data_the_images(glance, images, queued):
    glance("PUT", f"/v2/images/{queued}/stage", b"data", OCTETS)
    response = start(glance, queued, "glance-direct")
    image = images.get(queued)
    assert (response.status, image.status, image.data) == (202, "active", b"data")


def test_a_web_download_fetches_the_data(glance, images, queued, server):
    source = images.add(data=b"data")
    uri = f"{server.url}/v2/images/{source}/file?x=y"
    response = start(glance, queued, "web-download", uri=uri)
    assert (response.status, images.get(queued).data) == (202, b"data")


@pytest.fixture
def task(glance):
    """The task of the last import of an image."""

    def of(image_id):
        return json.loads(glance("GET", f"/v2/images/{image_id}/tasks").body)["tasks"][-1]

    return of


def test_a_web_download_of_what_is_not_there_fails(glance, images, queued, server, task):
    start(glance, queued, "web-download", uri=f"{server.url}/v2/images/nope")
    image = images.get(queued)
    assert ("failure", "queued", "fs") == (
        task(queued)["status"],
        image.status,
        image.properties["os_glance_failed_import"],
    )


def test_a_web_download_from_nobody_fails(glance, queued, server, task):
    uri = f"{server.url}/x"
    server.stop()
    start(glance, queued, "web-download", uri=uri)
    assert ("failure", "Task failed due to Internal Error") == (
        task(queued)["status"],
        task(queued)["message"],
    )


@pytest.mark.parametrize("path", ["/ä", "/x y"])
def test_a_web_download_of_what_can_not_be_asked_for_fails(path, glance, images, queued, task):
    start(glance, queued, "web-download", uri=f"http://127.0.0.1:9{path}")
    properties = images.get(queued).properties
    assert ("failure", False) == (task(queued)["status"], "os_glance_import_task" in properties)


def test_an_import_fails_if_the_test_says_so(glance, images, queued, task):
    glance("PUT", f"/v2/images/{queued}/stage", b"data", OCTETS)
    images.import_error = "The store is full."
    start(glance, queued, "glance-direct")
    assert ("importing", "The store is full.") == (
        images.get(queued).status,
        task(queued)["message"],
    )


def test_an_import_takes_its_time(glance, images, queued, task):
    glance("PUT", f"/v2/images/{queued}/stage", b"data", OCTETS)
    images.import_time = 0.05
    start(glance, queued, "glance-direct")
    before = images.get(queued).status, task(queued)["status"]
    deadline = time.monotonic() + LIMIT
    while task(queued)["status"] != "success" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (("importing", "pending"), "active") == (before, images.get(queued).status)


def test_a_second_import_of_an_image_is_a_conflict(glance, images, queued, text):
    images.import_time = 30.0
    uri = "http://127.0.0.1:9/"
    start(glance, queued, "web-download", uri=uri)
    assert "Image has active task" in text(start(glance, queued, "web-download", uri=uri))


def test_an_image_that_is_deleted_meanwhile_stays_deleted(glance, images, queued, task):
    glance("PUT", f"/v2/images/{queued}/stage", b"data", OCTETS)
    images.import_time = 0.05
    start(glance, queued, "glance-direct")
    images.remove(queued)
    deadline = time.monotonic() + LIMIT
    key = next(iter(images.tasks))
    while images.tasks[key].status != "success" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert images.get(queued) is None


def test_a_copy_to_all_stores_is_taken(glance, image_id):
    assert start(glance, image_id, "copy-image", all_stores=True).status == 202


@pytest.mark.parametrize(
    ("given", "sent", "status", "words"),
    [
        ({}, {}, 400, "Import request requires a 'method' field."),
        ({}, {"method": {}}, 400, "Import request requires a 'name' field."),
        ({}, {"method": "x"}, 400, "Import request requires a 'name' field."),
        ({}, {"method": {"name": "x"}}, 400, "Unknown import method name 'x'."),
        ({}, {"all_stores": 3}, 400, "'all_stores' must be boolean value only"),
        (
            {},
            {"all_stores_must_succeed": 3},
            400,
            "'all_stores_must_succeed' must be boolean value only",
        ),
        ({"status": "active"}, {}, 409, "Image with status active cannot be target for import"),
        ({}, {}, 409, "Image needs to be staged before 'glance-direct' method can be used"),
        (
            {},
            {"method": {"name": "copy-image"}},
            409,
            "Only images with status active can be targeted for copying",
        ),
        (
            {"status": "uploading"},
            {"method": {"name": "web-download"}},
            409,
            "Image needs to be in 'queued' state to use 'web-download' method",
        ),
        (
            {"status": "uploading"},
            {},
            409,
            "'container_format' needs to be set before import",
        ),
        (
            {"status": "uploading", "container_format": "bare"},
            {},
            409,
            "'disk_format' needs to be set before import",
        ),
        (
            {"disk_format": "raw", "container_format": "bare"},
            {"method": {"name": "web-download", "uri": "ftp://x"}},
            400,
            "URI for web-download does not pass filtering: ftp://x",
        ),
        *(
            (
                {"disk_format": "raw", "container_format": "bare"},
                {"method": {"name": "web-download", "uri": uri}},
                400,
                f"URI for web-download does not pass filtering: {uri}",
            )
            for uri in ("http://", "http:///x", "http://[::1", "http://h:port/", "http://h:99999/")
        ),
        (
            {"disk_format": "raw", "container_format": "bare"},
            {"method": {"name": "web-download"}},
            400,
            "URI for web-download does not pass filtering: None",
        ),
        (
            {"data": b"x"},
            {"method": {"name": "copy-image"}, "stores": ["zz"]},
            409,
            "Store for identifier zz not found",
        ),
        (
            {"data": b"x"},
            {"method": {"name": "copy-image"}, "stores": "zz"},
            409,
            "Store for identifier zz not found",
        ),
        (
            {"data": b"x"},
            {"method": {"name": "copy-image"}},
            400,
            "Image is already present at store 'fs'",
        ),
        (
            {"data": b"x"},
            {"method": {"name": "copy-image"}, "all_stores": True, "stores": ["fs"]},
            400,
            "All_stores parameter can't be used",
        ),
    ],
)
def test_an_import_that_glance_refuses_is_refused(glance, images, given, sent, status, words):
    sent = {"method": {"name": "glance-direct"}, **sent} if sent or given or status == 409 else {}
    headers = {"accept": "text/plain"}
    response = glance("POST", f"/v2/images/{images.add(**given)}/import", sent, headers)
    assert (status, True) == (response.status, words in response.body.decode())


def test_the_import_methods_are_listed(glance):
    value = json.loads(glance("GET", "/v2/info/import").body)["import-methods"]["value"]
    assert value == ["glance-direct", "web-download", "copy-image"]


def test_the_stores_are_listed(glance):
    stores = json.loads(glance("GET", "/v2/info/stores").body)["stores"]
    assert stores == [{"id": "fs", "default": "true"}]
