"""v2: create, show, delete, deactivate, schemas. What is expected was seen of Glance 33."""

import json

import pytest

from traced_image import lab
from traced_image.lab.app import App

ID = "11111111-2222-4333-8444-555555555555"


def body(response):
    return json.loads(response.body)


def test_show_gives_the_image(glance, images, image_id):
    response = glance("GET", f"/v2/images/{image_id}")
    assert (200, images.get(image_id).view()) == (response.status, body(response))


def test_show_gives_the_locations_where_the_store_shows_them(glance):
    images = lab.Images(show_locations=True)
    image_id = images.add(data=b"x")
    response = glance("GET", f"/v2/images/{image_id}", app=App(images))
    assert f"memory://fs/{image_id}" == body(response)["direct_url"]


def test_show_of_an_unknown_image_is_404(glance, text):
    assert "No image found with ID nope" in text(glance("GET", "/v2/images/nope"))


def test_create_gives_the_image_with_glances_defaults(glance):
    response = glance("POST", "/v2/images", {"id": ID, "name": "n", "p": "q", "tags": ["b", "a"]})
    expected = {
        "p": "q",
        "name": "n",
        "disk_format": None,
        "container_format": None,
        "visibility": "shared",
        "size": None,
        "virtual_size": None,
        "status": "queued",
        "checksum": None,
        "protected": False,
        "min_ram": 0,
        "min_disk": 0,
        "owner": None,
        "os_hidden": False,
        "os_hash_algo": None,
        "os_hash_value": None,
        "id": ID,
        "created_at": "2027-01-15T08:00:00Z",
        "updated_at": "2027-01-15T08:00:00Z",
        "tags": ["a", "b"],
        "self": f"/v2/images/{ID}",
        "file": f"/v2/images/{ID}/file",
        "schema": "/v2/schemas/image",
    }
    assert (201, expected) == (response.status, body(response))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Location", f"http://glance/v2/images/{ID}"),
        ("OpenStack-image-import-methods", "glance-direct,web-download,copy-image"),
        ("OpenStack-image-store-ids", "fs"),
    ],
)
def test_create_says_in_headers_where_and_how_to_go_on(glance, header, value):
    assert value == glance("POST", "/v2/images", {"id": ID}).header(header)


def test_create_of_an_id_that_is_taken_is_409(glance, images):
    images.add(id=ID)
    assert glance("POST", "/v2/images", {"id": ID}).status == 409


def test_create_of_an_id_that_was_taken_is_409(glance, images):
    images.remove(images.add(id=ID))
    assert glance("POST", "/v2/images", {"id": ID}).status == 409


def test_a_hash_given_for_a_property_is_hidden_by_the_attribute(glance):
    assert body(glance("POST", "/v2/images", {"os_hash_algo": "x"}))["os_hash_algo"] is None


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (b"", 400, "Body expected in request."),
        (b"{", 400, "Malformed JSON in request body."),
        (b"3", 400, "Unexpected body type. Expected list/dict."),
        ([], 400, "Expected a JSON object."),
        ({"name": 3}, 400, "3 is not of type 'null', 'string'"),
        ({"name": "x" * 256}, 400, "is too long"),
        ({"visibility": "foo"}, 400, "'foo' is not one of ['community', 'public', 'private'"),
        ({"disk_format": "foo"}, 400, "'foo' is not one of [None, 'ami'"),
        ({"min_ram": "1"}, 400, "'1' is not of type 'integer'"),
        ({"min_ram": -1}, 400, "Invalid value '-1' for parameter 'min_ram'"),
        ({"protected": 1.5}, 400, "1.5 is not of type 'boolean'"),
        ({"tags": "x"}, 400, "'x' is not of type 'array'"),
        ({"tags": ["ok", 1]}, 400, "1 is not of type 'string'"),
        ({"id": "x"}, 400, "'x' does not match '^([0-9a-fA-F]){8}"),
        ({"foo": 1}, 400, "1 is not of type 'string'"),
        ({"foo": {}}, 400, "{} is not of type 'string'"),
        ({"k" * 256: "v"}, 400, "should not be greater than 255 characters"),
        ({"self": "x"}, 403, "Attribute 'self' is read-only."),
        ({"stores": "x"}, 403, "Attribute 'stores' is read-only."),
        ({"size": 3}, 403, "Attribute 'size' is read-only."),
        ({"status": "active"}, 403, "Attribute 'status' is read-only."),
        ({"deleted": "x"}, 403, "Attribute 'deleted' is reserved."),
        ({"os_glance_x": "x"}, 403, "Attribute 'os_glance_x' is reserved."),
        ({"locations": []}, 403, "Attribute 'locations' is reserved."),
    ],
)
def test_create_refuses_what_glance_refuses(glance, images, sent, status, words):
    response = glance("POST", "/v2/images", sent, {"accept": "text/plain"})
    assert (status, True, []) == (response.status, words in response.body.decode(), images.all())


def test_delete_takes_the_image_away(glance, images, image_id):
    assert (glance("DELETE", f"/v2/images/{image_id}").status, images.get(image_id)) == (204, None)


def test_delete_of_an_unknown_image_is_404(glance, text):
    assert "Failed to find image nope to delete" in text(glance("DELETE", "/v2/images/nope"))


def test_delete_of_a_protected_image_is_403(glance, images):
    image_id = images.add(protected=True)
    assert (
        glance("DELETE", f"/v2/images/{image_id}").status,
        images.get(image_id) is not None,
    ) == (403, True)


@pytest.mark.parametrize(
    ("before", "action", "status", "after"),
    [
        ("active", "deactivate", 204, "deactivated"),
        ("deactivated", "deactivate", 204, "deactivated"),
        ("deactivated", "reactivate", 204, "active"),
        ("active", "reactivate", 204, "active"),
        ("queued", "deactivate", 403, "queued"),
        ("queued", "reactivate", 403, "queued"),
    ],
)
def test_actions_turn_the_status(glance, images, before, action, status, after):
    image_id = images.add(status=before)
    response = glance("POST", f"/v2/images/{image_id}/actions/{action}")
    assert (status, after) == (response.status, images.get(image_id).status)


@pytest.mark.parametrize("name", ["image", "images", "member", "members"])
def test_schemas_are_served(glance, name):
    assert name == body(glance("GET", f"/v2/schemas/{name}"))["name"]


def test_an_unknown_schema_is_404(glance):
    assert glance("GET", "/v2/schemas/nope").status == 404


def test_the_image_schema_has_every_attribute_of_an_image(glance, images, image_id):
    schema = body(glance("GET", "/v2/schemas/image"))
    view = images.get(image_id).view(show_locations=True)
    assert set(view) - set(schema["properties"]) == set()


def test_an_empty_owner_is_stored_as_none(glance, patch):
    """Glance shows it as it was sent, and has none from then on."""
    shown = [json.loads(glance("POST", "/v2/images", {"owner": ""}).body)]
    image_id = shown[0]["id"]
    shown.append(json.loads(glance("GET", f"/v2/images/{image_id}").body))
    patch(image_id, {"op": "replace", "path": "/owner", "value": "someone"})
    change = {"op": "replace", "path": "/owner", "value": ""}
    shown.append(json.loads(patch(image_id, change).body))
    shown.append(json.loads(glance("GET", f"/v2/images/{image_id}").body))
    assert ["", None, "", None] == [image["owner"] for image in shown]
