"""The bytes of the faults of replies: their framing, their size, and what comes beside them."""

import json
import re
import ssl
import threading

import pytest

from traced_image import lab
from traced_image.lab import faults

LIMIT = 10.0
GET = b"GET /v2/images HTTP/1.1\r\n\r\n"
NEXT = b"GET /versions HTTP/1.1\r\n\r\n"


@pytest.fixture(scope="module")
def tls():
    return lab.TLS.trusted()


def read_until(sock, end):
    data = b""
    while end not in data:
        piece = sock.recv(1 << 16)
        assert piece, f"the server closed after {data!r}"
        data += piece
    return data


def read_all(sock):
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
    return data


def ask(sock, request=GET):
    """Send one request on a connection that closes after it, and return all that comes."""
    sock.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    return read_all(sock)


def get_data(image_id):
    return f"GET /v2/images/{image_id}/file HTTP/1.1\r\n\r\n".encode()


def body_of(data):
    return data.partition(b"\r\n\r\n")[2]


# --- raw ---------------------------------------------------------------------------------------


def test_a_raw_reply_is_these_bytes_and_the_end(server, dial):
    server.break_with(faults.raw_reply(b"anything"))
    sock = dial(server)
    sock.sendall(GET)
    assert read_all(sock) == b"anything"


def test_a_raw_reply_may_leave_the_connection_open(server, dial):
    server.break_with(faults.raw_reply(b"<1>", close=False))
    sock = dial(server)
    sock.sendall(GET + GET)
    assert read_until(sock, b"<1><1>") == b"<1><1>"


@pytest.mark.parametrize(
    ("data", "status"), [(b"HTTP/1.1 418 I\r\n\r\n", 418), (b"HTTP/2 418\r\n", None)]
)
def test_a_raw_reply_is_logged_with_the_status_that_it_has(server, dial, data, status):
    server.break_with(faults.raw_reply(data))
    ask(dial(server))
    assert status == server.access_log[-1].status


@pytest.mark.parametrize(
    ("fault", "kept"),
    [(faults.raw_reply(b"x"), True), (faults.raw_reply(b"x").after_effect(), False)],
)
def test_a_raw_reply_carries_a_request_out_if_it_should(
    server, dial, images, image_id, fault, kept
):
    server.break_with(fault)
    ask(dial(server), f"DELETE /v2/images/{image_id} HTTP/1.1\r\n\r\n".encode())
    assert kept == (images.get(image_id) is not None)


# --- too many replies --------------------------------------------------------------------------


def test_an_extra_reply_comes_after_the_real_one(server, dial, image_id):
    server.break_with(faults.extra_reply())
    data = ask(dial(server), get_data(image_id))
    assert body_of(data).startswith(b"0123456789HTTP/1.1 200 OK\r\n")


def test_an_extra_reply_is_about_another_image_and_another_request(server, dial, image_id):
    server.break_with(faults.extra_reply())
    data = ask(dial(server), f"GET /v2/images/{image_id} HTTP/1.1\r\n\r\n".encode())
    ids = re.findall(rb"X-Openstack-Request-Id: (\S+)", data)
    images = re.findall(rb'"id": "([^"]+)"', data)
    assert (2, 2) == (len(set(ids)), len(set(images)))


@pytest.mark.parametrize("code", [204, 304, 404])
def test_an_extra_reply_can_follow_any_status(server, dial, code):
    server.break_with(faults.extra_reply(code))
    data = ask(dial(server))
    assert [str(code).encode(), b"200"] == re.findall(rb"HTTP/1.1 (\d+)", data)


@pytest.mark.parametrize("code", [None, 204, 404])
def test_the_first_of_two_replies_can_fill_what_a_client_reads_at_once(server, dial, code):
    server.break_with(faults.extra_reply(code, fill=8192))
    data = ask(dial(server))
    assert data.index(b"HTTP/1.1 200 OK", 10) == 8192


def test_both_replies_are_in_one_record_of_tls(images, tls, dial):
    with lab.GlanceServer(images, tls=tls) as server:
        server.break_with(faults.extra_reply(fill=8192))
        context = ssl.create_default_context(cafile=tls.cafile)
        with context.wrap_socket(dial(server), server_hostname="localhost") as sock:
            sock.sendall(GET)
            first = sock.recv(8192)
            assert (len(first), sock.pending() > 200) == (8192, True)


# --- interim replies ---------------------------------------------------------------------------


@pytest.mark.parametrize("code", [100, 102, 103])
def test_interim_replies_come_before_the_final_one(server, dial, code):
    server.break_with(faults.interim_replies(code, 2))
    data = ask(dial(server))
    assert [str(code).encode()] * 2 + [b"200"] == re.findall(rb"HTTP/1.1 (\d+)", data)


def test_an_early_hint_has_a_header_and_a_continue_has_none(server, dial):
    server.break_with(faults.flapping(faults.interim_replies(103), faults.interim_replies(100)))
    links = [b"\r\nLink: " in ask(dial(server)) for _ in range(2)]
    assert links == [True, False]


def test_a_flood_of_interim_replies_ends_with_the_fault(server, dial):
    server.break_with(faults.interim_replies(100, None, interval=0.001))
    sock = dial(server)
    sock.sendall(GET)
    read_until(sock, b"HTTP/1.1 100 Interim\r\n\r\n" * 3)
    server.heal()
    assert b"/v2/schemas/images" in read_until(sock, b'images"}')


# --- errors that take long ---------------------------------------------------------------------


def test_a_slow_error_has_its_headers_at_once_and_no_page(server, dial):
    server.break_with(faults.slow_error(503))
    sock = dial(server)
    sock.sendall(GET)
    head = read_until(sock, b"\r\n\r\n")
    sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        sock.recv(1)
    assert (head[:12], head[-4:]) == (b"HTTP/1.1 503", b"\r\n\r\n")


def test_a_slow_error_ends_with_the_fault(server, dial):
    server.break_with(faults.slow_error(503))
    sock = dial(server)
    sock.sendall(GET)
    read_until(sock, b"\r\n\r\n")
    server.heal()
    assert sock.recv(1) == b""


def test_a_slow_error_frees_its_thread_if_the_client_goes(server, dial):
    server.break_with(faults.slow_error(503))
    threads = threading.active_count()
    with dial(server) as sock:
        sock.sendall(GET)
        read_until(sock, b"\r\n\r\n")
    wait_for(lambda: threading.active_count() <= threads)


def test_a_slow_errors_page_can_drip(server, dial):
    server.break_with(faults.slow_error(500, 60))
    sock = dial(server)
    sock.sendall(GET)
    assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 500")


def test_a_late_reply_is_the_real_one(server, dial, image_id):
    server.break_with(faults.delay(0.01))
    assert body_of(ask(dial(server), get_data(image_id))) == b"0123456789"


def test_a_late_reply_comes_at_the_end_of_the_fault_at_the_latest(server, dial):
    server.break_with(faults.delay(60))
    sock = dial(server)
    sock.sendall(GET)
    wait_for(lambda: server.access_log)
    server.heal()
    assert b"/v2/schemas/images" in read_until(sock, b'images"}')


def wait_for(condition):
    for _ in range(int(LIMIT * 1000)):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("the condition never came")


# --- redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [300, 301, 302, 303, 307, 308])
def test_a_redirect_has_its_status_and_its_location(server, connect, code):
    server.break_with(faults.redirect(code, "http://127.0.0.1:1/x"))
    connection = connect(server)
    connection.request("POST", "/v2/images", b"{}")
    reply = connection.getresponse()
    assert (reply.status, reply.getheader("Location")) == (code, "http://127.0.0.1:1/x")


def test_a_redirect_may_lead_nowhere(server, dial):
    server.break_with(faults.redirect(300, None))
    assert b"Location" not in ask(dial(server))


# --- framing -----------------------------------------------------------------------------------


def test_framing_replaces_the_length_by_other_lines(server, dial, image_id):
    lines = ("Content-Length: {length}, {length}", "Transfer-Encoding: gzip, chunked")
    server.break_with(faults.framing(*lines))
    data = ask(dial(server), get_data(image_id))
    assert (
        re.findall(rb"(?m)^(?:Content-Length|Transfer-Encoding): (.*)\r$", data),
        body_of(data),
    ) == ([b"10, 10", b"gzip, chunked"], b"0123456789")


def test_framing_may_close_the_connection(server, dial, image_id):
    server.break_with(faults.framing("Content-Length: 9999999999999999999", close=True))
    sock = dial(server)
    sock.sendall(get_data(image_id))
    assert body_of(read_all(sock)) == b"0123456789"


def test_framing_keeps_the_connection_otherwise(server, dial, image_id):
    server.break_with(faults.framing("Content-Length: {length}"))
    sock = dial(server)
    sock.sendall(get_data(image_id) * 2)
    assert b"9HTTP/1.1 200 OK" in read_until(sock, b"9HTTP/1.1 200 OK")


def test_chunks_are_understood(server, connect, image_id):
    server.break_with(faults.chunked(3, extension=";a=b", trailers=("X-Sum: 1",)))
    connection = connect(server)
    connection.request("GET", f"/v2/images/{image_id}/file")
    assert connection.getresponse().read() == b"0123456789"


def test_chunks_have_their_extensions_and_trailers(server, dial, image_id):
    server.break_with(faults.chunked(8, extension=";a=b", trailers=("X-Sum: 1", "X-End: 2")))
    assert body_of(ask(dial(server), get_data(image_id))) == (
        b"8;a=b\r\n01234567\r\n2;a=b\r\n89\r\n0\r\nX-Sum: 1\r\nX-End: 2\r\n\r\n"
    )


@pytest.mark.parametrize("fault", [faults.chunked(), faults.bad_chunk()])
def test_a_head_has_no_chunks(server, dial, fault):
    server.break_with(fault)
    assert body_of(ask(dial(server), b"HEAD /v2/images HTTP/1.1\r\n\r\n")) == b""


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (faults.bad_chunk(), b"fffffffffffff\r\n0123456789\r\n0\r\n\r\n"),
        (faults.bad_chunk("-5"), b"-5\r\n0123456789\r\n0\r\n\r\n"),
        (faults.bad_chunk(None, end=b"XX"), b"a\r\n0123456789XX0\r\n\r\n"),
    ],
)
def test_a_bad_chunk_breaks_one_rule(server, dial, image_id, fault, body):
    server.break_with(fault)
    assert body == body_of(ask(dial(server), get_data(image_id)))


# --- no end ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status"), [(faults.unexpected_body(204), 204), (faults.endless_body(404), 404)]
)
def test_an_endless_body_is_logged_with_its_status(server, dial, fault, status):
    server.break_with(fault)
    sock = dial(server)
    sock.sendall(GET)
    sock.recv(1)
    assert status == server.access_log[-1].status


@pytest.mark.parametrize(
    ("fault", "start", "part"),
    [
        (faults.unexpected_body(304), b"HTTP/1.1 304 ", b"\r\n10000\r\nxxxx"),
        (faults.endless_headers(), b"HTTP/1.1 200 ", b"\r\nX-Endless: xxx"),
        (faults.endless_body(), b"HTTP/1.1 200 ", b"\r\n\r\n[{}, {}, {}"),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_what_has_no_end_goes_on_until_the_fault_ends(server, dial, fault, start, part):
    server.break_with(fault)
    sock = dial(server)
    sock.sendall(GET)
    data = b"".join(sock.recv(1 << 16) for _ in range(100))
    assert (data[: len(start)], part in data, len(data) > 100_000) == (start, True, True)


def test_what_has_no_end_ends_with_the_fault(server, dial):
    server.break_with(faults.endless_body(interval=60))
    sock = dial(server)
    sock.sendall(GET)
    sock.recv(1)
    server.heal()
    assert read_all(sock).endswith(b"{}, ")


# --- too much ----------------------------------------------------------------------------------


def test_many_headers_come_with_the_real_reply(server, dial):
    server.break_with(faults.many_headers(300))
    data = ask(dial(server))
    assert (data.count(b"X-Many-"), b"/v2/schemas/images" in data) == (300, True)


def test_each_reply_has_a_new_cookie(server, dial):
    server.break_with(faults.new_cookies())
    names = {re.search(rb"Set-Cookie: (lab-[^=]+)=", ask(dial(server)))[1] for _ in range(3)}
    assert len(names) == 3


def test_a_huge_json_has_at_least_its_size(server, dial):
    server.break_with(faults.huge_json(10_000))
    body = body_of(ask(dial(server)))
    assert (10_000 <= len(body) < 10_100, json.loads(body)["images"][0]) == (True, {})


@pytest.mark.parametrize("path", ["/v2/images", "/v1/images/detail"])
def test_endless_pages_lead_to_another_page_of_other_images(server, session, path):
    server.break_with(faults.endless_pages(500))
    pages, seen = [f"{path}?limit=2"], []
    for _ in range(3):
        page = session.get(server.url + pages[-1]).json()
        pages.append(page["next"])
        seen += [image["id"] for image in page["images"]]
    assert (len(set(pages)), len(set(seen))) == (4, 6)


def test_endless_pages_have_a_size(server, session):
    server.break_with(faults.endless_pages(5000))
    assert len(session.get(f"{server.url}/v2/images").content) > 5000


def test_a_request_in_a_tunnel_of_a_closed_socket_ends(server, dial):
    server.break_with(faults.endless_body(interval=0.001))
    with dial(server) as sock:
        sock.sendall(GET)
        sock.recv(1)
    wait_for(lambda: not any(t.name.startswith("glance-1") for t in threading.enumerate()))
