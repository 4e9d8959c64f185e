"""What tests of probes share: a loop with a limit, servers that say what they are told, time."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from traced_image import Config, Server, Telemetry
from traced_image.exporter.probing.probe import Probe
from traced_image.telemetry.recorder import Recorder
from traced_image.telemetry.shared_metrics import share_metrics
from traced_image.telemetry.spans import Spans

LIMIT = 10.0
"""Seconds after which a test that waits has failed."""


def run(coroutine):
    """Run to its end in a loop of its own, within the limit."""
    return asyncio.run(asyncio.wait_for(coroutine, LIMIT))


async def until(condition, limit=LIMIT):
    """Let the loop run until something holds."""
    loop = asyncio.get_running_loop()
    last = loop.time() + limit
    while not condition():
        assert loop.time() < last, "it did not come about in time"
        await asyncio.sleep(0.001)


def config(*urls, **fields):
    return Config(servers=urls, num_retries=len(urls), **fields)


def probed(url, *, timeout=5.0, lookup=None, canary=None, **fields):
    """Probe one server once."""

    async def once():
        probe = Probe(config(url, **fields), timeout=timeout, lookup=lookup)
        return await probe(Server.parse(url), canary)

    return run(once())


def reply(body=b"", status="200 OK", *headers):
    """An HTTP reply with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


VERSIONS = reply(b'{"versions": [{"id": "v2.17", "status": "CURRENT"}]}')
CHOICES = reply(b'{"versions": [{"id": "v2.17", "status": "CURRENT"}]}', "300 Multiple Choices")
HEALTHY = reply(b"OK")


class Broken(bytes):
    """What is said of an answer before the connection is reset."""


@asynccontextmanager
async def saying(*conversations, host="127.0.0.1", port=0, tls=None):
    """Serve connections, the n-th by the n-th list of replies, each to one request.

    None for a reply closes the connection. What was asked is noted, by connection.
    """
    asked = []
    left = list(conversations)

    async def talk(reader, writer):
        requests = []
        asked.append(requests)
        for each in left.pop(0) if left else ():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            requests.append(head.decode())
            if each is None:
                break
            writer.write(each)
            if isinstance(each, Broken):
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    server = await asyncio.start_server(talk, host, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()


class HangingLookups:
    """A resolver that never answers for some names, until it is let go."""

    def __init__(self, *names):
        self._names = names
        self.asked = []
        self.go = threading.Event()

    def __call__(self, host, _port, **_):
        self.asked.append(host)
        if host in self._names:
            self.go.wait(LIMIT)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]


class Tokens:
    """A source of tokens that gives the ones it is told, one after the other."""

    def __init__(self, *tokens):
        self._tokens = list(tokens)
        self.error = None

    def get_token(self):
        if self.error is not None:
            raise self.error
        return self._tokens[0]

    def invalidate(self):
        if len(self._tokens) > 1:
            del self._tokens[0]
        return True


class Time:
    """Time that passes when a test says so, for a schedule."""

    def __init__(self):
        self.now = 0.0
        self._sleepers = []
        self.slept = []

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, woken))
        await woken

    @property
    def sleeping(self):
        """When those that sleep wake, by the clock."""
        return sorted(when for when, woken in self._sleepers if not woken.done())

    def advance(self, seconds):
        """Let time pass, and wake whoever has slept enough."""
        self.now += seconds
        for when, woken in self._sleepers:
            if when <= self.now and not woken.done():
                woken.set_result(None)


class Chance(random.Random):
    """Chance that is always the same: half of what it could be."""

    def random(self):
        return 0.5

    def uniform(self, a, b):
        return (a + b) / 2


def recorder(registry=None, tracer_provider=None):
    """What the exporter records probes by."""
    metrics = share_metrics(
        Telemetry(registry=registry or CollectorRegistry(), meter_provider=False)
    )
    return Recorder(Spans(tracer_provider, wire_spans=False), metrics)
