"""A server's life: start and stop, addresses, connections, threads and the access log."""

import hashlib
import http.client
import os
import socket
import threading

import pytest

from traced_image import lab
from traced_image.errors import InvalidArgument
from traced_image.lab import faults, loopback_server


def test_a_server_has_its_address_while_it_runs(server):
    assert f"http://127.0.0.1:{server.port}" == server.url


def test_a_stopped_server_has_no_port():
    with pytest.raises(RuntimeError, match="is not running"):
        lab.GlanceServer().port  # noqa: B018 the property is what is tested


def test_a_server_without_images_has_an_empty_store():
    assert lab.GlanceServer().images.all() == []


@pytest.mark.ipv6
def test_a_server_speaks_ipv6(connect):
    with lab.GlanceServer(host="::1") as server:
        connection = connect(server)
        connection.request("GET", "/healthcheck")
        assert connection.getresponse().read() == b"OK"


@pytest.mark.ipv6
def test_an_ipv6_address_is_in_brackets():
    with lab.GlanceServer(host="::1") as server:
        assert f"http://[::1]:{server.port}" == server.url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "", None])
@pytest.mark.parametrize("kind", [lab.GlanceServer, lab.Proxy])
def test_an_address_that_others_could_reach_is_refused(kind, host):
    with pytest.raises(InvalidArgument, match=r"host\(.*\): give a loopback address: 127.0.0.1"):
        kind(host=host)


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost"])
def test_other_names_of_loopback_are_listened_on(host, connect):
    with lab.GlanceServer(host=host) as server:
        connection = connect(server)
        connection.request("GET", "/healthcheck")
        assert connection.getresponse().read() == b"OK"


def test_a_server_prints_its_name_and_its_url():
    server = lab.GlanceServer(prefix="/image", tokens={"secret"})
    stopped = repr(server)
    with server:
        expected = f"<GlanceServer glance at http://127.0.0.1:{server.port}/image, healthy>"
        assert (expected, "<GlanceServer glance (not running), healthy>") == (repr(server), stopped)


def test_a_server_prints_its_fault_without_what_may_be_secret(server):
    hidden = {"token": "secret", "headers": {"Cookie": "secret"}}
    server.break_with(faults.delay(1) | faults.status(503).only(**hidden))
    assert f"<GlanceServer glance at {server.url}, fault delay|status>" == repr(server)


def test_a_cluster_of_no_servers_is_refused():
    with (
        pytest.raises(InvalidArgument, match=r"cluster\(0\): give a number from 1"),
        lab.cluster(0),
    ):
        pass


def test_a_request_may_have_a_url_in_place_of_a_path(server, connect):
    connection = connect(server)
    for address in (server.url, "http://glance.example"):
        connection.request("GET", f"{address}/v2")
        reply = connection.getresponse()
        reply.read()
        assert (302, f"{address}/v2/") == (reply.status, reply.getheader("Location"))
    assert ["/v2", "/v2"] == [access.path for access in server.access_log]


def test_a_server_has_the_port_that_it_is_given(server):
    port = server.port
    server.stop()
    with lab.GlanceServer(port=port) as other:
        assert f"http://127.0.0.1:{port}" == other.url


def test_a_server_has_its_port_again_after_a_restart(server):
    port = server.port
    server.stop()
    other = lab.GlanceServer(port=port)
    for _ in range(2):
        other.start()
        assert port == other.port
        other.stop()


def test_a_port_in_use_is_refused_with_the_address(server):
    with pytest.raises(OSError, match=f"Address already in use: '127.0.0.1:{server.port}'"):
        lab.GlanceServer(port=server.port).start()


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(InvalidArgument, match=f"port={port}: give a port from 0 to 65535"):
        lab.GlanceServer(port=port)


def test_the_servers_of_a_cluster_have_ports_in_a_row():
    with lab.cluster(3) as servers:
        # Ports above those that the kernel gives: nobody is likely to have them.
        first = 61_000 + servers[0].port % 4_000
    with lab.cluster(3, port=first) as servers:
        assert [first, first + 1, first + 2] == [server.port for server in servers]


def test_a_prefix_stands_in_front_of_the_versions(images, session):
    with lab.GlanceServer(images, prefix="/image") as server:
        addresses = [f"{server.url}/v2/images", f"http://127.0.0.1:{server.port}/v2/images"]
        assert [session.get(address).status_code for address in addresses] == [200, 404]


def test_stopping_twice_does_no_harm(images):
    server = lab.GlanceServer(images)
    server.start()
    server.stop()
    server.stop()
    with pytest.raises(RuntimeError):
        server.port  # noqa: B018 the property is what is tested


def test_starting_twice_does_no_harm(server):
    port = server.port
    server.start()
    assert port == server.port


def test_a_server_can_be_started_again(images, session):
    server = lab.GlanceServer(images)
    for _ in range(2):
        with server:
            assert session.get(f"{server.url}/v2/images").status_code == 200


def test_a_fault_outlives_a_restart(images, connect):
    server = lab.GlanceServer(images)
    server.break_with(faults.slow_body(0.0001))
    for _ in range(2):
        with server:
            connection = connect(server)
            connection.request("GET", "/v2/images")
            connection.getresponse().read()
    assert [access.fault for access in server.access_log] == ["slow_body"] * 2


def test_stop_leaves_no_thread_behind(images, connect):
    before = {*threading.enumerate()}  # a thread of another test may end meanwhile
    with lab.GlanceServer(images) as server:
        for _ in range(5):
            connection = connect(server)
            connection.request("GET", "/healthcheck")
            connection.getresponse().read()
    assert set() == {*threading.enumerate()} - before


@pytest.fixture
def fork():
    """Fork a child that has all sockets, and lives until the test ends."""
    children = []

    def forked():
        inside, outside = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(outside)
            os.read(inside, 1)
            os._exit(0)
        os.close(inside)
        children.append((child, outside))

    yield forked
    for child, outside in children:
        os.close(outside)
        os.waitpid(child, 0)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_port_refuses_while_a_forked_child_has_it_too(server, fork):
    fork()
    server.break_with(faults.refuse())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=10)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_connection_ends_while_a_forked_child_has_it_too(server, connect, fork):
    connection = connect(server)
    connection.request("GET", "/v2/images")
    connection.getresponse().read()
    fork()
    server.break_with(faults.lost_reply())
    connection.request("GET", "/v2/images")
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_server_serves_on_after_a_stop_in_a_forked_child(server, connect):
    child = os.fork()
    if child == 0:
        server.stop()
        os._exit(0)
    os.waitpid(child, 0)
    connection = connect(server)
    connection.request("GET", "/v2/images")
    assert 200 == connection.getresponse().status


def test_a_stop_in_another_process_does_nothing(server, connect, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(os, "getpid", lambda: 0)
        server.stop()
    connection = connect(server)
    connection.request("GET", "/v2/images")
    assert 200 == connection.getresponse().status


def test_a_tls_fault_needs_tls(server):
    with pytest.raises(InvalidArgument, match="tls=TLS"):
        server.break_with(faults.untrusted_tls())


def test_connections_are_counted_and_kept_alive(server, connect):
    for _ in range(2):
        connection = connect(server)
        for _ in range(3):
            connection.request("GET", "/v2/images")
            connection.getresponse().read()
    assert (server.connections, len(server.access_log)) == (2, 6)


def test_connections_beyond_the_bound_get_503_and_a_line_in_both_logs(
    server, dial, monkeypatch, caplog
):
    monkeypatch.setattr(loopback_server, "MOST_CONNECTIONS", 2)
    socks = [dial(server) for _ in range(3)]
    answer = socks[2].recv(1 << 16)
    (access,) = server.access_log
    problem = "more than 2 connections are open"
    assert (answer[:12], access.status, access.error) == (b"HTTP/1.1 503", 503, problem)
    assert [problem in record.getMessage() for record in caplog.records] == [True]


def test_a_thousand_connections_are_served_at_once(server, dial):
    socks = [dial(server) for _ in range(1000)]
    for sock in socks:
        sock.sendall(b"GET /healthcheck HTTP/1.1\r\n\r\n")
    assert {b"HTTP/1.1 200"} == {sock.recv(1 << 16)[:12] for sock in socks}


def test_a_client_may_leave_before_it_is_accepted(server, session):
    # A reset connection in the backlog is gone, or broken, by the time that it is accepted.
    with socket.create_connection((server.host, server.port)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert session.get(f"{server.url}/v2/images").status_code == 200


def test_the_log_says_what_was_asked_and_answered(server, session):
    headers = {
        "X-Auth-Token": "secret",
        "X-OpenStack-Request-ID": "req-from-client",
        "traceparent": "00-1-2-01",
    }
    response = session.post(f"{server.url}/v2/images?a=b", data=b"{}", headers=headers)
    (access,) = server.access_log
    sent = {name.lower(): text for name, text in response.request.headers.items()}
    sent["host"] = f"127.0.0.1:{server.port}"
    assert (
        lab.Access(
            time=access.time,
            method="POST",
            path="/v2/images?a=b",
            status=201,
            request_id=response.headers["X-OpenStack-Request-ID"],
            global_request_id="req-from-client",
            traceparent="00-1-2-01",
            token_present=True,
            body_bytes=2,
            fault=None,
            headers={**sent, "x-auth-token": "REDACTED"},
            body_sha256=hashlib.sha256(b"{}").hexdigest(),
            client=access.client,
        )
        == access
    )


def test_the_log_keeps_no_token(server, session):
    session.get(f"{server.url}/v2/images", headers={"X-Auth-Token": "secret"})
    assert "secret" not in repr(server.access_log)


def test_the_log_can_be_cleared(server, session):
    session.get(f"{server.url}/v2/images")
    server.clear_log()
    assert server.access_log == ()


def test_a_token_can_expire_in_the_middle(images, session):
    tokens = {"token"}
    session.headers["X-Auth-Token"] = "token"
    with lab.GlanceServer(images, tokens=tokens) as server:
        first = session.get(f"{server.url}/v2/images").status_code
        tokens.clear()
        assert [first, session.get(f"{server.url}/v2/images").status_code] == [200, 401]


def test_an_upload_that_breaks_off_is_logged_with_what_came(server, dial, images):
    image_id = images.add(disk_format="raw", container_format="bare")
    with dial(server) as sock:
        sock.sendall(f"PUT /v2/images/{image_id}/file HTTP/1.1\r\n".encode())
        sock.sendall(b"Content-Type: application/octet-stream\r\nContent-Length: 9\r\n\r\nabc")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    (access,) = server.access_log
    assert (access.status, access.body_bytes) == (None, 3)


def test_an_upload_in_chunks_is_put_together(server, session, images):
    image_id = images.add(disk_format="raw", container_format="bare")
    session.put(
        f"{server.url}/v2/images/{image_id}/file",
        data=iter([b"abc", b"de"]),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert (images.get(image_id).data, server.access_log[-1].body_bytes) == (b"abcde", 5)


def test_a_large_image_goes_in_and_out_whole(server, session, images):
    image_id = images.add(disk_format="raw", container_format="bare")
    data = bytes(range(256)) * 4096
    url = f"{server.url}/v2/images/{image_id}/file"
    session.put(url, data=data, headers={"Content-Type": "application/octet-stream"})
    assert data == session.get(url).content


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01 hello\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"GET /\r\n\r\n"],
)
def test_what_is_not_http_gets_400_and_is_logged_as_a_connection(server, dial, sent):
    sock = dial(server)
    sock.sendall(sent)
    assert sock.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
    (access,) = server.access_log
    found = (access.method, access.status, access.error[:23])
    assert ("", 400, "no HTTP/1.1 request: b'") == found


def test_a_length_that_is_none_gets_400_and_is_logged(server, dial):
    sock = dial(server)
    sock.sendall(b"PUT /x HTTP/1.1\r\nContent-Length: many\r\n\r\n")
    assert sock.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
    assert server.access_log[-1].status == 400


def test_a_client_that_wants_no_more_is_closed(server, dial):
    sock = dial(server)
    sock.sendall(b"GET /healthcheck HTTP/1.1\r\nConnection: close\r\n\r\n")
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
    assert b"Connection: close\r\n\r\nOK" in data


def test_a_head_request_gets_no_body(server, connect, image_id):
    connection = connect(server)
    statuses = []
    for _ in range(2):
        connection.request("HEAD", f"/v1/images/{image_id}")
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    assert statuses == [200, 200]


def test_a_cluster_shares_its_images(session):
    with lab.cluster(3) as servers:
        image_id = servers[0].images.add(name="shared")
        answers = {session.get(f"{one.url}/v2/images/{image_id}").json()["name"] for one in servers}
    assert {"shared"} == answers


def test_a_cluster_can_be_given_its_images(images):
    with lab.cluster(2, images=images) as servers:
        assert [images, images] == [server.images for server in servers]
