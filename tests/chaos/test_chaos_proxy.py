"""The proxy passes bytes as its link allows."""

from __future__ import annotations

import os
import random
import socket
import threading
import time

import pytest
from chaos.observing import count_descriptors
from chaos.proxy import WHOLE, Link, Loop, Proxy, find_socket
from parts.ports import free_port

LIMIT = 5.0
"""Seconds after which what must come will not come."""

SOON = 0.2
"""Seconds in which what is held does not come."""


@pytest.fixture
def echo():
    """The port of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=repeat, args=(sock,), daemon=True).start()

    def repeat(sock):
        with sock:
            try:
                while data := sock.recv(65536):
                    sock.sendall(data)
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def proxy(echo):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    loop = Loop()
    made = Proxy(loop, port, echo, random.Random(0))
    yield made
    made.close()
    loop.close()


@pytest.fixture
def client(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as sock:
        yield sock


def exchange(client, data=b"a"):
    """Send bytes and return what comes back until as many have come."""
    client.sendall(data)
    return receive(client, len(data))


def receive(client, size):
    """Return what comes until it is so many bytes."""
    with client.makefile("rb") as stream:
        return stream.read(size)


def nothing_comes(client):
    client.settimeout(SOON)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(LIMIT)
    return True


def test_a_whole_link_passes_all_bytes(client):
    data = random.Random(1).randbytes(1 << 20)
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    received = receive(client, len(data))
    sender.join()
    assert data == received


def test_the_end_of_a_stream_passes(client):
    client.shutdown(socket.SHUT_WR)
    assert b"" == client.recv(1)


def test_a_delay_holds_each_piece(proxy, client):
    proxy.put(Link(delay=0.1))
    began = time.monotonic()
    exchange(client)
    assert time.monotonic() - began >= 0.2


def test_a_rate_holds_back_bytes(proxy, client):
    proxy.put(Link(rate=10_000))
    began = time.monotonic()
    exchange(client, b"." * 1000)
    assert time.monotonic() - began >= 0.2


def test_a_loss_resets_the_connection(proxy, client):
    proxy.put(Link(reset=1.0))
    client.sendall(b"a")
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_bytes_wait_in_a_cut_link_until_it_is_whole(proxy, client):
    proxy.put(Link(is_cut=True))
    client.sendall(b"a")
    assert nothing_comes(client)
    proxy.put(WHOLE)
    assert b"a" == client.recv(1)


def test_a_new_connection_waits_in_a_cut_link(proxy):
    proxy.put(Link(is_cut=True))
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client:
        client.sendall(b"a")
        assert nothing_comes(client)
        proxy.put(WHOLE)
        assert b"a" == client.recv(1)


def test_a_half_open_connection_says_nothing_and_is_reset_when_the_link_is_whole(proxy, client):
    exchange(client)
    proxy.put(Link(is_half_open=True))
    client.sendall(b"a")
    assert nothing_comes(client)
    proxy.put(WHOLE)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_new_connection_of_a_half_open_link_is_reset_when_the_link_is_whole(proxy):
    proxy.put(Link(is_half_open=True))
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client:
        assert nothing_comes(client)
        proxy.put(WHOLE)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_proxy_that_refuses_keeps_its_connections(proxy, client):
    exchange(client)
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), LIMIT)
    assert b"a" == exchange(client)


def test_a_proxy_listens_again_on_its_port(proxy):
    proxy.refuse()
    proxy.listen()
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client:
        assert b"a" == exchange(client)


def test_a_closed_proxy_resets_its_connections(proxy, client):
    exchange(client)
    proxy.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_closed_connection_with_tls_has_no_socket_for_a_child_to_close():
    class Closed:
        def get_extra_info(self, name):
            raise AttributeError("'NoneType' object has no attribute '_get_extra_info'")

    assert find_socket(Closed()) is None


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_closes_its_sockets_of_a_proxy(echo):
    loop = Loop()
    proxy = Proxy(loop, free_port(), echo, random.Random(1))
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client:
        client.sendall(b"x")
        assert b"x" == client.recv(1)
        child = os.fork()
        if child == 0:
            before = count_descriptors()
            proxy.release()
            # The listener, and both ends of the connection.
            os._exit(before - count_descriptors())
        assert 3 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    proxy.close()
    loop.close()


def test_a_port_that_a_forked_child_still_has_is_waited_for(proxy):
    proxy.refuse()
    held = socket.create_server(("127.0.0.1", proxy.port))
    waiting = threading.Timer(SOON, held.close)
    waiting.start()
    proxy.listen()
    waiting.join()
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as sock:
        sock.sendall(b"x")
        assert b"x" == sock.recv(1)
