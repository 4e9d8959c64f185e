"""What tests of the exporter's server share: applications, clients that are slow, certificates."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
import threading
import time

from starlette.responses import PlainTextResponse

LIMIT = 10.0
"""Seconds after which a test that waits has failed."""

HELLO = b"GET / HTTP/1.1\r\nHost: exporter\r\n\r\n"

hello = PlainTextResponse("hello\n")


class Large:
    """An application whose answer is larger than what the system holds for a client."""

    body = b"x" * (8 * 1024 * 1024)

    async def __call__(self, scope, receive, send):
        await PlainTextResponse(self.body)(scope, receive, send)


class Slow:
    """An application that answers when it is told to.

    Attributes:
        asked: Set when a request has come.
        cancelled: Set when there is nobody to answer any more.
    """

    def __init__(self):
        self.asked = threading.Event()
        self.cancelled = threading.Event()
        self._go_on = None

    def go_on(self):
        """Answer."""
        loop, future = self._go_on
        loop.call_soon_threadsafe(future.set_result, None)

    async def __call__(self, scope, receive, send):
        loop = asyncio.get_running_loop()
        self._go_on = loop, loop.create_future()
        self.asked.set()
        try:
            await self._go_on[1]
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await hello(scope, receive, send)


class Certificates:
    """A server's certificate, and clients' of the same authority, in files.

    Attributes:
        folder: Where they are.
        authority: Whose they are.
        ca: The authority's certificate.
    """

    def __init__(self, authority, folder):
        self.folder = folder
        self.authority = authority
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.issue("cert.pem", "key.pem", "127.0.0.1", "::1", "localhost")

    def issue(self, cert, key, *names, authority=None):
        """Write a new certificate and its key."""
        made = (authority or self.authority).issue_cert(*names)
        (self.folder / cert).write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        (self.folder / key).write_bytes(made.private_key_pem.bytes())
        (self.folder / key).chmod(0o600)
        return made

    def context(self, client=None):
        """A client's side of TLS, with a certificate if one is given."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if client is not None:
            client.configure_cert(context)
        return context


def dial(handle, *, receive=None):
    """Connect to a server, with a small buffer if told so."""
    sock = socket.socket()
    if receive is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.settimeout(LIMIT)
    sock.connect((handle.host, handle.port))
    return sock


def ask(handle, method="GET", target="/", *, context=None, **headers):
    """Ask once on a connection of its own; return the status, the headers and the body."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(connection(handle, context)) as opened:
        opened.request(method, target, headers=given)
        reply = opened.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()


def connection(handle, context=None):
    """A connection that is kept alive."""
    if context is None:
        return http.client.HTTPConnection(handle.host, handle.port, timeout=LIMIT)
    return http.client.HTTPSConnection(handle.host, handle.port, timeout=LIMIT, context=context)


def taken(sock):
    """One answer: its status and its body."""
    reply = http.client.HTTPResponse(sock)
    reply.begin()
    return reply.status, reply.read()


def drained(sock):
    """All that comes until the server ends the connection, however it does."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(1 << 20):
            received += data
    return received


def until(condition, otherwise="it did not come about in time"):
    """Wait for a condition."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.005)


def serving_threads():
    """The threads of exporters that are there."""
    return [each for each in threading.enumerate() if each.name.startswith("traced-image-exp")]
