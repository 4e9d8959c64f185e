"""The metrics of probes: their rows, and what they show of each server's latest result."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from traced_image import Server
from traced_image.exporter.probing.result import CanaryResult, ProbeResult, ProbeResults
from traced_image.exporter.server_report import Probed
from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue.probe_metrics import (
    CHECKS,
    LABELS,
    PHASES,
    PROBE_METRICS,
    SETTINGS,
)

SERVER = Server.parse("glance-1:9292")
WELL = ProbeResult(
    SERVER,
    when=1_800_000_000.0,
    phases={"dns": 0.25, "connect": 0.5, "first_byte": 1.0, "body": 2.0},
    status=200,
    certificate_expiry=1_900_000_000.0,
    version="v2.17",
    versions=("v2.17", "v2.16"),
    healthcheck=True,
    canary=(CanaryResult("show", 0.125), CanaryResult("download", 4.0, "503", 0)),
)
FAILED = ProbeResult(
    SERVER, when=1_800_000_001.0, phases={"dns": 0.25, "connect": 0.5}, reason="connection_refused"
)


@pytest.fixture
def results():
    return ProbeResults()


@pytest.fixture
def registry(results):
    made = CollectorRegistry()
    made.register(results)
    return made


def value(registry, name, server=SERVER, **labels):
    place = {"server_address": server.host, "server_port": str(server.port)}
    return registry.get_sample_value(name, {**place, **labels})


def samples(registry):
    return [sample for metric in registry.collect() for sample in metric.samples]


SHOWN = [
    ("glance_probe_success", {}, 1.0),
    ("glance_probe_misconfigured", {"setting": "image"}, 0.0),
    ("glance_probe_misconfigured", {"setting": "credentials"}, 0.0),
    ("glance_probe_misconfigured", {"setting": "prefix"}, 0.0),
    ("glance_probe_timestamp_seconds", {}, 1_800_000_000.0),
    ("glance_probe_duration_seconds", {"phase": "dns"}, 0.25),
    ("glance_probe_duration_seconds", {"phase": "connect"}, 0.5),
    ("glance_probe_duration_seconds", {"phase": "first_byte"}, 1.0),
    ("glance_probe_duration_seconds", {"phase": "body"}, 2.0),
    ("glance_probe_http_status_code", {}, 200.0),
    ("glance_probe_tls_certificate_expiry_timestamp_seconds", {}, 1_900_000_000.0),
    ("glance_probe_healthcheck_up", {}, 1.0),
    ("glance_probe_api_version_info", {"version": "v2.17"}, 1.0),
    ("glance_probe_canary_success", {"check": "show"}, 1.0),
    ("glance_probe_canary_success", {"check": "download"}, 0.0),
    ("glance_probe_canary_duration_seconds", {"check": "show"}, 0.125),
    ("glance_probe_canary_duration_seconds", {"check": "download"}, 4.0),
    ("glance_probe_canary_download_bytes", {}, 0.0),
]


@pytest.mark.parametrize(("name", "labels", "expected"), SHOWN)
def test_a_result_is_shown(results, registry, name, labels, expected):
    results.put(WELL)
    assert expected == value(registry, name, **labels)


def test_a_result_has_no_other_series(results, registry):
    results.put(WELL)
    assert len(SHOWN) == len(samples(registry))


FAILING = [
    ("glance_probe_success", {}, 0.0),
    ("glance_probe_failure_info", {"error_type": "connection_refused"}, 1.0),
    ("glance_probe_timestamp_seconds", {}, 1_800_000_001.0),
    ("glance_probe_duration_seconds", {"phase": "dns"}, 0.25),
    ("glance_probe_duration_seconds", {"phase": "connect"}, 0.5),
]


@pytest.mark.parametrize(("name", "labels", "expected"), FAILING)
def test_a_failure_is_shown(results, registry, name, labels, expected):
    results.put(WELL)
    results.put(FAILED)
    assert expected == value(registry, name, **labels)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("glance_probe_success", {}, 1.0),
        ("glance_probe_failure_info", {"error_type": "404"}, None),
        ("glance_probe_misconfigured", {"setting": "image"}, 1.0),
        ("glance_probe_misconfigured", {"setting": "prefix"}, 0.0),
    ],
)
def test_a_wrong_setting_is_shown_and_is_no_failure(results, registry, name, labels, expected):
    results.put(ProbeResult(SERVER, 0.0, {}, reason="404", misconfigured="image", status=200))
    assert expected == value(registry, name, **labels)


def test_nothing_is_left_of_an_earlier_result(results, registry):
    results.put(WELL)
    results.put(FAILED)
    assert len(FAILING) == len(samples(registry))


def test_a_healthcheck_that_is_not_well_is_zero(results, registry):
    results.put(ProbeResult(SERVER, 0.0, {}, healthcheck=False))
    assert 0.0 == value(registry, "glance_probe_healthcheck_up")


def test_servers_are_told_apart(results, registry):
    other = Server.parse("glance-2:9292")
    results.put(WELL)
    results.put(ProbeResult(other, 0.0, {}, reason="503"))
    shown = [value(registry, "glance_probe_success", server) for server in (SERVER, other)]
    assert [1.0, 0.0] == shown


def test_a_server_that_is_forgotten_has_no_series(results, registry):
    results.put(WELL)
    results.forget(SERVER)
    assert [] == samples(registry)


def test_to_forget_an_unknown_server_does_no_harm(results):
    results.forget(SERVER)
    assert None is results.get(SERVER)


def test_the_latest_result_can_be_asked_for(results):
    results.put(WELL)
    results.put(FAILED)
    assert FAILED is results.get(SERVER)


def test_the_report_gets_the_phases_and_what_is_wrong_with_a_setting(results):
    results.put(replace(WELL, reason="404", error="no such image", misconfigured="image"))
    place = SERVER.host, str(SERVER.port)
    assert Probed({place: "no such image"}, {place: WELL.phases}) == results.summarize()


def test_servers_at_one_place_share_its_series(results, registry):
    results.put(ProbeResult(Server.parse("http://glance-1:9292/a"), 0.0, {}))
    results.put(ProbeResult(Server.parse("http://glance-1:9292/b"), 0.0, {}, reason="503"))
    assert 0.0 == value(registry, "glance_probe_success")


def test_a_registry_knows_their_names(registry):
    with pytest.raises(ValueError, match="glance_probe_success"):
        registry.register(ProbeResults())


def test_openmetrics_is_parsed_as_it_was_meant(results, registry):
    results.put(WELL)
    text = openmetrics.generate_latest(registry).decode()
    assert len(SHOWN) == sum(len(metric.samples) for metric in parse_openmetrics(text))


def test_each_metric_has_its_help_and_type(results, registry):
    text = generate_latest(registry).decode()
    for metric in PROBE_METRICS:
        assert f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} gauge\n" in text


# --- rows --------------------------------------------------------------------------------------

every_metric = pytest.mark.parametrize("metric", PROBE_METRICS, ids=lambda each: each.name)
SUFFIXES = {"s": "_seconds", "By": "_bytes"}


@every_metric
def test_a_name_is_that_of_opentelemetry_as_prometheus_translates_it(metric):
    translated = metric.otel.replace(".", "_") + SUFFIXES.get(metric.unit, "")
    assert metric.name == translated


@every_metric
def test_a_metric_is_named_after_the_server_first(metric):
    assert ("server_address", "server_port") == metric.labels[:2]


@every_metric
def test_each_label_is_known(metric):
    assert set(metric.labels) <= {*catalogue.LABELS, *LABELS}


@every_metric
def test_a_name_is_of_this_family(metric):
    assert re.fullmatch(r"glance_probe_[a-z_]+", metric.name)


@every_metric
def test_a_help_is_a_sentence(metric):
    assert metric.help[0].isupper() or metric.help[0] == "1"
    assert metric.help.endswith(".")


def test_the_names_are_each_others_only():
    assert len(PROBE_METRICS) == len({metric.name for metric in PROBE_METRICS})


def test_the_closed_sets_have_meanings():
    assert all(PHASES.values())
    assert all(CHECKS.values())
    assert all(SETTINGS.values())
