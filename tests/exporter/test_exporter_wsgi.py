"""The WSGI application: the same answers as by ASGI, wherever it is mounted."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import ThreadingWSGIServer
from serving import ask
from starlette.applications import Starlette
from starlette.routing import Mount
from wsgi_calls import call

import traced_image
from traced_image import Telemetry, exporter, lab
from traced_image.errors import InvalidOption
from traced_image.exporter.answers import ExporterAnswers
from traced_image.exporter.app import make_app
from traced_image.exporter.journal import Journal
from traced_image.exporter.wsgi import make_wsgi_app

PATHS = ["/", "/servers", "/metrics", "/healthz", "/readyz"]


class Quiet(WSGIRequestHandler):
    """Writes no access log."""

    def log_message(self, *_):
        pass


class Dispatcher:
    """Mounts an application as Flask's users do, by werkzeug's DispatcherMiddleware.

    It moves the longest known prefix of ``PATH_INFO`` to ``SCRIPT_NAME``; the rest may be empty.
    """

    def __init__(self, mount, inner):
        self.mount, self.inner = mount, inner

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path != self.mount and not path.startswith(f"{self.mount}/"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b""]
        environ["SCRIPT_NAME"] += self.mount
        environ["PATH_INFO"] = path[len(self.mount) :]
        return self.inner(environ, start_response)


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    Gauge("question_asked", "About everything. " * 50, registry=registry).set(42)
    return registry


@pytest.fixture
def application(registry):
    return make_wsgi_app(ExporterAnswers(registry, Journal(clock=lambda: 1_800_000_000.0)))


@pytest.fixture
def serve_wsgi():
    """Serve a WSGI application by prometheus_client's threaded server, until the test ends."""
    with contextlib.ExitStack() as stack:

        def started(application):
            server = make_server("127.0.0.1", 0, application, ThreadingWSGIServer, Quiet)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return SimpleNamespace(host="127.0.0.1", port=server.server_port)

        yield started


def own(headers):
    """The headers that the application gives, whichever server sends them."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: lower[name] for name in lower if name not in ("date", "server", "connection")}


# --- the same as by ASGI -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("target", [*PATHS, "/missing", "/metrics/", "/metrics?name[]=none"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "application/openmetrics-text; version=1.0.0", "Accept_Encoding": "gzip"},
        {"Accept": "text/plain;version=abc", "Accept_Encoding": "\xff"},
    ],
)
def test_it_answers_what_the_asgi_application_does(
    serve, serve_wsgi, registry, application, method, target, headers
):
    journal = Journal(clock=lambda: 1_800_000_000.0)
    by_asgi = ask(serve(make_app(registry, journal)), method, target, **headers)
    by_wsgi = ask(serve_wsgi(application), method, target, **headers)
    # The exporter's own server refuses other methods itself, without the application's headers.
    shown = slice(None) if method != "POST" else slice(0, 1)
    assert (by_asgi[0], own(by_asgi[1]), by_asgi[2])[shown] == (
        by_wsgi[0],
        own(by_wsgi[1]),
        by_wsgi[2],
    )[shown]


@pytest.mark.parametrize("path", PATHS)
def test_it_keeps_to_what_wsgi_demands(application, path):
    assert 200 == call(application, path)[0]


def test_a_target_in_absolute_form_is_answered(serve_wsgi, application):
    assert 200 == ask(serve_wsgi(application), target="http://exporter/metrics")[0]


def test_samples_have_the_names_of_their_help_in_every_escaping(application):
    accept = "application/openmetrics-text; version=1.0.0; escaping={}, text/plain; q=0.5"
    found = {}
    for escaping in ("values", "underscores", "allow-utf-8", "dots"):
        _, headers, body = call(application, "/metrics", HTTP_ACCEPT=accept.format(escaping))
        lines = body.decode().splitlines()
        found[headers["Content-Type"].rpartition("=")[2]] = lines[0].split()[2], lines[2].split()[0]
    names = {"underscores": "question_asked", "allow-utf-8": "question_asked"}
    assert {name: (each, each) for name, each in names.items()} | {
        "dots": ("question__asked", "question__asked")
    } == found


# --- mounted -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PATHS, *(f"{path}/" for path in PATHS[1:])])
def test_it_can_be_mounted(serve_wsgi, application, path):
    served = serve_wsgi(Dispatcher("/glance", application))
    assert 200 == ask(served, target=f"/glance{path}")[0]


@pytest.mark.parametrize(
    ("mount", "place"), [("/glance", "glance/"), ("/a/b", "b/"), ("/a:b", "a%3Ab/")]
)
def test_a_mount_without_its_slash_leads_to_the_page(serve_wsgi, application, mount, place):
    """The address is relative: a Host header that somebody forges leads nowhere."""
    status, headers, _ = ask(serve_wsgi(Dispatcher(mount, application)), target=mount)
    assert (307, place) == (status, headers["Location"])


def test_a_mount_may_have_any_name(application):
    name = "/\u0433\u043b".encode().decode("latin-1")
    status, headers, _ = call(application, "", SCRIPT_NAME=name)
    assert (307, "%D0%B3%D0%BB/") == (status, headers["Location"])


def test_at_the_root_an_empty_path_is_the_page(application):
    assert "text/html; charset=utf-8" == call(application, "")[1]["Content-Type"]


def test_a_path_that_is_no_utf_8_is_not_found(application):
    assert 404 == call(application, "/\xff")[0]


def test_by_starlette_the_asgi_application_can_be_mounted_too(serve, registry):
    mounted = Starlette(routes=[Mount("/glance", exporter.asgi_app(registry=registry))])
    assert 200 == ask(serve(mounted), target="/glance/servers/")[0]


@pytest.fixture
def documented():
    """The application that the page on mounting builds."""
    page = Path(__file__).parents[2] / "docs/how-to/serve-page.md"
    code = re.search(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)[1]
    found = {}
    exec(compile(code, str(page), "exec"), found)
    yield found["application"]
    found["service"].close()


def test_the_page_on_mounting_mounts_it(documented):
    found = {path: call(documented, path)[::2] for path in ("/glance/servers", "/glances", "/")}
    status, servers = found.pop("/glance/servers")
    own = 200, b"your service\n"
    assert (200, 2, {"/glances": own, "/": own}) == (
        status,
        len(json.loads(servers)["servers"]),
        found,
    )


def test_the_page_on_mounting_leads_to_the_page(documented):
    status, headers, _ = call(documented, "/glance")
    assert (307, "glance/") == (status, headers["Location"])


# --- of a service ------------------------------------------------------------------------------


def test_the_calls_of_a_service_are_shown(registry):
    application = exporter.wsgi_app(registry=registry)
    with lab.GlanceServer() as server:
        telemetry = Telemetry(registry=registry, meter_provider=False)
        with traced_image.connect(servers=[server.url], telemetry=telemetry) as service:
            service.detail(None)
    (shown,) = json.loads(call(application, "/servers")[2])["servers"]
    assert (1, True) == (
        shown["attempts"],
        b"glance_client_call_duration_seconds_count" in call(application, "/metrics")[2],
    )


def test_it_is_of_the_process_by_default():
    assert b"python_info" in call(exporter.wsgi_app(), "/metrics")[2]


def test_an_address_of_traces_that_is_none_is_refused():
    with pytest.raises(InvalidOption, match="trace_url"):
        exporter.wsgi_app(trace_url="jaeger")
