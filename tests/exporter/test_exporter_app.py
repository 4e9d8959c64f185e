"""What the exporter answers: metrics, JSON, the page, health, and the headers that guard them."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import re
from importlib import metadata, resources
from urllib.parse import urljoin

import pytest
from packaging.version import Version
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from serving import ask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from traced_image.exporter.app import make_app
from traced_image.exporter.journal import Journal
from traced_image.telemetry import catalogue

PAGE = resources.files("traced_image.exporter").joinpath("page.html").read_text("utf-8")
OLD = Version(metadata.version("prometheus-client")) < Version("0.23")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PATHS = ["/", "/servers", "/metrics", "/healthz", "/readyz"]


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    Gauge("answer", "To everything.", registry=registry).set(42)
    return registry


@pytest.fixture
def journal():
    journal = Journal(clock=lambda: 1_800_000_000.0)
    labels = "images.get", "10.0.0.1", "9292", "failed", "503"
    journal.bind(catalogue.ATTEMPT_DURATION, labels)(0.1, None)
    return journal


@pytest.fixture
def exporter(serve, registry, journal):
    """Serve the application, made with these options."""

    def served(**options):
        return serve(make_app(registry, journal, **options))

    return served


def asked(handle, target, **headers):
    """The same as `ask`, with the names of headers in lower case."""
    status, given, body = ask(handle, target=target, **headers)
    return status, {name.lower(): value for name, value in given.items()}, body


# --- metrics -----------------------------------------------------------------------------------


def test_metrics_are_text_by_default(exporter):
    _, headers, body = asked(exporter(), "/metrics")
    samples = [each for family in plain(body.decode()) for each in family.samples]
    assert headers["content-type"].startswith("text/plain; version=")
    assert [("answer", 42.0)] == [(each.name, each.value) for each in samples]


def test_metrics_are_openmetrics_where_that_is_asked_for(exporter):
    _, headers, body = asked(exporter(), "/metrics", Accept=OPENMETRICS)
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert ["answer"] == [family.name for family in openmetrics(body.decode())]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(
            "Accept",
            "application/openmetrics-text;version=abc",
            marks=pytest.mark.skipif(OLD, reason="this prometheus_client reads no versions"),
        ),
        ("Accept", "text/plain;version=1.x"),
        ("Accept", "\xff"),
        ("Accept-Encoding", "\xff"),
    ],
)
def test_metrics_are_text_where_it_is_not_clear_what_is_asked_for(exporter, name, value):
    status, headers, _ = asked(exporter(), "/metrics", **{name: value})
    assert (200, "text/plain") == (status, headers["content-type"].partition(";")[0])


def test_exemplars_come_by_openmetrics(exporter, registry):
    exemplar = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    Counter("calls", "Calls.", registry=registry).inc(1, exemplar)
    _, _, body = ask(exporter(), target="/metrics", Accept=OPENMETRICS)
    samples = [each for family in openmetrics(body.decode()) for each in family.samples]
    assert [exemplar] == [each.exemplar.labels for each in samples if each.exemplar]


@pytest.mark.parametrize("target", ["/metrics", "/servers", "/"])
def test_what_is_long_is_gzipped_where_that_is_asked_for(exporter, registry, target):
    Counter("calls", "Calls " * 200, registry=registry)
    served = exporter()
    _, headers, body = ask(served, target=target, Accept_Encoding="gzip")
    _, _, whole = ask(served, target=target)
    assert "gzip" == headers["content-encoding"]
    assert whole == gzip.decompress(body)


def test_only_the_metrics_that_are_named_come(exporter, registry):
    Gauge("question", "Not known.", registry=registry)
    _, _, body = ask(exporter(), target="/metrics?name[]=question")
    assert ["question"] == [family.name for family in plain(body.decode())]


# --- the servers -------------------------------------------------------------------------------


def test_the_servers_are_json_that_nobody_keeps(exporter):
    _, headers, body = ask(exporter(), target="/servers")
    assert ("application/json", "no-store") == (headers["content-type"], headers["cache-control"])
    assert {"503": 1} == json.loads(body)["servers"][0]["reasons"]


def test_the_servers_are_as_they_are_now(exporter, journal):
    served = exporter()
    ask(served, target="/servers")
    journal.forget("10.0.0.1", "9292")
    assert [] == json.loads(ask(served, target="/servers")[2])["servers"]


def test_the_servers_come_with_the_address_of_traces(exporter):
    url = "https://jaeger.example/trace/{trace_id}"
    assert url == json.loads(ask(exporter(trace_url=url), target="/servers")[2])["trace_url"]


# --- the page ----------------------------------------------------------------------------------


def test_the_page_is_html(exporter):
    status, headers, body = ask(exporter())
    assert (200, "text/html; charset=utf-8") == (status, headers["content-type"])
    assert PAGE == body.decode()


def policy(headers):
    """The directives of the Content-Security-Policy."""
    parts = (each.split() for each in headers["content-security-policy"].split(";"))
    return {name: values for name, *values in parts}


@pytest.mark.parametrize("kind", ["script", "style"])
def test_the_policy_allows_what_the_page_came_with_and_nothing_else(exporter, kind):
    (inline,) = re.findall(rf"<{kind}>(.*?)</{kind}>", PAGE, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert [f"'sha256-{digest}'"] == policy(ask(exporter())[1])[f"{kind}-src"]


def test_the_policy_allows_nothing_from_elsewhere(exporter):
    found = policy(ask(exporter())[1])
    assert {
        "default-src": ["'none'"],
        "connect-src": ["'self'"],
        "img-src": ["data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    } == {name: values for name, values in found.items() if name not in ("script-src", "style-src")}


@pytest.mark.parametrize("target", [*PATHS, "/missing"])
def test_every_answer_is_guarded(exporter, target):
    _, headers, _ = ask(exporter(), target=target)
    assert ("nosniff", "no-referrer", True) == (
        headers["x-content-type-options"],
        headers["referrer-policy"],
        "content-security-policy" in headers,
    )


# --- health ------------------------------------------------------------------------------------


def test_it_is_healthy(exporter):
    assert (200, b"ok\n") == ask(exporter(), target="/healthz")[::2]


def test_it_is_ready_unless_told_otherwise(exporter):
    assert (200, b"ok\n") == ask(exporter(), target="/readyz")[::2]


def test_it_is_ready_as_soon_as_it_is_said_to_be(exporter):
    answers = [False, True]
    served = exporter(ready=lambda: answers.pop(0))
    asked = [ask(served, target="/readyz")[::2] for _ in range(2)]
    assert [(503, b"not yet\n"), (200, b"ok\n")] == asked


# --- what is asked -----------------------------------------------------------------------------


@pytest.mark.parametrize("target", PATHS)
def test_head_is_answered_without_a_body(exporter, target):
    served = exporter()
    assert (200, b"") == ask(served, "HEAD", target)[::2]


def test_what_is_not_there_is_not_found(exporter):
    assert 404 == ask(exporter(), target="/etc/passwd")[0]


def test_more_routes_can_be_given(exporter):
    served = exporter(routes={"/probe": PlainTextResponse("probed")})
    assert (200, b"probed") == ask(served, target="/probe")[::2]


def test_the_answers_of_more_routes_are_guarded_too(exporter):
    _, headers, _ = ask(exporter(routes={"/probe": PlainTextResponse("")}), target="/probe/")
    assert "content-security-policy" in headers


def test_more_routes_take_nothing_but_get_and_head(registry, journal):
    application = make_app(registry, journal, routes={"/probe": PlainTextResponse("probed")})
    assert 405 == status_of(application, "POST", "/probe")


@pytest.mark.parametrize("target", [f"{path}/" for path in PATHS[1:]])
def test_a_slash_at_the_end_changes_nothing(exporter, target):
    """A redirect would lead to whatever the client's Host header says."""
    assert 200 == ask(exporter(), target=target)[0]


@pytest.mark.parametrize("target", PATHS)
@pytest.mark.parametrize("host", ["http://exporter", "HTTP://exporter:9293", "https://[::1]:1"])
def test_a_target_in_absolute_form_is_answered(exporter, host, target):
    served = exporter()
    assert ask(served, target=target)[0] == ask(served, target=f"{host}{target}")[0] == 200


def test_a_target_in_absolute_form_may_have_no_path(exporter):
    assert PAGE.encode() == ask(exporter(), target="http://exporter")[2]


# --- mounted in an application of a service ----------------------------------------------------


@pytest.fixture
def mounted(serve, registry, journal):
    return serve(Starlette(routes=[Mount("/glance", make_app(registry, journal))]))


@pytest.mark.parametrize("path", PATHS)
def test_it_can_be_mounted(mounted, path):
    assert 200 == ask(mounted, target=f"/glance{path}")[0]


def test_under_a_mount_the_page_asks_under_the_mount(mounted):
    links = re.findall(r'(?:fetch\(|href=|src=)"([^"#]+)"', PAGE)
    places = {urljoin("/glance/", link) for link in links if not link.startswith("data:")}
    assert {"/glance/servers"} == places


def test_a_mount_without_its_slash_leads_to_the_page(serve, registry, journal):
    """Here as a router that takes the path of the mount itself, which Starlette's does not."""
    inner = make_app(registry, journal)

    async def outer(scope, receive, send):
        await inner({**scope, "root_path": "/a/glance"}, receive, send)

    status, headers, _ = ask(serve(outer), target="/a/glance")
    assert (307, "glance/") == (status, headers["location"])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", PATHS)
def test_mounted_it_takes_nothing_but_get_and_head(registry, journal, method, path):
    """Here without the exporter's server, which lets nothing else through either."""
    assert 405 == status_of(make_app(registry, journal), method, path)


def status_of(application, method, path):
    """What an application answers, asked as any server would."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    asyncio.run(application(scope, receive, send))
    return sent[0]["status"]


def events(application, kind, *received):
    """What an application sends on a connection that is not for HTTP."""
    sent, left = [], list(received)

    async def receive():
        return left.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(application({"type": kind}, receive, send))
    return sent


def test_a_server_may_tell_it_of_its_start_and_end(registry, journal):
    told = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == [
        each["type"] for each in events(make_app(registry, journal), "lifespan", *told)
    ]


def test_a_websocket_is_closed(registry, journal):
    assert [{"type": "websocket.close"}] == events(make_app(registry, journal), "websocket")
