"""``opentelemetry-instrument`` on nova's image path shows which server fails.

Run by ``make test-clients``, where nova is installed.
"""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from traced_image.lab import faults

pytest.importorskip("nova")

PROGRAM = Path(__file__).with_name("nova_wsgi.py")
INSTRUMENT = Path(sys.executable).with_name("opentelemetry-instrument")
LIMIT = 120.0


@pytest.fixture
def shown(servers):
    """The servers as nova's metrics should show them: one works, one is killed, one answers 503."""
    servers[1].break_with(faults.refuse())
    servers[2].break_with(faults.status(503))
    states = ("healthy", "failing", "failing")
    return {(str(server.port), state) for server, state in zip(servers, states, strict=True)}


@pytest.fixture
def env(servers, tmp_path):
    """The environment of a program, with nova's configuration."""
    conf = tmp_path / "nova.conf"
    urls = ",".join(server.url for server in servers)
    conf.write_text(f"[glance]\napi_servers = {urls}\nnum_retries = 50\n")
    none = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
    return {**os.environ, **none, "NOVA_CONF": str(conf), "SEED": "1", "PYTHONWARNINGS": "ignore"}


def states(metrics):
    return {
        (sample.labels["server_port"], sample.labels["state"])
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "glance_client_server_state" and sample.value
    }


def run(command, env):
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LIMIT, env=env
    )
    assert not done.returncode, done.stderr
    return done.stdout


def test_a_program_shows_the_servers_that_fail(env, image_id, shown):
    assert shown == states(run([INSTRUMENT, sys.executable, PROGRAM, image_id], env))


@pytest.fixture
def gunicorn(env):
    """The address of a gunicorn with two workers that serves the application."""
    pytest.importorskip("gunicorn")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        command = [INSTRUMENT, Path(sys.executable).with_name("gunicorn"), "--workers=2"]
        command += [f"--bind=fd://{listener.fileno()}", "--timeout=60", "nova_wsgi:application"]
        master = subprocess.Popen(
            command, env=env, pass_fds=[listener.fileno()], cwd=PROGRAM.parent
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            master.send_signal(signal.SIGTERM)
            master.wait(LIMIT)


def test_each_worker_of_gunicorn_shows_the_servers_that_fail(gunicorn, image_id, shown):
    seen = {}
    while len(seen) < 2:  # a request that takes long leaves the next one to the other worker
        reply = requests.get(f"{gunicorn}/{image_id}", timeout=LIMIT)
        seen[reply.headers["X-Worker"]] = states(reply.text)
    assert [shown] * 2 == list(seen.values())


EVENTLET = """
import eventlet
eventlet.monkey_patch()
from traced_image.instrumentation import GlanceInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
GlanceInstrumentor().instrument(tracer_provider=provider)
import io, os, sys
from types import SimpleNamespace
import eventlet.tpool
import nova.monkey_patch
nova.monkey_patch.MONKEY_PATCHED = True  # as in a service that runs in eventlet's mode
import nova.conf
from nova import context
from nova.image import glance
from prometheus_client import generate_latest

nova.conf.CONF([], project="nova", default_config_files=[os.environ["NOVA_CONF"]])
request = context.RequestContext("user", "project", auth_token="t")
glance.time = SimpleNamespace(sleep=lambda _: eventlet.sleep())
service = glance.GlanceImageServiceV2()
tracer = provider.get_tracer("caller")

def get(number):
    with tracer.start_as_current_span("caller"):
        service.show(request, sys.argv[1])
        service.detail(request)

pool = eventlet.GreenPool(8)
list(pool.imap(get, range(8)))
with tracer.start_as_current_span("caller"):
    service.update(request, sys.argv[2], {}, data=io.BytesIO(b"0123456789"), purge_props=False)
spans = exporter.get_finished_spans()
names = {span.context.span_id: span for span in spans}
for span in spans:
    parent = None if span.parent is None else names[span.parent.span_id]
    same = parent is None or parent.context.trace_id == span.context.trace_id
    print("#", span.name, "<", parent and parent.name, "" if same else "OTHER TRACE")
sys.stdout.write(generate_latest().decode())
"""


def test_greenthreads_have_their_own_calls_and_a_native_thread_too(env, images, image_id, shown):
    queued = images.add(name="new", disk_format="raw", container_format="bare")
    written = run([sys.executable, "-c", EVENTLET, image_id, queued], env)
    lines = [line.strip("# ").strip() for line in written.splitlines() if line.startswith("# ")]
    lines = [line for line in lines if "glance." in line or "caller" in line]
    lines = [line for line in lines if "HELP" not in line and "TYPE" not in line]
    assert 8 == lines.count("glance.images.list < caller")
    # Nova uploads in a native thread, which does not know the span of its caller.
    assert {
        "caller < None",
        "glance.images.get < caller",
        "glance.images.get attempt < glance.images.get",
        "glance.images.list < caller",
        "glance.images.list attempt < glance.images.list",
        "glance.images.update < caller",
        "glance.images.update attempt < glance.images.update",
        "glance.images.upload < None",
        "glance.images.upload attempt < glance.images.upload",
    } == set(lines)
    assert shown == states(written)
