"""Images, certificates, and what a test opens and has to close."""

import contextlib

import pytest
from exchange import connect
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


@pytest.fixture(params=["http", "https"])
def secrecy(request, tls):
    """The certificates of the servers of a test, which runs once with them and once without."""
    return tls if request.param == "https" else None


@pytest.fixture
def open_service(secrecy):
    """Connect to servers, without telemetry and without waits between two attempts."""
    with contextlib.ExitStack() as stack:
        yield lambda *servers, **fields: stack.enter_context(
            connect(*servers, tls=secrecy, **fields)
        )


def pytest_collection_modifyitems(items):
    """Leave most combinations of hostile servers to the run of all tests.

    The quick run has each value of each parameter once: each operation, each fault, http and TLS.
    """
    seen = set()
    for item in items:
        if not item.path.name.startswith("test_exchange_") or not hasattr(item, "callspec"):
            continue
        place = item.path.name, item.originalname
        values = {(*place, *pair) for pair in enumerate(item.callspec.id.split("-"))}
        if values <= seen:
            item.add_marker(pytest.mark.slow)
        seen |= values
