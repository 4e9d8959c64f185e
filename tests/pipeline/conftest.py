"""Images, certificates, and what a test opens and has to close."""

import pytest
from loopback import Opened

from traced_image import lab


@pytest.fixture
def images():
    return lab.Images()


@pytest.fixture
def image_id(images):
    return images.add(name="cirros", data=b"0123456789")


@pytest.fixture
def server(images):
    with lab.GlanceServer(images) as running:
        yield running


@pytest.fixture
def three(images):
    with lab.cluster(3, images=images) as servers:
        yield servers


@pytest.fixture(scope="session")
def tls():
    return lab.TLS.trusted()


@pytest.fixture
def opened():
    """Open senders and services, to be closed with the test."""
    things = Opened()
    yield things
    things.close()
