"""The ways to fetch one image's record that the benchmarks compare."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import glanceclient
import requests
import urllib3
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from peer_telemetry import telemetry
from serving import IMAGE_PATH

import traced_image

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from typing_extensions import Unpack

    from traced_image.config.keywords import ConfigKeywords

Show = Callable[[], object]
"""Fetches the image's record once."""

Observed = Literal["off", "sampled_out", "calls", "wire", "all"]
"""Telemetry, as in `peer_telemetry.HOW`."""

BARE = "requests.Session().get(url).json()"
"""The variant that all others are compared with."""

POOL = "urllib3.PoolManager, json.loads"

SHOWS: dict[Observed, str] = {
    "off": "show, telemetry off",
    "sampled_out": "show, metrics, no call sampled",
    "calls": "show, call and attempt spans, metrics",
    "wire": "show, wire spans too",
    "all": "show, OpenTelemetry's metrics too",
}

OTLP = "show, all of it sent by OTLP"
"""In a process of its own, since a thread sends it."""


class NoExporter(SpanExporter):
    """Takes spans and does nothing with them: what an exporter costs is not what is measured."""

    def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Do nothing."""
        return SpanExportResult.SUCCESS


def service(
    urls: Sequence[str], observed: Observed, **fields: Unpack[ConfigKeywords]
) -> traced_image.GlanceImageService:
    """A service on its own, with a batch processor and a registry of its own where observed."""
    return traced_image.connect(servers=urls, telemetry=telemetry(observed), **fields)


def show(url: str, image_id: str, observed: Observed) -> Show:
    """This package's `show`."""
    shown = service([url], observed).show
    return lambda: shown(None, image_id)


def variants(url: str, image_id: str) -> dict[str, Show]:
    """All the ways, by their names, in the order of the table."""
    target = f"{url}{IMAGE_PATH}{image_id}"
    session = requests.Session()
    pool = urllib3.PoolManager()
    client = glanceclient.Client("2", endpoint=url)
    return {
        "raw socket, kept alive, json.loads": _raw(target),
        POOL: lambda: json.loads(pool.request("GET", target).data),
        "requests, prepared request": _prepared(target),
        **{name: show(url, image_id, observed) for observed, name in SHOWS.items()},
        BARE: lambda: session.get(target).json(),
        "python-glanceclient, reused": lambda: client.images.get(image_id),
        "python-glanceclient, one-time": lambda: glanceclient.Client("2", endpoint=url).images.get(
            image_id
        ),
    }


def _prepared(target: str) -> Show:
    session = requests.Session()
    request = requests.Request("GET", target).prepare()
    return lambda: session.send(request, proxies={}).json()


def _raw(target: str) -> Show:
    parts = urlsplit(target)
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()

    def fetch() -> object:
        connection.sendall(request)
        received = connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(None, 1)[0])
        while len(body) < length:
            body += connection.recv(65536)
        return json.loads(body)

    return fetch
