"""Errors of the lab itself: each is a 500 with a line in both logs, and splits no header."""

import contextlib
import math
import re
import socket

import pytest

from traced_image import lab
from traced_image.errors import InvalidArgument
from traced_image.lab import faults

LIMIT = 10.0


def read_all(sock):
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
    return data


@pytest.fixture
def failing(server, monkeypatch):
    """A server whose application raises."""

    def fail(self, request):
        raise ZeroDivisionError("a defect of the lab")

    monkeypatch.setattr(type(server.app), "answer", fail)
    return server


def test_a_defect_of_the_lab_is_a_500(failing, session):
    assert session.get(f"{failing.url}/v2/images").status_code == 500


def test_a_defect_of_the_lab_is_in_the_log_of_the_process(failing, session, caplog):
    session.get(f"{failing.url}/v2/images")
    (record,) = caplog.records
    said = "GET /v2/images: the lab failed, and answers 500"
    traceback = record.exc_text.splitlines()
    assert (said, "ZeroDivisionError: a defect of the lab") == (record.getMessage(), traceback[-1])


def test_a_defect_of_the_lab_is_in_the_access_log(failing, session):
    session.get(f"{failing.url}/v2/images")
    (access,) = failing.access_log
    expected = (500, None, "ZeroDivisionError: a defect of the lab")
    assert expected == (access.status, access.fault, access.error)


def test_a_secret_in_a_defect_is_in_no_log(server, session, monkeypatch, caplog):
    def fail(self, request):
        raise ZeroDivisionError("password: hunter2")

    monkeypatch.setattr(type(server.app), "answer", fail)
    session.get(f"{server.url}/v2/images")
    assert "hunter2" not in f"{caplog.text} {server.access_log}"


def test_the_connection_goes_on_after_a_defect(failing, connect):
    connection = connect(failing)
    found = []
    for _ in range(2):
        connection.request("GET", "/v2/images")
        response = connection.getresponse()
        response.read()
        found.append(response.status)
    assert [500, 500] == found


def test_a_request_id_with_a_control_character_splits_no_header(images, dial, caplog):
    with lab.GlanceServer(images, tokens={"t"}) as server:
        sock = dial(server)
        sock.sendall(
            b"GET /v2/images HTTP/1.1\r\nX-Auth-Token: t\r\nConnection: close\r\n"
            b"X-Openstack-Request-Id: a\rX-Split: 1\r\n\r\n"
        )
        head = read_all(sock).partition(b"\r\n\r\n")[0]
    assert (b"500", False) == (head[9:12], b"X-Split" in head)


def test_an_image_id_with_a_newline_splits_no_header(server, dial, images):
    images.add(id="a\nb", name="cirros")
    sock = dial(server)
    sock.sendall(b"GET /v1/images/a%0Ab HTTP/1.1\r\nConnection: close\r\n\r\n")
    head = read_all(sock).partition(b"\r\n\r\n")[0]
    assert [] == [line for line in head.split(b"\r\n") if b"\n" in line]


def test_a_defect_while_a_reply_is_sent_closes_the_connection_with_a_line(
    server, dial, monkeypatch, caplog
):
    def fail(self, met):
        raise ZeroDivisionError

    monkeypatch.setattr("traced_image.lab.fault_delivery.Delivery.deliver", fail)
    sock = dial(server)
    sock.sendall(b"GET /v2/images HTTP/1.1\r\n\r\n")
    assert (b"", 1) == (read_all(sock), len(caplog.records))


def test_a_port_is_kept_when_a_server_is_started_again(images):
    server = lab.GlanceServer(images)
    with server:
        port = server.port
    with server:
        assert port == server.port


def test_a_port_can_be_chosen(images):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with lab.GlanceServer(images, port=port) as server:
        assert port == server.port


def test_a_port_that_another_has_is_refused(server, images):
    with pytest.raises(OSError, match="in use"):
        lab.GlanceServer(images, port=server.port).start()


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (
            OSError(24, "Too many open files"),
            ["glance-accept: can't accept a connection: [Errno 24] Too many open files"],
        ),
        (ConnectionAbortedError(), []),
    ],
)
def test_a_server_that_can_not_accept_says_so(server, monkeypatch, caplog, session, error, lines):
    failures = iter([error])
    accept = socket.socket.accept

    def fail_once(sock):
        for each in failures:
            raise each
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", fail_once)
    assert session.get(f"{server.url}/healthcheck").status_code == 200
    assert lines == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lab.GlanceServer(tokens="secret"), "each letter would be a token"),
        (lambda: lab.GlanceServer(prefix="image"), "prefix=.* Write prefix="),
        (lambda: lab.GlanceServer(prefix="/image/"), "prefix=.* Write prefix="),
        (lambda: lab.Images().add(tags="abc"), "is one string. Write tags="),
        (lambda: lab.Images(import_time="x"), r"import_time\('x'\): give seconds from 0"),
        (lambda: setattr(lab.Images(), "import_time", -1), r"import_time\(-1\): give seconds"),
    ],
)
def test_a_wrong_argument_is_refused(make, said):
    with pytest.raises(InvalidArgument, match=said) as caught:
        make()
    assert "secret" not in str(caught.value)


# --- the access log ----------------------------------------------------------------------------


def test_an_entry_has_the_headers_but_no_secret(server, session):
    session.get(
        f"{server.url}/v2/images?limit=1&limit=2",
        headers={"X-Auth-Token": "s1", "Cookie": "s2", "Authorization": "s3", "X-Tenant": "me"},
    )
    (access,) = server.access_log
    asked = ("x-auth-token", "cookie", "authorization", "x-tenant")
    assert ["REDACTED", "REDACTED", "REDACTED", "me"] == [access.headers[name] for name in asked]
    assert (("limit", "1"), ("limit", "2")) == access.query


def test_an_entry_can_be_in_a_set(server, session):
    session.get(f"{server.url}/v2/images")
    assert 1 == len({*server.access_log, *server.access_log})


def test_an_entry_prints_in_one_line(server, session):
    server.break_with(faults.status(503))
    session.put(f"{server.url}/v2/images/x/file?a=b", data=b"12345")
    line = r"PUT /v2/images/x/file\?a=b \(5 bytes\) from 127.0.0.1:\d+ -> 503, fault status"
    assert re.fullmatch(line, str(server.access_log[0]))


def test_a_line_has_the_beginning_of_a_long_path(server, session):
    session.get(f"{server.url}/{'x' * 1000}")
    assert f"/{'x' * 199}... from" in str(server.access_log[0])


def test_the_entry_of_a_connection_prints_in_one_line(server, dial):
    server.break_with(faults.reset())
    with contextlib.suppress(ConnectionResetError):
        dial(server)
    (access,) = server.wait_for(fault="reset")
    assert re.fullmatch(r"connection from 127.0.0.1:\d+ -> no reply, fault reset", str(access))


def test_requests_are_found_by_what_is_given(server, session):
    for path in ("/v2/images", "/v2/images/x", "/v2/images?limit=1"):
        session.get(f"{server.url}{path}")
    session.delete(f"{server.url}/v2/images/x")
    found = [
        len(server.find_requests()),
        len(server.find_requests(method="get")),
        len(server.find_requests(path=r"/x$")),
        len(server.find_requests(path="limit=1")),
        len(server.find_requests(status=404)),
        len(server.find_requests(method="GET", status=404)),
        len(server.find_requests(fault="status")),
    ]
    assert [4, 3, 2, 1, 2, 1, 0] == found


def test_what_is_waited_for_is_returned(server, session):
    session.get(f"{server.url}/v2/images")
    assert server.access_log == server.wait_for(1, method="GET")


def test_what_does_not_come_is_explained_by_what_came(server, session):
    session.get(f"{server.url}/v2/images")
    with pytest.raises(AssertionError) as caught:
        server.wait_for(2, timeout=0.01, path="images")
    first, second, entry = str(caught.value).splitlines()
    assert "Expected 2 of any method images within 0.01 s, and 1 came." == first
    assert "The access log has 1:" == second
    assert re.fullmatch(r"\* 1\. GET /v2/images from 127.0.0.1:\d+ -> 200", entry)


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ("wait_for", {"timeout": math.inf}),
        ("wait_for", {"timeout": -1}),
        ("wait_for", {"timeout": None}),
        ("assert_not_called", {"status": "503"}),
        ("find_requests", {"fault": 503}),
    ],
    ids=str,
)
def test_what_no_request_can_match_is_refused(server, call, given):
    with pytest.raises(InvalidArgument, match=r"\(.*\): give"):
        getattr(server, call)(**given)


def test_an_empty_log_is_said_to_be_empty(server):
    with pytest.raises(AssertionError, match=r"and 0 came\. The access log is empty\."):
        server.assert_called()


def test_a_long_log_is_cut_to_its_end(server, connect):
    connection = connect(server)
    for number in range(33):
        connection.request("GET", f"/healthcheck?{number}")
        connection.getresponse().read()
    with pytest.raises(AssertionError) as caught:
        server.assert_called(method="PUT", status=201, fault="status")
    lines = str(caught.value).splitlines()
    first = "Expected at least 1 of PUT any path, status 201, fault status, and 0 came."
    assert (first, 32, "  4. GET /healthcheck?3 ") == (lines[0], len(lines), lines[2][:24])


@pytest.mark.parametrize("times", [None, 1])
def test_what_came_is_asserted(server, session, times):
    session.get(f"{server.url}/v2/images")
    server.assert_called(times=times, method="GET", path="^/v2/images$", status=200)


def test_too_many_are_not_what_is_asserted(server, session):
    for _ in range(2):
        session.get(f"{server.url}/v2/images")
    with pytest.raises(AssertionError, match="Expected 1 of GET any path, and 2 came"):
        server.assert_called(times=1, method="GET")


def test_what_did_not_come_is_asserted(server, session):
    session.get(f"{server.url}/v2/images")
    server.assert_not_called(method="PUT")
    with pytest.raises(AssertionError, match="Expected 0 of GET any path, and 1 came"):
        server.assert_not_called(method="GET")


def test_reset_heals_and_empties_a_server(server, session, images, image_id):
    server.break_with(faults.status(503))
    session.get(f"{server.url}/v2/images")
    server.reset()
    assert ((), []) == (server.access_log, images.all())
    assert session.get(f"{server.url}/v2/images").status_code == 200


def test_an_id_can_be_used_again_after_a_reset(server, images, session):
    image_id = images.add(name="one")
    server.reset()
    body = f'{{"id": "{image_id}"}}'
    assert session.post(f"{server.url}/v2/images", data=body).status_code == 201
