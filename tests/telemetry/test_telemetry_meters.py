"""The metrics by OpenTelemetry's Metrics API: what Prometheus has, name by name and value by value.

Prometheus translates the names: dots are underscores, the unit is a suffix unless it is in curly
braces, and what only rises ends in ``_total``.
"""

from dataclasses import dataclass, field
from itertools import accumulate

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader, Sum
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import traced_image
from traced_image import (
    ChecksumMismatch,
    GlanceConnectionFailed,
    ImageNotFound,
    RetryPolicy,
    Server,
    Telemetry,
)
from traced_image.lab import faults
from traced_image.telemetry import catalogue
from traced_image.telemetry.shared_metrics import share_metrics

NO_MEMORY = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)
UNITS = {"s": "_seconds", "By": "_bytes"}


@dataclass
class Meters:
    """What OpenTelemetry's SDK has of the metrics."""

    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self):
        self.provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)

    def scopes(self):
        data = self.reader.get_metrics_data()
        return [] if data is None else data.resource_metrics[0].scope_metrics

    def metrics(self):
        return [metric for scope in self.scopes() for metric in scope.metrics]

    def points(self, name):
        """The points of a metric."""
        return [
            point
            for metric in self.metrics()
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def meters():
    made = Meters()
    yield made
    made.provider.shutdown()


def prometheus_name(metric):
    name = metric.name.replace(".", "_") + UNITS.get(metric.unit, "")
    rises = isinstance(metric.data, Sum) and metric.data.is_monotonic
    return f"{name}_total" if rises else name


def prometheus_labels(attributes):
    return frozenset((name.replace(".", "_"), str(value)) for name, value in attributes.items())


def translated(meters):
    """The SDK's metrics as Prometheus would have them."""
    found = {}
    for metric in meters.metrics():
        for point in metric.data.data_points:
            if isinstance(metric.data, Histogram):
                bounds = [*map(float, point.explicit_bounds), float("inf")]
                buckets = tuple(zip(bounds, accumulate(point.bucket_counts), strict=True))
                value = buckets, point.sum
            else:
                value = point.value
            found[prometheus_name(metric), prometheus_labels(point.attributes)] = value
    return found


def scraped(registry):
    """The registry's metrics, of which an empty label is none."""
    found, buckets = {}, {}
    for metric in registry.collect():
        for sample in metric.samples:
            labels = frozenset(
                (name, value) for name, value in sample.labels.items() if value and name != "le"
            )
            if sample.name.endswith("_bucket"):
                bucket = float(sample.labels["le"]), sample.value
                buckets.setdefault((metric.name, labels), []).append(bucket)
            elif metric.type == "histogram" and sample.name.endswith("_sum"):
                found[metric.name, labels] = tuple(buckets[metric.name, labels]), sample.value
            elif not sample.name.endswith(("_created", "_count")):
                found[sample.name, labels] = sample.value
    return found


@pytest.fixture
def both(service, servers, image_id, trace, registry, meters):
    """Calls that succeed, recover, give up and are refused, up and down, counted in both."""
    telemetry = Telemetry(
        tracer_provider=trace.provider, registry=registry, meter_provider=meters.provider
    )
    shown = service(telemetry=telemetry, num_retries=2, retry=NO_MEMORY)
    shown.show(None, image_id)
    servers[1].break_with(faults.status(503))
    servers[2].break_with(faults.refuse())
    shown.show(None, image_id)
    with pytest.raises(ImageNotFound):
        shown.show(None, "absent")
    servers[1].heal()
    servers[2].heal()
    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    shown.create(None, fields, b"0123456789")
    for server in servers:
        server.break_with(faults.corrupt_data())
    with pytest.raises(ChecksumMismatch):
        list(shown.download(None, image_id))
    for server in servers:
        server.break_with(faults.status(502))
    with pytest.raises(GlanceConnectionFailed):
        shown.show(None, image_id)


def test_series_and_values_are_those_of_prometheus(both, registry, meters):
    assert scraped(registry) == translated(meters)


def test_names_are_those_of_the_catalogue(both, meters):
    assert {metric.name for metric in catalogue.METRICS} == {
        prometheus_name(metric) for metric in meters.metrics()
    }


def test_names_units_and_texts_are_the_catalogues(both, meters):
    assert {(one.otel, one.unit, one.help) for one in catalogue.METRICS} == {
        (metric.name, metric.unit, metric.description) for metric in meters.metrics()
    }


def test_histograms_have_the_catalogues_buckets(both, meters):
    assert {one.otel: one.buckets for one in catalogue.METRICS if one.buckets} == {
        metric.name: tuple(metric.data.data_points[0].explicit_bounds)
        for metric in meters.metrics()
        if isinstance(metric.data, Histogram)
    }


def test_attributes_have_the_types_of_the_conventions(both, meters):
    """A port is an integer; a status is a string, as on the spans."""
    types = {
        (name, type(value))
        for metric in meters.metrics()
        for point in metric.data.data_points
        for name, value in point.attributes.items()
    }
    assert {
        (name, int if name == "server.port" else str) for name in catalogue.LABELS.values()
    } == types


def test_the_scope_is_this_packages_and_of_the_conventions_version(both, meters):
    (scope,) = meters.scopes()
    assert ("traced_image", traced_image.__version__, catalogue.SCHEMA_URL) == (
        scope.scope.name,
        scope.scope.version,
        scope.scope.schema_url,
    )


@pytest.mark.parametrize(
    "name", [one.otel for one in catalogue.METRICS if one.kind in ("counter", "updown")]
)
def test_what_is_added_to_is_at_zero_from_the_start(service, registry, meters, name):
    service(telemetry=Telemetry(registry=registry, meter_provider=meters.provider))
    assert {0} == {point.value for point in meters.points(name)}


def test_an_operation_that_is_dropped_is_no_attribute(service, image_id, meters):
    telemetry = Telemetry(registry=False, meter_provider=meters.provider, detail="host")
    service(telemetry=telemetry).show(None, image_id)
    assert [{"outcome"}] == [
        set(point.attributes) for point in meters.points("glance.client.call.duration")
    ]


def test_a_server_that_nobody_configured_has_no_number_for_a_port(meters):
    metrics = share_metrics(Telemetry(registry=False, meter_provider=meters.provider))
    metrics.stream_bytes(Server.parse("elsewhere"), "download", 1)
    assert [{"server.address": "_OTHER", "server.port": "_OTHER", "direction": "download"}] == [
        dict(point.attributes) for point in meters.points("glance.client.stream")
    ]


# --- exemplars ---------------------------------------------------------------------------------


def exemplars(meters, name):
    return {
        (f"{one.trace_id:032x}", f"{one.span_id:016x}")
        for point in meters.points(name)
        for one in point.exemplars
    }


def ids(span):
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


@pytest.mark.parametrize(
    ("name", "span"),
    [
        ("glance.client.call.duration", "glance.images.get"),
        ("glance.client.call.retries", "glance.images.get"),
        ("glance.client.retries", "glance.images.get"),
        ("glance.client.retry_delay", "glance.images.get"),
        ("glance.client.connection_failed", "glance.images.get"),
        ("glance.client.attempt.duration", "glance.images.get attempt"),
    ],
)
def test_exemplars_name_the_span(service, servers, image_id, trace, meters, name, span):
    for server in servers:
        server.break_with(faults.status(503))
    telemetry = Telemetry(
        tracer_provider=trace.provider, registry=False, meter_provider=meters.provider
    )
    with pytest.raises(GlanceConnectionFailed):
        service(telemetry=telemetry, num_retries=1, retry=NO_MEMORY).show(None, image_id)
    assert {ids(one) for one in trace.named(span)} == exemplars(meters, name)


def test_what_is_not_sampled_has_no_exemplars(service, servers, image_id, meters):
    telemetry = Telemetry(
        tracer_provider=TracerProvider(sampler=ALWAYS_OFF),
        registry=False,
        meter_provider=meters.provider,
    )
    servers[0].break_with(faults.status(503))
    service(telemetry=telemetry).show(None, image_id)
    assert set() == {pair for one in catalogue.METRICS for pair in exemplars(meters, one.otel)}


# --- which provider ----------------------------------------------------------------------------

WHICH = """
    import sys

    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from prometheus_client import REGISTRY

    import traced_image
    from traced_image import lab

    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    when, fields = sys.argv[1], dict.fromkeys(sys.argv[2:], False)
    if when == "before":
        metrics.set_meter_provider(provider)
    images = lab.Images()
    with lab.GlanceServer(images) as server:
        telemetry = traced_image.Telemetry(**fields)
        service = traced_image.connect(servers=[server.url], telemetry=telemetry)
        if when == "after":
            metrics.set_meter_provider(provider)
        service.show(None, images.add())
        service.close()
    data = reader.get_metrics_data()
    found = data.resource_metrics[0].scope_metrics if data else []
    names = [metric.name for scope in found for metric in scope.metrics]
    print("glance.client.call.duration" in names, "glance.client.server.state" in names)
    print(any(metric.name.startswith("glance_client") for metric in REGISTRY.collect()))
"""


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["before"], ["True True", "True"]),
        # Each starts a program.
        pytest.param(["before", "registry"], ["True True", "False"], marks=pytest.mark.slow),
        pytest.param(["before", "meter_provider"], ["False False", "True"], marks=pytest.mark.slow),
        (["before", "meter_provider", "registry"], ["False False", "False"]),
        (["never"], ["False False", "True"]),
    ],
)
def test_metrics_go_to_the_processs_own_unless_they_are_not_wanted(run_python, arguments, lines):
    assert lines == run_python(WHICH, *arguments)


def test_a_provider_that_is_set_later_counts_what_happens_then(run_python):
    first, _ = run_python(WHICH, "after")
    assert first.startswith("True")
