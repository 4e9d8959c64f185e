"""What has no facade method: members, tags, deactivation, import, locations."""

import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from parts import images
from parts.glance import STORES

import traced_image
from traced_image import errors

RAW = {"disk_format": "raw", "container_format": "bare"}
DATA = b"data" * 1000
LIMIT = 30.0  # seconds for an import


@pytest.fixture(scope="module")
def client(service):
    """Calls methods of API v2 by their names."""
    wrapper = traced_image.GlanceClientWrapper(service.config)
    yield lambda method, *args, **kwargs: wrapper.call(None, 2, method, *args, **kwargs)
    wrapper.close()


@pytest.fixture
def image_id(client):
    """An active, shared image."""
    image = client("create", name="acted upon", visibility="shared", **RAW)
    client("upload", image["id"], b"data")
    return image["id"]


@pytest.fixture
def member(client, image_id):
    """A project that the image is shared with, with a name to be quoted."""
    return client("image_members.create", image_id, "a b?c#d%e")["member_id"]


def test_a_new_membership_is_pending(client, image_id):
    assert client("image_members.create", image_id, "project")["status"] == "pending"


def test_memberships_are_listed(client, image_id, member):
    assert [member] == [one["member_id"] for one in client("image_members.list", image_id)]


def test_one_membership_is_fetched(client, image_id, member):
    assert member == client("image_members.get", image_id, member)["member_id"]


def test_a_membership_is_accepted(client, image_id, member):
    assert client("image_members.update", image_id, member, "accepted")["status"] == "accepted"


def test_a_membership_is_ended(client, image_id, member):
    client("image_members.delete", image_id, member)
    assert client("image_members.list", image_id) == []


@pytest.mark.parametrize("tag", ["plain", "a b?c#d%e", "a+b&c=d;e,f"])
def test_a_tag_is_added(tag, client, image_id):
    client("image_tags.update", image_id, tag)
    assert [tag] == client("get", image_id)["tags"]


def test_a_tag_is_removed(client, image_id):
    client("image_tags.update", image_id, "a b?")
    client("image_tags.delete", image_id, "a b?")
    assert client("get", image_id)["tags"] == []


def test_an_image_is_deactivated(client, image_id):
    client("deactivate", image_id)
    assert client("get", image_id)["status"] == "deactivated"


def test_an_image_is_reactivated(client, image_id):
    client("deactivate", image_id)
    client("reactivate", image_id)
    assert client("get", image_id)["status"] == "active"


def test_a_patch_changes_what_it_says(client, image_id):
    client("patch", image_id, [{"op": "replace", "path": "/name", "value": "patched"}])
    assert client("get", image_id)["name"] == "patched"


def test_a_location_of_a_forbidden_kind_is_refused(client):
    image = client("create", **RAW)
    with pytest.raises(errors.Invalid):
        client("add_location", image["id"], "file:///etc/hostname")


def test_a_location_is_removed(client, image_id, glances):
    url = _copied(client, image_id, glances)
    client("delete_locations", image_id, [url])
    assert [STORES[0]] == [one["metadata"]["store"] for one in client("get", image_id)["locations"]]


def _copied(client, image_id, glances):
    """Give an image a second location, and return its URL."""
    folder = glances[0].log.parent.parent
    images.alter(images.Recipe(copies=STORES[1:]), image_id, folder)
    (url,) = [
        one["url"]
        for one in client("get", image_id)["locations"]
        if one["metadata"]["store"] == STORES[1]
    ]
    return url


@pytest.fixture
def elsewhere(tmp_path):
    """The URL of data that is on another HTTP server."""
    (tmp_path / "data").write_bytes(DATA)
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/data"
        server.shutdown()
        thread.join()


@pytest.fixture
def admin(keystone):
    """A service that may do everything, over a Glance that knows who owns its tasks."""
    auth = keystone.session(keystone.auth("admin"))
    service = traced_image.connect(servers=[keystone.glance.url], auth=auth, telemetry=False)
    yield service
    service.close()


def test_an_image_is_copied_to_another_store(admin):
    image = admin.create(None, {"name": "copied", **RAW}, DATA)
    admin.image_import_copy(None, image["id"], STORES[1:])
    stores = _eventually(admin, image, lambda shown: shown["stores"].count(","))["stores"]
    assert sorted(STORES) == sorted(stores.split(","))


def test_data_is_imported_from_the_web(admin, elsewhere):
    image = admin.create(None, {"name": "imported", **RAW})
    admin._client.call(None, 2, "image_import", image["id"], "web-download", uri=elsewhere)
    _eventually(admin, image, _is_active)
    assert b"".join(admin.download(None, image["id"])) == DATA


def test_an_image_is_created_of_data_that_is_elsewhere(admin, elsewhere):
    image = admin.create(None, {"name": "elsewhere", **RAW, "location": elsewhere})
    _eventually(admin, image, _is_active)
    assert b"".join(admin.download(None, image["id"])) == DATA


def test_a_location_is_added_to_the_record(client, elsewhere):
    image = client("create", **RAW)
    client("add_location", image["id"], elsewhere, {"store": "web"})
    assert [elsewhere] == [one["url"] for one in client("get", image["id"])["locations"]]


def _is_active(image):
    return image["status"] == "active"


def _eventually(service, image, condition):
    """Wait until the image is as it should be, and return it as it is then."""
    end = time.monotonic() + LIMIT
    while True:
        shown = service.show(None, image["id"], include_locations=True)
        if condition(shown) or time.monotonic() > end:
            return shown
        time.sleep(0.1)
