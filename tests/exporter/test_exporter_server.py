"""The exporter's server: where it listens, what it answers, how it stops, and forks."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import bcrypt
import pytest
from serving import (
    HELLO,
    LIMIT,
    Large,
    Slow,
    ask,
    connection,
    dial,
    drained,
    hello,
    serving_threads,
    taken,
    until,
)

from traced_image.errors import ExporterError
from traced_image.exporter.web.config_file import WebConfigFile
from traced_image.exporter.web.listening import listen
from traced_image.exporter.web.server import ExporterServer

ROUTABLE = "0.0.0.0"


def refused(host, port):
    with pytest.raises(ExporterError) as caught:
        listen(host, port).close()
    return str(caught.value)


# --- where it listens --------------------------------------------------------------------------


def test_a_port_in_use_is_one_clear_error():
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert (
            f"can't listen on 127.0.0.1:{port}: Address already in use; "
            "use another port, or an address of this machine"
        ) == refused("127.0.0.1", port)


def test_on_all_addresses_those_of_ipv4_are_listened_on_too():
    with listen("::", 0) as sock:
        socket.create_connection(("127.0.0.1", sock.getsockname()[1])).close()


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("192.0.2.1", "can't listen on 192.0.2.1:0: Cannot assign requested address; "),
        ("name.invalid", "can't listen on name.invalid:0: "),
        ("a" * 64, f"can't listen on {'a' * 64}:0: "),
        ("a\0b", "can't listen on "),
    ],
)
def test_an_address_of_no_use_is_one_clear_error(host, said):
    assert refused(host, 0).startswith(said)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_one_clear_error(port):
    assert f"can't listen on 127.0.0.1:{port}: use a port of 0 to 65535" == refused(
        "127.0.0.1", port
    )


def test_who_comes_before_it_serves_is_served_then():
    sock = listen("127.0.0.1", 0)
    with socket.create_connection(sock.getsockname(), timeout=LIMIT) as early:
        early.sendall(HELLO)
        with ExporterServer(hello, sock).run_in_thread():
            assert early.recv(99).startswith(b"HTTP/1.1 200 ")


def test_its_address_is_where_it_answers(serve):
    handle = serve()
    assert (f"http://127.0.0.1:{handle.port}/", 200) == (handle.url, ask(handle)[0])


def test_where_it_listens_on_all_addresses_the_address_is_this_machines(serve):
    handle = serve(host=ROUTABLE)
    assert f"http://127.0.0.1:{handle.port}/" == handle.url


@pytest.mark.ipv6
@pytest.mark.parametrize("host", ["::", "::1"])
def test_an_address_of_ipv6_is_in_brackets(serve, host):
    handle = serve(host=host)
    assert f"http://[::1]:{handle.port}/" == handle.url


def test_with_tls_its_address_says_so(serve, certificates, write):
    path = write("tls_server_config: {cert_file: cert.pem, key_file: key.pem}")
    handle = serve(web=WebConfigFile(path))
    assert (f"https://127.0.0.1:{handle.port}/", 200) == (
        handle.url,
        ask(handle, context=certificates.context())[0],
    )


PROTECTED = {
    "tls": "tls_server_config: {cert_file: cert.pem, key_file: key.pem}",
    "users": f"basic_auth_users: {{a: '{bcrypt.hashpw(b'', bcrypt.gensalt(4)).decode()}'}}",
}


@pytest.mark.parametrize("text", [None, "", "http_server_config: {http2: false}"])
def test_beyond_loopback_without_protection_it_warns_once(serve, write, caplog, text):
    handle = serve(web=text if text is None else WebConfigFile(write(text)), host=ROUTABLE)
    ask(handle)
    said = (
        f"The exporter on {ROUTABLE}:{handle.port} answers every client that can reach it; "
        "protect it by a web configuration file with TLS or users."
    )
    assert [("traced_image.exporter.web.listening", logging.WARNING, said)] == [
        each for each in caplog.record_tuples if each[1] >= logging.WARNING
    ]


@pytest.mark.parametrize("text", PROTECTED.values(), ids=PROTECTED)
def test_beyond_loopback_with_protection_it_does_not_warn(serve, certificates, write, caplog, text):
    serve(web=WebConfigFile(write(text)), host=ROUTABLE)
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_on_loopback_it_does_not_warn(serve, caplog):
    serve()
    # A thread of a test before may still log what it calls.
    said = [each for each in caplog.records if each.name.startswith("traced_image.exporter")]
    assert [] == [record for record in said if record.levelno >= logging.WARNING]


# --- what it answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get"]
)
def test_nothing_but_get_and_head_is_answered(serve, method):
    status, headers, _ = ask(serve(), method)
    assert (405, "GET, HEAD") == (status, headers["allow"])


def test_a_request_to_be_a_proxy_is_not_answered(serve):
    with dial(serve()) as sock:
        sock.sendall(b"CONNECT exporter:80 HTTP/1.1\r\nHost: exporter\r\n\r\n")
        assert sock.recv(99).startswith(b"HTTP/1.1 405 ")


def test_head_is_answered_without_a_body(serve):
    status, headers, body = ask(serve(), "HEAD")
    assert (200, "6", b"") == (status, headers["content-length"], body)


def test_an_address_that_is_too_long_is_refused(serve):
    assert 414 == ask(serve(line_bytes=100), target="/" + "x" * 50 + "?" + "y" * 50)[0]


def test_headers_that_are_too_long_are_refused_though_they_come_at_once(serve):
    assert 431 == ask(serve(header_bytes=1000), X_Long="x" * 1000)[0]


def test_an_address_and_headers_within_the_limits_are_answered(serve):
    status = ask(serve(), target="/" + "x" * 8000, X_Long="x" * 8000)[0]
    assert 200 == status


def test_it_does_not_say_what_it_is_made_of(serve):
    assert "server" not in ask(serve())[1]


def test_the_headers_of_a_proxy_change_nothing(serve):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["client"][0])
        await hello(scope, receive, send)

    ask(serve(app), X_Forwarded_For="192.0.2.1")
    assert ["127.0.0.1"] == seen


def test_an_answer_in_two_parts_comes_at_once(serve):
    """The system would hold back the second part until the first is acknowledged, for 40 ms."""
    opened = connection(serve())
    took = []
    for _ in range(20):
        began = time.monotonic()
        opened.request("GET", "/")
        opened.getresponse().read()
        took.append(time.monotonic() - began)
    opened.close()
    assert sorted(took)[len(took) // 2] < 0.03


def test_the_access_log_of_other_servers_stays_as_it_was(serve):
    access = logging.getLogger("uvicorn.access")
    handler = logging.NullHandler()
    access.addHandler(handler)
    try:
        serve()
        assert (True, [handler]) == (access.propagate, access.handlers)
    finally:
        access.removeHandler(handler)


def test_an_application_that_fails_is_answered_with_500_and_logged_once(serve, caplog):
    async def app(scope, receive, send):
        raise LookupError("no such thing")

    assert 500 == ask(serve(app))[0]
    assert ["Exception in ASGI application\n"] == [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    ]


# --- it begins ---------------------------------------------------------------------------------


def test_a_start_that_fails_raises_where_it_was_asked_for():
    sock = listen("127.0.0.1", 0)
    server = ExporterServer(hello, sock)
    sock.close()
    with pytest.raises(ExporterError, match="the exporter can't start: "):
        server.run_in_thread()


def test_a_start_that_fails_leaves_no_thread():
    sock = listen("127.0.0.1", 0)
    server = ExporterServer(hello, sock)
    sock.close()
    with contextlib.suppress(ExporterError):
        server.run_in_thread()
    until(lambda: not serving_threads())


def test_what_fails_later_is_not_swallowed(monkeypatch):
    class Failing(ExporterServer):
        async def on_tick(self, counter):
            raise LookupError("no such thing")

    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_value))
    sock = listen("127.0.0.1", 0)
    Failing(hello, sock).run_in_thread().stop()
    assert (["no such thing"], -1) == ([str(each.args[0]) for each in seen], sock.fileno())


# --- it stops ----------------------------------------------------------------------------------


def test_it_leaves_no_thread_and_no_port(serve):
    handle = serve()
    with dial(handle) as sock:
        sock.sendall(HELLO)
        taken(sock)
        handle.stop()  # the system remembers for a while who ended a connection
    listen("127.0.0.1", handle.port).close()
    assert [] == serving_threads()


def test_to_stop_twice_does_no_harm(serve):
    handle = serve()
    for _ in range(2):
        handle.stop()
    assert [] == serving_threads()


def test_it_can_be_stopped_from_several_threads(serve):
    handle = serve()
    threads = [threading.Thread(target=handle.stop) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert [] == serving_threads()


def test_an_application_can_stop_its_own_server(serve):
    handles = []

    async def app(scope, receive, send):
        handles[0].stop()
        await hello(scope, receive, send)

    handles.append(serve(app))
    assert 200 == ask(handles[0])[0]
    until(lambda: not serving_threads())


def test_leaving_its_block_stops_it():
    with ExporterServer(hello, listen("127.0.0.1", 0)).run_in_thread():
        assert 1 == len(serving_threads())
    assert [] == serving_threads()


def slow_clients(handle):
    """One client of each kind that does not go by itself."""
    idle, headers, body, silent, reading = (dial(handle, receive=4096) for _ in range(5))
    idle.sendall(HELLO)
    taken(idle)
    headers.sendall(HELLO[:-3])
    body.sendall(
        HELLO.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n")
    )
    taken(body)
    reading.sendall(HELLO)
    return idle, headers, body, silent, reading


def test_it_stops_soon_though_clients_are_slow(serve):
    handle = serve(Large())
    clients = slow_clients(handle)
    began = time.monotonic()
    handle.stop()
    took = time.monotonic() - began
    for client in clients:
        client.close()
    assert took < LIMIT / 2


def test_it_stops_soon_though_clients_are_slow_in_tls(serve, certificates, write):
    path = write("tls_server_config: {cert_file: cert.pem, key_file: key.pem}")
    handle = serve(Large(), WebConfigFile(path))
    context = certificates.context()
    handshake = dial(handle)
    handshake.sendall(b"\x16\x03\x01\x02\x00")
    clients = [context.wrap_socket(dial(handle), server_hostname="localhost") for _ in range(3)]
    clients[0].sendall(HELLO)
    clients[1].sendall(HELLO[:-3])
    began = time.monotonic()
    handle.stop()
    took = time.monotonic() - began
    for client in (handshake, *clients):
        client.close()
    assert took < LIMIT / 2


def test_an_answer_that_is_under_way_is_finished(serve):
    slow = Slow()
    handle = serve(slow, stop_seconds=6 * LIMIT)
    with dial(handle) as sock:
        sock.sendall(HELLO)
        assert slow.asked.wait(LIMIT)
        stopping = threading.Thread(target=handle.stop)
        stopping.start()
        until(lambda: handle._server.should_exit)
        time.sleep(0.2)  # for the server, which looks ten times a second
        slow.go_on()
        received = drained(sock)
        stopping.join(LIMIT)
    assert (b"HTTP/1.1 200 OK", b"hello\n") == (received[:15], received[-6:])


def test_an_answer_that_takes_too_long_is_given_up(serve, caplog):
    slow = Slow()
    handle = serve(slow)
    with dial(handle) as sock:
        sock.sendall(HELLO)
        assert slow.asked.wait(LIMIT)
        handle.stop()
        assert (b"", True) == (drained(sock), slow.cancelled.is_set())
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_answer_for_a_client_that_has_gone_is_given_up_too(serve, caplog):
    slow = Slow()
    handle = serve(slow)
    with dial(handle) as sock:
        sock.sendall(HELLO)
        assert slow.asked.wait(LIMIT)
    until(lambda: not handle._server._connections)
    handle.stop()
    assert slow.cancelled.is_set()


def test_as_a_program_it_ends_with_its_signal():
    program = textwrap.dedent(
        """
        from starlette.responses import PlainTextResponse
        from traced_image.exporter.web.listening import listen
        from traced_image.exporter.web.server import ExporterServer
        sock = listen("127.0.0.1", 0)
        print(sock.getsockname()[1], flush=True)
        ExporterServer(PlainTextResponse("hello"), sock).run()
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as running:
        try:
            port = int(running.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as sock:
                sock.sendall(HELLO)
                assert sock.recv(99).startswith(b"HTTP/1.1 200 ")
                running.send_signal(signal.SIGTERM)
                assert -signal.SIGTERM == running.wait(LIMIT)
        finally:
            running.kill()


# --- forks -------------------------------------------------------------------------------------


@contextlib.contextmanager
def child(work):
    """A forked child that works and then stays; what it told is yielded."""
    (told, tell), (stay, end) = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        # What 3.12 and later warn of, a fork with threads, is what is tested here.
        warnings.simplefilter("ignore", DeprecationWarning)
        number = os.fork()
    if not number:
        try:
            os.close(end)
            os.write(tell, repr(work()).encode())
            os.read(stay, 1)
        finally:
            os._exit(0)
    for each in (tell, stay):
        os.close(each)
    try:
        if not select.select([told], [], [], LIMIT)[0]:
            os.kill(number, signal.SIGKILL)
        yield os.read(told, 99).decode()
    finally:
        os.close(end)
        os.close(told)
        os.waitpid(number, 0)


def test_in_a_child_to_stop_returns_at_once(serve):
    with child(serve().stop) as told:
        assert "None" == told


def test_what_a_child_does_leaves_the_server_alone(serve):
    handle = serve()
    with child(handle.stop):
        assert 200 == ask(handle)[0]


def test_a_child_does_not_keep_the_port(serve):
    handle = serve()
    with child(lambda: None):
        handle.stop()
        listen("127.0.0.1", handle.port).close()


def test_a_child_does_not_keep_a_client_waiting(serve):
    handle = serve()
    with dial(handle) as sock:
        sock.sendall(HELLO)
        taken(sock)
        with child(lambda: None):
            handle.stop()
            assert b"" == drained(sock)


def test_a_child_of_a_server_that_has_stopped_is_like_any_other(serve):
    handle = serve()
    handle.stop()
    with child(lambda: 7) as told:
        assert "7" == told
