"""What a probe makes of odd and hostile replies, over http and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time

import pytest
from probe_parts import HEALTHY, LIMIT, VERSIONS, config, probed, reply, run, saying

from traced_image import lab
from traced_image.exporter.probing.probe import Probe
from traced_image.exporter.probing.reply_head import check_head
from traced_image.exporter.probing.timed_requests import MOST_BYTES, Stopwatch, TimedConnection

HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = VERSIONS.partition(b"\r\n\r\n")[2]
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
LONG = 60.0
"""A timeout that no test waits for: what is wrong is seen at once."""


@pytest.fixture(scope="module")
def trusted():
    return lab.TLS.trusted()


@pytest.fixture(params=["http", "https"])
def told(request, trusted):
    """Probe a server that says these things, on one connection each; give the result."""
    scheme = request.param
    tls = trusted.known if scheme == "https" else None

    def probe(*conversations):
        async def once():
            async with saying(*conversations, tls=tls) as (port, asked):
                servers = config(f"{scheme}://127.0.0.1:{port}", cafile=trusted.cafile)
                result = await Probe(servers, timeout=LONG)(servers.servers[0])
                return result, asked

        return run(once())

    return probe


# --- interim replies ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 16])
def test_interim_replies_are_read_over(told, number):
    result, _ = told([EARLY * number + VERSIONS, HEALTHY])
    assert ("", 200, True) == (result.reason, result.status, result.healthcheck)


def test_endless_interim_replies_are_a_protocol_error(told):
    result, _ = told([EARLY * 17 + VERSIONS])
    assert ("protocol_error", True) == (result.reason, "more than 16 interim" in result.error)


# --- replies without a body --------------------------------------------------------------------


async def asked_twice(port, first="/a", second="/b", scheme="http"):
    servers = config(f"{scheme}://127.0.0.1:{port}")
    line = TimedConnection(servers.servers[0], Probe(servers).reach)
    try:
        return [await line.get(path, Stopwatch()) for path in (first, second)]
    finally:
        line.close()


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize(
    "framing", [b"Transfer-Encoding: chunked", b"Content-Length: 5", b"Content-Length: 5, 5"]
)
def test_a_status_without_a_body_has_none_whatever_its_headers_say(status, framing):
    bodiless = b"HTTP/1.1 %s\r\n%s\r\n\r\n" % (status.encode(), framing)

    async def once():
        async with saying([bodiless, HEALTHY]) as (port, asked):
            return await asked_twice(port), len(asked)

    (first, second), connections = run(once())
    assert (b"", b"OK", 1) == (first.body, second.body, connections)


def test_the_body_of_a_status_without_one_is_no_reply_to_the_next_request():
    bodiless = b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED

    async def once():
        async with saying([bodiless, VERSIONS], [HEALTHY]) as (port, asked):
            return await asked_twice(port), len(asked)

    (first, second), connections = run(once())
    assert (b"", b"OK", 2) == (first.body, second.body, connections)


# --- lengths and codings -----------------------------------------------------------------------


WRONG = {
    "two lengths in one": HEAD + b"Content-Length: 52, 52\r\n\r\n" + BODY,
    "two equal lengths": HEAD + b"Content-Length: 52\r\nContent-Length: 52\r\n\r\n" + BODY,
    "two lengths": HEAD + b"Content-Length: 52\r\nContent-Length: 53\r\n\r\n" + BODY,
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\n" + BODY,
    "a signed length": HEAD + b"Content-Length: +52\r\n\r\n" + BODY,
    "an empty length": HEAD + b"Content-Length:\r\n\r\n" + BODY,
    "a folded length": HEAD + b"Content-Length:\r\n 52\r\n\r\n" + BODY,
    "a length of 2**63": HEAD + b"Content-Length: 9223372036854775808\r\n\r\n" + BODY,
    "a length of many digits": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + BODY,
    "a length beyond the limit": HEAD + b"Content-Length: %d\r\n\r\n" % (MOST_BYTES + 1) + BODY,
    "an unknown coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKED,
    "a coding twice": HEAD + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + CHUNKED,
    "a coding and a length": HEAD
    + b"Transfer-Encoding: chunked\r\ncontent-length: 52\r\n\r\n"
    + CHUNKED,
    "a coding in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a chunk that is no number": HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a negative chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
    "a chunk of many digits": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\n",
    "a version that is none": b"HTTP/9.9 200 OK\r\nContent-Length: 52\r\n\r\n" + BODY,
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 52\r\n\r\n" + BODY,
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "upgraded": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + VERSIONS,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_ambiguous_is_a_protocol_error_at_once(told, name):
    result, _ = told([WRONG[name], HEALTHY])
    assert "protocol_error" == result.reason


def endless(piece, start):
    """Serve one reply that never ends; note how much of it was taken."""

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        try:
            while True:
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()

    return talk


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n", b" " * 65536),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"),
        (HEAD + b"\r\n", b" " * 65536),
        (HEAD, b"X-More: yes\r\n" * 100),
        (b"", EARLY * 10),
    ],
    ids=["one chunk", "chunks", "no length", "headers", "interim replies"],
)
def test_a_reply_without_end_is_a_protocol_error_at_once(start, piece):
    async def once():
        server = await asyncio.start_server(endless(piece, start), "127.0.0.1", 0)
        async with server:
            servers = config(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            return await Probe(servers, timeout=LONG)(servers.servers[0])

    assert "protocol_error" == run(once()).reason


@pytest.mark.parametrize(
    "whole",
    [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        HEAD + b"transfer-encoding:Chunked\r\n\r\n" + CHUNKED,
        HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + CHUNKED.replace(b"\r\n", b";name=value\r\n", 1)[:-2]
        + b"Trailer: x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
        b"HTTP/1.1 200\r\nContent-Length: 52\r\n\r\n" + BODY,
        b"HTTP/1.1 200 \xe4\xf6 odd (reason)\r\nContent-Length: 52\r\n\r\n" + BODY,
        HEAD + b"X-Content-Length: 5, 5\r\nContent-Length:52 \r\n\r\n" + BODY,
    ],
    ids=["chunked", "in lower case", "extension", "1.0", "no reason", "odd reason", "like it"],
)
def test_what_is_odd_but_clear_is_understood(told, whole):
    result, _ = told([whole])
    assert ("", "v2.17") == (result.reason, result.version)


def test_the_first_bytes_of_long_data_are_no_error():
    import h11

    event = h11.Response(status_code=200, headers=[("Content-Length", "99999999")])
    assert None is check_head(b"Content-Length: 99999999\r\n", event, "glance-1:9292", None)


# --- what comes after a reply ------------------------------------------------------------------


def test_a_kept_connection_that_ends_with_the_next_request_is_made_anew(told):
    result, asked = told([VERSIONS, None], [HEALTHY])
    assert ("", True, 2) == (result.reason, result.healthcheck, len(asked))


@pytest.mark.parametrize("late", [HEALTHY, b"\r\n", b""], ids=["a reply", "an empty line", "end"])
def test_a_connection_over_which_something_came_later_is_not_used_again(late):
    async def once():
        go = asyncio.Event()
        answers = iter([VERSIONS, reply(b"new")])

        async def talk(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer := next(answers))
            if answer is VERSIONS:
                await go.wait()
                writer.write(late) if late else writer.write_eof()
            await reader.read()
            writer.close()

        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            servers = config(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            line = TimedConnection(servers.servers[0], Probe(servers).reach)
            await line.get("/a", Stopwatch())
            go.set()
            await asyncio.sleep(0.05)  # for it to arrive
            second = await line.get("/b", Stopwatch())
            line.close()
            return second.body

    assert b"new" == run(once())


def test_a_connection_that_broke_meanwhile_is_not_used_again():
    async def once():
        async with saying([VERSIONS], [HEALTHY]) as (port, _):
            servers = config(f"http://127.0.0.1:{port}")
            line = TimedConnection(servers.servers[0], Probe(servers).reach)
            await line.get("/a", Stopwatch())
            line._reader.set_exception(ConnectionResetError())
            second = await line.get("/b", Stopwatch())
            line.close()
            return second.body

    assert b"OK" == run(once())


# --- addresses ---------------------------------------------------------------------------------


@pytest.fixture
def silent():
    """A port on 127.0.0.2 that takes no connection, for a name with several addresses."""
    with socket.socket() as full, socket.socket() as waiting:
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        waiting.connect(full.getsockname())
        yield full.getsockname()[1]


def several(*addresses, seconds=0.0):
    def lookup(*_args, **_options):
        time.sleep(seconds)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in addresses]

    return lookup


def found(silent, *conversations, seconds=0.0, timeout=5.0, **fields):
    async def once():
        async with saying(*conversations, port=silent) as (port, asked):
            servers = config(f"http://glance:{port}", **fields)
            lookup = several("127.0.0.2", "127.0.0.2", "127.0.0.1", seconds=seconds)
            return await Probe(servers, lookup=lookup, timeout=timeout)(servers.servers[0]), asked

    return run(once())


def test_a_good_address_is_asked_within_the_timeout_of_the_probe(silent):
    result, _ = found(silent, [VERSIONS, HEALTHY], connect_timeout=LONG, timeout=1.0)
    assert "" == result.reason


def test_a_good_address_is_asked_after_a_slow_lookup(silent):
    result, _ = found(silent, [VERSIONS, HEALTHY], seconds=0.3, connect_timeout=0.6)
    assert "" == result.reason


def test_a_further_connection_begins_with_the_good_address(silent):
    closing = VERSIONS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    result, asked = found(silent, [closing], [HEALTHY], connect_timeout=0.6, timeout=1.0)
    assert (True, 2) == (result.healthcheck, len(asked))


# --- TLS ---------------------------------------------------------------------------------------


def test_a_port_that_speaks_http_is_told():
    with lab.GlanceServer() as glance:
        result = probed(glance.url.replace("http", "https"), insecure=True)
    assert ("tls_error", True) == (
        result.reason,
        result.error.endswith("the server does not speak TLS on this port (plain http?)"),
    )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_that_is_missing_is_told(version):
    tls = lab.TLS.trusted()
    tls.known.verify_mode = ssl.CERT_REQUIRED
    tls.known.minimum_version = tls.known.maximum_version = version

    def refuse(listener):
        sock, _ = listener.accept()
        with tls.known.wrap_socket(
            sock, server_side=True, do_handshake_on_connect=False
        ) as secured:
            with contextlib.suppress(ssl.SSLError):
                secured.do_handshake()
            while socket.socket.recv(secured, 65536):  # or a reset would overtake the alert
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        result = probed(f"https://127.0.0.1:{listener.getsockname()[1]}", cafile=tls.cafile)
        thread.join(LIMIT)
    assert ("tls_error", True) == (result.reason, "client certificate" in result.error)
