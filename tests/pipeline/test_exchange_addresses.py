"""A name with several addresses: they share the time of one attempt."""

import contextlib
import socket

import pytest
from exchange import LONG, OPERATIONS, SOON, within

import traced_image
from traced_image import lab

FAILED = (traced_image.AttemptError, traced_image.GlanceConnectionFailed)


def fill(stack, address, port):
    """Fill the queue of a listener, so that the kernel drops what comes next."""
    for _ in range(8):
        sock = stack.enter_context(socket.socket())
        sock.settimeout(0.02)
        try:
            sock.connect((address, port))
        except TimeoutError:
            return


@pytest.fixture
def black_holes(monkeypatch):
    """Have a name with addresses of this machine that never complete a connection."""
    real = socket.getaddrinfo
    with contextlib.ExitStack() as stack:

        def make(name, port, count=3):
            addresses = [f"127.0.0.{number}" for number in range(101, 101 + count)]
            for address in addresses:
                listener = stack.enter_context(socket.socket())
                listener.bind((address, port))
                listener.listen(0)
                fill(stack, address, port)

            def resolve(host, asked, *args, **options):
                if host not in {name, name.encode()}:
                    return real(host, asked, *args, **options)
                kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
                return [(*kind, (address, int(asked))) for address in addresses]

            monkeypatch.setattr(socket, "getaddrinfo", resolve)

        yield make


@pytest.mark.parametrize("operation", OPERATIONS)
def test_all_addresses_of_a_name_have_one_budget(images, black_holes, operation):
    with lab.GlanceServer(images) as server:
        black_holes("many.test", server.port)
        service = traced_image.connect(
            servers=[f"http://many.test:{server.port}", server.url],
            telemetry=False,
            connect_timeout=SOON,
        )
        with service, within(2 * SOON):
            for _ in range(3):
                image_id = images.add(name="cirros", data=b"0123456789")
                OPERATIONS[operation](service, image_id)


def test_the_deadline_holds_for_all_addresses_of_a_name(black_holes, images):
    with lab.GlanceServer(images) as server:
        black_holes("many.test", server.port, 8)
        service = traced_image.connect(
            servers=[f"http://many.test:{server.port}"],
            telemetry=False,
            connect_timeout=LONG,
            deadline=SOON,
        )
        with service, within(SOON), pytest.raises(FAILED):
            service.detail(None)
