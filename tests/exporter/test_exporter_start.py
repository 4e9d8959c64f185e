"""The exporter in a service: one call that serves what calls come to, until it is stopped."""

from __future__ import annotations

import base64
import gc
import json
import logging
import os
import re
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import weakref
from importlib import metadata

import bcrypt
import pytest
from packaging.requirements import Requirement
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from serving import ask, serving_threads, until

import traced_image
from traced_image import Telemetry, exporter, lab
from traced_image.errors import ExporterError, ImageNotFound, InvalidOption, MissingExtra
from traced_image.telemetry.catalogue.probe_metrics import RELOADED

TRACE_URL = "https://jaeger.example/trace/{trace_id}"


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def start(registry):
    """Start an exporter of the registry on any port, and stop it at the end."""
    handles = []

    def started(**options):
        handles.append(exporter.start(**{"registry": registry, "port": 0, **options}))
        return handles[-1]

    yield started
    for handle in handles:
        handle.stop()


@pytest.fixture
def service(registry):
    """A service of one server, without telemetry's spans; what it is to ask for."""
    with lab.GlanceServer() as server:
        telemetry = Telemetry(registry=registry, meter_provider=False, wire_spans=False)
        service = traced_image.connect(servers=[server.url], telemetry=telemetry)
        yield service, server.images.add(name="cirros", data=b"...")
        service.close()


def told(handle):
    """What it tells of the servers."""
    return json.loads(ask(handle, target="/servers")[2])


# --- a service ---------------------------------------------------------------------------------


def test_the_calls_of_a_service_are_shown(start, service):
    handle = start()
    shown, image_id = service
    shown.show(None, image_id)
    with pytest.raises(ImageNotFound):
        shown.show(None, "missing")
    (server,) = told(handle)["servers"]
    assert (2, 0, {"404": 1}, 0) == (
        server["attempts"],
        server["failed"],
        server["refusals"],
        len(told(handle)["failing_calls"]),
    )


def test_a_service_that_is_made_later_is_shown_too(start, registry):
    handle = start()
    with lab.GlanceServer() as server:
        telemetry = Telemetry(registry=registry, meter_provider=False)
        service = traced_image.connect(servers=[server.url], telemetry=telemetry)
        service.detail(None)
        service.close()
    assert 1 == told(handle)["servers"][0]["attempts"]


def test_the_servers_of_a_service_that_was_there_before_are_shown_as_they_are(start, registry):
    with lab.cluster(2) as servers:
        servers[0].break_with(lab.faults.refuse())
        telemetry = Telemetry(registry=registry, meter_provider=False)
        service = traced_image.connect(servers=[each.url for each in servers], telemetry=telemetry)
        while not any(each.consecutive_failures for each in service.servers()):
            service.detail(None)
        shown = {each["port"]: each["state"] for each in told(start())["servers"]}
        service.close()
        expected = {str(servers[0].port): "cooling", str(servers[1].port): "healthy"}
    assert expected == shown


def test_the_metrics_are_those_of_the_registry(start, service):
    handle = start()
    service[0].detail(None)
    text = ask(handle, target="/metrics")[2].decode()
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    name = "glance_client_call_duration_seconds_count"
    assert [1.0] == [each.value for each in samples if each.name == name]


def test_the_default_registry_is_that_of_the_process(start):
    handle = start(registry=None)
    text = ask(handle, target="/metrics")[2].decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    # The text format gives the time at which a counter began a family of its own.
    assert {family.name for family in REGISTRY.collect()} == {
        name for name in names if not name.endswith("_created")
    }


# --- started, stopped, started again -----------------------------------------------------------


def test_stopped_it_leaves_no_thread_and_no_port(start):
    handle = start()
    handle.stop()
    with socket.socket() as sock:
        assert 0 != sock.connect_ex((handle.host, handle.port))
    assert [] == serving_threads()


def test_started_again_it_goes_on_with_what_is_known(start, service):
    first = start()
    service[0].detail(None)
    first.stop()
    service[0].detail(None)
    assert 2 == told(start())["servers"][0]["attempts"]


def test_however_often_it_is_started_an_attempt_counts_once(start, service):
    handles = [start() for _ in range(3)]
    service[0].detail(None)
    assert [1, 1, 1] == [told(handle)["servers"][0]["attempts"] for handle in handles]


def test_a_registry_that_nobody_has_any_more_is_forgotten(tmp_path):
    (tmp_path / "web.yml").write_text("")
    registry = CollectorRegistry()
    exporter.start(registry=registry, port=0, web_config=tmp_path / "web.yml").stop()
    found = weakref.ref(registry)
    del registry
    until(lambda: gc.collect() is not None and found() is None, "something holds it")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_a_fork_can_start_its_own_though_the_parent_was_about_to(registry):
    with exporter.start.__globals__["_shown"]._lock:
        child = os.fork()
        if not child:
            exporter.start(registry=registry, port=0).stop()
            os._exit(0)
    ended = []

    def reaped():
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            ended.append(os.waitstatus_to_exitcode(status))
        return found

    until(reaped, "the child waits for a lock that nobody has")
    assert [0] == ended


# --- the web configuration file ----------------------------------------------------------------


def test_users_are_asked_for_their_password(start, write):
    hashed = bcrypt.hashpw(b"pass", bcrypt.gensalt(4)).decode()
    handle = start(web_config=write(f"basic_auth_users:\n  user: {hashed}\n"))
    right = base64.b64encode(b"user:pass").decode()
    assert (401, 200) == (ask(handle)[0], ask(handle, Authorization=f"Basic {right}")[0])


def test_it_speaks_tls(start, write, certificates):
    handle = start(
        web_config=write("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n")
    )
    with urllib.request.urlopen(handle.url, context=certificates.context()) as reply:
        assert 200 == reply.status
    with pytest.raises((ssl.SSLError, urllib.error.URLError)):
        urllib.request.urlopen(handle.url)


def test_whether_the_file_could_be_used_is_a_metric(start, write, registry):
    path = write("")
    handle = start(web_config=path)
    before = registry.get_sample_value(RELOADED.name)
    path.write_text("nonsense: 1\n")
    until(lambda: ask(handle) and registry.get_sample_value(RELOADED.name) == 0.0)
    assert 1.0 == before


def test_two_with_a_file_share_the_metric(start, write, registry):
    handles = [start(web_config=write("", f"{number}.yml")) for number in range(2)]
    assert [200, 200] == [ask(handle)[0] for handle in handles]


# --- what can't be -----------------------------------------------------------------------------


def test_a_port_in_use_is_told_and_nothing_is_left(start):
    taken = start()
    with pytest.raises(ExporterError, match=rf"127\.0\.0\.1:{taken.port}: Address already in use"):
        start(port=taken.port)
    assert 1 == len(serving_threads())


def test_a_file_that_can_not_be_used_is_told_before_anything_listens(start, tmp_path):
    with pytest.raises(InvalidOption, match="can't be read"):
        start(web_config=tmp_path)
    assert [] == serving_threads()


def test_an_address_of_traces_that_is_none_is_refused(start):
    with pytest.raises(InvalidOption, match="trace_url"):
        start(trace_url="jaeger")


def test_an_address_of_traces_reaches_the_page(start):
    assert TRACE_URL == told(start(trace_url=TRACE_URL))["trace_url"]


@pytest.mark.parametrize("module", ["starlette", "uvicorn", "bcrypt"])
def test_without_the_packages_of_web_config_the_extra_is_named(
    monkeypatch, registry, write, module
):
    for name in sorted(sys.modules, reverse=True):
        if name.startswith("traced_image.exporter.") and not name.endswith(".start"):
            parent, _, last = name.rpartition(".")
            # What it is now, so that it is that again afterwards: an import sets this too.
            monkeypatch.setattr(sys.modules[parent], last, sys.modules[name])
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    said = rf"web_config needs {module}.* extra 'exporter'; pip install"
    with pytest.raises(MissingExtra, match=said):
        exporter.start(registry=registry, port=0, web_config=write(""))


WITHOUT_EXTRA = """
import sys
import urllib.request

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing())
from traced_image import exporter
exporter.asgi_app()
answered = exporter.wsgi_app()(
    {{"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics"}}, lambda *head: print(head[0])
)
print(b"python_info" in b"".join(answered))
with exporter.start(port=0) as page:
    print(urllib.request.urlopen(page.url).status)
"""
EXTRA = [
    Requirement(each).name
    for each in metadata.requires("traced-image")
    if re.search(r"""extra == ['"]exporter['"]""", each)
]


def test_the_applications_to_mount_and_the_server_need_no_extra():
    program = WITHOUT_EXTRA.format(blocked={*EXTRA, "yaml"})
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ["200 OK", "True", "200"] == done.stdout.splitlines()


def test_importing_it_imports_none_of_them():
    program = "import sys; from traced_image import exporter; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert set() == set(done.stdout.split()) & {"starlette", "uvicorn", "bcrypt", "anyio", "yaml"}


# --- to be mounted -----------------------------------------------------------------------------


def test_an_application_to_mount_answers_the_same(serve, registry, service):
    handle = serve(exporter.asgi_app(registry=registry, trace_url=TRACE_URL))
    service[0].detail(None)
    assert (TRACE_URL, 1) == (
        told(handle)["trace_url"],
        told(handle)["servers"][0]["attempts"],
    )


def test_an_application_to_mount_is_of_the_process_by_default(serve):
    handle = serve(exporter.asgi_app())
    assert b"python_info" in ask(handle, target="/metrics")[2]


def test_beyond_loopback_without_protection_there_is_a_warning(start, caplog):
    with caplog.at_level(logging.WARNING):
        start(host="0.0.0.0")
    assert "answers every client that can reach it" in caplog.text
