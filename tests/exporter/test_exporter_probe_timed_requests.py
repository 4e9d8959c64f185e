"""How a probe's requests go over the wire: connections, addresses, bounds, and the stopwatch."""

from __future__ import annotations

import asyncio
import socket

import anyio
import pytest
from probe_parts import HEALTHY, VERSIONS, Broken, config, reply, run, saying

from traced_image import Server
from traced_image._version import make_user_agent
from traced_image.exporter.probing.probe import Probe
from traced_image.exporter.probing.timed_requests import MOST_BYTES, Stopwatch, TimedConnection


def probed_where(*conversations, lookup=None, host="127.0.0.1", **fields):
    """Probe a server that says these things; the result, and what it was asked."""

    async def once():
        async with saying(*conversations) as (port, asked):
            servers = config(f"http://{host}:{port}", **fields)
            result = await Probe(servers, lookup=lookup)(servers.servers[0])
            return result, asked

    return run(once())


def ticks(*times):
    return iter(times).__next__


# --- the stopwatch -----------------------------------------------------------------------------


def test_each_phase_ends_where_the_next_begins():
    watch = Stopwatch(ticks(10.0, 11.0, 13.0, 16.0))
    watch.enter("connect")
    watch.enter("first_byte")
    watch.stop()
    assert {"dns": 1.0, "connect": 2.0, "first_byte": 3.0} == watch.phases


def test_to_enter_a_phase_again_goes_on_with_it():
    watch = Stopwatch(ticks(10.0, 11.0))
    watch.enter("dns")
    watch.stop()
    assert {"dns": 1.0} == watch.phases


def test_a_phase_that_comes_twice_has_both_times():
    watch = Stopwatch(ticks(10.0, 11.0, 13.0, 16.0))
    watch.enter("connect")
    watch.enter("dns")
    watch.stop()
    assert {"dns": 4.0, "connect": 2.0} == watch.phases


def test_to_stop_twice_does_no_harm():
    watch = Stopwatch(ticks(10.0, 11.0))
    watch.stop()
    watch.stop()
    assert {"dns": 1.0} == watch.phases


# --- connections -------------------------------------------------------------------------------


def test_a_server_that_closes_each_connection_is_asked_over_new_ones():
    closing = reply(b"OK", "200 OK", "Connection: close")
    result, asked = probed_where([reply_closing(VERSIONS)], [closing])
    assert ("", True, 2) == (result.reason, result.healthcheck, len(asked))


def reply_closing(whole):
    return whole.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def test_a_kept_connection_that_was_closed_meanwhile_is_made_anew():
    result, asked = probed_where([VERSIONS], [HEALTHY])
    assert (True, 2) == (result.healthcheck, len(asked))


def test_a_new_connection_that_is_closed_is_not_made_anew():
    result, asked = probed_where([None], [VERSIONS])
    assert ("connection_reset", 1) == (result.reason, len(asked))


def test_a_kept_connection_that_breaks_within_an_answer_is_not_made_anew():
    result, asked = probed_where([VERSIONS, Broken(b"HTTP/1.1 2")], [HEALTHY])
    assert (False, 1) == (result.healthcheck, len(asked))


def test_an_answer_that_ends_with_its_connection_is_whole():
    endless = VERSIONS.replace(b"Content-Length: 52\r\n", b"")
    assert b"Content-Length" not in endless
    result, _ = probed_where([endless])
    assert "v2.17" == result.version


def test_an_interim_answer_is_passed_over():
    result, _ = probed_where([b"HTTP/1.1 103 Early Hints\r\n\r\n" + VERSIONS, HEALTHY])
    assert ("", 200) == (result.reason, result.status)


def test_the_host_is_named_with_its_port():
    _, asked = probed_where([VERSIONS, HEALTHY])
    assert "\r\nhost: 127.0.0.1:" in asked[0][0].lower()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://glance.example:80", b"glance.example"),
        ("https://glance.example:443", b"glance.example"),
        ("http://glance.example:443", b"glance.example:443"),
        ("http://[fd00::1]:80", b"[fd00::1]"),
        ("http://[fd00::1]:9292", b"[fd00::1]:9292"),
    ],
)
def test_the_host_is_named_as_urls_name_it(url, host):
    async def named():
        line = TimedConnection(Server.parse(url), Probe(config("x")).reach)
        return dict(line._request("/", {}).headers)[b"host"]

    assert host == run(named())


def test_a_probe_names_its_agent_as_a_call_does():
    async def named():
        line = TimedConnection(Server.parse("glance-1"), Probe(config("x")).reach)
        return dict(line._request("/", {}).headers)[b"user-agent"]

    assert make_user_agent().encode() == run(named())


def test_a_request_whose_time_is_up_leaves_no_reader_behind():
    async def once():
        async with saying([VERSIONS, HEALTHY], [HEALTHY]) as (port, _):
            line = TimedConnection(
                Server.parse(f"http://127.0.0.1:{port}"), Probe(config("x")).reach
            )
            await line.get("/versions", Stopwatch())
            before = asyncio.all_tasks()
            with anyio.move_on_after(0):
                await line.get("/healthcheck", Stopwatch())
            await asyncio.sleep(0)
            line.close()
            return asyncio.all_tasks() - before

    assert set() == run(once())


# --- bounds ------------------------------------------------------------------------------------


def test_an_answer_beyond_what_is_read_is_a_protocol_error():
    result, _ = probed_where([reply(b" " * (MOST_BYTES + 1))])
    assert ("protocol_error", True) == (result.reason, str(MOST_BYTES) in result.error)


def test_an_answer_that_goes_on_after_its_length_is_a_protocol_error():
    result, _ = probed_where([VERSIONS + b"more"])
    assert ("protocol_error", True) == (
        result.reason,
        "longer than its Content-Length" in result.error,
    )


def test_an_answer_of_just_what_is_read_is_right():
    body = b'{"versions": [{"id": "v2.17", "status": "CURRENT"}]}'.ljust(MOST_BYTES)
    result, _ = probed_where([reply(body), HEALTHY])
    assert "" == result.reason


def test_headers_without_end_are_a_protocol_error():
    result, _ = probed_where([b"HTTP/1.1 200 OK\r\n" + b"X-More: yes\r\n" * 20_000])
    assert "protocol_error" == result.reason


# --- addresses ---------------------------------------------------------------------------------


def found(*addresses):
    """A resolver that finds these addresses."""
    asked = []

    def lookup(host, *_args, **_options):
        asked.append(host)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (each, 0, 0, 0))
            if ":" in each
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0))
            for each in addresses
        ]

    lookup.asked = asked
    return lookup


def test_the_next_address_is_tried_after_one_that_refuses():
    lookup = found("127.0.0.2", "127.0.0.1")
    result, _ = probed_where([VERSIONS, HEALTHY], lookup=lookup, host="glance")
    assert "" == result.reason


def test_an_address_of_a_family_that_can_not_be_used_is_passed_over():
    lookup = found("::ffff:127.0.0.2", "127.0.0.1")
    result, _ = probed_where([VERSIONS, HEALTHY], lookup=lookup, host="glance")
    assert "" == result.reason


def test_an_address_that_hangs_leaves_time_for_the_next():
    with socket.socket() as full, socket.socket() as waiting:
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        waiting.connect(full.getsockname())
        port = full.getsockname()[1]

        async def once():
            async with saying([VERSIONS, HEALTHY], port=port) as _:
                servers = config(f"http://glance:{port}", connect_timeout=0.4)
                probe = Probe(servers, lookup=found("127.0.0.2", "127.0.0.1"))
                return await probe(servers.servers[0])

        assert "" == run(once()).reason


def test_the_first_address_tells_the_reason():
    lookup = found("127.0.0.2", "255.255.255.255")
    result, _ = probed_where(lookup=lookup, host="glance")
    assert "connection_refused" == result.reason


def test_a_name_without_an_address_is_a_dns_error():
    result, _ = probed_where(lookup=found(), host="glance")
    assert "dns_error" == result.reason


def test_a_name_is_looked_up_once_for_all_connections():
    lookup = found("127.0.0.1")
    probed_where([reply_closing(VERSIONS)], [HEALTHY], lookup=lookup, host="glance")
    assert ["glance"] == lookup.asked


def test_a_socket_is_closed_when_its_connection_comes_to_nothing():
    async def once():
        with socket.socket() as full, socket.socket() as waiting:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting.connect(full.getsockname())
            servers = config(f"http://127.0.0.1:{full.getsockname()[1]}")
            task = asyncio.create_task(Probe(servers)(servers.servers[0]))
            for _ in range(5):  # and it has begun to connect
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()

    assert run(once())  # or else a ResourceWarning is an error
