"""Owners, roles and members: what a token may do. `make test-real` compares it with Glance 33."""

import json

import pytest

from traced_image import lab
from traced_image.errors import InvalidArgument
from traced_image.lab.app import App

TOKENS = {
    "admin": lab.Identity("a", "root", roles=("admin",)),
    "owner": lab.Identity("p", "ann"),
    "reader": lab.Identity("p", "rob", roles=("reader",)),
    "other": lab.Identity("q", "oli"),
    "service": lab.Identity("s", "nova", roles=("service",)),
}


@pytest.fixture
def ask(glance, images):
    """Ask as somebody: ``ask("owner", "GET", path)``."""
    app = App(images, TOKENS)

    def send(user, method, path, body=b"", **headers):
        return glance(method, path, body, {"x-auth-token": user, **headers}, app=app)

    return send


@pytest.fixture
def private(images):
    return images.add(name="p", data=b"0123", visibility="private", owner="p")


@pytest.fixture
def shared(images):
    return images.add(name="s", data=b"0123", visibility="shared", owner="p")


def listed(response):
    return [image["name"] for image in json.loads(response.body)["images"]]


def test_a_new_image_is_its_projects(ask):
    assert "p" == json.loads(ask("owner", "POST", "/v2/images", {}).body)["owner"]


@pytest.mark.parametrize(
    ("user", "status"),
    [("admin", 200), ("owner", 200), ("reader", 200), ("other", 404), ("service", 404)],
)
def test_a_private_image_is_seen_by_its_project(ask, private, user, status):
    assert status == ask(user, "GET", f"/v2/images/{private}").status


@pytest.mark.parametrize(
    ("user", "names"), [("admin", ["p"]), ("owner", ["p"]), ("reader", ["p"]), ("other", [])]
)
@pytest.mark.usefixtures("private")
def test_a_private_image_is_listed_to_its_project(ask, user, names):
    assert names == listed(ask(user, "GET", "/v2/images"))


def test_a_private_image_of_nobody_is_for_administrators(ask, images):
    image_id = images.add(visibility="private", owner=None)
    statuses = [ask(user, "GET", f"/v2/images/{image_id}").status for user in ("admin", "owner")]
    assert [200, 404] == statuses


def test_a_location_is_added_by_the_owner_or_a_service(ask, images, shared):
    image_id = images.add(visibility="community", owner="p")
    path = f"/v2/images/{image_id}/locations"
    statuses = [ask(user, "POST", path, {"url": "rbd://x"}).status for user in ("other", "service")]
    assert [403, 202] == statuses


def test_a_store_keeps_the_data_of_a_project_that_asks(ask, shared):
    response = ask("owner", "DELETE", f"/v2/stores/fs/{shared}")
    assert response.status == 403


def test_a_list_needs_the_role_of_a_reader(ask):
    assert ask("service", "GET", "/v2/images").status == 403


@pytest.mark.parametrize(
    ("user", "status"), [("admin", 204), ("owner", 204), ("reader", 403), ("other", 404)]
)
def test_an_image_is_deleted_by_its_project(ask, private, user, status):
    assert status == ask(user, "DELETE", f"/v2/images/{private}").status


@pytest.mark.parametrize(("user", "status"), [("admin", 201), ("owner", 403)])
def test_only_an_administrator_makes_a_public_image(ask, user, status):
    assert status == ask(user, "POST", "/v2/images", {"visibility": "public"}).status


def test_an_image_for_another_project_is_refused(ask, text):
    assert "owned by" in text(ask("owner", "POST", "/v2/images", {"owner": "q"}))


def test_a_reader_creates_nothing(ask, text):
    assert "add_image" in text(ask("reader", "POST", "/v2/images", {}))


def test_a_shared_image_is_for_its_members(ask, shared):
    before = ask("other", "GET", f"/v2/images/{shared}").status
    ask("owner", "POST", f"/v2/images/{shared}/members", {"member": "q"})
    assert (404, 200) == (before, ask("other", "GET", f"/v2/images/{shared}").status)


def test_a_shared_image_is_listed_once_it_is_accepted(ask, shared):
    ask("owner", "POST", f"/v2/images/{shared}/members", {"member": "q"})
    before = listed(ask("other", "GET", "/v2/images"))
    ask("other", "PUT", f"/v2/images/{shared}/members/q", {"status": "accepted"})
    assert ([], ["s"]) == (before, listed(ask("other", "GET", "/v2/images")))


@pytest.mark.parametrize(("user", "status"), [("owner", 403), ("other", 200), ("admin", 200)])
def test_a_membership_is_accepted_by_the_member(ask, shared, user, status):
    ask("owner", "POST", f"/v2/images/{shared}/members", {"member": "q"})
    change = {"status": "accepted"}
    assert status == ask(user, "PUT", f"/v2/images/{shared}/members/q", change).status


def test_a_member_sees_its_own_membership_only(ask, shared):
    for member in ("q", "r"):
        ask("owner", "POST", f"/v2/images/{shared}/members", {"member": member})
    seen = json.loads(ask("other", "GET", f"/v2/images/{shared}/members").body)["members"]
    assert ["q"] == [one["member_id"] for one in seen]


def test_a_membership_is_hidden_from_who_may_not_read_it(ask, images, text):
    image_id = images.add(visibility="shared", owner=None)
    response = ask("other", "GET", f"/v2/images/{image_id}/members/q")
    assert (404, True) == (response.status, "get_member" in text(response))


@pytest.mark.parametrize(("user", "status"), [("service", 200), ("owner", 403), ("admin", 200)])
def test_locations_are_for_services(ask, shared, user, status, images):
    images.put(images.get(shared).with_base(visibility="community"))
    assert status == ask(user, "GET", f"/v2/images/{shared}/locations").status


@pytest.mark.parametrize(
    ("operation", "user", "words"),
    [
        ({"op": "replace", "path": "/owner", "value": "q"}, "owner", "Owner can"),
        ({"op": "replace", "path": "/visibility", "value": "public"}, "owner", "publicize_image"),
        ({"op": "add", "path": "/x", "value": "y"}, "reader", "modify_image"),
        ({"op": "remove", "path": "/locations/0"}, "owner", "delete_image_location"),
    ],
)
def test_a_change_that_is_not_allowed_is_403(ask, shared, text, operation, user, words):
    kind = {"content-type": "application/openstack-images-v2.1-json-patch"}
    response = ask(user, "PATCH", f"/v2/images/{shared}", [operation], **kind)
    assert (403, True) == (response.status, words in text(response))


@pytest.mark.parametrize(("user", "status"), [("admin", 200), ("service", 200), ("owner", 403)])
def test_details_of_stores_are_for_services(ask, user, status):
    assert status == ask(user, "GET", "/v2/info/stores/detail").status


@pytest.mark.parametrize(("user", "status"), [("admin", 404), ("owner", 403)])
def test_tasks_are_for_administrators(ask, user, status):
    assert status == ask(user, "GET", "/v2/tasks/x").status


def test_tokens_without_identities_may_do_everything(glance, images, private):
    headers = {"x-auth-token": "good"}
    app = App(images, {"good"})
    assert glance("DELETE", f"/v2/images/{private}", headers=headers, app=app).status == 204


def test_a_role_implies_those_below_it():
    assert lab.Identity("p", roles=("admin",)).has("reader")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"tokens": "secret"}, "is one string"),
        ({"tokens": b"secret"}, "is one string"),
        ({"tokens": {"secret": "project"}}, "Write lab.Identity"),
        ({"tokens": {5: lab.Identity("p")}}, "has a key of type int"),
        ({"prefix": "image"}, "Write prefix='/image'"),
        ({"prefix": "/image/"}, "Write prefix='/image'"),
    ],
)
def test_a_wrong_argument_of_a_server_is_refused(wrong, words):
    with pytest.raises(InvalidArgument, match=words):
        lab.GlanceServer(**wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"tags": "abc"}, "is one string"), ({"visibility": "all"}, "is not one of")],
)
def test_a_wrong_argument_of_an_image_is_refused(images, wrong, words):
    with pytest.raises(InvalidArgument, match=words):
        images.add(**wrong)


def test_roles_that_are_one_string_are_refused():
    with pytest.raises(InvalidArgument, match="is one string"):
        lab.Identity("p", roles="admin")


@pytest.mark.parametrize("wrong", ["5", 1.5, True])
def test_a_limit_that_is_no_integer_is_refused(wrong):
    with pytest.raises(InvalidArgument, match="is not an integer"):
        lab.Limits(tags=wrong)


def test_a_server_knows_whose_token_it_is(session):
    with lab.GlanceServer(tokens=TOKENS) as running:
        headers = {"X-Auth-Token": "owner"}
        made = session.post(f"{running.url}/v2/images", json={}, headers=headers)
    assert "p" == made.json()["owner"]
