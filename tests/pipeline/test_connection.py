"""Connections: the deadline that bounds a whole reply, what is kept alive, and what is stale."""

import contextlib
import gc
import socket
import threading
import time

import pytest
from loopback import Loopback, closing, conversation, dribbled, get, read_request, reply, sent
from support import LIMIT

from traced_image import lab
from traced_image.errors import AttemptError, CommunicationError, HTTPStatusError, ServerError
from traced_image.pipeline.api import v1, v2
from traced_image.pipeline.api.operation import Operation, Request
from traced_image.pipeline.http import connection

DEADLINE = 0.25
SOON = 2.0
"""Seconds that it may take on a busy machine: less than any of the replies takes."""
JSON = reply(200, b"{}")


@pytest.fixture
def tell(opened):
    """Start a server that answers as told; give it and a sender to it."""
    with contextlib.ExitStack() as stack:

        def start(*says, tls=None, **fields):
            server = stack.enter_context(Loopback(conversation(*says), tls))
            if tls is not None:
                fields = {"cafile": tls.cafile, **fields}
            return server, opened.sender(server, **fields)

        yield start


@pytest.fixture(params=["http", "https"])
def tell_both(request, tell, tls):
    """The same, with and without TLS."""

    def start(*says, **fields):
        return tell(*says, tls=tls if request.param == "https" else None, **fields)

    return start


def fails_at_the_deadline(sender, error=AttemptError, operation=None):
    started = time.monotonic()
    with pytest.raises(error):
        sender(operation or get(), deadline=DEADLINE)
    return DEADLINE <= time.monotonic() - started < SOON


def stall(sock):
    """Say no more, until the client has gone."""
    sock.settimeout(LIMIT)
    sock.recv(1)


# --- the deadline ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dribble",
    [
        JSON + b" " * 100,
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 80,
        reply(200, b"", "Content-Length: 100") + b"[" * 100,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n[\r\n" * 100,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    ],
    ids=["headers", "many headers", "body", "body without length", "chunks", "continues"],
)
def test_a_reply_that_dribbles_is_given_up_at_the_deadline(tell_both, dribble):
    _, sender = tell_both(dribbled(dribble, 0.03))
    assert fails_at_the_deadline(sender)


def test_an_error_page_that_dribbles_is_given_up_at_the_deadline(tell_both):
    page = reply(500, b"", "Content-Length: 100").replace(b"\r\n\r\n", b"\r\n\r\n" + b"x" * 100)
    head, _, body = page.partition(b"\r\n\r\n")

    def say(sock):
        sock.sendall(head + b"\r\n\r\n")
        dribbled(body, 0.03)(sock)

    _, sender = tell_both(say)
    assert fails_at_the_deadline(sender, ServerError)


def test_a_reply_that_stalls_is_given_up_at_the_deadline(tell_both):
    def say(sock):
        sock.sendall(JSON[:10])
        time.sleep(0.3)
        sock.sendall(JSON[10:20])
        stall(sock)

    _, sender = tell_both(say)
    started = time.monotonic()
    with pytest.raises(CommunicationError):
        sender(get(), deadline=0.4)
    assert 0.4 <= time.monotonic() - started < SOON


def test_data_that_stalls_is_not_given_up_at_the_deadline(tell_both):
    def say(sock):
        sock.sendall(reply(200, b"", "Content-Length: 4") + b"da")
        time.sleep(0.4)
        sock.sendall(b"ta")

    _, sender = tell_both(say, read_timeout=LIMIT)
    chunks = sender.value(get(stream=True), deadline=0.2).chunks
    assert b"".join(chunks) == b"data"


def test_data_that_stalls_is_given_up_after_the_read_timeout(tell_both):
    def say(sock):
        sock.sendall(reply(200, b"", "Content-Length: 4") + b"da")
        stall(sock)

    _, sender = tell_both(say, read_timeout=0.2)
    chunks = sender.value(get(stream=True), deadline=LIMIT).chunks
    started = time.monotonic()
    with pytest.raises(CommunicationError):
        list(chunks)
    assert 0.2 <= time.monotonic() - started < SOON


def test_a_handshake_is_given_up_at_the_deadline(opened, tls):
    with Loopback(lambda _server, sock, _number: sock.makefile("rb").read()) as server:
        sender = opened.sender(server.url.replace("http", "https"), cafile=tls.cafile)
        assert fails_at_the_deadline(sender)


def test_the_deadline_of_a_call_bounds_all_of_its_requests(tell):
    def slowly(sock):
        time.sleep(0.15)
        sock.sendall(JSON)

    def perform(wire):
        return [wire(Request("GET", "/v2/images/x")) for _ in range(50)]

    _, sender = tell(slowly)
    many = Operation("images.list", "GET", "/v2/images", perform)
    assert fails_at_the_deadline(sender, operation=many)


def test_without_a_deadline_a_reply_may_dribble(tell_both):
    _, sender = tell_both(dribbled(JSON, 0.002), read_timeout=LIMIT)
    assert sender.value(get()).body == b"{}"


def test_to_connect_takes_no_longer_than_allowed_with_tls_and_all(opened, tls):
    with Loopback(lambda _server, sock, _number: sock.makefile("rb").read()) as server:
        url = server.url.replace("http", "https")
        sender = opened.sender(url, cafile=tls.cafile, connect_timeout=0.3)
        started = time.monotonic()
        with pytest.raises(CommunicationError):
            sender(get())
    assert 0.3 <= time.monotonic() - started < SOON


def test_to_connect_takes_no_longer_in_all_although_tcp_takes_its_time(opened, tls):
    """A full queue drops the first SYN; the next comes after a second."""

    def clear():
        time.sleep(0.2)
        with contextlib.suppress(OSError):
            while True:
                stack.enter_context(listener.accept()[0])

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        sender = opened.sender(url, cafile=tls.cafile, connect_timeout=1.5)
        clearing = threading.Thread(target=clear)
        clearing.start()
        started = time.monotonic()
        with pytest.raises(CommunicationError) as caught:
            sender(get())
        taken = time.monotonic() - started
        listener.shutdown(socket.SHUT_RDWR)
        clearing.join()
    assert caught.value.reason == "connect_timeout"
    assert 1.4 <= taken < 2.4


def test_to_send_may_take_longer_than_to_connect(opened):
    """Storage that is busy keeps an upload waiting, on a connection that is well."""

    def talk(_server, sock, _number):
        time.sleep(0.4)
        with sock.makefile("rb") as stream:
            read_request(stream)
        sock.sendall(reply(204))

    with Loopback(talk) as server:
        sender = opened.sender(server, connect_timeout=0.2, read_timeout=LIMIT)
        assert sender(v2.upload("x", b"x" * (16 << 20))).status == 204


def test_to_send_takes_no_longer_than_the_read_timeout(opened):
    over = threading.Event()
    with Loopback(lambda *_: over.wait(LIMIT)) as server:
        sender = opened.sender(server, read_timeout=0.3)
        with pytest.raises(CommunicationError) as caught:
            sender(v2.upload("x", b"x" * (16 << 20)))
        over.set()
    assert (caught.value.reason, caught.value.reached) == ("read_timeout", True)


def test_a_request_is_not_hurried_by_the_deadline_of_the_one_before(tell):
    """The socket was left with what remained of another call's deadline."""

    def slowly(sock):
        time.sleep(0.4)
        sock.sendall(JSON)

    server, sender = tell(JSON, slowly)
    sender(get(), deadline=0.3)
    assert (sender.value(get()).body, server.accepted) == (b"{}", 1)


# --- what is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        v2.get,
        lambda _: v2.get("missing"),
        lambda _: v2.list_(),
        lambda image_id: v2.patch(image_id, [{"op": "add", "path": "/os", "value": "x"}]),
        lambda image_id: v2.upload(image_id, b"refused, since it is active"),
        v1.get,
        lambda _: v1.get("missing"),
        lambda _: v1.list_(),
        lambda _: v2.delete("missing"),
    ],
    ids=["get", "404", "list", "patch", "409", "head", "head 404", "v1 list", "delete"],
)
def test_one_connection_does_for_many_calls(server, image_id, opened, operation):
    sender = opened.sender(server)
    for _ in range(5):
        with contextlib.suppress(HTTPStatusError):
            sender(operation(image_id))
    assert server.connections == 1


def test_a_download_gives_its_connection_back(server, image_id, opened):
    sender = opened.sender(server)
    for _ in range(5):
        list(sender.value(v2.data(image_id)))
    assert server.connections == 1


def test_an_image_without_data_gives_its_connection_back(server, images, opened):
    sender, empty = opened.sender(server), images.add(name="empty")
    for _ in range(5):
        sender(v2.data(empty))
    assert server.connections == 1


def test_one_tls_connection_does_for_many_calls(images, image_id, tls, opened):
    with lab.GlanceServer(images, tls=tls) as server:
        sender = opened.sender(server, cafile=tls.cafile)
        for _ in range(5):
            sender(v2.get(image_id))
        assert server.connections == 1


def test_a_chunked_reply_leaves_its_connection_usable(tell):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    server, sender = tell(chunked)
    bodies = [sender.value(get()).body for _ in range(3)]
    assert (bodies, server.accepted) == ([b"{}"] * 3, 1)


def abandoned_before(sender, image_id):
    sender.value(v2.data(image_id))


def abandoned_after_a_chunk(sender, image_id):
    next(iter(sender.value(v2.data(image_id))))


def closed_before(sender, image_id):
    sender.value(v2.data(image_id)).close()


def closed_after_a_chunk(sender, image_id):
    download = sender.value(v2.data(image_id))
    chunks = iter(download)
    next(chunks)
    download.close()


def refused(sender, image_id):
    with contextlib.suppress(AttemptError):
        sender(v2.get(f"{image_id}-not"))


@pytest.mark.parametrize(
    "use",
    [abandoned_before, abandoned_after_a_chunk, closed_before, closed_after_a_chunk, refused],
)
def test_no_socket_is_left_open(images, server, opened, use):
    big = images.add(name="big", data=b"x" * (4 << 20))
    sender = opened.sender(server)
    use(sender, big)
    sender.http.close()
    gc.collect()
    limit = time.monotonic() + LIMIT
    while server_side_open(server) and time.monotonic() < limit:
        time.sleep(0.01)
    assert server_side_open(server) == 0


def server_side_open(server):
    return sum(
        t.name.startswith("glance-") and t.name != "glance-accept" for t in threading.enumerate()
    )


def test_a_connection_beyond_the_pool_s_places_is_closed(tell):
    server, sender = tell(JSON, pool_size=1)
    for _ in range(2):
        for chunks in [sender.value(get(stream=True)).chunks for _ in range(2)]:
            list(chunks)
    assert server.accepted == 3


# --- what is stale -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_reads_is_sent_again_where_a_kept_connection_was_closed(tell_both, method):
    server, sender = tell_both(JSON, closing(), reply(200, b"", "Content-Length: 0"))
    sender(get())
    status = sender(sent(method)).status
    assert (status, server.accepted, len(server.requests)) == (200, 2, 3)


def test_what_changes_something_is_not_sent_again(tell_both):
    server, sender = tell_both(JSON, closing(), JSON)
    sender(get())
    with pytest.raises(CommunicationError):
        sender(sent("DELETE"))
    assert len(server.requests) == 2


def test_a_new_connection_that_is_closed_is_the_server_s_fault(tell_both):
    server, sender = tell_both(closing(), JSON)
    with pytest.raises(CommunicationError):
        sender(get())
    assert len(server.requests) == 1


def test_a_connection_that_was_made_anew_is_the_server_s_fault(tell):
    """It has the same object as the one before, which had been used."""
    server, sender = tell(closing(JSON), closing(), JSON)
    sender(get())
    server._threads[-1].join(LIMIT)
    with pytest.raises(CommunicationError):
        sender(get())
    assert len(server.requests) == 2


def test_it_is_sent_again_with_all_the_time_to_connect(tell, tls):
    """The server has worked on it for longer than it takes to connect."""

    def slowly(_sock):
        time.sleep(0.5)

    server, sender = tell(JSON, slowly, JSON, tls=tls, connect_timeout=0.4)
    sender(get())
    assert (sender(get()).status, server.accepted) == (200, 2)


def test_it_is_sent_again_on_another_connection_that_is_kept(tell):
    server, sender = tell(JSON, JSON, closing(), JSON)
    stream = sender.value(get(stream=True))
    sender(get())
    list(stream.chunks)
    assert (200, 2) == (sender(get()).status, server.accepted)


def test_a_connection_that_was_closed_while_idle_is_replaced(server, image_id, opened):
    sender = opened.sender(server)
    sender(v2.get(image_id))
    server.break_with(lab.faults.refuse())
    server.heal()
    sender(v2.get(image_id))
    assert server.connections == 2


def test_what_changes_something_does_not_use_a_connection_that_was_idle(tell_both, monkeypatch):
    monkeypatch.setattr(connection, "IDLE_LIMIT", 0.0)
    server, sender = tell_both(JSON)
    sender(get())
    sender(sent("DELETE"))
    assert (server.accepted, len(server.requests)) == (2, 2)


def test_what_changes_something_uses_a_connection_that_was_busy(tell_both):
    server, sender = tell_both(JSON)
    sender(get())
    sender(sent("DELETE"))
    assert server.accepted == 1


def test_what_reads_uses_a_connection_that_was_idle(tell_both, monkeypatch):
    monkeypatch.setattr(connection, "IDLE_LIMIT", 0.0)
    server, sender = tell_both(JSON)
    sender(get())
    sender(get())
    assert server.accepted == 1


def test_an_answer_may_come_in_parts_while_data_is_sent(opened):
    begun = threading.Event()

    def talk(_server, sock, _number):
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No")
        begun.set()
        with sock.makefile("rb") as stream:
            read_request(stream)
        sock.sendall(b" Content\r\n\r\n")

    def data():
        yield b"x" * 10
        begun.wait(LIMIT)
        time.sleep(0.05)  # on its way within the machine
        yield b"y" * 10
        yield b"z" * 10

    with Loopback(talk) as server:
        assert 204 == opened.sender(server)(v2.upload("x", data())).status
