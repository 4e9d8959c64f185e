"""Three servers over one image, and services whose spans and metrics can be read."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from prometheus_client import CollectorRegistry
from watching import Counts, InOrder, Time, Trace

from traced_image import Config, GlanceClientWrapper, GlanceImageService, Telemetry, lab
from traced_image.pipeline.attempts.fleet import Fleet
from traced_image.telemetry.layers import make_layers


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
def trace():
    return Trace()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def counts(registry):
    return Counts(registry)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def service(servers, trace, registry, time):
    """Build a service that takes the servers in the order in which they are listed."""
    made = []

    def build(*, wire_spans=True, telemetry=None, **fields):
        config = Config(**{"servers": [server.url for server in servers], **fields})
        telemetry = telemetry or Telemetry(
            tracer_provider=trace.provider, registry=registry, wire_spans=wire_spans
        )
        clock, rng = time.clock(), InOrder()
        fleet = Fleet.of(config.servers, config.retry, clock, rng)
        client = GlanceClientWrapper(
            config, make_layers(telemetry, config.servers), fleet=fleet, clock=clock, rng=rng
        )
        made.append(GlanceImageService(client))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def run_python():
    """Run a program of its own and return what it printed, as lines."""

    def run(program, *arguments, **environment):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **environment},
        )
        assert "" == done.stderr
        return done.stdout.splitlines()

    return run
