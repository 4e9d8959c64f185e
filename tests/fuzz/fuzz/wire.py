"""Targets: raw replies to the client, and raw requests to the exporter and to the lab's server."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
from fuzzing import Fuzzer
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from traced_image import GlanceImageService, RetryPolicy, connect, errors, exporter, lab

from .config import refused_as
from .engine import Target
from .messages import HEAD_WORDS, HEADS, PAGE, RECORD
from .strategies import change_bytes, change_json

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS = (
    b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nAccept: application/openmetrics-text\r\n\r\n",
    b"GET /servers?a=b HTTP/1.1\r\nHost: exporter\r\nAccept-Encoding: gzip\r\n\r\n",
    b"HEAD /healthz HTTP/1.0\r\nAuthorization: Basic YTpi\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /readyz HTTP/1.1\r\n\r\n",
    b"PUT /v2/images/x/file HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /v2/images?limit=5&marker=x HTTP/1.1\r\nHost: x\r\nX-Auth-Token: t\r\n\r\n",
)
WORDS = (
    *(
        b"/metrics",
        b"/probe?target=a",
        b"?name[]=up",
        b"%ff",
        b"%00",
        b"http://x/",
        b"*",
        b"OPTIONS",
    ),
    *(b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"),
    *(b"Authorization: Basic YTpi\r\n", b"Authorization: Basic eDp5\r\n"),
    *(b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM"),
    *(
        b"Range: bytes=0-\r\n",
        b"Accept-Encoding: *;q=0\r\n",
        b"X-Prometheus-Scrape-Timeout-Seconds: ",
    ),
    *(b"\x16\x03\x01\x02\x00", b"A" * 9000, b"X: y\r\n" * 300, b'[{"op": "add", "path": "/a~2"}]'),
)

_PATIENCE = 5.0
_HEALTH_HEAD = "Host: 127.0.0.1\r\nConnection: close\r\nAuthorization: Basic YTpi\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r]")


def make_targets(stack: contextlib.ExitStack) -> list[Target]:
    """Start what the targets need, and return them.

    Args:
        stack: Stops it.
    """
    watched = stack.enter_context(watch())
    requests = change_bytes(*REQUESTS, words=WORDS)
    first = stack.enter_context(exporter.start(registry=CollectorRegistry(), port=0))
    second = stack.enter_context(_start_protected(stack))
    glance = stack.enter_context(lab.GlanceServer())
    replies = stack.enter_context(contextlib.closing(RawReplies()))
    return [
        Target("raw-replies", _replies(), replies.check, 50),
        Target("mutated-replies", st.integers(1, 10**9), check_operations, 4, shrinks=False),
        Target("exporter-wsgi", requests, Raw(first.port, watched).check, 50),
        Target("exporter-asgi", requests, Raw(second.port, watched).check, 50),
        Target("lab-server", requests, Raw(glance.port, watched, "/healthcheck").check, 50),
    ]


def _start_protected(stack: contextlib.ExitStack) -> exporter.ExporterHandle:
    """An exporter with a web configuration, which is served by uvicorn; its user is ``a:b``."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    path = Path(folder) / "web.yml"
    hashed = bcrypt.hashpw(b"b", bcrypt.gensalt(4)).decode()
    headers = "http_server_config: {headers: {X-Frame-Options: deny}}"
    path.write_text(f"{headers}\nbasic_auth_users: {{a: '{hashed}'}}\n")
    return exporter.start(registry=CollectorRegistry(), port=0, web_config=path)


@dataclass
class Watched:
    """What went wrong in other threads: uncaught errors, and what was logged as an error."""

    problems: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise if anything went wrong since the last time.

        Raises:
            AssertionError: Something did.
        """
        found, self.problems[:] = list(self.problems), []
        assert not found, "\n".join(found)


@contextlib.contextmanager
def watch() -> Iterator[Watched]:
    """Note what goes wrong in any thread."""
    watched = Watched()
    handler = _Handler(watched.problems)
    before = threading.excepthook

    def note(told: threading.ExceptHookArgs) -> None:
        watched.problems.append(f"{told.thread} ended with {told.exc_value!r}")

    threading.excepthook = note
    logging.getLogger().addHandler(handler)
    try:
        yield watched
    finally:
        logging.getLogger().removeHandler(handler)
        threading.excepthook = before


class _Handler(logging.Handler):
    def __init__(self, problems: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._problems = problems

    def emit(self, record: logging.LogRecord) -> None:
        # The calls of the other targets fail, as they must, and are logged.
        if not record.name.startswith("traced_image.pipeline"):
            self._problems.append(
                f"{record.name}: {record.getMessage()} {record.exc_text or record.exc_info}"
            )


@dataclass(frozen=True, slots=True)
class Raw:
    """Sends bytes to a server on loopback.

    Attributes:
        port: Its port.
        watched: What goes wrong in its threads.
        health: What it must still answer afterwards.
    """

    port: int
    watched: Watched
    health: str = "/healthz"

    def check(self, data: bytes) -> None:
        """The server answers without a status of its own failure, or not at all, and lives on.

        Raises:
            AssertionError: It does not.
        """
        self.watched.problems.clear()
        answer = self._send(data, ends=True)
        if answer:
            found = _STATUS.match(answer)
            assert found, f"no reply of HTTP: {answer[:300]!r}"
            assert found[1] not in (b"500", b"502"), answer[:300]
        alive = self._send(f"GET {self.health} HTTP/1.1\r\n{_HEALTH_HEAD}\r\n".encode())
        assert b" 200 " in alive[:20], alive[:300]
        self.watched.check()

    def _send(self, data: bytes, *, ends: bool = False) -> bytes:
        """Return all that the server answers; `ends` says that nothing follows the bytes.

        A client that says so may count as gone, so that an answer under way is not sent.
        """
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE) as sock:
            # The server may have enough before it has read all of them.
            # A socket whose other end has reset is not connected, which is no ConnectionError.
            with contextlib.suppress(OSError):
                sock.sendall(data)
                if ends:
                    sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while piece := sock.recv(65536):
                    answer += piece
        return answer


class RawReplies:
    """A server that answers each request with the bytes of an example, and a client of it.

    Attributes:
        say: The bytes.
        port: The server's port.
    """

    def __init__(self) -> None:
        self.say = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        self.port = self._listener.getsockname()[1]
        self._services = [self._connect(self.port, version) for version in (1, 2)]

    def _connect(self, port: int, version: int) -> GlanceImageService:
        return connect(
            servers=[f"http://127.0.0.1:{port}"],
            api_version=version,
            num_retries=0,
            retry=RetryPolicy(cooldown_base=0, budget_share=None),
            telemetry=False,
            request_timeout=2.0,
            deadline=2.0,
        )

    def close(self) -> None:
        """Stop the server."""
        for service in self._services:
            service.close()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with contextlib.suppress(OSError), sock:
                    sock.settimeout(_PATIENCE)
                    self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            piece = sock.recv(65536)
            if not piece:
                return
            asked += piece
        sock.sendall(self.say)

    def check(self, example: tuple[bytes, int, str]) -> None:
        """Each call brings what the bytes mean, or an error of this package, and in time.

        Raises:
            AssertionError: It took longer than its deadline.
        """
        self.say, version, name = example
        began = time.monotonic()
        service = self._services[version - 1]
        with refused_as(errors.TracedImageError):
            if name == "detail":
                service.detail(None)
            else:
                getattr(service, name)(None, "8f3c1a52-0000-4000-8000-000000000001")
        took = time.monotonic() - began
        assert took < _PATIENCE, f"{took:.1f} s"


def _replies() -> st.SearchStrategy[tuple[bytes, int, str]]:
    head = change_bytes(*HEADS, words=HEAD_WORDS)
    body = change_json(PAGE, RECORD)
    whole = body.map(
        lambda each: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(each), each)
    )
    chunked = change_bytes(b"5\r\nhello\r\n0\r\n\r\n", b"2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n")
    data = st.one_of(
        whole,
        st.builds(lambda a, b: a + b"\r\n" + b, head, body | chunked),
        st.builds(lambda a, b: a + b, head, st.binary(max_size=40)),
    )
    return st.tuples(data, st.sampled_from([1, 2]), st.sampled_from(["show", "detail", "delete"]))


def check_operations(seed: int) -> None:
    """Operations on servers that mutate their replies end as `tests/fuzz` judges it.

    Raises:
        AssertionError: One did not.
    """
    logging.disable(logging.CRITICAL)
    try:
        with Fuzzer(seed) as fuzzer:
            fuzzer.perform(range(1, 33))
    finally:
        logging.disable(logging.NOTSET)
    assert not fuzzer.report.wrong, str(fuzzer.report)
