"""The proxy: its tunnels, the requests that it forwards, and its faults."""

import socket

import pytest

from traced_image import lab
from traced_image.errors import InvalidArgument
from traced_image.lab import faults

LIMIT = 10.0


@pytest.fixture(scope="module")
def tls():
    return lab.TLS.trusted()


@pytest.fixture
def proxy():
    with lab.Proxy() as running:
        yield running


@pytest.fixture
def secure(images, tls):
    with lab.GlanceServer(images, tls=tls) as server:
        yield server


@pytest.fixture
def through(session, proxy, tls):
    """A session that sends all through the proxy."""
    session.proxies = {"http": proxy.url, "https": proxy.url}
    session.verify = tls.cafile
    return session


def tunnel(sock, target):
    sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    return sock.recv(1 << 16)


def test_a_request_with_a_url_is_forwarded(through, server, image_id):
    reply = through.get(f"{server.url}/v2/images/{image_id}/file")
    assert (reply.status_code, reply.content) == (200, b"0123456789")


def test_a_forwarded_request_reaches_the_server_with_its_path(through, server):
    through.get(f"{server.url}/v2/images?limit=1")
    assert server.access_log[-1].path == "/v2/images?limit=1"


def test_a_forwarded_request_has_its_body(through, server, images):
    reply = through.post(f"{server.url}/v2/images", json={"name": "new"})
    assert (reply.status_code, [each.base["name"] for each in images.all()]) == (201, ["new"])


def test_a_forwarded_head_has_its_length(through, server):
    url = f"{server.url}/versions"
    length = len(through.get(url).content)
    assert through.head(url).headers["Content-Length"] == str(length)


def test_a_forwarded_reply_without_a_body_has_none(through, server, image_id):
    reply = through.delete(f"{server.url}/v2/images/{image_id}")
    assert (reply.status_code, reply.content) == (204, b"")


def test_what_is_forwarded_is_logged(through, server, proxy):
    through.get(f"{server.url}/versions")
    access = proxy.access_log[-1]
    assert (access.method, access.path, access.status) == ("GET", f"{server.url}/versions", 200)


@pytest.mark.parametrize("fault", [faults.refuse(), faults.raw_reply(b"rubbish\r\n\r\n")])
def test_a_server_that_fails_behind_the_proxy_is_a_bad_gateway(through, server, fault):
    server.break_with(fault)
    assert through.get(f"{server.url}/versions").status_code == 502


@pytest.mark.parametrize("target", ["/versions", "ftp://127.0.0.1/", "http:///x"])
def test_what_the_proxy_can_not_forward_is_refused(proxy, dial, target):
    sock = dial(proxy)
    sock.sendall(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert sock.recv(12) == b"HTTP/1.1 400"


def test_tls_goes_through_a_tunnel(through, secure, image_id):
    reply = through.get(f"{secure.url}/v2/images/{image_id}/file")
    assert (reply.status_code, reply.content) == (200, b"0123456789")


def test_a_tunnel_is_logged(through, secure, proxy):
    through.get(f"{secure.url}/versions")
    access = proxy.access_log[-1]
    assert (access.method, access.path, access.status) == (
        "CONNECT",
        f"127.0.0.1:{secure.port}",
        200,
    )


@pytest.mark.parametrize("target", ["127.0.0.1:1", "127.0.0.1:x", "127.0.0.1"])
def test_a_tunnel_to_nowhere_is_a_bad_gateway(proxy, dial, target):
    assert tunnel(dial(proxy), target).startswith(b"HTTP/1.1 502")


def test_a_tunnel_ends_with_the_server(proxy, server, dial):
    sock = dial(proxy)
    tunnel(sock, f"127.0.0.1:{server.port}")
    server.break_with(faults.refuse())
    assert sock.recv(1) == b""


def test_a_tunnel_ends_with_the_proxy(server, dial):
    with lab.Proxy() as proxy:
        sock = dial(proxy)
        tunnel(sock, f"127.0.0.1:{server.port}")
    assert sock.recv(1) == b""


@pytest.mark.parametrize("code", [400, 403, 407, 502, 503, 504])
def test_a_tunnel_can_be_refused_with_any_status(proxy, secure, dial, code):
    proxy.break_with(faults.status(code))
    answer = tunnel(dial(proxy), f"127.0.0.1:{secure.port}")
    assert (answer[:12], secure.connections) == (b"HTTP/1.1 %d" % code, 0)


def test_the_answer_to_a_connect_can_drip(proxy, dial):
    proxy.break_with(faults.slow_headers(60))
    assert tunnel(dial(proxy), "127.0.0.1:1") == b"H"


def test_the_answer_to_a_connect_may_never_come(proxy, dial):
    proxy.break_with(faults.never_answer())
    sock = dial(proxy)
    sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        tunnel(sock, "127.0.0.1:1")


def test_a_proxy_can_refuse_connections(proxy):
    proxy.break_with(faults.refuse())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((proxy.host, proxy.port), timeout=LIMIT)


def test_a_fault_of_a_proxy_can_be_for_tunnels_only(through, proxy, server):
    proxy.break_with(faults.status(503).only(method="CONNECT"))
    assert through.get(f"{server.url}/versions").status_code == 200


def test_a_proxy_heals(through, proxy, server):
    proxy.break_with(faults.status(503))
    proxy.heal()
    assert through.get(f"{server.url}/versions").status_code == 200


@pytest.mark.parametrize("fault", [faults.corrupt_data(), faults.broken_tls()])
def test_a_fault_of_images_or_of_tls_is_none_of_a_proxys(proxy, fault):
    with pytest.raises(InvalidArgument, match="A proxy can't have the fault"):
        proxy.break_with(fault)
