"""Services that know nothing of this package show which server fails.

They run under ``opentelemetry-instrument``, and their exporter is that of the environment.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from stock_client import REAL, SHAPES

from traced_image.config.environment import EXPORTER
from traced_image.lab import faults

HERE = Path(__file__).parent
LIMIT = 30.0
USERS = ("glance_user", *(("nova_user",) if REAL and find_spec("nova") else ()))
"""The programs that use python-glanceclient, and nova's image service on top of it."""
GUNICORN = ("-m", "gunicorn", "--workers=2", "--no-control-socket")
UWSGI = (
    *("-c", "import pyuwsgi; pyuwsgi.run()"),
    *("--master", "--enable-threads", "--lazy-apps", "--processes=2", "--die-on-term"),
)
"""uWSGI as kolla-ansible and openstack-ansible run it."""

NO_EXPORTERS = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
ATTEMPTS = "glance_client_attempt_duration_seconds_count"
"""The attempts by server and reason."""


@pytest.fixture
def ports():
    """Five ports in a row that are free: the service's own, and those of its exporters."""
    for first in range(20000 + os.getpid() % 10000, 60000, 7):
        found = range(first, first + 5)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in found:
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            break
    return found


@pytest.fixture
def run(ports, servers, image_id, tmp_path):
    """Run a service until the test ends; the second of its servers refuses connections."""
    servers[1].break_with(faults.refuse())
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    paths = [] if REAL else [str(SHAPES)]
    with contextlib.ExitStack() as stack:

        def started(*arguments, **variables):
            environment = {
                **os.environ,
                "GLANCE_SERVERS": " ".join(each.url for each in servers[:2]),
                "IMAGE": image_id,
                "PYTHONPATH": os.pathsep.join([*paths, *sys.path]),
                "PYTHONWARNINGS": "ignore",
                **NO_EXPORTERS,
                EXPORTER: f"127.0.0.1:{ports[1]}-{ports[-1]}",
                **variables,
            }
            output = stack.enter_context((tmp_path / "output").open("w+"))
            stack.enter_context(
                process := subprocess.Popen(
                    [command, sys.executable, *arguments],
                    cwd=HERE,
                    env=environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )
            stack.callback(os.killpg, process.pid, 9)
            return tmp_path / "output"

        yield started


def fetch(port, path="/"):
    """The answer on a port; None if nobody listens."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)) as opened:
        try:
            opened.request("GET", path)
        except ConnectionError:  # a port that is only tried for a moment resets its connections
            return None
        return opened.getresponse().read().decode()


def until(condition, otherwise):
    """What a condition returns, as soon as it holds."""
    end = time.monotonic() + LIMIT
    while not (found := condition()):
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
    return found


def call_all(port, workers):
    """Call the service until each of its workers has answered."""
    seen = set()

    def complete():
        seen.add(fetch(port))
        return len(seen - {None}) == workers

    until(complete, "a worker does not answer")


def failing_servers(port):
    """The ports of the servers that a page calls failing, and those with failed attempts."""
    report, metrics = fetch(port, "/servers"), fetch(port, "/metrics")
    if report is None:
        return None
    servers = json.loads(report)["servers"]
    samples = [sample for family in parse(metrics) for sample in family.samples]
    return (
        {each["port"] for each in servers if each["state"] == "failing"},
        {
            each.labels["server_port"]
            for each in samples
            if each.name == ATTEMPTS and each.labels["error_type"] == "connection_refused"
        },
    )


def show_failing(ports, server, count):
    """Whether so many of the pages, and their metrics, show that one server fails."""
    one = ({str(server.port)}, {str(server.port)})
    return [failing_servers(port) for port in ports].count(one) == count


@pytest.fixture(params=USERS)
def user(request):
    """A program that uses Glance."""
    return request.param


@pytest.fixture
def run_as(run, user, ports):
    """Run the program, as an application of a server, on the first port."""
    bind = f"127.0.0.1:{ports[0]}"
    arguments = {
        "gunicorn": (*GUNICORN, f"--bind={bind}", f"{user}:application"),
        "pyuwsgi": (*UWSGI, f"--http-socket={bind}", f"--wsgi-file={user}.py"),
        "eventlet": (f"{user}.py", str(ports[0])),
    }

    def started(server, **variables):
        return run(*arguments[server], **variables)

    return started


def wait_for(condition, ports, otherwise):
    """Call the service again and again, until a condition holds."""
    until(lambda: fetch(ports[0]) is not None and condition(), otherwise)


def test_each_worker_of_gunicorn_shows_the_failing_server(run_as, ports, servers):
    run_as("gunicorn")
    call_all(ports[0], 2)
    shown = partial(show_failing, ports[1:], servers[1], 2)
    wait_for(shown, ports, "a worker shows no failing server")


@pytest.mark.clients
def test_each_worker_of_uwsgi_shows_the_failing_server(run_as, ports, servers):
    run_as("pyuwsgi", UWSGI_PY_CALL_OSAFTERFORK="1")
    call_all(ports[0], 2)
    shown = partial(show_failing, ports[1:], servers[1], 2)
    wait_for(shown, ports, "a worker shows no failing server")


def test_one_port_shows_all_workers_in_multiprocess_mode(run_as, ports, servers, tmp_path):
    folder = tmp_path / "metrics"
    folder.mkdir()
    place = {EXPORTER: f"127.0.0.1:{ports[1]}", "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    run_as("gunicorn", **place)
    call_all(ports[0], 2)
    shown = partial(show_failing, ports[1:2], servers[1], 1)
    wait_for(shown, ports, "the page shows no failing server")


def test_a_service_of_eventlet_shows_the_failing_server(run_as, ports, servers):
    run_as("eventlet")
    shown = partial(show_failing, ports[1:], servers[1], 1)
    wait_for(shown, ports, "the page shows no failing server")


@pytest.mark.clients
@pytest.mark.parametrize("server", ["gunicorn", "eventlet"])
def test_the_traces_reach_their_exporter(run_as, ports, servers, server):
    output = run_as(server, OTEL_TRACES_EXPORTER="console", OTEL_BSP_SCHEDULE_DELAY="100")
    failed = f'"server.port": {servers[1].port}'
    wait_for(lambda: failed in output.read_text("utf-8"), ports, "no span of it arrives")
