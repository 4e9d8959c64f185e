"""Secrets: what a server, a URL or a caller has of them is told nowhere, by no way of telling."""

import logging
import socket
import threading
from contextlib import suppress

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.openmetrics.exposition import generate_latest

from traced_image import RequestContext, RetryPolicy, Telemetry
from traced_image.redact import SECRET_KEYS

TOKEN = "gAAAAABhunter2-token_of=="
OPAQUE = "0123456789abcdef0123456789abcdef"
"""A token that does not look like one."""

SECRET = "hunter2"
SIGNED = {key: f"{SECRET}-{number}" for number, key in enumerate(SECRET_KEYS)}
PAGE = " ".join(
    [
        f"token {TOKEN} is not valid",
        f"swift+https://glance:{SECRET}@store.example/images",
        *(f"https://store.example/image?x=y&{key}={value}" for key, value in SIGNED.items()),
        "https://store.example/image?"
        + "&".join(f"{key}={value}" for key, value in SIGNED.items()),
    ]
)
"""What somebody says who repeats all that there is to know."""

ECHO = f"X-Auth-Token: {OPAQUE} {PAGE}"
"""The same of a server, which knows the token that it was sent."""

SECRETS = [OPAQUE, TOKEN, SECRET, *SIGNED.values()]
NO_MEMORY = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)


class Gossip:
    """A server that answers every request with the same bytes, whatever they give away."""

    def __init__(self, answer):
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with suppress(OSError), sock, sock.makefile("rb") as stream:
                    length = 0
                    while (line := stream.readline()) not in (b"\r\n", b""):
                        name, _, value = line.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                    stream.read(length)
                    sock.sendall(self._answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def reply(status, body=ECHO, *headers):
    head = [
        f"HTTP/1.1 {status} Told",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*head, "", body]).encode()


ELSEWHERE = f"https://store.example/image?{'&'.join(map('='.join, SIGNED.items()))}"
ROUND = f"/v2/images/x?{'&'.join(map('='.join, SIGNED.items()))}"
ANSWERS = {
    **{str(status): reply(status) for status in (400, 401, 403, 404, 409, 413, 429, 500, 502, 503)},
    "html": reply(503, f"<html><body><p title='{ECHO}'>{ECHO}</p></body></html>"),
    "id of the request": reply(503, ECHO, f"X-OpenStack-Request-ID: {ECHO}"),
    "not JSON": reply(200),
    "redirect elsewhere": reply(302, ECHO, f"Location: {ELSEWHERE}"),
    "redirect in a circle": reply(302, ECHO, f"Location: {ROUND}"),
    "no status": f"HTTP/1.1 {ECHO}\r\n\r\n".encode(),
    "no header": f"HTTP/1.1 200 OK\r\n{ECHO}\r\n\r\n{ECHO}".encode(),
    "no length": reply(200, ECHO, f"Content-Length: {ECHO}"),
    "cut": reply(200, ECHO * 2)[: -len(ECHO)],
    "nothing": b"",
}


@pytest.fixture
def telling(service, trace, registry, caplog):
    """Build a service of one server, and all that is told of its calls afterwards."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    caplog.set_level(logging.DEBUG, "traced_image")

    def build(url, *, wire_spans=True, **fields):
        telemetry = Telemetry(
            tracer_provider=trace.provider,
            registry=registry,
            meter_provider=provider,
            wire_spans=wire_spans,
        )
        return service(servers=[url], telemetry=telemetry, retry=NO_MEMORY, **fields)

    def told():
        spans = [f"{span.to_json()} {span.status.description}" for span in trace.spans]
        logs = [f"{one.getMessage()} {vars(one)}" for one in caplog.records]
        metrics = [generate_latest(registry).decode(), reader.get_metrics_data().to_json()]
        return "\n".join(["", *spans, *logs, *metrics])

    yield build, told
    provider.shutdown()


def leaks(told):
    return [secret for secret in SECRETS if secret in told]


def call_everything(service, context):
    """Every kind of call, with secrets wherever a caller can put them."""
    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    for call in (
        lambda: service.show(context, "x"),
        lambda: service.detail(context, filters={**SIGNED, "name": "cirros"}),
        lambda: service.create(context, fields, b"data"),
        lambda: service.create(context, {**fields, "location": ELSEWHERE}),
        lambda: service.update(context, "x", {"name": TOKEN}),
        lambda: list(service.download(context, "x")),
        lambda: service._client.call(context, 2, "upload", "x", b"data"),
        lambda: service.delete(context, "x"),
    ):
        with suppress(Exception):
            call()


@pytest.mark.parametrize(
    ("answer", "wire_spans"),
    [
        *((answer, True) for answer in ANSWERS),
        ("503", False),
        *(pytest.param(each, False, marks=pytest.mark.slow) for each in ANSWERS if each != "503"),
    ],
)
def test_what_a_server_repeats_is_not_told(telling, answer, wire_spans):
    build, told = telling
    with Gossip(ANSWERS[answer]) as server:
        service = build(server.url, wire_spans=wire_spans, auth_strategy="keystone")
        call_everything(service, RequestContext(auth_token=OPAQUE))
    assert [] == leaks(told())


@pytest.mark.parametrize("wire_spans", [True, False])
def test_what_a_server_repeats_is_told_without_its_secrets(telling, wire_spans):
    """The tests above could not fail if nothing were told at all."""
    build, told = telling
    with Gossip(ANSWERS["503"]) as server:
        service = build(server.url, wire_spans=wire_spans, auth_strategy="keystone")
        call_everything(service, RequestContext(auth_token=OPAQUE))
    assert "X-Auth-Token: REDACTED token REDACTED is not valid" in told()


@pytest.mark.parametrize("wire_spans", [True, False])
def test_an_id_that_is_a_token_is_not_told(telling, servers, wire_spans):
    build, told = telling
    with suppress(Exception):
        build(servers[0].url, wire_spans=wire_spans).show(None, TOKEN)
    assert [] == leaks(told())


class Keystone:
    """Tokens of a Keystone that is away, and says so with the password in its words."""

    def get_token(self):
        raise LookupError(PAGE)

    def invalidate(self):
        return False


def test_why_there_is_no_token_is_not_told(telling, servers):
    build, told = telling
    call_everything(build(servers[0].url, auth=Keystone()), None)
    assert [] == leaks(told())


def test_why_data_to_upload_can_t_be_read_is_not_told(telling, servers):
    def broken():
        yield b"first"
        raise OSError(PAGE)

    build, told = telling
    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    with pytest.raises(OSError, match="not valid"):
        build(servers[0].url).create(None, fields, broken())
    assert [] == leaks(told())


@pytest.mark.parametrize(
    "variable",
    [
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE",
    ],
)
def test_headers_are_not_told_though_the_process_captures_them(
    telling, servers, monkeypatch, variable
):
    monkeypatch.setenv(variable, ".*")
    build, told = telling
    service = build(servers[0].url, auth_strategy="keystone")
    call_everything(service, RequestContext(auth_token=OPAQUE))
    assert [] == leaks(told())
