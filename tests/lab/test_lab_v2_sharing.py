"""v2: members and tags. What is expected was seen of Glance 33."""

import json

import pytest


@pytest.fixture
def shared(images):
    return images.add(visibility="shared", tags=["t"])


@pytest.fixture
def ask(glance, shared):
    """Ask about the shared image's members as text."""

    def send(method, path="", body=b""):
        headers = {"accept": "text/plain"}
        return glance(method, f"/v2/images/{shared}/members{path}", body, headers)

    return send


def member(image_id, status, created, updated):
    return {
        "member_id": "p1",
        "image_id": image_id,
        "status": status,
        "created_at": f"2027-01-15T08:00:{created:02}Z",
        "updated_at": f"2027-01-15T08:00:{updated:02}Z",
        "schema": "/v2/schemas/member",
    }


def test_a_new_member_is_pending(ask, shared):
    response = ask("POST", body={"member": "p1"})
    assert (200, member(shared, "pending", 1, 1)) == (response.status, json.loads(response.body))


def test_a_member_is_listed(ask, shared):
    ask("POST", body={"member": "p1"})
    expected = {"members": [member(shared, "pending", 1, 1)], "schema": "/v2/schemas/members"}
    assert expected == json.loads(ask("GET").body)


def test_a_member_is_shown(ask, shared):
    ask("POST", body={"member": "p1"})
    assert member(shared, "pending", 1, 1) == json.loads(ask("GET", "/p1").body)


def test_a_member_can_accept(ask, shared):
    ask("POST", body={"member": "p1"})
    response = ask("PUT", "/p1", {"status": "accepted"})
    assert (200, member(shared, "accepted", 1, 2)) == (response.status, json.loads(response.body))


def test_a_member_can_be_removed(ask):
    ask("POST", body={"member": "p1"})
    assert (ask("DELETE", "/p1").status, json.loads(ask("GET").body)["members"]) == (204, [])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "", b"", 400, "Body expected in request."),
        ("POST", "", {}, 400, "Member to be added not specified"),
        ("POST", "", [], 400, "Expected a member in the form"),
        ("POST", "", {"member": ""}, 400, "Member can't be empty"),
        ("POST", "", {"member": "p1"}, 409, "Member p1 is duplicated for image"),
        ("PUT", "/p1", {}, 400, "Status not specified"),
        ("PUT", "/p1", [], 400, "Expected a status in the form"),
        ("PUT", "/p1", {"status": "x"}, 400, 'Status must be "pending", "accepted" or "rejected".'),
        ("PUT", "/p2", {"status": "accepted"}, 404, "p2 not found in the member list"),
        ("GET", "/p2", b"", 404, "p2 not found in the member list"),
        ("DELETE", "/p2", b"", 404, "p2 not found in the member list"),
    ],
)
def test_what_glance_refuses_of_members_is_refused(ask, method, path, body, status, words):
    ask("POST", body={"member": "p1"})
    response = ask(method, path, body)
    assert (status, True) == (response.status, words in response.body.decode())


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "", b"", 403, "Not allowed to list members for image"),
        ("GET", "/p1", b"", 404, "Only shared images have members."),
        ("POST", "", {"member": "p1"}, 403, "Not allowed to create members for image"),
        ("PUT", "/p1", {"status": "accepted"}, 403, "Not allowed to update members for image"),
        ("DELETE", "/p1", b"", 403, "Not allowed to delete members for image"),
    ],
)
def test_only_shared_images_have_members(glance, images, method, path, body, status, words):
    image_id = images.add(visibility="private")
    headers = {"accept": "text/plain"}
    response = glance(method, f"/v2/images/{image_id}/members{path}", body, headers)
    assert (status, True) == (response.status, words in response.body.decode())


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "members"), ("GET", "members/p1"), ("PUT", "tags/t"), ("DELETE", "tags/t")],
)
def test_members_and_tags_of_an_unknown_image_are_404(glance, text, method, path):
    assert "Image nope not found." in text(glance(method, f"/v2/images/nope/{path}"))


def test_a_tag_is_added(glance, images, shared):
    status = glance("PUT", f"/v2/images/{shared}/tags/a%20%C3%A4").status
    # As in Glance, where the bytes of a path are characters of Latin-1.
    assert (status, images.get(shared).tags) == (204, ("a \u00c3\u00a4", "t"))


def test_a_tag_that_is_too_long_is_400(glance, shared):
    assert glance("PUT", f"/v2/images/{shared}/tags/{'x' * 256}").status == 400


def test_a_tag_is_removed(glance, images, shared):
    assert (
        glance("DELETE", f"/v2/images/{shared}/tags/t").status,
        images.get(shared).tags,
    ) == (204, ())


def test_a_tag_that_is_not_there_can_not_be_removed(glance, shared):
    assert glance("DELETE", f"/v2/images/{shared}/tags/nope").status == 404
