"""Targets: the lab's control API, the exporter's probes on request, and replies to probes."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from traced_image import Config, Server, lab
from traced_image.exporter.app import make_app
from traced_image.exporter.journal import Journal
from traced_image.exporter.probing.probe import Probe
from traced_image.exporter.probing.probe_route import Allowed, make_probe_route

from .config import ADDRESSES
from .engine import Target
from .messages import FAULTS, HEAD_WORDS, HEADS
from .strategies import change_bytes, change_json, change_text
from .wire import Raw, RawReplies, watch

if TYPE_CHECKING:
    from contextlib import ExitStack

_VERSIONS = {"versions": [{"id": "v2.17", "status": "CURRENT", "links": [{"href": "http://a"}]}]}
_IMAGE = {"name": "cirros", "data": "...", "visibility": "private", "tags": ["a"], "min_ram": 1}


def make_targets(stack: ExitStack) -> list[Target]:
    """Start what the targets need, and return them.

    Args:
        stack: Stops it.
    """
    watched = stack.enter_context(watch())
    servers = stack.enter_context(lab.cluster(2))
    control = Raw(stack.enter_context(lab.Control(servers)).port, watched, "/servers")
    replies = stack.enter_context(closing(RawReplies()))

    def check_reply(data: bytes) -> None:
        replies.say = data
        _probe(f"http://127.0.0.1:{replies.port}")

    return [
        Target("lab-control", _controls(), control.check, 50),
        Target("probe-requests", _queries(), check_query, 50),
        Target("probe-replies", _replies(), check_reply, 50),
    ]


def _controls() -> st.SearchStrategy[bytes]:
    name = change_text("glance-1", "glance-2").map(lambda text: quote(text, errors="replace"))
    query = change_text("method=GET&path=/file$&status=200", "fault=delay", "count=0&timeout=0")
    fault = st.builds(lambda text: {"fault": text}, change_text(*FAULTS, words=("refuse()",)))
    bodies = fault.flatmap(change_json) | change_json(_IMAGE, {**_IMAGE, "data_base64": "eA=="})
    places = st.one_of(
        st.builds(
            "/servers/{}/requests?{}".format, name, query.map(lambda text: quote(text, "=&"))
        ),
        st.builds("/servers/{}/fault".format, name),
        st.sampled_from(["/servers", "/images", "/images/x", "/reset", "/"]),
    )
    methods = st.sampled_from(["GET", "PUT", "POST", "DELETE"])
    hosts = change_bytes(b"127.0.0.1:80", b"[::1]:80", b"localhost")
    return st.builds(_make_request, methods, places, hosts, bodies)


def _make_request(method: str, place: str, host: bytes, body: bytes) -> bytes:
    head = f"{method} {place} HTTP/1.1\r\nContent-Length: {len(body)}\r\nHost: ".encode()
    return head + host + b"\r\n\r\n" + body


def _queries() -> st.SearchStrategy[bytes]:
    targets = change_text(*ADDRESSES, "127.0.0.1:1", words=("/image", "glance-1"))
    target = targets.map(lambda text: f"target={quote(text, errors='replace')}".encode())
    return target | change_bytes(b"target=glance-1", b"target=a&target=b", words=(b"%ff", b"+"))


def check_query(query: bytes) -> None:
    """A request for a probe is answered: with the probe's metrics, or with why there is none.

    Raises:
        AssertionError: The status is another.
    """
    config = Config(servers=["127.0.0.1:1"], num_retries=0)
    routes = make_probe_route(lambda: Probe(config, timeout=1.0), Allowed.parse(["10.0.0.0/24"]))
    started: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        started.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/probe",
        "raw_path": b"/probe",
        "root_path": "",
        "query_string": quote_from_bytes(query, safe="=&%+").encode(),
        "headers": [(b"x-prometheus-scrape-timeout-seconds", b"1")],
    }
    application = make_app(CollectorRegistry(), Journal(), routes=routes)
    asyncio.run(application(scope, receive, send))  # type: ignore[arg-type]
    assert started[0]["status"] in (200, 400, 403), started


def _replies() -> st.SearchStrategy[bytes]:
    versions = change_json(_VERSIONS)
    whole = versions.map(lambda body: b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    status = st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 300 Multiple Choices\r\n"])
    head = change_bytes(*HEADS, words=HEAD_WORDS)
    return st.one_of(
        st.builds(lambda *parts: b"".join(parts), status, whole),
        st.builds(lambda *parts: b"\r\n".join(parts), head, versions),
    )


def _probe(url: str) -> None:
    """Probe a server; whatever it answers is a result."""
    probe = Probe(Config(servers=[url], num_retries=0), timeout=1.0)
    asyncio.run(probe(Server.parse(url), None))  # type: ignore[arg-type]
