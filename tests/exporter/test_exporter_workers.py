"""Several workers behind one port: shown together, or said to be one of several."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import textwrap
from collections import Counter as Count

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families as parse
from serving import LIMIT, ask, until
from wsgi_calls import call

import traced_image
from traced_image import Telemetry, exporter, lab
from traced_image.errors import InvalidOption
from traced_image.exporter.journal import ONE_OF_SEVERAL
from traced_image.exporter.shared_journal import NO_WORKER
from traced_image.exporter.start import _PerRegistry
from traced_image.lab import faults
from traced_image.telemetry import multiprocess
from traced_image.telemetry.catalogue.probe_metrics import RELOADED
from traced_image.telemetry.shared_metrics import attach

CALLS = "glance_client_call_duration_seconds_count"

CONFIGURATION = """
control_socket_disable = True
loglevel = "warning"
"""

SERVICE = """
import os
import traced_image
from traced_image import exporter

service = traced_image.connect()
page = exporter.wsgi_app()

def application(environ, start_response):
    if environ["PATH_INFO"] != "/call":
        return page(environ, start_response)
    service.detail(None)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@contextlib.contextmanager
def gunicorn(folder, server, **environment):
    """Two workers of a service; what asks them, each time on a new connection."""
    (folder / "service.py").write_text(textwrap.dedent(SERVICE))
    (folder / "gunicorn.conf.py").write_text(CONFIGURATION)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        bind = f"--bind=fd://{listening.fileno()}"
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--workers=2", "service:application", bind],
            cwd=folder,
            pass_fds=[listening.fileno()],
            env={**os.environ, "TRACED_IMAGE_SERVERS": server.url, **environment},
        )
        try:
            yield lambda path: get(port, path)
        finally:
            process.terminate()
            process.wait(LIMIT)


def get(port, path):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)) as opened:
        opened.request("GET", path)
        return opened.getresponse().read().decode()


def call_both(fetch):
    """Make calls until each of two workers has made one; return how many there were."""
    made = Count()
    until(lambda: made.update([fetch("/call")]) or len(made) == 2, "one worker makes no calls")
    return made.total()


def sums(text):
    """The number of calls, and how often their HELP comes."""
    found = [sample for family in parse(text) for sample in family.samples if sample.name == CALLS]
    return sum(sample.value for sample in found), text.count(f"# HELP {CALLS[:-6]} ")


@pytest.fixture(scope="module")
def glance():
    with lab.GlanceServer() as server:
        yield server


def test_the_page_and_the_metrics_show_all_workers(tmp_path, glance):
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    with gunicorn(tmp_path, glance, PROMETHEUS_MULTIPROC_DIR=str(metrics)) as fetch:
        made = call_both(fetch)

        def attempts():
            return [each["attempts"] for each in json.loads(fetch("/servers"))["servers"]]

        until(lambda: attempts() == [made], "the page does not show all calls")
        assert (made, 1) == sums(fetch("/metrics"))
        assert json.loads(fetch("/servers"))["notice"] is None


def test_all_workers_agree_since_when_a_server_fails(tmp_path):
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    with lab.cluster(2) as servers:
        servers[0].break_with(faults.status(503))
        environment = {
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "TRACED_IMAGE_SERVERS": ",".join(server.url for server in servers),
        }
        with gunicorn(tmp_path, servers[0], **environment) as fetch:

            def failing():
                report = json.loads(fetch("/servers"))
                (server,) = [each for each in report["servers"] if each["failed"]] or [{}]
                return report["process"]["processes"], server.get("since")

            until(lambda: call_both(fetch) and failing()[1] is not None, "no server fails")
            # Each worker reads the other one's file, which may be a second old.
            until(lambda: agree({failing() for _ in range(9)}), "the workers do not agree")


def agree(found):
    """Whether all answers are of both workers and have one time."""
    return [(2, True)] == [(processes, since is not None) for processes, since in found]


def test_without_a_folder_the_page_says_that_it_shows_one_worker(tmp_path, glance):
    with gunicorn(tmp_path, glance) as fetch:
        assert ONE_OF_SEVERAL == json.loads(fetch("/servers"))["notice"]


# --- in one process ----------------------------------------------------------------------------


def test_a_server_of_one_process_says_nothing():
    assert json.loads(call(exporter.wsgi_app(), "/servers")[2])["notice"] is None


@pytest.fixture
def attached(monkeypatch):
    """Which journals count in which registries; nothing stays in the default one."""
    found = []

    def note(registry, journal):
        found.append((registry, journal))
        if registry is not REGISTRY:
            attach(registry, journal)

    monkeypatch.setitem(exporter.start.__globals__, "attach", note)
    monkeypatch.setitem(exporter.start.__globals__, "_shown", _PerRegistry())
    return found


@pytest.fixture
def together(monkeypatch, tmp_path, attached):
    """prometheus_client's multiprocess mode, and a registry that reads its files."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue())
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


@pytest.fixture
def counting(glance):
    """Make a call that counts in a registry."""

    def count(registry):
        telemetry = Telemetry(registry=registry, meter_provider=False)
        with traced_image.connect(servers=[glance.url], telemetry=telemetry) as service:
            service.detail(None)

    return count


def shown(handle):
    return [each["attempts"] for each in json.loads(ask(handle, target="/servers")[2])["servers"]]


def test_a_registry_that_reads_the_files_has_each_metric_once(together, counting):
    with exporter.start(registry=together, port=0) as handle:
        counting(together)
        text = ask(handle, target="/metrics")[2].decode()
        assert ((1.0, 1), [1]) == (sums(text), shown(handle))


def test_in_multiprocess_mode_another_registry_shows_the_files_too(together, counting):
    registry = CollectorRegistry()
    with exporter.start(registry=registry, port=0) as handle:
        counting(registry)
        assert (1.0, 1) == sums(ask(handle, target="/metrics")[2].decode())


def test_the_page_of_a_registry_that_reads_files_shows_the_default_registrys_calls(
    together, attached
):
    exporter.wsgi_app(registry=together)
    (first, journal), (second, same) = attached
    assert (together, REGISTRY, True) == (first, second, journal is same)


def test_the_default_registry_counts_once_beside_one_that_reads_files(together, attached):
    for registry in (together, None, CollectorRegistry()):
        exporter.wsgi_app(registry=registry)
    assert 1 == [registry for registry, _ in attached].count(REGISTRY)


def test_where_no_worker_has_shared_its_calls_the_page_says_so(together):
    application = exporter.wsgi_app(registry=together)
    assert NO_WORKER == json.loads(call(application, "/servers")[2])["notice"]


def test_a_gauge_of_the_exporter_is_shown_once(together, write):
    with exporter.start(registry=together, port=0, web_config=write("")) as handle:
        text = ask(handle, target="/metrics")[2].decode()
    assert 1 == text.count(f"# HELP {RELOADED.name} ")


@pytest.mark.parametrize("folder", ["", "gone"])
def test_a_folder_that_is_none_is_refused(together, monkeypatch, tmp_path, folder):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", folder and str(tmp_path / folder))
    with pytest.raises(InvalidOption, match=r"PROMETHEUS_MULTIPROC_DIR.* is no folder"):
        exporter.wsgi_app(registry=CollectorRegistry())


def test_the_folders_old_name_counts_too(together, monkeypatch, tmp_path):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    monkeypatch.setenv("prometheus_multiproc_dir", str(tmp_path))
    assert tmp_path == multiprocess.find_folder(CollectorRegistry())


def test_a_registry_of_any_class_reads_no_files():
    assert not multiprocess.shows_files(object())


# --- a registry that has one of the names ------------------------------------------------------


def test_a_registry_that_has_one_of_the_names_gets_no_metrics_of_ours(counting):
    registry = CollectorRegistry()
    own = Counter("glance_client_connection_failed", "Somebody else's.", registry=registry)
    with exporter.start(registry=registry, port=0) as handle:
        counting(registry)
        text = ask(handle, target="/metrics")[2].decode()
        assert ([own._name], [1]) == (
            [family.name for family in parse(text) if "_created" not in family.name],
            shown(handle),
        )


def test_it_gets_them_as_soon_as_the_name_is_free(counting):
    registry = CollectorRegistry()
    own = Counter("glance_client_connection_failed", "Somebody else's.", registry=registry)
    with exporter.start(registry=registry, port=0) as handle:
        counting(registry)
        registry.unregister(own)
        counting(registry)
        assert ((1.0, 1), [2]) == (sums(ask(handle, target="/metrics")[2].decode()), shown(handle))


def test_a_registry_that_has_the_exporters_own_name_is_refused(write):
    registry = CollectorRegistry()
    Gauge(RELOADED.name, "Somebody else's.", registry=registry)
    with pytest.raises(InvalidOption, match=f"registry.*{RELOADED.name}"):
        exporter.start(registry=registry, port=0, web_config=write(""))
