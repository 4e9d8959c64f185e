"""v1 as Grizzly had it: an image in headers."""

import json

import pytest

OCTETS = {"content-type": "application/octet-stream"}


def meta(response):
    """The answer's image headers, without their prefix."""
    prefix = "x-image-meta-"
    pairs = dict(response.headers)
    return {name[len(prefix) :]: pairs[name] for name in pairs if name.startswith(prefix)}


def brief(response):
    return " ".join(str(image["name"]) for image in json.loads(response.body)["images"])


def test_head_gives_the_image_in_headers(glance, images):
    image_id = images.add(name="n", data=b"data", owner="o", Arch="x86", old=None)
    expected = {
        "property-arch": "x86",
        "id": image_id,
        "name": "n",
        "disk_format": "qcow2",
        "container_format": "bare",
        "size": "4",
        "checksum": "8d777f385d3dfec8815d20f7496026dc",
        "status": "active",
        "owner": "o",
        "min_disk": "0",
        "min_ram": "0",
        "is_public": "True",
        "protected": "False",
        "deleted": "False",
        "created_at": "2027-01-15T08:00:00",
        "updated_at": "2027-01-15T08:00:00",
    }
    assert expected == meta(glance("HEAD", f"/v1/images/{image_id}"))


def test_head_leaves_out_what_is_null(glance, images):
    headers = meta(glance("HEAD", f"/v1/images/{images.add()}"))
    assert {"name", "checksum", "disk_format", "deleted_at"}.isdisjoint(headers)


def test_head_of_a_queued_image_says_a_size_of_0(glance, images):
    assert meta(glance("HEAD", f"/v1/images/{images.add()}"))["size"] == "0"


def test_a_line_break_in_a_value_does_not_break_the_headers(glance, images):
    image_id = images.add(name="a\r\nb: c")
    assert meta(glance("HEAD", f"/v1/images/{image_id}"))["name"] == "a b: c"


def test_head_gives_unicode_as_utf_8(server, connect, images):
    image_id = images.add(name="größe")
    connection = connect(server)
    connection.request("HEAD", f"/v1/images/{image_id}")
    response = connection.getresponse()
    response.read()
    assert response.getheader("x-image-meta-name").encode("latin-1").decode() == "größe"


def test_head_says_where_the_image_is_and_what_it_is(glance, image_id):
    response = glance("HEAD", f"/v1/images/{image_id}")
    assert (f"/v1/images/{image_id}", "781e5e245d69b566979b86e28d23f2c7") == (
        response.header("Location"),
        response.header("ETag"),
    )


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "DELETE"])
def test_an_unknown_image_is_404(glance, text, method):
    assert "Image with identifier nope not found" in text(glance(method, "/v1/images/nope"))


def test_get_gives_the_data_under_the_same_headers(glance, image_id):
    head, get = (glance(method, f"/v1/images/{image_id}") for method in ("HEAD", "GET"))
    assert (b"0123456789", meta(head)) == (get.body, meta(get))


def test_get_of_an_image_without_data_is_404(glance, images, text):
    image_id = images.add()
    assert f"Image {image_id} is not active" in text(glance("GET", f"/v1/images/{image_id}"))


def test_create_reads_the_image_from_headers(glance, images):
    headers = {
        "x-image-meta-name": "größe".encode().decode("latin-1"),
        "x-image-meta-disk_format": "raw",
        "x-image-meta-is_public": "True",
        "x-image-meta-min-ram": "7",
        "x-image-meta-protected": "no",
        "x-image-meta-property-os-type": "linux",
        "x-image-meta-unknown": "x",
    }
    response = glance("POST", "/v1/images", headers=headers)
    shown = json.loads(response.body)["image"]
    expected = ("größe", "raw", True, 7, False, {"os_type": "linux"}, "queued")
    names = ("name", "disk_format", "is_public", "min_ram", "protected", "properties", "status")
    assert (201, expected) == (response.status, tuple(shown[name] for name in names))


def test_an_empty_header_is_a_null(glance, images, image_id):
    headers = {"x-image-meta-name": "", "x-image-meta-property-a": ""}
    glance("PUT", f"/v1/images/{image_id}", headers=headers)
    image = images.get(image_id)
    assert (image.base["name"], image.properties) == (None, {"a": None})


def test_create_is_private_unless_it_says_otherwise(glance):
    assert json.loads(glance("POST", "/v1/images").body)["image"]["is_public"] is False


def test_create_with_data_makes_the_image_active(glance, images):
    response = glance("POST", "/v1/images", b"data", OCTETS)
    (image,) = images.all()
    assert ("active", b"data", image.base["checksum"]) == (
        image.status,
        image.data,
        response.header("ETag"),
    )


def test_create_with_a_location_makes_the_image_active(glance, images):
    glance("POST", "/v1/images", headers={"x-image-meta-location": "http://example.com/x"})
    assert images.all()[0].status == "active"


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"data", {}, 400, "Content-Type must be application/octet-stream"),
        (b"data", {**OCTETS, "x-image-meta-checksum": "abc"}, 400, "did not match"),
        (b"", {"x-image-meta-min_ram": "x"}, 400, "Cannot convert image min_ram"),
        (b"", {"x-image-meta-disk_format": "x"}, 400, "is not one of"),
    ],
)
def test_create_refuses_what_glance_refuses(glance, images, body, headers, status, words):
    response = glance("POST", "/v1/images", body, {"accept": "text/plain", **headers})
    assert (status, True, []) == (response.status, words in response.body.decode(), images.all())


def test_create_of_an_id_that_is_taken_is_409(glance, image_id):
    headers = {"x-image-meta-id": image_id}
    assert glance("POST", "/v1/images", headers=headers).status == 409


def test_create_takes_data_of_the_checksum_that_it_was_promised(glance):
    headers = {**OCTETS, "x-image-meta-checksum": "8d777f385d3dfec8815d20f7496026dc"}
    assert glance("POST", "/v1/images", b"data", headers).status == 201


@pytest.mark.parametrize(
    ("headers", "properties"),
    [
        ({}, {"b": "2"}),
        ({"x-glance-registry-purge-props": "True"}, {"b": "2"}),
        ({"x-glance-registry-purge-props": "False"}, {"a": "1", "b": "2"}),
    ],
)
def test_update_purges_properties_unless_told_not_to(glance, images, headers, properties):
    image_id = images.add(a="1")
    headers = {"x-image-meta-property-b": "2", **headers}
    shown = json.loads(glance("PUT", f"/v1/images/{image_id}", headers=headers).body)["image"]
    assert properties == shown["properties"]


def test_update_with_data_keeps_the_properties(glance, images):
    image_id = images.add(a="1")
    glance("PUT", f"/v1/images/{image_id}", b"data", OCTETS)
    image = images.get(image_id)
    assert (image.data, image.properties) == (b"data", {"a": "1"})


def test_update_can_make_an_image_private(glance, images, image_id):
    glance("PUT", f"/v1/images/{image_id}", headers={"x-image-meta-is_public": "False"})
    assert images.get(image_id).base["visibility"] == "private"


def test_an_upload_to_an_active_image_is_409(glance, image_id):
    assert glance("PUT", f"/v1/images/{image_id}", b"data", OCTETS).status == 409


def test_delete_takes_the_image_away(glance, images, image_id):
    assert (glance("DELETE", f"/v1/images/{image_id}").status, images.get(image_id)) == (200, None)


def test_delete_of_a_protected_image_is_403(glance, images):
    assert glance("DELETE", f"/v1/images/{images.add(protected=True)}").status == 403


@pytest.fixture
def stocked(images):
    images.add(name="one", data=b"1", p="q")
    images.add(name="two", data=b"22", protected=True)
    images.add(name="three", visibility="private", min_disk=4)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "two one"),
        ("?is_public=True", "two one"),
        ("?is_public=False", "three"),
        ("?is_public=None", "three two one"),
        ("?is_public=None&limit=1", "three"),
        ("?name=one", "one"),
        ("?status=queued&is_public=none", "three"),
        ("?min_disk=4&is_public=none", "three"),
        ("?property-p=q", "one"),
        ("?size_min=2", "two"),
        ("?size_max=1", "one"),
        ("?protected=yes", "two"),
        ("?protected=no", "one"),
        ("?sort_key=name&sort_dir=asc", "one two"),
    ],
)
def test_a_query_finds_its_images(glance, stocked, query, expected):
    assert expected == brief(glance("GET", f"/v1/images{query}"))


def test_a_marker_starts_a_page(glance, images, stocked):
    marker = next(image.id for image in images.all() if image.base["name"] == "two")
    assert brief(glance("GET", f"/v1/images?marker={marker}")) == "one"


@pytest.mark.parametrize("query", ["limit=x", "sort_key=nope", "marker=nope"])
def test_a_page_that_can_not_be_is_400(glance, query):
    assert glance("GET", f"/v1/images?{query}").status == 400


def test_the_brief_list_has_six_attributes(glance, image_id):
    (image,) = json.loads(glance("GET", "/v1/images").body)["images"]
    expected = {"id", "name", "disk_format", "container_format", "size", "checksum"}
    assert expected == set(image)


def test_the_detailed_list_has_what_head_has_and_nulls(glance, image_id):
    (image,) = json.loads(glance("GET", "/v1/images/detail").body)["images"]
    assert (image["deleted_at"], image["owner"], image["properties"]) == (None, None, {})
