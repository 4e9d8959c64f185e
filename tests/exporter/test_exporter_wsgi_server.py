"""The threaded server of the exporter: how many it serves, slow clients, stops and forks."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from serving import HELLO, LIMIT, ask, dial, drained, serving_threads, taken, until

from traced_image.exporter.web import wsgi_server
from traced_image.exporter.web.client_limits import ClientLimits
from traced_image.exporter.web.listening import listen
from traced_image.exporter.web.wsgi_server import ThreadedServer


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"hello\n"]


class Slow:
    """An application that answers when it is told to."""

    def __init__(self):
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __call__(self, environ, start_response):
        self.asked.set()
        assert self.go_on.wait(LIMIT)
        return hello(environ, start_response)


@pytest.fixture
def serve():
    """Serve an application until the test ends: ``serve(app, connections=1)``."""
    with contextlib.ExitStack() as stack:

        def started(app=hello, server=ThreadedServer, host="127.0.0.1", **limits):
            made = server(app, listen(host, 0), limits=ClientLimits(**limits))
            return stack.enter_context(made.run_in_thread())

        yield started


def warnings_of(caplog):
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


# --- what it answers ---------------------------------------------------------------------------


def test_its_answer_is_the_application_s(serve):
    status, headers, body = ask(serve())
    assert (200, b"hello\n", False) == (status, body, "Server" in headers)


@pytest.mark.parametrize("line", [b"\0", b"GET", b"POST /"])
def test_a_request_without_a_version_is_answered_with_a_status(serve, line):
    with contextlib.closing(dial(serve())) as sock:
        sock.sendall(line + b"\r\n\r\n")
        assert b"HTTP/1.0 400 Bad " == sock.makefile("rb").readline()[:17]


def test_its_application_knows_that_other_threads_answer_too(serve):
    seen = []

    def app(environ, start_response):
        seen.append((environ["wsgi.multithread"], environ["wsgi.multiprocess"]))
        return hello(environ, start_response)

    ask(serve(app))
    assert [(True, False)] == seen


@pytest.mark.ipv6
@pytest.mark.parametrize("host", ["::", "::1"])
def test_it_listens_by_ipv6(serve, host):
    handle = serve(host=host)
    assert f"http://[::1]:{handle.port}/" == handle.url


def test_a_target_that_is_too_long_is_refused(serve):
    assert 414 == ask(serve(line_bytes=100), target="/" + "x" * 100)[0]


def test_headers_that_are_too_long_are_refused(serve):
    assert 431 == ask(serve(header_bytes=100), X_Long="x" * 100)[0]


def test_a_request_that_is_none_is_refused(serve):
    with dial(serve()) as sock:
        sock.sendall(b"nonsense of a client\r\n\r\n")
        assert b"400" in drained(sock)


def test_an_application_that_fails_is_answered_with_500_and_logged_once(serve, caplog):
    def app(environ, start_response):
        raise LookupError("no such thing")

    assert 500 == ask(serve(app))[0]
    assert ["The exporter could not build an answer."] == warnings_of(caplog)


def test_a_client_that_goes_is_not_worth_a_record(serve, caplog):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"x" * (8 * 1024 * 1024)]

    handle = serve(app, answer_seconds=0.05)
    with dial(handle, receive=4096) as sock:
        sock.sendall(HELLO)
        until(lambda: handle._server._open)
        until(lambda: not handle._server._open)
    assert [] == warnings_of(caplog)


def test_what_keeps_it_from_serving_a_client_is_logged(serve, caplog):
    class Failing(ThreadedServer):
        def process_request(self, request, client_address):
            raise RuntimeError("can't start new thread")

    with dial(serve(server=Failing)) as sock:
        assert b"" == drained(sock)
    assert ["The exporter could not serve a client."] == warnings_of(caplog)


# --- how many clients --------------------------------------------------------------------------


def test_a_silent_client_makes_room_for_the_next(serve):
    handle = serve(connections=1, patience_seconds=0.01)
    with dial(handle) as silent:
        until(lambda: handle._server._open)
        assert (200, b"") == (ask(handle)[0], drained(silent))


def test_a_client_that_is_being_answered_keeps_its_place(serve):
    slow = Slow()
    handle = serve(slow, connections=1, patience_seconds=0.01)
    with dial(handle) as first, dial(handle) as second:
        first.sendall(HELLO)
        assert slow.asked.wait(LIMIT)
        second.sendall(HELLO)
        until(lambda: not handle._server._places.count())
        time.sleep(0.03)  # for longer than its patience
        alone = len(handle._server._open)
        slow.go_on.set()
        assert (1, 200, 200) == (alone, taken(first)[0], taken(second)[0])


def test_a_request_that_takes_too_long_is_ended_without_a_record(serve, caplog):
    with dial(serve(request_seconds=0.05)) as sock:
        sock.sendall(HELLO[:-2])
        assert (b"", []) == (drained(sock), warnings_of(caplog))


def test_a_request_that_comes_byte_by_byte_is_ended_as_well(serve):
    handle = serve(request_seconds=0.3)
    with dial(handle) as sock:
        until(lambda: handle._server._open)

        def ended():
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"x")
            return not handle._server._open

        until(ended)


def test_a_client_that_has_gone_before_it_was_accepted_takes_no_place():
    server = ThreadedServer(hello, listen("127.0.0.1", 0), limits=ClientLimits(connections=1))
    server.socket.settimeout(0)
    with server, contextlib.suppress(BlockingIOError):
        server.get_request()
    assert 1 == server._places.count()


# --- threads and sockets of other libraries ----------------------------------------------------


@pytest.mark.parametrize(("trace", "seen"), [(None, ["served"]), ("trace", ["trace", "served"])])
def test_debuggers_see_its_threads(monkeypatch, trace, seen):
    noted = []
    monkeypatch.setattr(wsgi_server, "sys", SimpleNamespace(settrace=noted.append))
    monkeypatch.setattr(wsgi_server, "threading", SimpleNamespace(gettrace=lambda: trace))
    wsgi_server.run_traced(noted.append, "served")
    assert seen == noted


def test_a_socket_of_another_library_accepts_in_its_own_way():
    accepted = ("its socket", ("10.0.0.1", 1))
    assert accepted == wsgi_server._accept(SimpleNamespace(accept=lambda: accepted))


# --- it stops ----------------------------------------------------------------------------------


def test_it_leaves_no_thread_and_no_port(serve):
    handle = serve()
    ask(handle)
    handle.stop()
    listen("127.0.0.1", handle.port).close()
    assert [] == serving_threads()


def test_it_stops_soon_though_a_client_is_slow(serve):
    handle = serve()
    with dial(handle) as sock:
        until(lambda: handle._server._open)
        began = time.monotonic()
        handle.stop()
        assert (True, b"") == (time.monotonic() - began < 1.0, drained(sock))


def test_an_answer_under_way_is_finished(serve):
    slow = Slow()
    handle = serve(slow, stop_seconds=LIMIT)
    with dial(handle) as sock:
        sock.sendall(HELLO)
        assert slow.asked.wait(LIMIT)
        stopping = threading.Thread(target=handle.stop)
        stopping.start()
        until(lambda: handle._server.socket.fileno() < 0)
        slow.go_on.set()
        assert 200 == taken(sock)[0]
    stopping.join(LIMIT)
    assert [] == serving_threads()


def test_to_stop_twice_does_no_harm(serve):
    handle = serve()
    for _ in range(2):
        handle.stop()
    assert [] == serving_threads()


# --- forks -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_holds_no_socket_and_its_stop_returns(serve):
    slow = Slow()
    handle = serve(slow)
    with dial(handle) as sock:
        sock.sendall(HELLO)
        assert slow.asked.wait(LIMIT)
        ready, wait = os.pipe(), os.pipe()
        child = os.fork()
        if not child:
            handle.stop()
            os.write(ready[1], b"x")
            os.read(wait[0], 1)
            os._exit(0)
        assert b"x" == os.read(ready[0], 1)
        slow.go_on.set()
        assert drained(sock).startswith(b"HTTP/1.0 200 ")
        handle.stop()
        with socket.socket() as other:
            refused = other.connect_ex((handle.host, handle.port))
        os.write(wait[1], b"x")
        os.waitpid(child, 0)
    for number in (*ready, *wait):
        os.close(number)
    assert refused
