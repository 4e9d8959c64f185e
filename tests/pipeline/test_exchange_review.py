"""TLS within TLS, and what comes of one failure for the request after it."""

import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests
from exchange import LONG, NEW, OPERATIONS, SOON, connect, reasons, within
from loopback import Loopback
from support import together

import traced_image
from traced_image import Server, lab
from traced_image.errors import StreamConsumed
from traced_image.lab import faults
from traced_image.pipeline.http import connection
from traced_image.pipeline.http.connect import Route
from traced_image.pipeline.http.exchange import HTTPExchange
from traced_image.pipeline.http.time_limits import TimeLimits
from traced_image.pipeline.http.transport import Transport, send_prepared

BIG = os.urandom(1 << 20) * 24
"""More than the buffers of two sockets and a relay hold, so that a client has to wait."""


def relay(target):
    """What a TLS proxy does: it ends the outer TLS and passes on what is within it."""

    def talk(server, sock, _number):
        with socket.create_connection(("127.0.0.1", target)) as inner:
            server._sockets.append(inner)
            forth = threading.Thread(target=_pass_on, args=(sock, inner), daemon=True)
            forth.start()
            _pass_on(inner, sock)
            forth.join(LONG)

    return talk


def _pass_on(source, sink):
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sink, socket.SHUT_RDWR)


@pytest.fixture
def secure_proxy(tls, monkeypatch):
    """A proxy to which the connection has TLS, too."""
    with lab.Proxy() as inner, Loopback(relay(int(inner.url.rpartition(":")[2])), tls) as outer:
        monkeypatch.setenv("https_proxy", outer.url)
        yield outer


@pytest.fixture
def server(images, tls):
    with lab.GlanceServer(images, tls=tls) as running:
        yield running


# --- TLS within TLS ----------------------------------------------------------------------------


def test_a_large_upload_goes_through_a_proxy_with_tls(secure_proxy, server, tls):
    with connect(server, tls=tls, num_retries=0) as service:
        image = service.create(None, dict(NEW), data=io.BytesIO(BIG))
    assert image["size"] == len(BIG)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_reply_cut_within_a_proxy_with_tls_is_an_error(
    secure_proxy, server, tls, image_id, operation
):
    server.break_with(
        faults.raw_reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
    )
    with (
        connect(server, tls=tls, num_retries=0) as service,
        pytest.raises(traced_image.TracedImageError),
    ):
        OPERATIONS[operation](service, image_id)


@pytest.mark.parametrize("then", ["stall", "hang", "keep"])
def test_a_refusal_is_seen_while_sending_through_a_proxy_with_tls(secure_proxy, server, tls, then):
    server.break_with(faults.early_answer(413, then).only(method="PUT"))
    with (
        connect(server, tls=tls, num_retries=0, read_timeout=LONG, upload_timeout=LONG) as service,
        within(1),
        pytest.raises(traced_image.AttemptError, match="413"),
    ):
        service.create(None, dict(NEW), data=io.BytesIO(BIG))


def _send_all(nested, data):
    while data:
        data = data[nested.send_part(data, TimeLimits(SOON, SOON)) :]


def test_a_server_that_stops_reading_behind_a_proxy_with_tls():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        nested = connection.OpenConnection(ours, ("", 0), nested=True)
        with within(SOON), pytest.raises(TimeoutError):
            _send_all(nested, memoryview(BIG))


# --- greenthreads ------------------------------------------------------------------------------

UPLOADS = """
import io, sys
import traced_image

cafile, *urls = sys.argv[1:]
for url in urls:
    with traced_image.connect(
        servers=[url], telemetry=False, cafile=cafile, num_retries=0, read_timeout=5
    ) as service:
        meta = {"name": "new", "disk_format": "raw", "container_format": "bare"}
        try:
            print(service.create(None, meta, data=io.BytesIO(bytes(24 << 20)))["size"])
        except traced_image.AttemptError as error:
            print(error.status)
"""
PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_large_uploads_by_greenthreads(images, tls, secrecy, patch):
    command = [sys.executable, "-W", "ignore", "-c", patch + UPLOADS]
    with lab.cluster(2, images=images, tls=secrecy) as (healthy, refusing):
        refusing.break_with(faults.early_answer(409, "hang").only(method="PUT"))
        done = subprocess.run(
            [*command, tls.cafile, healthy.url, refusing.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.stdout.split(), done.returncode) == ([str(24 << 20), "409"], 0), done.stderr


SHOW = """
import sys, time
import traced_image

cafile, url, image_id = sys.argv[1:]
limits = {"connect_timeout": 0.5, "request_timeout": 0.5, "num_retries": 0}
with traced_image.connect(servers=[url], telemetry=False, cafile=cafile, **limits) as service:
    start = time.monotonic()
    try:
        service.show(None, image_id)
    except traced_image.GlanceConnectionFailed as error:
        print(error.reason, time.monotonic() - start < 2)
"""


def drip_after(quick, target):
    """Pass on TLS as it is, and after so many bytes from the server byte by byte."""

    def talk(server, sock, _number):
        with socket.create_connection(("127.0.0.1", target)) as inner:
            server._sockets.append(inner)
            threading.Thread(target=_pass_on, args=(sock, inner), daemon=True).start()
            left = quick
            while data := inner.recv(1 << 16):
                sock.sendall(data[:left])
                for byte in data[left:]:
                    sock.sendall(bytes([byte]))
                    time.sleep(0.01)
                left = max(0, left - len(data))

    return talk


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
@pytest.mark.parametrize(
    ("quick", "reason"),
    [(0, "connect_timeout"), (8000, "read_timeout")],
    ids=["a handshake", "a record"],
)
def test_tls_that_drips_is_late_by_greenthreads_too(images, tls, patch, quick, reason):
    image_id = images.add(name="x" * 15000)
    with (
        lab.GlanceServer(images, tls=tls) as server,
        Loopback(drip_after(quick, server.port)) as slow,
    ):
        url = slow.url.replace("http:", "https:")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", patch + SHOW, tls.cafile, url, image_id],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.stdout.split() == [reason, "True"], done.stderr


def test_tls_that_drips_is_late_through_a_proxy_with_tls_too(secure_proxy, server, tls, image_id):
    with Loopback(drip_after(0, server.port)) as slow:
        url = slow.url.replace("http:", "https:")
        service = traced_image.connect(
            servers=[url], telemetry=False, cafile=tls.cafile, num_retries=0, connect_timeout=SOON
        )
        with within(SOON), pytest.raises(traced_image.GlanceConnectionFailed) as caught:
            service.show(None, image_id)
    assert caught.value.reason == "connect_timeout"


# --- what comes after --------------------------------------------------------------------------


def test_a_request_that_is_sent_again_has_all_of_its_time():
    ours, theirs = socket.socketpair()
    limits = TimeLimits(LONG, LONG, LONG + time.monotonic())
    until = limits.until
    idle = connection.OpenConnection(ours, ("", 0))
    idle.finish()
    theirs.close()
    prepared = requests.Request("GET", "http://glance:9292/").prepare()
    exchange = HTTPExchange(lambda *_: idle, None, limits, "http://glance:9292", "Host: glance")
    with pytest.raises(connection.StaleConnectionError):
        exchange.send(prepared)
    assert limits.until == until


class Idle:
    """A connection that needs no socket."""

    closed = False

    def close(self):
        self.closed = True


class LookedAt(int):
    """The size of a pool that is closed while another thread looks at its size."""

    def __le__(self, other):
        self.transport.close()
        return super().__le__(other)


def make_transport(pool_size):
    return Transport(Route(Server.parse("glance"), None, None), pool_size, send_prepared)


def test_a_connection_that_is_returned_during_close_is_closed():
    size = LookedAt(9)
    size.transport = make_transport(size)
    idle = Idle()
    size.transport._give_back(idle)
    assert idle.closed


@pytest.fixture
def eager():
    """Have Python switch threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_close_and_a_call_may_take_the_same_connections(eager):
    def run(_round):
        transport = make_transport(99)
        for _ in range(50):
            transport._give_back(Idle())
        return together(2, lambda _: transport.close())

    assert {tuple(run(each)) for each in range(100)} == {(None, None)}


def test_a_download_that_was_closed_asks_no_other_server_and_accuses_none(
    images, secrecy, open_service
):
    image_id = images.add(name="big", data=BIG)
    with lab.cluster(2, images=images, tls=secrecy) as servers:
        service = open_service(*servers)
        download = service.download(None, image_id)
        pieces = iter(download)
        next(pieces)
        download.close()
        with pytest.raises(StreamConsumed):
            next(pieces)
        assert reasons(service) == [None, None]
