"""Faults in the middle of a transfer: rates, cuts, early answers, and what begins under way."""

import hashlib
import socket
import threading
import time

import pytest

from traced_image import lab
from traced_image.lab import faults

LIMIT = 10.0
DATA = bytes(range(256)) * 400  # 102,400 bytes
GET = b"GET /v2/images HTTP/1.1\r\n\r\n"


@pytest.fixture
def big(images):
    return images.add(name="big", data=DATA)


@pytest.fixture
def queued(images):
    return images.add(disk_format="raw", container_format="bare")


def get_data(image_id):
    return f"GET /v2/images/{image_id}/file HTTP/1.1\r\n\r\n".encode()


def put_data(image_id, size):
    return (
        f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nContent-Length: {size}\r\n"
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()


def read_all(sock):
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
    return data


def read_body(sock, size):
    data = b""
    while len(data.partition(b"\r\n\r\n")[2]) < size:
        piece = sock.recv(1 << 16)
        assert piece, "the server closed"
        data += piece
    return data.partition(b"\r\n\r\n")[2]


def is_quiet(sock):
    sock.settimeout(0.1)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(LIMIT)
    return False


# --- rates -------------------------------------------------------------------------------------


def test_a_download_takes_as_long_as_its_rate_says(server, dial, big):
    server.break_with(faults.limit_rate(send=500_000))
    sock = dial(server)
    began = time.monotonic()
    sock.sendall(get_data(big))
    assert DATA == read_body(sock, len(DATA))
    assert 0.12 < time.monotonic() - began < 2


def test_an_upload_takes_as_long_as_its_rate_says(server, dial, images, queued):
    server.break_with(faults.limit_rate(receive=500_000))
    sock = dial(server)
    began = time.monotonic()
    sock.sendall(put_data(queued, len(DATA)) + DATA)
    assert sock.recv(12) == b"HTTP/1.1 204"
    assert (True, DATA) == (0.12 < time.monotonic() - began < 2, images.get(queued).data)


def test_a_rate_below_one_byte_a_second_sends_one_byte(server, dial):
    server.break_with(faults.limit_rate(send=0.001))
    sock = dial(server)
    sock.sendall(GET)
    assert sock.recv(100) == b"H"


def test_heal_lets_the_rest_of_a_slow_download_pass(server, dial, big):
    server.break_with(faults.limit_rate(send=100))
    sock = dial(server)
    sock.sendall(get_data(big))
    sock.recv(1)
    server.heal()
    assert DATA[-100:] == read_body(sock, len(DATA) - 100)[-100:]


def test_a_rate_affects_transfers_under_way(server, dial, images):
    size = 64 << 20
    image_id = images.add(data=bytes(size))
    sock = dial(server)
    sock.sendall(get_data(image_id))
    sock.recv(100)
    server.break_with(faults.limit_rate(send=1))
    received = 0
    while not is_quiet(sock):
        received += len(sock.recv(1 << 20))
    assert received < size - (1 << 20)


def test_a_rate_for_others_leaves_a_transfer_under_way_alone(server, dial, images):
    image_id = images.add(data=bytes(8 << 20))
    sock = dial(server)
    sock.sendall(get_data(image_id))
    sock.recv(100)
    server.break_with(faults.limit_rate(send=1).only(method="PUT"))
    received = 100
    while received < 8 << 20:
        received += len(sock.recv(1 << 20))
    assert received >= 8 << 20


def test_a_rate_goes_together_with_a_status_and_a_cut(server, dial):
    server.break_with(faults.limit_rate(send=1e6) | faults.status(503) | faults.cut_body(6))
    sock = dial(server)
    sock.sendall(GET.replace(b"\r\n\r\n", b"\r\nAccept: */*\r\n\r\n"))
    assert read_all(sock).endswith(b"\r\n\r\n<html>")
    assert server.access_log[-1].fault == "limit_rate|status|cut_body"


# --- cuts --------------------------------------------------------------------------------------


def test_a_download_is_cut_after_so_many_bytes(server, dial, big):
    server.break_with(faults.cut_body(1000))
    sock = dial(server)
    sock.sendall(get_data(big))
    assert DATA[:1000] == read_all(sock).partition(b"\r\n\r\n")[2]


def test_a_cut_can_reset_the_connection(server, dial, big):
    server.break_with(faults.cut_body(1000, "reset"))
    sock = dial(server)
    sock.sendall(get_data(big))
    with pytest.raises(ConnectionResetError):
        read_all(sock)


def test_a_cut_can_leave_the_client_waiting(server, dial, big):
    server.break_with(faults.cut_body(1000, "hang"))
    sock = dial(server)
    sock.sendall(get_data(big))
    assert DATA[:1000] == read_body(sock, 1000)
    assert is_quiet(sock)


def test_an_upload_is_cut_after_so_many_bytes_and_not_stored(server, dial, images, queued):
    server.break_with(faults.cut_upload(1000))
    sock = dial(server)
    sock.sendall(put_data(queued, len(DATA)) + DATA)
    (access,) = server.wait_for(1)
    assert ("queued", None, 1000) == (images.get(queued).status, access.status, access.body_bytes)


def test_a_cut_upload_is_logged_with_the_hash_of_what_came(server, dial, queued):
    server.break_with(faults.cut_upload(1000, "hang"))
    sock = dial(server)
    sock.sendall(put_data(queued, len(DATA)) + DATA[:5000])
    (access,) = server.wait_for(1)
    assert hashlib.sha256(DATA[:1000]).hexdigest() == access.body_sha256


def test_an_upload_in_chunks_is_cut_too(server, dial, queued):
    server.break_with(faults.cut_upload(4))
    sock = dial(server)
    sock.sendall(
        f"PUT /v2/images/{queued}/file HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + b"3\r\nabc\r\n3\r\ndef\r\n"
    )
    assert 4 == server.wait_for(1)[0].body_bytes


def test_an_early_answer_comes_after_a_part_of_the_body(server, dial, queued):
    server.break_with(faults.early_answer(413, "keep", after=1000).times(1))
    sock = dial(server)
    sock.sendall(put_data(queued, len(DATA)) + DATA[:2000])
    assert sock.recv(1 << 16).startswith(b"HTTP/1.1 413")
    sock.sendall(DATA[2000:] + GET)
    assert sock.recv(12) == b"HTTP/1.1 200"
    assert [1000, 0] == [access.body_bytes for access in server.access_log]


def test_a_client_that_waits_to_send_is_told_to_before_a_cut(server, dial):
    server.break_with(faults.cut_upload(1))
    sock = dial(server)
    sock.sendall(b"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


# --- under way ---------------------------------------------------------------------------------


def test_a_reset_ends_a_download_under_way(server, dial, images):
    image_id = images.add(data=bytes(64 << 20))
    sock = dial(server)
    sock.sendall(get_data(image_id))
    sock.recv(100)
    server.break_with(faults.reset())
    with pytest.raises(ConnectionResetError):
        read_all(sock)


def test_a_reset_resets_an_idle_connection(server, dial):
    sock = dial(server)
    sock.sendall(b"GET /healthcheck HTTP/1.1\r\n\r\n")
    sock.recv(1 << 16)
    server.break_with(faults.reset())
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


# --- a black hole ------------------------------------------------------------------------------


def test_a_connect_into_a_black_hole_has_no_answer(server):
    server.break_with(faults.black_hole())
    with pytest.raises(TimeoutError):
        socket.create_connection((server.host, server.port), timeout=0.3)


def test_a_connect_that_still_waits_when_a_black_hole_ends_succeeds(server):
    server.break_with(faults.black_hole())
    threading.Timer(0.1, server.heal).start()
    with socket.create_connection((server.host, server.port), timeout=LIMIT) as sock:
        sock.sendall(b"GET /healthcheck HTTP/1.1\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"


def test_no_byte_passes_on_open_connections_until_a_black_hole_ends(server, dial):
    sock = dial(server)
    sock.sendall(GET)
    sock.recv(1 << 16)
    server.break_with(faults.black_hole())
    sock.sendall(GET)
    assert is_quiet(sock)
    server.heal()
    assert sock.recv(12) == b"HTTP/1.1 200"


def test_a_black_hole_stops_a_transfer_under_way_and_lets_it_go_on(server, dial, images):
    size = 32 << 20
    image_id = images.add(data=bytes(size))
    sock = dial(server)
    sock.sendall(get_data(image_id))
    sock.recv(1)
    server.break_with(faults.black_hole())
    received = 1
    while not is_quiet(sock):
        received += len(sock.recv(1 << 20))
    server.heal()
    before = received
    while received < size:
        received += len(sock.recv(1 << 20))
    assert before < size - (1 << 20)


def test_a_black_hole_ends_with_the_server(images):
    with lab.GlanceServer(images) as server:
        server.break_with(faults.black_hole())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server._wanted_port), timeout=LIMIT)


def test_the_connections_that_fill_a_black_hole_are_not_counted(server, dial):
    server.break_with(faults.black_hole())
    server.break_with(faults.black_hole())
    server.heal()
    dial(server).sendall(GET)
    server.wait_for(1)
    assert 1 == server.connections


@pytest.mark.ipv6
def test_a_black_hole_may_have_an_ipv6_address(images):
    with lab.GlanceServer(images, host="::1") as server:
        server.break_with(faults.black_hole())
        with pytest.raises(TimeoutError):
            socket.create_connection(("::1", server.port), timeout=0.2)


def test_a_refusal_may_follow_a_black_hole(server):
    server.break_with(faults.black_hole())
    server.break_with(faults.refuse())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=LIMIT)
