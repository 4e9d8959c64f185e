"""Exemplars: the trace behind a number, in OpenMetrics, where the trace is sampled."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider
from prometheus_client.exposition import generate_latest as text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed

from traced_image import (
    ChecksumMismatch,
    GlanceConnectionFailed,
    RetryPolicy,
    Telemetry,
    TokenUnavailable,
)
from traced_image.lab import faults
from traced_image.telemetry import catalogue

NO_MEMORY = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)
LONGEST = 128
"""Characters that OpenMetrics allows the labels of an exemplar, names and values together."""

HAVE_NONE = {
    "glance_client_hazards",
    "glance_client_skipped_records",
    "glance_client_stream_bytes",
    "traced_image_telemetry_errors",
}
"""Counters of what belongs to no one trace, and of what this package's own calls do not do."""


@pytest.fixture
def traffic(service, servers, image_id, registry):
    """A call that recovers, one that gives up, and a download that is corrupt."""

    def make(provider):
        telemetry = Telemetry(tracer_provider=provider, registry=registry)
        shown = service(telemetry=telemetry, num_retries=1, retry=NO_MEMORY)
        servers[0].break_with(faults.status(503))
        shown.show(None, image_id)
        servers[2].break_with(faults.corrupt_data())
        with pytest.raises(ChecksumMismatch):
            list(shown.download(None, image_id))
        for server in servers:
            server.break_with(faults.status(502))
        with pytest.raises(GlanceConnectionFailed):
            shown.detail(None)
        with pytest.raises(TokenUnavailable):
            service(telemetry=telemetry, auth=NoTokens()).show(None, image_id)

    return make


class NoTokens:
    """A source that has none."""

    def get_token(self):
        raise ConnectionRefusedError

    def invalidate(self):
        return False


def exemplars(registry):
    """By metric, the exemplars that a scrape brings, with what they say of their sample."""
    found = {}
    for family in parsed(openmetrics(registry).decode()):
        for sample in family.samples:
            if sample.exemplar is not None:
                found.setdefault(family.name, []).append((sample, sample.exemplar))
    return found


def ids(span):
    return {
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
    }


def test_all_histograms_and_counters_of_traces_have_exemplars(traffic, trace, registry):
    traffic(trace.provider)
    kinds = ("histogram", "counter")
    assert {
        one.name.removesuffix("_total") for one in catalogue.METRICS if one.kind in kinds
    } - HAVE_NONE == set(exemplars(registry))


@pytest.mark.parametrize(
    ("metric", "suffix"),
    [
        ("glance_client_call_duration_seconds", ""),
        ("glance_client_call_retries", ""),
        ("glance_client_retries", ""),
        ("glance_client_retry_delay_seconds", ""),
        ("glance_client_connection_failed", ""),
        ("glance_client_attempt_duration_seconds", " attempt"),
        ("glance_client_stream_errors", " stream"),
    ],
)
def test_an_exemplar_names_the_span_that_was_counted(traffic, trace, registry, metric, suffix):
    traffic(trace.provider)
    spans = [ids(one) for one in trace.spans if one.name.endswith(suffix)]
    strange = [one for _, one in exemplars(registry)[metric] if one.labels not in spans]
    assert [] == strange


def test_the_exemplar_of_a_failed_attempt_is_that_attempts(traffic, trace, registry):
    traffic(trace.provider)
    (span,) = [
        one
        for one in trace.spans
        if one.attributes.get("error.type") == "503" and one.name.endswith(" attempt")
    ]
    assert [ids(span)] == [
        one.labels
        for sample, one in exemplars(registry)["glance_client_attempt_duration_seconds"]
        if sample.labels["error_type"] == "503"
    ]


def test_an_exemplar_of_a_histogram_has_the_value_that_was_observed(traffic, trace, registry):
    traffic(trace.provider)
    outside = [
        (sample, one)
        for sample, one in exemplars(registry)["glance_client_attempt_duration_seconds"]
        if not 0.0 < one.value <= float(sample.labels["le"])
    ]
    assert [] == outside


def test_an_exemplar_is_no_longer_than_is_allowed(traffic, trace, registry):
    """Ids are of a fixed size: prometheus_client raises where one is too long."""
    traffic(trace.provider)
    lengths = {
        len("".join(one.labels) + "".join(one.labels.values()))
        for found in exemplars(registry).values()
        for _, one in found
    }
    assert {63} == lengths
    assert max(lengths) <= LONGEST


@pytest.mark.parametrize(
    "provider", [TracerProvider(sampler=ALWAYS_OFF), NoOpTracerProvider()], ids=["off", "no SDK"]
)
def test_what_is_not_sampled_has_none(traffic, registry, provider):
    traffic(provider)
    assert {} == exemplars(registry)


def test_prometheuss_older_format_has_none(traffic, trace, registry):
    traffic(trace.provider)
    assert b"trace_id" not in text(registry)


def test_both_formats_are_of_the_same_series(traffic, trace, registry):
    traffic(trace.provider)
    lines = [
        {
            line.partition(" # ")[0]
            for line in expose(registry).decode().splitlines()
            if not line.startswith("#") and "_created" not in line
        }
        for expose in (text, openmetrics)
    ]
    assert lines[0] == lines[1]
