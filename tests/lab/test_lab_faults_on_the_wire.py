"""What a client sees of each fault, and what the access log says of it."""

import http.client
import socket
import threading
import time

import pytest
import requests

from traced_image import lab
from traced_image.lab import faults

LIMIT = 10.0
OCTETS = {"Content-Type": "application/octet-stream"}


def ask(connection, method="GET", path="/v2/images", body=None, headers=None):
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response, response.read()


def wait_for(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "the condition never came"
        threading.Event().wait(0.001)


def last(server):
    access = server.access_log[-1]
    return access.status, access.fault


# --- refuse ------------------------------------------------------------------------------------


def test_refuse_refuses_new_connections(server):
    server.break_with(faults.refuse())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=LIMIT)


def test_refuse_closes_kept_alive_connections(server, connect):
    connection = connect(server)
    ask(connection)
    server.break_with(faults.refuse())
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        ask(connection)


def test_a_refusing_server_keeps_its_port(server):
    server.break_with(faults.refuse())
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((server.host, server.port))


def test_a_server_that_refused_is_found_at_the_same_port_once_healed(server, session):
    url = server.url
    server.break_with(faults.refuse())
    server.heal()
    assert session.get(f"{url}/v2/images").status_code == 200


def test_a_server_can_refuse_from_its_start(images):
    server = lab.GlanceServer(images)
    server.break_with(faults.refuse())
    with server, pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=LIMIT)


def test_refusing_twice_is_refusing(server):
    server.break_with(faults.refuse())
    server.break_with(faults.refuse())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=LIMIT)


# --- reset -------------------------------------------------------------------------------------


def test_reset_resets_an_accepted_connection(server, dial):
    server.break_with(faults.reset())
    with pytest.raises(ConnectionResetError):
        dial(server).recv(1)


def test_reset_is_counted_and_logged_as_a_connection(server, dial):
    server.break_with(faults.reset())
    with pytest.raises(ConnectionResetError):
        dial(server).recv(1)
    assert (server.connections, last(server)) == (1, (None, "reset"))


def test_reset_ends_kept_alive_connections(server, connect):
    connection = connect(server)
    ask(connection)
    server.break_with(faults.reset())
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        ask(connection)


def test_reset_for_some_connections_leaves_the_next_one_alone(server, dial, session):
    server.break_with(faults.reset().times(1))
    with pytest.raises(ConnectionResetError):
        dial(server).recv(1)
    assert session.get(f"{server.url}/v2/images").status_code == 200


def test_narrowed_reset_resets_after_the_headers_and_is_logged(server, connect):
    server.break_with(faults.reset().only(method="PUT"))
    with pytest.raises(ConnectionResetError):
        ask(connect(server), "PUT", "/v2/images/x/file", b"data", OCTETS)
    assert last(server) == (None, "reset")


def test_narrowed_reset_leaves_other_requests_alone(server, session):
    server.break_with(faults.reset().only(method="PUT"))
    assert session.get(f"{server.url}/v2/images").status_code == 200


def test_reset_after_effect_carries_the_request_out(server, connect, images, image_id):
    server.break_with(faults.reset().after_effect())
    with pytest.raises(ConnectionResetError):
        ask(connect(server), "DELETE", f"/v2/images/{image_id}")
    assert images.get(image_id) is None


# --- silence -----------------------------------------------------------------------------------


def test_never_answer_lets_the_client_wait(server, dial):
    server.break_with(faults.never_answer())
    sock = dial(server)
    sock.settimeout(0.05)
    sock.sendall(b"GET /v2/images HTTP/1.1\r\n\r\n")
    with pytest.raises(TimeoutError):
        sock.recv(1)


def test_never_answer_is_logged_without_a_status(server, dial):
    server.break_with(faults.never_answer())
    dial(server).sendall(b"GET /v2/images HTTP/1.1\r\n\r\n")
    wait_for(lambda: server.access_log)
    assert last(server) == (None, "never_answer")


def test_heal_closes_what_was_never_answered(server, dial):
    server.break_with(faults.never_answer())
    sock = dial(server)
    sock.sendall(b"GET /v2/images HTTP/1.1\r\n\r\n")
    wait_for(lambda: server.access_log)
    server.heal()
    assert sock.recv(1) == b""


def test_a_client_that_gives_up_frees_the_thread_that_never_answered(server, dial):
    server.break_with(faults.never_answer())
    threads = threading.active_count()
    with dial(server) as sock:
        sock.sendall(b"GET /v2/images HTTP/1.1\r\n\r\nmore")
        wait_for(lambda: server.access_log)
    wait_for(lambda: threading.active_count() == threads)


def test_never_answer_carries_nothing_out(server, dial, images, image_id):
    server.break_with(faults.never_answer())
    dial(server).sendall(f"DELETE /v2/images/{image_id} HTTP/1.1\r\n\r\n".encode())
    wait_for(lambda: server.access_log)
    assert images.get(image_id) is not None


def test_a_request_that_met_the_fault_just_before_its_end_is_closed(server, dial, images):
    # The body comes after the healing, the headers before it.
    server.break_with(faults.never_answer())
    sock = dial(server)
    sock.sendall(b"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    server.heal()
    sock.sendall(b"x")
    assert sock.recv(1) == b""


def test_lost_reply_closes_without_an_answer(server, connect):
    server.break_with(faults.lost_reply())
    with pytest.raises(http.client.RemoteDisconnected):
        ask(connect(server))


def test_lost_reply_carries_the_request_out(server, connect, images):
    server.break_with(faults.lost_reply().only(method="POST"))
    with pytest.raises(http.client.RemoteDisconnected):
        ask(connect(server), "POST", "/v2/images", b"{}")
    assert len(images.all()) == 1


# --- slowness ----------------------------------------------------------------------------------


def read_until(sock, end):
    data = b""
    while end not in data:
        piece = sock.recv(1 << 16)
        assert piece, f"the server closed after {data!r}"
        data += piece
    return data


def test_slow_headers_come_byte_by_byte(server, dial):
    server.break_with(faults.slow_headers(60))
    sock = dial(server)
    sock.sendall(b"GET /v2/images HTTP/1.1\r\n\r\n")
    assert sock.recv(100) == b"H"


def test_slow_headers_come_whole_in_the_end(server, connect):
    server.break_with(faults.slow_headers(0.0001))
    assert ask(connect(server))[0].status == 200


def test_slow_body_comes_byte_by_byte_after_the_headers(server, dial):
    server.break_with(faults.slow_body(60))
    sock = dial(server)
    sock.sendall(b"GET /v2/images HTTP/1.1\r\n\r\n")
    head = read_until(sock, b"\r\n\r\n{")
    assert head.endswith(b"\r\n\r\n{")


def test_slow_body_comes_whole_in_the_end(server, connect, image_id):
    server.break_with(faults.slow_body(0.0001))
    assert ask(connect(server), path=f"/v2/images/{image_id}/file")[1] == b"0123456789"


def test_heal_finishes_what_was_slow_at_once(server, dial):
    server.break_with(faults.slow_headers(60))
    sock = dial(server)
    sock.sendall(b"GET /v2/images HTTP/1.1\r\n\r\n")
    sock.recv(1)
    server.heal()
    assert b"/v2/schemas/images" in read_until(sock, b'images"}')


def test_stop_ends_what_is_slow(images, dial):
    with lab.GlanceServer(images) as server:
        server.break_with(faults.slow_body(60))
        sock = dial(server)
        sock.sendall(b"GET /v2/images HTTP/1.1\r\n\r\n")
        read_until(sock, b"\r\n\r\n{")
    assert "glance-1" not in {thread.name for thread in threading.enumerate()}


# --- answers that are not what they claim ------------------------------------------------------


def test_cut_body_ends_in_the_middle(server, connect, image_id):
    server.break_with(faults.cut_body())
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(connect(server), path=f"/v2/images/{image_id}/file")
    assert caught.value.partial == b"01234"


def test_a_length_above_the_bodys_is_an_incomplete_body(server, connect, image_id):
    server.break_with(faults.wrong_length(3))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(connect(server), path=f"/v2/images/{image_id}/file")
    assert (caught.value.partial, caught.value.expected) == (b"0123456789", 3)


def test_a_length_below_the_bodys_cuts_the_body_for_the_client(server, connect, image_id):
    server.break_with(faults.wrong_length(-3))
    assert ask(connect(server), path=f"/v2/images/{image_id}/file")[1] == b"0123456"


def test_a_length_below_the_bodys_leaves_bytes_on_the_connection(server, dial, image_id):
    server.break_with(faults.wrong_length(-3).times(1))
    sock = dial(server)
    request = f"GET /v2/images/{image_id}/file HTTP/1.1\r\n\r\n".encode()
    sock.sendall(request + request)
    assert b"\r\n\r\n0123456789HTTP/1.1 200 OK" in read_until(sock, b"789HTTP/1.1 200 OK")


def test_garbage_headers_hide_the_headers_behind_them(server, connect):
    server.break_with(faults.garbage_headers())
    response, _ = ask(connect(server))
    assert (response.status, response.getheader("Content-Type")) == (200, None)


def test_not_json_claims_to_be_json(server, session):
    server.break_with(faults.not_json())
    response = session.get(f"{server.url}/v2/images/x")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(requests.JSONDecodeError):
        response.json()


@pytest.mark.parametrize(
    ("fault", "value"),
    [(faults.wrong_type(), 42), (faults.wrong_type({"images": None}), {"images": None})],
)
def test_wrong_type_is_json_of_another_shape(server, session, fault, value):
    server.break_with(fault)
    assert value == session.get(f"{server.url}/v2/images").json()


def test_redirect_loop_goes_round_until_the_client_has_enough(server, session):
    server.break_with(faults.redirect_loop())
    session.max_redirects = 3
    with pytest.raises(requests.TooManyRedirects):
        session.get(f"{server.url}/v2/images")
    assert [access.status for access in server.access_log] == [302] * 4


def test_corrupt_data_has_the_length_but_not_the_checksum(server, session, image_id):
    server.break_with(faults.corrupt_data())
    data = session.get(f"{server.url}/v2/images/{image_id}/file").content
    assert data == b"1123456789"


def test_corrupt_data_leaves_an_answer_that_is_no_data_alone(server, session, images):
    image_id = images.add()
    server.break_with(faults.corrupt_data())
    assert b"404" in session.get(f"{server.url}/v1/images/{image_id}").content


def test_corrupt_data_leaves_empty_data_alone(server, session, images):
    image_id = images.add(data=b"")
    server.break_with(faults.corrupt_data())
    assert session.get(f"{server.url}/v2/images/{image_id}/file").content == b""


def test_corrupt_data_meets_downloads_only(server, session, image_id):
    server.break_with(faults.corrupt_data())
    assert session.get(f"{server.url}/v2/images/{image_id}").json()["name"] == "cirros"


# --- statuses ----------------------------------------------------------------------------------


def test_a_status_is_answered_for_every_request(server, session):
    server.break_with(faults.status(503))
    assert session.get(f"{server.url}/v2/images").status_code == 503


def test_a_status_without_a_retry_after_has_none(server, session):
    server.break_with(faults.status(503))
    assert "Retry-After" not in session.get(f"{server.url}/v2/images").headers


@pytest.mark.parametrize("after", [7, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_status_comes_with_the_retry_after_that_it_was_given(server, session, after):
    server.break_with(faults.status(429, retry_after=after))
    assert str(after) == session.get(f"{server.url}/v2/images").headers["Retry-After"]


def test_a_status_that_has_no_name_is_answered_too(server, session):
    server.break_with(faults.status(599))
    response = session.get(f"{server.url}/v2/images")
    assert (response.status_code, response.reason) == (599, "Unknown")


def test_a_status_that_has_no_body_gets_none(server, connect):
    server.break_with(faults.status(304).times(1))
    connection = connect(server)
    assert [ask(connection)[0].status for _ in range(2)] == [304, 200]


def test_a_status_carries_nothing_out(server, session, images, image_id):
    server.break_with(faults.status(503))
    session.delete(f"{server.url}/v2/images/{image_id}")
    assert images.get(image_id) is not None


def test_a_status_after_effect_carries_the_request_out(server, session, images, image_id):
    server.break_with(faults.status(503).after_effect())
    status = session.delete(f"{server.url}/v2/images/{image_id}").status_code
    assert (status, images.get(image_id)) == (503, None)


def test_a_status_after_effect_has_the_request_id_of_the_request_that_took_effect(server, session):
    server.break_with(faults.status(503).after_effect())
    response = session.get(f"{server.url}/v2/images")
    assert server.access_log[-1].request_id == response.headers["X-OpenStack-Request-ID"]


# --- how long, and in which order --------------------------------------------------------------


def test_a_limited_fault_heals_by_itself(server, session):
    server.break_with(faults.status(503).times(2))
    statuses = [session.get(f"{server.url}/v2/images").status_code for _ in range(3)]
    assert statuses == [503, 503, 200]


def test_a_limit_counts_only_the_requests_that_the_fault_meets(server, session):
    server.break_with(faults.status(503).only(path="/nope").times(1))
    paths = ["/v2/images", "/v2/nope", "/v2/nope"]
    assert [session.get(f"{server.url}{path}").status_code for path in paths] == [200, 503, 404]


def test_flapping_gives_each_request_the_next_fault(server, session):
    server.break_with(faults.flapping(faults.status(503), None, faults.status(500)))
    statuses = [session.get(f"{server.url}/v2/images").status_code for _ in range(4)]
    assert statuses == [503, 200, 500, 503]


def test_flapping_is_logged_by_the_fault_that_was_met(server, session):
    server.break_with(faults.flapping(faults.status(503), None))
    for _ in range(2):
        session.get(f"{server.url}/v2/images")
    assert [access.fault for access in server.access_log] == ["status", None]


def test_flapping_with_a_fault_that_does_not_meet_the_request_answers_it(server, session):
    server.break_with(faults.flapping(faults.status(503).only(method="PUT")))
    assert session.get(f"{server.url}/v2/images").status_code == 200


def test_flapping_can_reset_a_request(server, connect):
    server.break_with(faults.flapping(None, faults.reset()))
    connection = connect(server)
    ask(connection)
    with pytest.raises(ConnectionResetError):
        ask(connection)


def test_a_new_fault_takes_the_place_of_the_old_one(server, session):
    server.break_with(faults.status(503))
    server.break_with(faults.status(500))
    assert session.get(f"{server.url}/v2/images").status_code == 500
