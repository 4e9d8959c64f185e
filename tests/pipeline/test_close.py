"""What a closed service still does, and what it refuses."""

import pytest
from loopback import Loopback, conversation, reply
from support import in_child

import traced_image
from traced_image import Config, GlanceClientWrapper, ServiceClosed, _connect, lab
from traced_image.errors import ProtocolError

META = {"name": "new", "disk_format": "raw", "container_format": "bare"}

METHODS = {
    "show": lambda service, image_id: service.show(None, image_id),
    "detail": lambda service, _image_id: service.detail(None),
    "create": lambda service, _image_id: service.create(None, META),
    "update": lambda service, image_id: service.update(None, image_id, META),
    "delete": lambda service, image_id: service.delete(None, image_id),
    "download": lambda service, image_id: service.download(None, image_id),
    "get_location": lambda service, image_id: service.get_location(None, image_id),
}


@pytest.fixture
def service(opened, server):
    return opened.service(server)


@pytest.fixture
def environment(monkeypatch, server):
    monkeypatch.setenv("TRACED_IMAGE_SERVERS", server.url)
    _connect._default.clear()
    yield
    traced_image.get_default_image_service().close()
    _connect._default.clear()


@pytest.mark.parametrize("method", METHODS)
def test_a_closed_service_refuses_every_method(service, server, image_id, method):
    service.close()
    with pytest.raises(ServiceClosed, match=r"nothing was sent: build another one by connect\(\)"):
        METHODS[method](service, image_id)
    assert () == server.access_log


def test_a_closed_service_accuses_nobody(opened, three, image_id):
    service = opened.service(*three)
    service.close()
    with pytest.raises(ServiceClosed):
        service.show(None, image_id)
    told = [(health.state, health.active_attempts) for health in service.servers()]
    assert [("healthy", 0)] * 3 == told


def test_a_service_may_be_closed_twice(service):
    service.close()
    service.close()
    assert service.closed


def test_a_service_is_open_at_first(service):
    assert not service.closed


def test_a_service_is_closed_with_its_block(service, image_id):
    with service as entered:
        entered.show(None, image_id)
    with pytest.raises(ServiceClosed):
        service.show(None, image_id)


def test_a_client_is_closed_with_its_block(server, image_id):
    with GlanceClientWrapper(Config(servers=[server.url])) as client:
        client.call(None, 2, "get", image_id)
    with pytest.raises(ServiceClosed):
        client.call(None, 2, "get", image_id)


def test_a_creation_under_way_makes_all_its_requests(service, images):
    """The service is closed between its requests, while the data is read."""

    def closing():
        service.close()
        yield b"data"

    image = service.create(None, META, closing())
    assert ("active", b"data") == (image["status"], images.get(image["id"]).data)


def test_an_update_under_way_makes_all_its_requests(opened, server, images):
    image_id = images.add(disk_format="raw", container_format="bare", old="x")
    service = opened.service(server)

    class Closing(dict):
        """Metadata that closes the service when it is read."""

        def items(self):
            service.close()
            return super().items()

    image = service.update(None, image_id, Closing(name="new"), b"data")
    assert ("new", {}, "active") == (image["name"], image["properties"], image["status"])


def test_a_download_that_is_open_goes_on(service, image_id):
    download = service.download(None, image_id)
    service.close()
    assert b"0123456789" == b"".join(download)


def test_a_download_that_breaks_after_that_is_not_continued(opened, three, image_id):
    three[0].break_with(lab.faults.cut_body().only(path="/file$"))
    service = opened.service(*three)
    download = service.download(None, image_id)
    service.close()
    with pytest.raises(ProtocolError) as caught:
        b"".join(download)
    assert isinstance(caught.value.__cause__, ServiceClosed)


def test_a_download_that_breaks_after_that_is_not_logged_as_retried(
    opened, server, image_id, caplog
):
    server.break_with(lab.faults.cut_body().only(path="/file$"))
    service = opened.service(server)
    download = service.download(None, image_id)
    service.close()
    with pytest.raises(ProtocolError):
        b"".join(download)
    line = f"Error contacting glance server '127.0.0.1:{server.port}' for 'data', done trying."
    assert [f"{line} Reason: protocol_error."] == caplog.messages


def test_a_call_under_way_is_retried(opened, server, image_id):
    made = []

    def closing(sock):
        made[0].close()
        sock.sendall(reply(503))

    with Loopback(conversation(closing)) as first:
        made.append(opened.service(first, server))
        assert image_id == made[0].show(None, image_id)["id"]


def test_a_child_of_a_closed_service_has_a_closed_one(service, image_id):
    service.close()

    def refused():
        try:
            service.show(None, image_id)
        except ServiceClosed:
            return True

    assert in_child(refused)


def test_a_default_service_that_was_closed_is_replaced(environment, image_id):
    old = traced_image.get_default_image_service()
    old.close()
    new = traced_image.get_default_image_service()
    assert (True, image_id) == (old is not new, new.show(None, image_id)["id"])


def test_a_default_service_that_was_replaced_is_the_one_of_all(environment):
    traced_image.get_default_image_service().close()
    assert traced_image.get_default_image_service() is traced_image.get_default_image_service()
