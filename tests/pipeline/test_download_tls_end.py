"""Data without a length over TLS: whether its end is announced tells a whole from a cut one."""

import contextlib
import hashlib
import json
import select
import socket

import pytest
from loopback import IMAGE_ID, Loopback, closing, conversation, get, relaying, reply
from support import LIMIT

from traced_image.errors import ChecksumMismatch, ProtocolError
from traced_image.pipeline.api import v2

DATA = b"0123456789" * 100
HALF = len(DATA) // 2
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
MD5 = hashlib.md5(DATA).hexdigest()

KNOWN = {
    "size": {"size": len(DATA)},
    "checksum": {"checksum": MD5},
    "both": {"size": len(DATA), "checksum": MD5},
}


def announced(data):
    """Send the data, and end TLS before the connection."""

    def say(sock):
        sock.sendall(HEAD + data)
        sock.unwrap()

    return say


def bare(data):
    """Send the data, and end the connection only."""
    return closing(HEAD + data)


def shown(**fields):
    record = {"id": IMAGE_ID, "status": "active", "size": None, **fields}
    return reply(200, json.dumps(record).encode())


@pytest.fixture
def start(opened, tls):
    """Start servers that show a record and then send data so; return a service over them."""
    with contextlib.ExitStack() as stack:

        def run(*says, **fields):
            talks = [conversation(shown(**fields), say) for say in says]
            servers = [stack.enter_context(Loopback(talk, tls)) for talk in talks]
            return opened.service(*servers, cafile=tls.cafile, num_retries=len(says) - 1)

        yield run


def read(service):
    return b"".join(service.download(None, IMAGE_ID))


def test_an_end_that_tls_announces_is_an_end(start):
    assert DATA == read(start(announced(DATA)))


def test_an_end_that_tls_does_not_announce_may_be_a_cut(start):
    with pytest.raises(ProtocolError, match="no close_notify"):
        read(start(bare(DATA[:HALF])))


def test_the_server_that_ends_so_is_accused(start):
    service = start(bare(DATA[:HALF]))
    with pytest.raises(ProtocolError):
        read(service)
    assert "protocol_error" == service.servers()[0].last_reason


def test_another_server_sends_the_rest(start):
    # It ignores the range, and sends everything.
    assert DATA == read(start(bare(DATA[:HALF]), announced(DATA)))


@pytest.mark.parametrize("fields", KNOWN.values(), ids=KNOWN)
def test_where_the_record_shows_that_it_is_whole_no_announcement_is_needed(start, fields):
    assert DATA == read(start(bare(DATA), **fields))


@pytest.mark.parametrize("fields", KNOWN.values(), ids=KNOWN)
def test_where_the_record_shows_that_it_is_cut_the_rest_is_fetched(start, fields):
    assert DATA == read(start(bare(DATA[:HALF]), bare(DATA), **fields))


def test_data_of_the_right_size_and_a_wrong_checksum_is_wrong_and_not_cut(start):
    with pytest.raises(ChecksumMismatch):
        read(start(bare(DATA[::-1]), bare(DATA), **KNOWN["both"]))


def test_a_record_without_a_length_needs_no_announcement(opened, tls):
    """Its JSON shows where it ends."""
    with Loopback(conversation(bare(b'{"id": "x"}')), tls) as server:
        sender = opened.sender(server, cafile=tls.cafile)
        assert "x" == sender.value(v2.get("x"))["id"]


@pytest.mark.parametrize(("say", "cut"), [(bare, True), (announced, False)])
def test_tls_through_a_proxy_with_tls_tells_it_too(opened, monkeypatch, tls, say, cut):
    with (
        Loopback(conversation(say(DATA)), tls) as server,
        Loopback(relaying(server), tls) as proxy,
    ):
        monkeypatch.setenv("https_proxy", proxy.url)
        chunks = opened.sender(server, cafile=tls.cafile).value(get(stream=True)).chunks
        found = b""
        with pytest.raises(ProtocolError) if cut else contextlib.nullcontext():
            for chunk in chunks:
                found += chunk
    assert DATA == found


def announcing(upstream):
    """A tunnel whose proxy announces its own end, which says nothing of the server's."""

    def talk(_proxy, sock, _number):
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += sock.recv(1)
        with socket.create_connection(("127.0.0.1", upstream.port)) as other:
            sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            # In one thread, because TLS can't be ended while another one reads.
            while True:
                if sock.pending() or sock in select.select([sock, other], [], [], LIMIT)[0]:
                    other.sendall(sock.recv(1 << 16))
                elif data := other.recv(1 << 16):
                    sock.sendall(data)
                else:
                    break
        sock.unwrap()

    return talk


def test_an_end_that_only_a_proxy_announces_may_be_a_cut(opened, monkeypatch, tls):
    with (
        Loopback(conversation(bare(DATA[:HALF])), tls) as server,
        Loopback(announcing(server), tls) as proxy,
    ):
        monkeypatch.setenv("https_proxy", proxy.url)
        chunks = opened.sender(server, cafile=tls.cafile).value(get(stream=True)).chunks
        with pytest.raises(ProtocolError, match="no close_notify"):
            list(chunks)
