"""The instrumentor's options in a file of OpenTelemetry's declarative configuration."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, is_dataclass
from inspect import signature
from pathlib import Path
from typing import get_type_hints

import pytest
from stock_client import over_requests

from traced_image.errors import InvalidOption
from traced_image.instrumentation import GlanceInstrumentor

Options = GlanceInstrumentor.configuration

FILE = """
file_format: "1.0"
instrumentation/development:
  python:
    glance:
      {option}
"""
PROGRAM = """
import sys
import glanceclient
from prometheus_client import generate_latest

client = glanceclient.Client("2", endpoint=sys.argv[1] + "/v2", token="t")
client.images.get(sys.argv[2])
sys.stdout.write(generate_latest().decode())
"""


@pytest.fixture
def kind():
    """One kind of client is enough here."""
    return over_requests


def test_the_instrumentor_names_a_dataclass_of_its_own_arguments():
    arguments = set(signature(GlanceInstrumentor._instrument).parameters)
    names = {field.name for field in fields(Options)}
    assert (True, set()) == (is_dataclass(Options), names - arguments)


def test_its_types_can_be_read_as_the_package_does():
    assert {field.name for field in fields(Options)} == set(get_type_hints(Options))


def test_by_default_nothing_is_passed():
    assert {None} == {getattr(Options(), field.name) for field in fields(Options)}


@pytest.mark.parametrize(
    "given",
    [
        {"excluded_urls": "10.0.0.1,10.0.0.2"},
        {"wire_spans": True},
        {"wire_spans": False},
        {"registry": False},
        {"meter_provider": False},
    ],
)
def test_a_value_is_passed_as_it_is(given):
    options = Options(**given)
    found = {field.name: getattr(options, field.name) for field in fields(options)}
    assert given == {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    "given",
    [
        {"excluded_urls": ["10.0.0.1"]},
        {"wire_spans": "yes"},
        {"wire_spans": 1},
        {"registry": True},
        {"registry": 0},
        {"meter_provider": "none"},
    ],
)
def test_a_value_of_another_type_is_refused(given):
    (name,) = given
    with pytest.raises(InvalidOption, match=rf"{name} \(from instrumentation/development"):
        Options(**given)


def test_the_options_do_what_the_arguments_do(instrumentor, build, server, image_id, trace):
    options = Options(excluded_urls=str(server.port))
    instrumentor.instrument(excluded_urls=options.excluded_urls)
    build(server).images.get(image_id)
    assert [] == trace.spans


# --- with the package --------------------------------------------------------------------------


@pytest.fixture
def observed(server, image_id, tmp_path):
    """Whether a program is observed under ``opentelemetry-instrument`` with an option in a file."""

    def run(option):
        path = tmp_path / "otel.yaml"
        path.write_text(FILE.format(option=option))
        command = Path(sys.executable).with_name("opentelemetry-instrument")
        # Otherwise `opentelemetry-instrument` itself instruments what the file leaves out.
        settings = {
            "OTEL_CONFIG_FILE": str(path),
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "glance",
        }
        done = subprocess.run(
            [command, sys.executable, "-c", PROGRAM, server.url, image_id],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            env=settings,
        )
        return "glance_client_call_duration_seconds_count{" in done.stdout, done.stderr

    return run


@pytest.mark.clients
def test_a_file_instruments_with_its_options(observed, server):
    seen = [observed(f"excluded_urls: '{port}'")[0] for port in (server.port, server.port + 1)]
    assert [False, True] == seen


@pytest.mark.clients
def test_a_file_with_a_wrong_option_is_told_what_is_wrong(observed):
    was_observed, said = observed("wire_spans: 3")
    assert (False, True) == (was_observed, "wire_spans (from instrumentation/" in said)


@pytest.mark.clients
def test_a_file_may_leave_it_out(observed):
    assert not observed("enabled: false")[0]
