"""What real servers' refusals become: the errors that nova raises, or types of their own."""

import os

import pytest
from parts.glance import PROPERTY_QUOTA, SIZE_CAP
from parts.nova import NovaRaisedError

import traced_image
from traced_image import errors

RAW = {"disk_format": "raw", "container_format": "bare"}
NOBODYS = "00000000-0000-4000-8000-000000000000"
TOO_MANY = {f"property {number}": "" for number in range(PROPERTY_QUOTA + 1)}
ASTRAL = "a character of four bytes: \U0001f5bc"
PROTECTED = "every field"


@pytest.fixture
def reader(keystone):
    """A service that may look at the project's images and no more."""
    auth = keystone.session(keystone.auth("reader"))
    service = traced_image.connect(servers=[keystone.glance.url], auth=auth, telemetry=False)
    yield service
    service.close()


@pytest.fixture
def anonymous(keystone):
    """A service under Keystone that has no token."""
    servers = [keystone.glance.url]
    service = traced_image.connect(
        servers=servers, auth_strategy="keystone", num_retries=0, telemetry=False
    )
    yield service
    service.close()


@pytest.fixture(scope="module")
def active_id(service):
    """An image that has its data."""
    return service.create(None, RAW, b"data")["id"]


CASES = {
    "400 create": ("create", [{"name": ASTRAL}], "Invalid"),
    "400 update": ("update", ["bare", {"name": ASTRAL}], "ImageBadRequest"),
    "403 delete": ("delete", [PROTECTED], "ImageNotAuthorized"),
    "403 create": ("create", [{"properties": {"location2": "", "deleted": ""}}], "Forbidden"),
    "404 show": ("show", [NOBODYS], "ImageNotFound"),
    "404 show of an odd id": ("show", ["no/such ?id"], "ImageNotFound"),
    "404 update": ("update", [NOBODYS, {}], "ImageNotFound"),
    "404 delete": ("delete", [NOBODYS], "ImageNotFound"),
    "413 update": ("update", ["bare", {"properties": TOO_MANY}], "ImageQuotaExceeded"),
}


@pytest.mark.parametrize(("method", "args", "kind"), CASES.values(), ids=CASES)
def test_the_error_is_the_one_that_nova_raises(method, args, kind, service, nova, urls, image_ids):
    args = [image_ids.get(arg, arg) if isinstance(arg, str) else arg for arg in args]
    with pytest.raises(NovaRaisedError) as novas:
        nova.call(urls, method, *args)
    with pytest.raises(errors.TracedImageError) as ours:
        getattr(service, method)(None, *args)
    assert [kind, kind] == [novas.value.kind.rpartition(".")[2], type(ours.value).__name__]


def test_401_for_an_image(anonymous):
    with pytest.raises(errors.ImageNotAuthorized):
        anonymous.show(None, NOBODYS)


def test_401_for_a_list(anonymous):
    with pytest.raises(errors.Unauthorized):
        anonymous.detail(None)


def test_403_for_a_creation(reader):
    with pytest.raises(errors.Forbidden):
        reader.create(None, {"name": "not mine to make"})


def test_404_for_a_download(service):
    with pytest.raises(errors.ImageNotFound):
        service.download(None, NOBODYS)


def test_409_for_an_id_that_is_taken(service, active_id):
    with pytest.raises(errors.Conflict):
        service.create(None, {"id": active_id})


def test_409_for_data_that_is_there_already(service, active_id):
    with pytest.raises(errors.Conflict):
        service.update(None, active_id, {}, b"other data")


def test_409_for_an_import_of_no_data(project_service):
    image = project_service.create(None, RAW)
    with pytest.raises(errors.ImageImportImpossible):
        project_service.image_import_copy(None, image["id"], ["slow"])


def test_413_for_data_beyond_the_cap(service):
    image = service.create(None, RAW)
    with pytest.raises(errors.ImageQuotaExceeded):
        service.update(None, image["id"], {}, os.urandom(SIZE_CAP + 1))


def test_413_for_a_creation_with_too_many_properties(service):
    with pytest.raises(errors.OverLimit):
        service.create(None, {"properties": TOO_MANY})


def test_a_refusal_is_tried_once(service):
    with pytest.raises(errors.ImageNotFound) as raised:
        service.show(None, NOBODYS)
    assert len(raised.value.attempts) == 1


def test_a_refusal_has_the_servers_request_id(service):
    with pytest.raises(errors.ImageNotFound) as raised:
        service.show(None, NOBODYS)
    assert raised.value.request_id.startswith("req-")
