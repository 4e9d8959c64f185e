"""What real services do with real Glance servers is the same with the instrumentor and without.

Run by ``make test-clients``, where nova or cinder is installed. Of three servers one is killed, one
answers 503, and one works: it is a real Glance, and so was the one that is killed.
"""

import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from stock_services import SERVICES, Nova

from traced_image import lab
from traced_image.lab import faults

sys.path.append(str(Path(__file__).parents[1] / "real"))

from parts import cache, glance

INSTALLED = [
    pytest.param(service, id=service.name)
    for service in SERVICES
    if importlib.util.find_spec(service.name)
]
# What differs from one run to the next: ids, times and addresses of objects.
VARYING = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+"
    r"|\d{4}-\d\d-\d\d[T ][\d:]+|datetime\([\d, ]+"
)
NEW = {"name": "new", "disk_format": "raw", "container_format": "bare"}
DATA = b"0123456789" * 10_000


@pytest.fixture(scope="module")
def real_glances(tmp_path_factory):
    environment = cache.install(cache.GLANCE, sys.stderr.write)
    with glance.glances(environment, tmp_path_factory.mktemp("glance") / "home", count=2) as both:
        both[0].kill()
        yield both


@pytest.fixture
def urls(real_glances):
    """A server that is killed, one that answers 503, and one that works."""
    with lab.GlanceServer(lab.Images()) as unavailable:
        unavailable.break_with(faults.status(503))
        yield [real_glances[0].url, unavailable.url, real_glances[1].url]


def make_image_service(service):
    if isinstance(service, Nova):
        return service.glance.GlanceImageServiceV2(service.client)
    return service.glance.GlanceImageService(service.client)


def script(service, images, context, folder):
    """What a service does with images, step by step."""
    # The client asks the servers in turn: each step begins with the one after the last step's.
    created = images.create(context, dict(NEW))
    yield created
    yield images.show(context, created["id"])
    yield images.update(context, created["id"], dict(NEW), data=io.BytesIO(DATA))
    # Cinder does not try a list again.
    yield attempt(lambda: sorted(image["status"] for image in images.detail(context)))
    chunks = images.download(context, created["id"])
    yield b"".join(chunks)
    with (folder / "image").open("wb") as file:
        yield images.download(context, created["id"], data=file)
    yield (folder / "image").read_bytes()
    for step in (
        lambda: images.show(context, "none"),
        lambda: images.delete(context, "none"),
        lambda: images.create(context, {**NEW, "disk_format": "paper"}),
        lambda: images.update(context, "none", dict(NEW)),
        images.show,
        lambda: service.call("paint"),
        lambda: service.call("upload", created["id"], io.BytesIO(DATA)),
        lambda: service.call("upload", created["id"], iter([DATA])),
        lambda: images.delete(context, created["id"]),
    ):
        yield attempt(step)


def attempt(step):
    """What a step returns or raises, and where that was raised, without our own code."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001
        frames, trace = [], error.__traceback__.tb_next
        while trace is not None:
            code = trace.tb_frame.f_code
            if "traced_image/instrumentation" not in code.co_filename:
                frames.append((code.co_filename, trace.tb_lineno))
            trace = trace.tb_next
        return type(error), str(error), frames


def play(kind, library, urls, folder):
    service = kind(library, list(urls))
    steps = script(service, make_image_service(service), service.context, folder)
    return [VARYING.sub("", repr(step)) for step in steps]


@pytest.mark.parametrize("kind", INSTALLED)
def test_results_and_errors_are_the_same(
    instrumentor, library, urls, tmp_path, kind, trace, counts
):
    stock = play(kind, library, urls, tmp_path)
    instrumentor.instrument()
    assert stock == play(kind, library, urls, tmp_path)
    states = counts.of("glance_client_server_state", "server_port", "state")
    ports = [url.rpartition(":")[2] for url in urls]
    shown = zip(ports, ("failing", "failing", "healthy"), strict=True)
    assert set(shown) == set(states)
    assert {} == counts.of("traced_image_telemetry_errors_total", "kind")
    below = {span.name.partition(" ")[2] for span in trace.spans if span.parent is not None}
    assert {"attempt", "stream"} == below
    assert set() == trace.open


OWN_TESTS = """
import sys, unittest
if sys.argv[1] == "observed":
    from traced_image.instrumentation import GlanceInstrumentor
    GlanceInstrumentor().instrument()
suite = unittest.defaultTestLoader.loadTestsFromName(sys.argv[2])
unittest.TextTestRunner(sys.stdout, verbosity=2, descriptions=False).run(suite)
"""


@pytest.mark.parametrize("kind", INSTALLED)
def test_the_service_s_own_tests_say_the_same(kind, tmp_path):
    pytest.importorskip("oslotest")  # what these tests are written with
    stock, observed = (own_tests(kind.name, how, tmp_path) for how in ("stock", "observed"))
    assert stock == observed
    assert {"ok"} == set(stock.values())


def own_tests(service, how, folder):
    """The results of a service's tests of its Glance code, by their names."""
    module = f"{service}.tests.unit.image.test_glance"
    command = [sys.executable, "-W", "ignore", "-c", OWN_TESTS, how, module]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return dict(re.findall(r"^(test_\w+ \(.+\)) \.\.\. (\w+)$", done.stdout, re.MULTILINE))
