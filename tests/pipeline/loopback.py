"""A TCP server that says what it is told to, single attempts over HTTP, services of their own."""

from __future__ import annotations

import contextlib
import math
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from support import LIMIT, InOrder

from traced_image import Config, GlanceClientWrapper, GlanceImageService
from traced_image.pipeline.api.operation import Operation, Reply, Request
from traced_image.pipeline.attempts.fleet import Fleet
from traced_image.pipeline.attempts.seams import Attempt, Call
from traced_image.pipeline.clock import Clock
from traced_image.pipeline.context import SERVICE
from traced_image.pipeline.http.send import HTTPSend
from traced_image.pipeline.http.transport import send_prepared

IMAGE_ID = "8f3c1a52-0000-4000-8000-000000000001"


def reply(status=200, body=b"", *headers, length=True):
    """An HTTP reply, with its length unless told otherwise."""
    lines = [f"HTTP/1.1 {status} Reason", *headers]
    if length and not any(line.lower().startswith("content-length") for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def reset(sock):
    """Have the socket's close send RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_request(stream):
    """Read one request, head and body; empty if there is none."""
    head = b""
    while line := stream.readline():
        head += line
        if line == b"\r\n":
            break
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    body = stream.read(length)
    if b"transfer-encoding: chunked" in head.lower():
        while size := int(stream.readline() or b"0", 16):
            body += stream.read(size + 2)[:-2]
        stream.readline()
    return head + body


class Loopback:
    """A TCP server that treats each connection as `talk(sock, number)` says.

    Attributes:
        requests: What `conversation` has read, in order.
        accepted: The number of connections so far.
    """

    def __init__(self, talk, tls=None):
        self.requests = []
        self.accepted = 0
        self._talk = talk
        self._tls = tls
        self._sockets = []
        self._threads = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._start(self._accept)

    def _start(self, work, *args):
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.accepted += 1
                self._sockets.append(sock)
                self._start(self._serve, sock, self.accepted)

    def _serve(self, sock, number):
        with contextlib.suppress(OSError), sock:
            if self._tls is None:
                self._talk(self, sock, number)
            else:
                with self._tls.known.wrap_socket(sock, server_side=True) as secured:
                    self._sockets.append(secured)
                    self._talk(self, secured, number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own: it takes the TLS object from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT)


def conversation(*replies, last_again=True):
    """Answer each request with the next of `replies`: bytes, or what to do with the socket."""

    def talk(server, sock, _number):
        with sock.makefile("rb") as stream:
            while request := read_request(stream):
                server.requests.append(request)
                index = len(server.requests) - 1
                say = replies[min(index, len(replies) - 1)] if last_again else replies[index]
                if callable(say):
                    say(sock)
                    return
                sock.sendall(say)

    return talk


def dribbled(data, interval):
    """Send byte by byte, until the client has gone."""

    def say(sock):
        for number in range(len(data)):
            sock.sendall(data[number : number + 1])
            time.sleep(interval)

    return say


def closing(data=b""):
    """Send, and close the connection."""
    return lambda sock: sock.sendall(data)


def resetting(data=b""):
    """Send, and reset the connection."""

    def say(sock):
        sock.sendall(data)
        reset(sock)

    return say


def _relay(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)


def _relay_back(source, target, pace):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            for piece in pace(data):
                target.sendall(piece)
    with contextlib.suppress(OSError):
        # Not SSLSocket's own: it takes the TLS object from under the reader.
        socket.socket.shutdown(target, socket.SHUT_RDWR)


def relaying(upstream, pace=lambda data: [data]):
    """A proxy's tunnel to `upstream`: what comes from one side goes to the other, at a pace."""

    def talk(proxy, sock, _number):
        # Byte by byte, because all that follows the request belongs to the tunnel.
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += sock.recv(1)
        proxy.requests.append(asked)
        with socket.create_connection(("127.0.0.1", upstream.port)) as other:
            proxy._sockets.append(other)
            sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=_relay_back, args=(other, sock, pace), daemon=True)
            back.start()
            _relay(sock, other)

    return talk


def get(path="/v2/images/x", **request):
    """An operation of one request, which brings the reply."""
    request = Request("GET", path, **request)
    return Operation("images.get", request.method, path, lambda wire: wire(request))


def sent(method, path="/v2/images/x", **request):
    """An operation that changes something, and brings the reply."""
    request = Request(method, path, **request)
    return Operation("images.x", method, path, lambda wire: wire(request), repeatable=False)


@dataclass
class Sender:
    """Makes single attempts by an `HTTPSend`, each on the server it is told."""

    http: HTTPSend

    def __call__(self, operation, context=SERVICE, *, deadline=None, server=0):
        """Perform `operation`; it has `deadline` seconds."""
        ends = None if deadline is None else time.monotonic() + deadline
        target = self.http.config.servers[server]
        left = math.inf if deadline is None else deadline
        tokens = self.http.credentials.find(context, left)
        call = Call(operation, context)
        return self.http(Attempt(call, target, 1, 1, tokens=tokens, deadline=ends))

    def value(self, operation, *args, **options):
        return self(operation, *args, **options).value


@dataclass
class Opened:
    """What a test has opened, to be closed with it."""

    things: list = field(default_factory=list)

    def sender(self, *servers, clock=None, send=send_prepared, **fields):
        config = Config(servers=[_url(server) for server in servers], num_retries=9, **fields)
        http = HTTPSend(config, clock or Clock(), send)
        self.things.append(http)
        return Sender(http)

    def service(self, *servers, layers=None, rng=None, **fields):
        """A service that takes the servers in their order, and shares them with no other."""
        fields = {"num_retries": max(3, len(servers) - 1), **fields}
        config = Config(servers=[_url(server) for server in servers], **fields)
        fleet = Fleet.of(config.servers, config.retry, rng=InOrder(1))
        client = GlanceClientWrapper(config, layers, fleet=fleet, rng=rng or Hasty(1))
        service = GlanceImageService(client)
        self.things.append(service)
        return service

    def close(self):
        for thing in self.things:
            thing.close()


class Hasty(random.Random):
    """Jitter that never waits."""

    def uniform(self, a, b):
        return min(a, b)


def _url(server):
    return server if isinstance(server, str) else server.url


class Recorder:
    """A `Wire` that notes requests and answers with what it was given, without a network."""

    def __init__(self, *replies):
        self.requests = []
        self._replies = list(replies)

    def __call__(self, request):
        self.requests.append(request)
        answer = self._replies.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def answer(body=b"{}", status=200, server=None, headers=None, chunks=None):
    """A reply as the wire brings it."""
    from traced_image import Server

    server = server or Server.parse("glance-1")
    return Reply(status, headers or {}, body, server, None, chunks)


class Pieces:
    """Chunks from memory, one of which may be an error."""

    def __init__(self, *pieces):
        self.pieces = pieces
        self.closed = 0

    def __iter__(self):
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def close(self):
        self.closed += 1
