"""The pages of nginx and HAProxy, as nginx 1.22.1 and HAProxy 2.6.12 sent them."""

import re

import pytest

from traced_image import lab
from traced_image.lab import faults

NGINX_502 = (
    b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\nDate: *\r\nContent-Type: text/html\r\n"
    b"Content-Length: 157\r\nConnection: keep-alive\r\n\r\n"
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n"
    b"</body>\r\n</html>\r\n"
)
NGINX_401 = (
    b"HTTP/1.1 401 Unauthorized\r\nServer: nginx/1.22.1\r\nDate: *\r\nContent-Type: text/html\r\n"
    b"Content-Length: 179\r\nConnection: keep-alive\r\n\r\n"
    b"<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n"
    b"<center><h1>401 Authorization Required</h1></center>\r\n"
    b"<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
)
NGINX_504 = NGINX_502.replace(b"502 Bad Gateway", b"504 Gateway Time-out").replace(b"157", b"167")
NGINX_500 = (
    NGINX_502.replace(b"502 Bad Gateway", b"500 Internal Server Error")
    .replace(b"157", b"177")
    .replace(b"keep-alive", b"close")
)
HAPROXY_503 = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\ncache-control: no-cache\r\n"
    b"content-type: text/html\r\n\r\n"
    b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this "
    b"request.\n</body></html>\n"
)
HAPROXY_504 = (
    b"HTTP/1.1 504 Gateway Time-out\r\ncontent-length: 92\r\ncache-control: no-cache\r\n"
    b"content-type: text/html\r\n\r\n"
    b"<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n"
    b"</body></html>\n"
)
HAPROXY_400 = (
    b"HTTP/1.1 400 Bad request\r\ncontent-length: 90\r\ncache-control: no-cache\r\n"
    b"content-type: text/html\r\nconnection: close\r\n\r\n"
    b"<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n"
    b"</body></html>\n"
)


def ask(sock, size, method=b"GET"):
    sock.sendall(method + b" /v2/images HTTP/1.1\r\nAccept: application/json\r\n\r\n")
    data = b""
    while len(data) < size:
        piece = sock.recv(1 << 16)
        if not piece:
            break
        data += piece
    return re.sub(rb"Date: [^\r]+", b"Date: *", data)


@pytest.mark.parametrize(
    ("fault", "reply"),
    [
        (faults.nginx_error(), NGINX_502),
        (faults.nginx_error(504), NGINX_504),
        (faults.nginx_error(500), NGINX_500),
        (faults.nginx_error(401), NGINX_401),
        (faults.haproxy_error(), HAPROXY_503),
        (faults.haproxy_error(504), HAPROXY_504),
        (faults.haproxy_error(400), HAPROXY_400),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_page_is_that_of_the_real_proxy(server, dial, fault, reply):
    server.break_with(fault)
    assert reply == ask(dial(server), len(reply))


@pytest.mark.parametrize("fault", [faults.nginx_error(), faults.haproxy_error()])
def test_a_head_request_gets_the_headers_only(server, dial, fault):
    server.break_with(fault)
    assert ask(dial(server), 100, b"HEAD").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("fault", "kept"),
    [
        (faults.nginx_error(502), True),
        (faults.nginx_error(500), False),
        (faults.haproxy_error(503), True),
        (faults.haproxy_error(400), False),
    ],
)
def test_a_connection_is_kept_as_by_the_real_proxy(server, dial, fault, kept):
    server.break_with(fault.times(1))
    sock = dial(server)
    ask(sock, 120)
    sock.settimeout(1)
    try:
        second = ask(sock, 1)
    except ConnectionError:
        second = b""
    assert kept == second.startswith(b"HTTP/1.1 200")


def test_no_request_reaches_the_glance_behind_the_proxy(server, session, images, image_id):
    server.break_with(faults.nginx_error(502))
    session.delete(f"{server.url}/v2/images/{image_id}")
    assert images.get(image_id) is not None


def test_a_page_can_come_late_and_be_cut(server, dial):
    server.break_with(faults.delay(0.001) | faults.nginx_error(504) | faults.cut_body(6))
    assert ask(dial(server), 10_000).endswith(b"\r\n\r\n<html>")


def test_a_page_can_come_in_chunks(server, session):
    server.break_with(faults.haproxy_error() | faults.chunked(10))
    response = session.get(f"{server.url}/v2/images")
    assert (True, False) == (len(response.text) == 107, "Content-Length" in response.headers)


def test_a_proxy_can_send_them_too():
    with lab.Proxy() as proxy:
        proxy.break_with(faults.delay(0.001) | faults.haproxy_error())
        assert proxy.episode.fault.name == "delay|haproxy_error"


def test_a_status_without_a_name_has_a_page_of_nginx(server, session):
    server.break_with(faults.nginx_error(599))
    assert "599 Unknown" in session.get(f"{server.url}/v2/images").text
