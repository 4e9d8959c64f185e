"""nova's or cinder's client over lab servers, with the switch on and the state of the servers.

The client is the small module of the same shape in `shapes`, unless ``REAL_LIBRARY`` names it.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from traced_image import RetryPolicy, Telemetry, lab
from traced_image.instrumentation.hosts import TOLD, Hosts
from traced_image.stock_cycle import StockCycle
from traced_image.telemetry.shared_metrics import share_metrics

sys.path.append(str(Path(__file__).parents[1] / "telemetry"))

from stock_libraries import KINDS, REAL, SHAPES, forget_libraries
from watching import Counts, InOrder, Time


@pytest.fixture(params=KINDS, ids=[kind.name for kind in KINDS])
def library(request, monkeypatch):
    """A library whose clients are made anew for each call."""
    if not REAL:
        for folder in SHAPES:
            monkeypatch.syspath_prepend(folder)
    forget_libraries()
    yield request.param()
    forget_libraries()


@pytest.fixture
def slept(library, monkeypatch):
    """The waits, which take no time."""
    waits = []
    clock = types.ModuleType("time")
    clock.sleep = waits.append
    monkeypatch.setattr(library.module, "time", clock)
    return waits


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def make_cycle(time):
    made = []

    def make(**policy):
        made.append(StockCycle(RetryPolicy(**policy), time.clock(), InOrder()))
        return made[-1]

    yield make
    for each in made:
        each.remove()


@pytest.fixture
def cycle(slept, make_cycle):
    """The switch, on."""
    found = make_cycle()
    found.install()
    return found


@pytest.fixture
def images():
    return lab.Images()


@pytest.fixture
def image_id(images):
    return images.add(name="cirros", data=b"0123456789")


@pytest.fixture
def servers(images, library):
    """Three servers in the order of the cycle, which the library knows."""
    with lab.cluster(3, images=images) as running:
        ordered = sorted(running, key=lambda server: server.url)
        library.set_servers([server.url for server in ordered])
        yield ordered
        library.set_servers(None)


@pytest.fixture
def counts():
    """The samples of metrics that show the servers' states."""
    registry = CollectorRegistry()
    hosts = Hosts(share_metrics(Telemetry(registry=registry, meter_provider=False)))
    TOLD.add(hosts)
    yield Counts(registry)
    TOLD.remove(hosts)


@pytest.fixture
def states(counts, servers):
    """Return the state of each server, in the order of the cycle."""

    def find():
        found = dict(counts.of("glance_client_server_state", "server_port", "state"))
        ports = [str(server.port) for server in servers]
        return [state for port in ports for (each, state) in found if each == port]

    return find
