"""A stock client over lab servers, observed by the instrumentor, with its spans and samples.

The client is the small module of the same shape in `shapes`. ``make test-clients`` sets
``REAL_CLIENTS``, and then it is the real one.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from traced_image import lab
from traced_image.instrumentation import GlanceInstrumentor

sys.path.append(str(Path(__file__).parents[1] / "telemetry"))

from stock_client import KINDS, REAL, SHAPES, forget_library, over_catalogue
from watching import Counts, Trace


def pytest_collection_modifyitems(config, items):
    """Leave out what needs the packages of ``make test-clients``."""
    needy = [item for item in items if not REAL and item.get_closest_marker("clients")]
    if needy:
        config.hook.pytest_deselected(items=needy)
        items[:] = [item for item in items if item not in needy]


@pytest.fixture
def library(monkeypatch):
    """Import a module of python-glanceclient, or of a service; none is imported before."""
    # Of the libraries that are not installed, there are the shapes.
    path = [*sys.path, str(SHAPES)] if REAL else [str(SHAPES), *sys.path]
    monkeypatch.setattr(sys, "path", path)
    forget_library()
    yield importlib.import_module
    forget_library()


@pytest.fixture
def images():
    return lab.Images()


@pytest.fixture
def image_id(images):
    return images.add(name="cirros", data=b"0123456789")


@pytest.fixture
def servers(images):
    with lab.cluster(3, images=images) as running:
        yield running


@pytest.fixture
def server(servers):
    return servers[0]


@pytest.fixture
def trace():
    return Trace()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def counts(registry):
    return Counts(registry)


@pytest.fixture
def instrumentor(library, trace, registry):
    """Instrument with the test's telemetry, and undo it at the end."""
    made = GlanceInstrumentor()

    class Instrumentor:
        uninstrument = made.uninstrument

        def instrument(self, **options):
            given = {"tracer_provider": trace.provider, "registry": registry, **options}
            made.instrument(meter_provider=False, skip_dep_check=True, **given)

    yield Instrumentor()
    if made.is_instrumented_by_opentelemetry:
        made.uninstrument()


def _when(kind):
    """Leave the catalogue to a full run: tests of keystoneauth1 have both ways in each."""
    return () if REAL or kind is not over_catalogue else pytest.mark.slow


@pytest.fixture(params=[pytest.param(kind, marks=_when(kind), id=kind.__name__) for kind in KINDS])
def kind(request):
    """How a client reaches its server."""
    return request.param


@pytest.fixture
def build(library, kind):
    """Build a client of a server, without instrumentation of its own."""
    opened = []

    def make(server):
        client = kind(library("glanceclient").Client, server.url)
        opened.append(client.http_client.session)
        return client

    yield make
    for session in opened:
        getattr(session, "session", session).close()


@pytest.fixture
def client(instrumentor, build, server):
    """An observed client of the first server."""
    instrumentor.instrument()
    return build(server)
