"""References to images: an id alone, or a URL, whose server must be a configured one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traced_image import Server, _connect, connect, get_remote_image_service, lab
from traced_image.errors import InvalidImageID, InvalidImageRef
from traced_image.pipeline.image_ref import find_image_ref, parse_image_ref

IMAGE_ID = "8f3c1a52-0000-4000-8000-000000000001"


@pytest.fixture
def configured(monkeypatch):
    """Set the servers of the process's service."""
    _connect._default.clear()
    yield lambda servers: monkeypatch.setenv("TRACED_IMAGE_SERVERS", servers)
    _connect._default.clear()


@pytest.mark.parametrize(
    ("href", "image_id", "server"),
    [
        (f"http://glance-1:9292/v2/images/{IMAGE_ID}", IMAGE_ID, "glance-1:9292"),
        (f"http://glance-1:9292/v1/images/{IMAGE_ID}", IMAGE_ID, "glance-1:9292"),
        (f"http://glance-1:9292/images/{IMAGE_ID}", IMAGE_ID, "glance-1:9292"),
        (f"http://glance-1:9292/image/v2/images/{IMAGE_ID}", IMAGE_ID, "glance-1:9292/image"),
        (f"https://glance/v2/images/{IMAGE_ID}", IMAGE_ID, "https://glance:443"),
        (f"http://[fd00::3]:9292/v2/images/{IMAGE_ID}", IMAGE_ID, "[fd00::3]:9292"),
        ("http://glance-1:9292/images/v2/images/a%20b", "a b", "glance-1:9292/images"),
    ],
)
def test_a_url_is_an_id_and_a_server(href, image_id, server):
    assert (image_id, Server.parse(server)) == parse_image_ref(href)


@pytest.mark.parametrize(
    "href",
    [
        "",
        "/",
        f"/v2/images/{IMAGE_ID}",
        f"//glance-1:9292/v2/images/{IMAGE_ID}",
        f"glance-1:9292/v2/images/{IMAGE_ID}",
        f"ftp://glance-1:9292/v2/images/{IMAGE_ID}",
        f"http://glance-1:port/v2/images/{IMAGE_ID}",
        f"http://admin:s3cret@glance-1:9292/v2/images/{IMAGE_ID}",
        f"http:///v2/images/{IMAGE_ID}",
        "http://glance-1:9292/v2/images/",
        "http://glance-1:9292/v2/images",
        f"http://glance-1:9292/v2/images/{IMAGE_ID}/file",
        f"http://glance-1:9292/v2/images/{IMAGE_ID}?a=s3cret",
        f"http://glance-1:9292/v2/images/{IMAGE_ID}%2F..%2Fx",
        f"http://glance-1:9292/v2/tasks/{IMAGE_ID}",
    ],
)
def test_another_url_is_refused_and_not_shown(href):
    with pytest.raises(InvalidImageRef, match=r"\(not shown\).*/v2/images/ID") as caught:
        parse_image_ref(href)
    assert "s3cret" not in str(caught.value)


@given(st.text())
def test_any_text_is_read_or_refused(href):
    try:
        image_id, server = parse_image_ref(href)
    except InvalidImageRef:
        return
    assert (image_id, server) == parse_image_ref(f"{server}/v2/images/{image_id}")


def test_an_id_of_a_configured_server_is_found():
    servers = [Server.parse("glance-1"), Server.parse("https://glance/image")]
    assert "x" == find_image_ref("https://glance/image/v2/images/x", servers)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://elsewhere.example:9292",
        "http://glance-1:9293",
        "https://glance-1:9292",
        "http://glance-1",
        "http://glance-1:9292/image",
    ],
)
def test_another_server_is_refused_by_name(endpoint):
    named = str(Server.parse(endpoint))
    with pytest.raises(InvalidImageRef, match=f"names {named}, which is not a configured server"):
        find_image_ref(f"{endpoint}/v2/images/x", [Server.parse("glance-1")])


def test_an_id_alone_is_an_image_of_the_process_s_service(configured):
    configured("glance-1")
    service, image_id = get_remote_image_service(None, IMAGE_ID)
    assert (_connect.get_default_image_service(), IMAGE_ID) == (service, image_id)


def test_a_url_of_a_configured_server_leads_to_its_image(configured, server, image_id):
    configured(server.url)
    service, found = get_remote_image_service(None, f"{server.url}/v2/images/{image_id}")
    assert "cirros" == service.show(None, found)["name"]


def test_a_url_of_another_server_sends_it_nothing(configured, server, image_id):
    configured(server.url)
    with lab.GlanceServer() as other, pytest.raises(InvalidImageRef):
        get_remote_image_service(None, f"{other.url}/v2/images/{image_id}")
    assert [] == list(other.access_log)


def test_show_refuses_a_url_before_any_request(server, image_id):
    with connect(servers=[server.url], telemetry=False) as service, pytest.raises(InvalidImageID):
        service.show(None, f"{server.url}/v2/images/{image_id}")
    assert [] == list(server.access_log)
