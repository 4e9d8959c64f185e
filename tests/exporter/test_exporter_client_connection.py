"""Clients that are slow, many or wrong: none holds the exporter, and each is let go in time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import threading
import time

import pytest
import trustme
import uvicorn
from cryptography import x509
from serving import HELLO, LIMIT, Large, Slow, ask, dial, drained, hello, taken, until
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from traced_image.exporter.web.client_connection import ClientConnection, ConnectionState
from traced_image.exporter.web.client_limits import LIMITS
from traced_image.exporter.web.config_file import WebConfigFile

SOON = 0.2
"""Seconds that a client is given, where the test waits for them to pass."""

POST = b"POST / HTTP/1.1\r\nHost: exporter\r\nContent-Length: 1000\r\n\r\n"
TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"
MUTUAL = f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"


@pytest.fixture(autouse=True)
def nothing_is_logged_of_clients(caplog):
    """Whatever a client does, it fills no log."""
    caplog.set_level(logging.INFO)
    yield
    assert [] == [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING or record.name == "uvicorn.access"
    ]


@pytest.fixture
def web(certificates, write):
    return WebConfigFile(write(TLS + "}"))


# --- slow clients ------------------------------------------------------------------------------


def say_nothing(sock):
    """Connect, and no more."""


def begin_a_request(sock):
    sock.sendall(HELLO[:-2])


def begin_a_body(sock):
    sock.sendall(POST + b"x")


def begin_another_request(sock):
    sock.sendall(HELLO.replace(b" / ", b" /hello ") + HELLO[:-2])
    taken(sock)


def read_nothing(sock):
    sock.sendall(HELLO)


def ask_much_and_read_nothing(sock):
    sock.sendall(HELLO * 100)


def be_idle(sock):
    sock.sendall(HELLO.replace(b" / ", b" /hello "))
    taken(sock)


def begin_tls(sock):
    sock.sendall(b"\x16\x03\x01\x02\x00\x01")


GIVEN = {
    say_nothing: "request_seconds",
    begin_a_request: "request_seconds",
    begin_a_body: "request_seconds",
    begin_another_request: "request_seconds",
    read_nothing: "answer_seconds",
    ask_much_and_read_nothing: "answer_seconds",
    be_idle: "idle_seconds",
}
"""Which limit each kind of client runs into."""

SLOW = list(GIVEN)

SLOW_IN_TLS = [
    *(begin_a_request, read_nothing),
    *(pytest.param(slowly, marks=pytest.mark.slow) for slowly in (begin_a_body, be_idle)),
]


class Both:
    """An application that answers little at one path, and at the others much."""

    async def __call__(self, scope, receive, send):
        await (hello if scope["path"] == "/hello" else Large())(scope, receive, send)


@contextlib.contextmanager
def crowd(handle, slowly, count, wrap=lambda sock: sock):
    """As many clients of one kind."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sock = stack.enter_context(wrap(dial(handle, receive=4096)))
            # The server may end one of them at any time, for the others.
            with contextlib.suppress(OSError):
                slowly(sock)
        yield


def answered_soon(handle, context=None):
    """How another client is answered, and whether it is before a slow one is let go."""
    began = time.monotonic()
    status = ask(handle, target="/hello", context=context)[0]
    return status, time.monotonic() - began < LIMITS.request_seconds / 2


@pytest.mark.parametrize("slowly", SLOW)
@pytest.mark.parametrize("count", [7, 8, 20])
def test_others_are_answered_whatever_slow_clients_do(serve, slowly, count):
    handle = serve(Both(), connections=8, patience_seconds=0.1)
    with crowd(handle, slowly, count):
        assert (200, True) == answered_soon(handle)


@pytest.mark.parametrize("slowly", [say_nothing, begin_tls])
def test_others_are_answered_though_many_do_not_go_on_with_tls(serve, web, certificates, slowly):
    handle = serve(Both(), web, connections=8, patience_seconds=0.1)
    with crowd(handle, slowly, 20):
        assert (200, True) == answered_soon(handle, certificates.context())


@pytest.mark.parametrize("slowly", SLOW_IN_TLS)
def test_others_are_answered_whatever_slow_clients_do_in_tls(serve, web, certificates, slowly):
    handle = serve(Both(), web, connections=8, patience_seconds=0.1)
    context = certificates.context()
    with crowd(handle, slowly, 20, lambda sock: context.wrap_socket(sock, server_hostname="::1")):
        assert (200, True) == answered_soon(handle, context)


def test_there_are_never_more_connections_than_allowed(serve):
    handle = serve(connections=8)
    with crowd(handle, say_nothing, 20):
        until(lambda: 8 == len(handle._server._connections))
        ask(handle)
        assert len(handle._server._connections) <= 8


def test_many_may_come_at_once(serve):
    """Whom the system has no place for waits for a second."""
    handle = serve(connections=8)
    began = time.monotonic()
    clients = [dial(handle) for _ in range(100)]
    took = time.monotonic() - began
    for client in clients:
        client.close()
    assert took < 1


def test_a_hundred_clients_may_be_there_at_a_time():
    assert 100 == LIMITS.connections


@pytest.mark.parametrize("slowly", SLOW)
def test_a_slow_client_is_let_go_in_time(serve, slowly):
    handle = serve(Both(), **{GIVEN[slowly]: SOON})
    with dial(handle, receive=4096) as sock:
        with contextlib.suppress(OSError):
            slowly(sock)
        until(lambda: not handle._server._connections)


@pytest.mark.parametrize("slowly", [say_nothing, begin_tls])
def test_a_client_that_does_not_go_on_with_tls_is_let_go_in_time(serve, web, slowly):
    handle = serve(web=web, handshake_seconds=SOON)
    with dial(handle) as sock:
        slowly(sock)
        assert b"" == drained(sock)


@pytest.mark.parametrize("slowly", SLOW_IN_TLS)
def test_a_slow_client_in_tls_is_let_go_in_time(serve, web, certificates, slowly):
    handle = serve(Both(), web, **{GIVEN[slowly]: SOON})
    context = certificates.context()
    with context.wrap_socket(dial(handle, receive=4096), server_hostname="localhost") as sock:
        slowly(sock)
        until(lambda: not handle._server._connections)


def test_a_drop_now_and_then_gives_a_request_no_more_time(serve):
    handle = serve(request_seconds=SOON)
    with dial(handle) as sock, contextlib.suppress(ConnectionError):
        for _ in range(20):
            sock.sendall(b"x")
            time.sleep(SOON / 4)
        pytest.fail("it had five times as long")


def test_an_application_that_does_not_answer_is_left(serve):
    slow = Slow()
    handle = serve(slow, answer_seconds=SOON)
    with dial(handle) as sock:
        sock.sendall(HELLO)
        assert b"" == drained(sock)


def test_an_idle_client_is_let_go_politely(serve, web, certificates):
    handle = serve(web=web, idle_seconds=SOON)
    context = certificates.context()
    with (
        dial(handle) as sock,
        context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False) as tls,
    ):
        be_idle(tls)
        assert b"" == tls.recv(99)  # an end that TLS knows of, or else it raises


def test_an_idle_client_may_take_longer_than_one_with_half_a_request(serve):
    handle = serve(request_seconds=0.5, answer_seconds=0.5)
    with dial(handle) as sock:
        be_idle(sock)
        time.sleep(1)
        sock.sendall(HELLO)
        assert (200, b"hello\n") == taken(sock)


def test_uvicorns_own_five_seconds_do_not_count(serve):
    handle = serve()
    with dial(handle) as sock:
        be_idle(sock)
        (one,) = handle._server._connections
        until(lambda: one.cycle.response_complete)
        assert one.timeout_keep_alive_task is None


def test_an_idle_client_whose_answer_took_its_time_may_take_longer_too(serve):
    handle = serve(Large(), answer_seconds=3 * SOON, idle_seconds=LIMIT)
    with dial(handle, receive=4096) as sock:
        sock.sendall(HELLO)
        until(lambda: handle._server._connections)
        (one,) = handle._server._connections
        until(lambda: one.doing is ConnectionState.TAKING)
        taken(sock)
        time.sleep(4 * SOON)
        sock.sendall(HELLO)
        assert (200, Large.body) == taken(sock)


def test_a_client_that_takes_its_time_within_the_limits_is_answered(serve):
    handle = serve()
    with dial(handle) as sock:
        for place in range(0, len(HELLO), 5):
            sock.sendall(HELLO[place : place + 5])
            time.sleep(0.01)
        assert (200, b"hello\n") == taken(sock)


# --- who makes room for a new one --------------------------------------------------------------


def test_an_idle_one_makes_room_the_one_that_has_been_so_for_longest_first(serve):
    handle = serve(connections=2)
    with dial(handle) as first, dial(handle) as second:
        be_idle(first)
        be_idle(second)
        assert 200 == ask(handle)[0]
        second.sendall(HELLO)
        assert (b"", (200, b"hello\n")) == (drained(first), taken(second))


def test_a_slow_one_makes_room_after_an_idle_one(serve):
    handle = serve(connections=2, patience_seconds=LIMIT)
    with dial(handle) as slow, dial(handle) as idle:
        begin_a_request(slow)
        be_idle(idle)
        assert (200, b"") == (ask(handle)[0], drained(idle))
        slow.sendall(HELLO[-2:])
        assert (200, b"hello\n") == taken(slow)


def test_a_slow_one_keeps_its_place_where_nobody_waits_for_one(serve):
    handle = serve(connections=2, patience_seconds=0.05)
    with dial(handle) as slow:
        begin_a_request(slow)
        time.sleep(SOON)
        slow.sendall(HELLO[-2:])
        assert (200, b"hello\n") == taken(slow)


def test_one_that_is_being_answered_keeps_its_place(serve):
    slow = Slow()

    async def app(scope, receive, send):
        await (slow if scope["path"] == "/" else hello)(scope, receive, send)

    handle = serve(app, connections=1, patience_seconds=0.05)
    with dial(handle) as answered, dial(handle) as waiting:
        answered.sendall(HELLO)
        assert slow.asked.wait(LIMIT)
        waiting.sendall(HELLO.replace(b" / ", b" /hello "))
        time.sleep(SOON)
        slow.go_on()
        assert [(200, b"hello\n")] * 2 == [taken(answered), taken(waiting)]


def test_one_that_waits_is_answered_as_soon_as_another_one_leaves(serve):
    handle = serve(connections=1, patience_seconds=6 * LIMIT)
    assert [200] * 3 == ask_at_once(handle, 3)


def test_it_can_be_stopped_while_one_waits(serve):
    handle = serve(Slow(), connections=1, patience_seconds=LIMIT)
    with dial(handle) as answered, dial(handle) as waiting:
        answered.sendall(HELLO)
        until(lambda: handle._server._acceptor._paused)
        handle.stop()
        assert (b"", b"") == (drained(answered), drained(waiting))


# --- many at once ------------------------------------------------------------------------------


def ask_at_once(handle, count, wrap=lambda sock: sock):
    """The statuses of requests whose clients all connect before the first one is answered."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(dial(handle)) for _ in range(count)]
        threads, statuses = [], []

        def one(sock):
            with wrap(sock) as spoken:
                spoken.sendall(HELLO)
                statuses.append(taken(spoken)[0])

        for sock in clients:
            threads.append(threading.Thread(target=one, args=(sock,)))
            threads[-1].start()
        for thread in threads:
            thread.join(3 * LIMIT)
    return statuses


async def scraped(scope, receive, send):
    """An application that blocks the event loop for as long as many metrics do."""
    time.sleep(0.002)  # noqa: ASYNC251 it blocks on purpose
    await PlainTextResponse(b"x" * 100_000)(scope, receive, send)


def test_hundreds_of_scrapes_at_once_are_all_answered(serve):
    assert [200] * 300 == ask_at_once(serve(scraped), 300)


@pytest.mark.slow  # as above, with more clients
def test_a_thousand_scrapes_at_once_are_all_answered(serve):
    assert [200] * 1000 == ask_at_once(serve(scraped), 1000)


@pytest.mark.slow  # as above, in TLS
def test_hundreds_of_scrapes_at_once_are_all_answered_in_tls(serve, web, certificates):
    context = certificates.context()

    def wrap(sock):
        return context.wrap_socket(sock, server_hostname="localhost")

    assert [200] * 300 == ask_at_once(serve(scraped, web), 300, wrap)


def test_where_no_client_can_be_accepted_there_is_one_warning_and_they_wait(serve, caplog):
    handle = serve(patience_seconds=0.05)
    failing = Failing(handle._server.sock, OSError(errno.EMFILE, "Too many open files"), 3)
    handle._server._acceptor._sock = failing
    with dial(handle) as sock:
        sock.sendall(HELLO)
        assert (200, b"hello\n") == taken(sock)
    said = "The exporter can't accept clients at the moment: Too many open files."
    assert [said] == [
        each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING
    ]
    caplog.clear()


def test_a_client_that_has_gone_before_it_was_accepted_is_passed_over(serve):
    handle = serve()
    failing = Failing(handle._server.sock, ConnectionAbortedError(), 1)
    handle._server._acceptor._sock = failing
    assert (200, 0) == (ask(handle)[0], failing.left)


class Failing:
    """A listening socket that accepts nobody at first."""

    def __init__(self, sock, error, left):
        self.sock, self.error, self.left = sock, error, left

    def fileno(self):
        return self.sock.fileno()

    def accept(self):
        if self.left:
            self.left -= 1
            raise self.error
        return self.sock.accept()


# --- wrong clients -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 20_000,
        b"GET / HTTP/1.1\r\nHost: exporter\r\nX-Long: " + b"x" * 20_000,
        b"GET / HTTP/1.1\r\nHost: exporter\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: exporter\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_and_ended(serve, said):
    with dial(serve()) as sock:
        sock.sendall(said)
        assert drained(sock).startswith(b"HTTP/1.1 400 ")


def test_a_body_is_passed_over(serve):
    with dial(serve()) as sock:
        sock.sendall(POST + b"x" * 1000 + HELLO)
        received = b""
        while b"hello\n" not in received:
            received += sock.recv(999)
        assert received.startswith(b"HTTP/1.1 405 ")


def test_a_body_that_is_too_long_ends_the_connection(serve):
    with dial(serve(body_bytes=1000)) as sock:
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: exporter\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                sock.sendall(b"64\r\n" + b"x" * 100 + b"\r\n")
                time.sleep(0.001)
            pytest.fail("all of it was taken")


CHUNKED = b"PUT / HTTP/1.1\r\nHost: exporter\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_body_that_goes_wrong_once_it_was_answered_ends_the_connection(serve):
    with dial(serve()) as sock:
        sock.sendall(CHUNKED)
        assert 405 == taken(sock)[0]
        sock.sendall(b"nonsense\r\n")
        assert b"" == drained(sock)


def test_a_body_that_goes_wrong_while_it_is_answered_ends_the_connection(serve):
    slow = Slow()
    handle = serve(slow)
    with dial(handle) as sock:
        sock.sendall(CHUNKED.replace(b"PUT", b"GET"))
        assert slow.asked.wait(LIMIT)
        sock.sendall(b"nonsense\r\n")
        assert b"" == drained(sock)
        slow.go_on()
        until(lambda: not handle._server.server_state.tasks)


def test_requests_that_come_together_are_all_answered(serve):
    with dial(serve()) as sock:
        sock.sendall(HELLO * 3 + HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert 4 == drained(sock).count(b"hello\n")


def test_a_request_of_http_10_is_answered_and_ended(serve):
    with dial(serve()) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert drained(sock).endswith(b"hello\n")


def test_a_request_for_another_protocol_is_answered_in_this_one(serve):
    with dial(serve()) as sock:
        upgrade = b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        sock.sendall(HELLO.replace(b"\r\n\r\n", upgrade) + HELLO)
        received = b""
        while 2 != received.count(b"hello\n"):
            received += sock.recv(999)


def test_what_is_no_tls_is_ended(serve, web):
    with dial(serve(web=web)) as sock:
        sock.sendall(HELLO)
        assert not drained(sock).startswith(b"HTTP")


# --- TLS ---------------------------------------------------------------------------------------


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(serve, web, certificates):
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = certificates.context().wrap_bio(into, out, server_hostname="localhost")
    with dial(serve(web=web)) as sock:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(out.read())
                into.write(sock.recv(1 << 16))
        client.write(HELLO)
        sock.sendall(out.read())
        received = b""
        while b"hello\n" not in received:
            with contextlib.suppress(ssl.SSLWantReadError):
                received += client.read()
                continue
            into.write(sock.recv(1 << 16))
        assert received.startswith(b"HTTP/1.1 200 ")


def handshake(handle, context):
    """What the server says to a client, after the handshake."""
    with (
        contextlib.suppress(ConnectionError),
        dial(handle) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        tls.sendall(HELLO)
        return tls.recv(15)
    return b""


def test_a_client_with_a_certificate_of_the_authority_is_answered(serve, certificates, write):
    handle = serve(web=WebConfigFile(write(MUTUAL + "}")))
    client = certificates.authority.issue_cert("scraper")
    assert b"HTTP/1.1 200 OK" == handshake(handle, certificates.context(client))


@pytest.mark.parametrize("which", ["none", "another authority's"])
def test_a_client_without_one_is_not(serve, certificates, write, authority, which):
    handle = serve(web=WebConfigFile(write(MUTUAL + "}")))
    client = None if which == "none" else trustme.CA().issue_cert("scraper")
    assert b"" == handshake(handle, certificates.context(client))


def test_a_client_is_answered_though_the_authority_is_no_root(serve, certificates, write):
    """As in Go: what is in the file is trusted, be it a root or not."""
    lower = certificates.authority.create_child_ca()
    certificates.ca.with_name("lower.pem").write_bytes(lower.cert_pem.bytes())
    handle = serve(web=WebConfigFile(write((MUTUAL + "}").replace("ca.pem", "lower.pem"))))
    client = lower.issue_cert("scraper")
    assert b"HTTP/1.1 200 OK" == handshake(handle, certificates.context(client))


@pytest.mark.parametrize(("name", "said"), [("scraper", b"HTTP/1.1 200 OK"), ("other", b"")])
def test_only_a_client_of_an_allowed_name_is_answered(serve, certificates, write, name, said):
    handle = serve(web=WebConfigFile(write(MUTUAL + ", client_allowed_sans: [scraper]}")))
    client = certificates.authority.issue_cert(name)
    assert said == handshake(handle, certificates.context(client))


@pytest.mark.parametrize("given", [True, False])
def test_a_client_may_come_without_a_certificate_where_it_need_not_have_one(
    serve, certificates, write, given
):
    text = f"{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem}}"
    client = certificates.authority.issue_cert("scraper") if given else None
    handle = serve(web=WebConfigFile(write(text)))
    assert b"HTTP/1.1 200 OK" == handshake(handle, certificates.context(client))


def serial(handle, context):
    """The number of the certificate that the server shows."""
    with dial(handle) as sock, context.wrap_socket(sock, server_hostname="localhost") as tls:
        return tls.getpeercert()["serialNumber"]


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def reloading(serve, certificates, write, now):
    return serve(web=WebConfigFile(write(TLS + "}"), clock=lambda: now[0]))


def test_a_new_certificate_is_shown_to_new_connections(reloading, certificates, now):
    context = certificates.context()
    before = serial(reloading, context)
    new = certificates.issue("cert.pem", "key.pem", "localhost")
    now[0] = 2.0
    expected = f"{int_of(new):X}".zfill(len(before))
    assert expected == serial(reloading, context) != before


def int_of(certificate):
    return x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes()).serial_number


def test_a_bad_certificate_leaves_the_old_one_to_be_shown(reloading, certificates, now, caplog):
    context = certificates.context()
    before = serial(reloading, context)
    (certificates.folder / "key.pem").write_text("")
    now[0] = 2.0
    assert before == serial(reloading, context)
    caplog.clear()  # of the one warning


def test_a_connection_from_before_ends_with_its_next_answer(reloading, certificates, now):
    context = certificates.context()
    with dial(reloading) as sock, context.wrap_socket(sock, server_hostname="localhost") as tls:
        tls.sendall(HELLO)
        tls.recv(999)
        certificates.issue("cert.pem", "key.pem", "localhost")
        now[0] = 2.0
        serial(reloading, context)
        tls.sendall(HELLO)
        assert drained(tls).endswith(b"hello\n")


# --- in a loop of its own ----------------------------------------------------------------------


def in_a_loop(work):
    """Run `work` with a connection that has ended; return what is still known of any."""

    async def run():
        ours, theirs = socket.socketpair()
        others, state = {}, ServerState()

        def made():
            config = uvicorn.Config(hello, lifespan="off", log_config=None)
            given = {"config": config, "server_state": state, "app_state": {}}
            return ClientConnection(
                others=others, left=lambda: None, limits=LIMITS, web=None, **given
            )

        loop = asyncio.get_running_loop()
        transport, one = await loop.connect_accepted_socket(made, ours)
        state.connections.clear()
        one.abort()
        while transport.get_extra_info("socket").fileno() >= 0:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await asyncio.wait_for(work(one, transport), LIMIT / 2)
        theirs.close()
        return others, state.connections

    return asyncio.run(run())


def test_one_that_has_ended_does_not_begin_with_tls(web):
    async def work(one, transport):
        await one._begin_tls(web.in_force.context)

    assert ({}, set()) == in_a_loop(work)


def test_one_that_has_ended_before_its_tls_was_ready_is_not_kept():
    async def work(one, transport):
        one._ready(transport)

    assert ({}, set()) == in_a_loop(work)
