"""Connecting: one limit for all addresses of a name, and proxies with TLS of their own."""

import contextlib
import random
import socket
import ssl
import threading
import time

import pytest
from loopback import Loopback, closing, conversation, get, read_request, relaying, reply
from support import LIMIT

from traced_image.errors import CommunicationError, InvalidEndpoint, ProtocolError, TLSError
from traced_image.pipeline.api import v2

JSON = reply(200, b"{}")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """An environment that says nothing of proxies."""
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def silent():
    """The address of a port that lets nobody connect and refuses nobody: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


@pytest.fixture
def resolves(monkeypatch):
    """Make any name have the given addresses."""

    def to(*addresses, family=socket.AF_INET, seconds=0.0):
        def getaddrinfo(_host, _port, *_args, **_options):
            time.sleep(seconds)
            return [(family, socket.SOCK_STREAM, 0, "", address) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return to


@pytest.fixture
def server():
    with Loopback(conversation(JSON)) as server:
        yield server


def test_an_address_that_does_not_answer_leaves_time_for_the_next(opened, resolves, silent, server):
    resolves(silent, ("127.0.0.1", server.port))
    sender = opened.sender("http://glance.example", connect_timeout=0.6)
    assert 200 == sender(get()).status


def test_all_addresses_have_one_limit_together(opened, resolves, silent):
    resolves(silent, silent, silent, silent)
    sender = opened.sender("http://glance.example", connect_timeout=0.4)
    started = time.monotonic()
    with pytest.raises(CommunicationError) as caught:
        sender(get())
    assert "connect_timeout" == caught.value.reason
    assert 0.35 <= time.monotonic() - started < 1.2


def test_the_deadline_limits_all_addresses_too(opened, resolves, silent):
    resolves(silent, silent, silent, silent)
    sender = opened.sender("http://glance.example", connect_timeout=LIMIT)
    started = time.monotonic()
    with pytest.raises(CommunicationError):
        sender(get(), deadline=0.3)
    assert time.monotonic() - started < 1.2


def test_the_first_failure_is_reported_if_all_addresses_fail(opened, resolves, silent):
    with Loopback(conversation(JSON)) as gone:
        port = gone.port
    resolves(("127.0.0.1", port), silent)
    sender = opened.sender("http://glance.example", connect_timeout=0.3)
    with pytest.raises(CommunicationError) as caught:
        sender(get())
    assert ("connection_refused", False) == (caught.value.reason, caught.value.reached)


def test_the_time_of_the_resolver_counts(opened, resolves, server):
    resolves(("127.0.0.1", server.port), seconds=0.3)
    sender = opened.sender("http://glance.example", connect_timeout=0.2)
    with pytest.raises(CommunicationError) as caught:
        sender(get())
    assert "connect_timeout" == caught.value.reason


def test_a_name_without_an_address_does_not_resolve(opened, resolves):
    resolves()
    with pytest.raises(InvalidEndpoint) as caught:
        opened.sender("http://glance.example")(get())
    assert ("dns_error", False) == (caught.value.reason, caught.value.reached)


def test_a_family_of_addresses_that_the_machine_lacks_is_skipped(opened, monkeypatch, server):
    def getaddrinfo(*_args, **_options):
        kinds = (9999, socket.AF_INET)
        return [(each, socket.SOCK_STREAM, 0, "", ("127.0.0.1", server.port)) for each in kinds]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert 200 == opened.sender("http://glance.example")(get()).status


def test_what_interrupts_a_connect_reaches_the_caller(opened, resolves, monkeypatch, silent):
    class Interrupting(socket.socket):
        def connect(self, _address):
            raise KeyboardInterrupt

    resolves(silent)
    monkeypatch.setattr(socket, "socket", Interrupting)
    with pytest.raises(KeyboardInterrupt):
        opened.sender("http://glance.example")(get())


# --- proxies with TLS --------------------------------------------------------------------------


def drip(data):
    for byte in data:
        time.sleep(0.02)
        yield bytes([byte])


def test_http_goes_through_a_proxy_with_tls(opened, environment, tls):
    with Loopback(conversation(JSON), tls) as proxy:
        environment.setenv("http_proxy", proxy.url)
        sender = opened.sender("http://glance.example:9292", cafile=tls.cafile)
        status = sender(get()).status
    expected = b"GET http://glance.example:9292/v2/images/x HTTP/1.1"
    assert (200, expected) == (status, proxy.requests[0].partition(b"\r\n")[0])


def test_https_goes_through_a_tunnel_of_a_proxy_with_tls(opened, environment, tls):
    with Loopback(conversation(JSON), tls) as server, Loopback(relaying(server), tls) as proxy:
        environment.setenv("https_proxy", proxy.url)
        sender = opened.sender(server.url, cafile=tls.cafile)
        bodies = [sender.value(get()).body for _ in range(2)]
    # TLS within TLS does not show what is left over, so that no connection is used twice.
    assert ([b"{}", b"{}"], 2) == (bodies, proxy.accepted)


def test_an_upload_waits_whole_in_a_tunnel_of_a_proxy_with_tls(opened, environment, tls):
    def slowly(server, sock, number):
        time.sleep(0.4)
        conversation(reply(204))(server, sock, number)

    data = random.Random(1).randbytes(16 << 20)
    with Loopback(slowly, tls) as server, Loopback(relaying(server), tls) as proxy:
        environment.setenv("https_proxy", proxy.url)
        opened.sender(server.url, cafile=tls.cafile)(v2.upload("x", data))
    assert server.requests[0].endswith(b"\r\n\r\n" + data)


def test_a_reply_may_end_with_the_tunnel_of_a_proxy_with_tls(opened, environment, tls):
    said = b"HTTP/1.1 200 OK\r\n\r\n{}"
    with (
        Loopback(conversation(closing(said)), tls) as server,
        Loopback(relaying(server), tls) as proxy,
    ):
        environment.setenv("https_proxy", proxy.url)
        body = opened.sender(server.url, cafile=tls.cafile).value(get()).body
    assert body == b"{}"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 2"], ids=["nothing", "half a head"])
def test_a_tunnel_of_a_proxy_with_tls_that_ends_too_early_has_failed(
    opened, environment, tls, said
):
    with (
        Loopback(conversation(closing(said)), tls) as server,
        Loopback(relaying(server), tls) as proxy,
    ):
        environment.setenv("https_proxy", proxy.url)
        with pytest.raises((CommunicationError, ProtocolError)) as caught:
            opened.sender(server.url, cafile=tls.cafile)(get())
    assert caught.value.reason == ("protocol_error" if said else "connection_reset")


def test_a_handshake_that_drips_through_a_proxy_with_tls_takes_no_longer(opened, environment, tls):
    with (
        Loopback(conversation(JSON), tls) as server,
        Loopback(relaying(server, drip), tls) as proxy,
    ):
        environment.setenv("https_proxy", proxy.url)
        sender = opened.sender(server.url, cafile=tls.cafile, connect_timeout=0.4)
        started = time.monotonic()
        with pytest.raises(CommunicationError) as caught:
            sender(get())
    assert (caught.value.reason, time.monotonic() - started < 2) == ("connect_timeout", True)


def test_a_record_that_drips_through_a_proxy_with_tls_takes_no_longer(opened, environment, tls):
    hurry = threading.Event()

    def pace(data):
        return drip(data) if hurry.is_set() else [data]

    def say(sock):
        hurry.set()
        sock.sendall(reply(200, b"x" * 1000))

    with (
        Loopback(conversation(say), tls) as server,
        Loopback(relaying(server, pace), tls) as proxy,
    ):
        environment.setenv("https_proxy", proxy.url)
        sender = opened.sender(server.url, cafile=tls.cafile, read_timeout=0.4)
        started = time.monotonic()
        with pytest.raises(CommunicationError) as caught:
            sender(get())
    assert (caught.value.reason, time.monotonic() - started < 2) == ("read_timeout", True)


def test_a_proxy_without_tls_where_tls_is_expected_has_failed(opened, environment, tls):
    def talk(_proxy, sock, _number):
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with Loopback(talk) as proxy:
        environment.setenv("https_proxy", proxy.url.replace("http:", "https:"))
        with pytest.raises(CommunicationError, match="TLS with it failed") as caught:
            opened.sender("https://127.0.0.1:9292", cafile=tls.cafile)(get())
    assert ("proxy_error", False) == (caught.value.reason, caught.value.reached)


def answering_connect(said):
    def talk(proxy, sock, _number):
        proxy.requests.append(read_request(sock.makefile("rb", buffering=0)))
        sock.sendall(said)

    return talk


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 Connected\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 Connected\r\n\r\nand more",
        b"HTTP/1.1 200 Connected\r\n" + b"X: x\r\n" * 20_000,
    ],
    ids=["nothing", "cut", "not HTTP", "bytes after it", "too long"],
)
def test_a_proxy_that_does_not_answer_connect_has_failed(opened, environment, tls, said):
    with Loopback(answering_connect(said)) as proxy:
        environment.setenv("https_proxy", proxy.url)
        with pytest.raises(CommunicationError, match="it did not answer CONNECT") as caught:
            opened.sender("https://127.0.0.1:9292", cafile=tls.cafile)(get())
    assert ("proxy_error", False) == (caught.value.reason, caught.value.reached)


def test_a_certificate_behind_a_tunnel_is_the_server_s(opened, environment, tls):
    def talk(proxy, sock, number):
        answering_connect(b"HTTP/1.1 200 Connected\r\n\r\n")(proxy, sock, number)
        with contextlib.suppress(ssl.SSLError):
            tls.unknown.wrap_socket(sock, server_side=True)

    with Loopback(talk) as proxy:
        environment.setenv("https_proxy", proxy.url)
        with pytest.raises(TLSError) as caught:
            opened.sender("https://127.0.0.1:9292", cafile=tls.cafile)(get())
    assert ("tls_error", False) == (caught.value.reason, caught.value.reached)


def test_what_interrupts_a_handshake_reaches_the_caller(opened, tls, monkeypatch, server):
    sender = opened.sender(server.url.replace("http", "https"), cafile=tls.cafile)

    def wrap_socket(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wrap_socket)
    with pytest.raises(KeyboardInterrupt):
        sender(get())
