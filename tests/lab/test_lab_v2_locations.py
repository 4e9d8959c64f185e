"""v2: locations, by patch and by their own calls. What is expected was seen of Glance 33."""

import json

import pytest

from traced_image import lab
from traced_image.lab.app import App

NEW = {"content-type": "application/openstack-images-v2.1-json-patch", "accept": "text/plain"}
ONE = {"url": "rbd://one", "metadata": {"store": "fs"}}
TWO = {"url": "rbd://two", "metadata": {"a": "b", "store": "fs"}}


def op(name, path, *value):
    return {"op": name, "path": path, **({"value": value[0]} if value else {})}


@pytest.fixture
def open_images():
    return lab.Images(show_locations=True)


@pytest.fixture
def change(glance, open_images):
    def send(image_id, operation):
        return glance("PATCH", f"/v2/images/{image_id}", [operation], NEW, app=App(open_images))

    return send


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        ([], op("replace", "/locations", [ONE, TWO]), [ONE, TWO]),
        ([], op("add", "/locations/-", ONE), [ONE]),
        ([ONE], op("add", "/locations/-", TWO), [ONE, TWO]),
        ([ONE], op("add", "/locations/0", TWO), [TWO, ONE]),
        ([ONE, TWO], op("remove", "/locations/0"), [TWO]),
        ([ONE, TWO], op("remove", "/locations/-"), [ONE]),
    ],
)
def test_locations_are_changed(change, open_images, before, operation, after):
    image_id = open_images.add(status="active", locations=before)
    response = change(image_id, operation)
    assert (200, after) == (response.status, json.loads(response.body)["locations"])


def test_a_location_makes_a_queued_image_active(change, open_images):
    image_id = open_images.add()
    change(image_id, op("add", "/locations/-", ONE))
    assert open_images.get(image_id).status == "active"


@pytest.mark.parametrize(
    ("given", "operation", "status", "words"),
    [
        ({}, op("replace", "/locations", []), 403, "Cannot set locations to empty list."),
        ({}, op("replace", "/locations", [ONE]), 400, "Original locations is not empty"),
        ({}, op("add", "/locations/-", ONE), 400, "already exists"),
        ({}, op("add", "/locations/-1", TWO), 400, "Invalid position for adding a location."),
        ({}, op("add", "/locations/x", TWO), 400, "Invalid position for adding a location."),
        ({}, op("remove", "/locations/0"), 403, "Cannot remove last location in the image."),
        (
            {"locations": [ONE, TWO]},
            op("remove", "/locations/2"),
            400,
            "Invalid position for removing a location.",
        ),
        (
            {"status": "saving"},
            op("add", "/locations/-", TWO),
            409,
            "It's not allowed to add locations if image status is saving.",
        ),
        ({}, op("add", "/locations", ONE), 400, "Invalid JSON pointer for this resource"),
        ({}, op("add", "/locations/-", {"url": "x"}), 400, "'metadata' is a required property"),
        (
            {},
            op("add", "/locations/-", {"url": 3, "metadata": {}, "x": 1}),
            400,
            "3 is not of type 'string'",
        ),
    ],
)
def test_what_glance_refuses_of_locations_is_refused(
    change, open_images, given, operation, status, words
):
    image_id = open_images.add(**{"status": "active", "locations": [ONE], **given})
    response = change(image_id, operation)
    assert (status, True) == (response.status, words in response.body.decode())


@pytest.mark.parametrize(
    ("operation", "verb"),
    [
        (op("replace", "/locations", [ONE]), "update"),
        (op("add", "/locations/-", ONE), "add"),
        (op("remove", "/locations/0"), "remove"),
    ],
)
def test_locations_that_are_not_shown_can_not_be_changed(patch, text, image_id, operation, verb):
    response = patch(image_id, operation)
    expected = f"not allowed to {verb} locations if locations are invisible"
    assert (response.status, expected in text(response)) == (403, True)


def test_locations_are_listed_by_their_own_call(glance, image_id):
    expected = [{"url": f"memory://fs/{image_id}", "metadata": {"store": "fs"}}]
    assert expected == json.loads(glance("GET", f"/v2/images/{image_id}/locations").body)


def test_a_location_is_added_by_its_own_call(glance, images):
    image_id = images.add()
    response = glance("POST", f"/v2/images/{image_id}/locations", {"url": "rbd://one"})
    image = images.get(image_id)
    assert (
        response.status,
        image.status,
        image.locations[0]["url"],
    ) == (202, "active", "rbd://one")


def test_a_location_without_a_url_is_400(glance, images):
    assert glance("POST", f"/v2/images/{images.add()}/locations", {}).status == 400


def test_a_location_for_an_active_image_is_409(glance, image_id):
    response = glance("POST", f"/v2/images/{image_id}/locations", {"url": "rbd://one"})
    assert response.status == 409
