"""Metrics by OTLP, the collector and a Prometheus 3 are those that a scrape of the process has."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import SimpleNamespace

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from parts.collector import NODE, TOP, Collector
from parts.process import PartFailedError
from prometheus_client import CollectorRegistry

import traced_image
from traced_image import RetryPolicy, Telemetry, TracedImageError, lab
from traced_image.lab import faults

JOB, INSTANCE = "pushed", "pushed-1"
OURS = f'job="{JOB}", instance="{INSTANCE}", __name__=~"(glance_client|traced_image)_.*"'
FIELDS = {"name": "new", "disk_format": "raw", "container_format": "bare"}

MANY = 10_000
"""Calls, for which nobody waits."""

RULES = yaml.safe_load((TOP / "dashboards/rules/recording.yaml").read_text())
RECORDS = sorted(
    rule["record"]
    for group in RULES["groups"]
    for rule in group["rules"]
    # The exporter's own, and what there is where telemetry fails.
    if "glance_probe" not in rule["record"] and "telemetry_errors" not in rule["record"]
)

Values = Mapping[tuple[str, ...], float]
"""The values of series, by their names and labels."""


@pytest.fixture(scope="module")
def pushed(collector, prometheus3, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A Prometheus that a service's metrics were pushed to, and what a scrape of it would have."""
    variables = {
        "COLLECTOR_METRICS_ENDPOINT": f"{prometheus3.url}/api/v1/otlp",
        "COLLECTOR_FLUSH_INTERVAL": "1s",
    }
    folder = tmp_path_factory.mktemp("pushed")
    node = Collector("node", collector, [NODE], folder / "node", **variables)
    try:
        node.open()
        registry, shows = serve(prometheus3, node)
        yield SimpleNamespace(prometheus=prometheus3, registry=registry, shows=shows)
    finally:
        node.kill()


def serve(prometheus3, node: Collector) -> tuple[CollectorRegistry, int]:
    """Make calls until the rules have seen some; return what a scrape has, and how many shows."""
    resource = Resource({"service.name": JOB, "service.instance.id": INSTANCE})
    url, registry = f"http://127.0.0.1:{node.http}/v1", CollectorRegistry()
    exporter = OTLPMetricExporter(f"{url}/metrics")
    meters = MeterProvider(
        [PeriodicExportingMetricReader(exporter, export_interval_millis=500)], resource=resource
    )
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/traces")))
    with lab.cluster(3) as servers:
        service = traced_image.connect(
            servers=[server.url for server in servers],
            num_retries=3,
            retry=RetryPolicy(backoff_base=0.001, budget_share=None, cooldown_base=0.0),
            telemetry=Telemetry(tracer_provider=tracers, meter_provider=meters, registry=registry),
        )
        image_id = traffic(service, servers)
        shows = 0
        while not ruled(prometheus3):
            service.show(None, image_id)
            shows += 1
            assert shows < MANY, "the rules never saw a call"
        service.close()
    tracers.shutdown()
    meters.shutdown()
    return registry, shows


def traffic(service, servers) -> str:
    """Calls that succeed, recover and give up, with data; the first server stays broken."""
    image_id = service.create(None, FIELDS, b"0123456789")["id"]
    b"".join(service.download(None, image_id))
    for fault in (faults.cut_body().only(path="/file$"), faults.refuse()):
        for server in servers:
            server.break_with(fault)
        with pytest.raises(TracedImageError):
            b"".join(service.download(None, image_id))
    for server in servers[1:]:
        server.heal()
    servers[0].break_with(faults.status(503))
    return image_id


def ruled(prometheus3) -> bool:
    """Whether the recording rules tell of calls, and of attempts that failed."""
    names = ("job:glance_client_calls:rate5m", "job_server:glance_client_failed_attempts:rate5m")
    return all(prometheus3.query(f'{name}{{job="{JOB}"}} > 0') for name in names)


def scraped(pushed) -> Values:
    """What a scrape would have; to Prometheus, an empty label is one that is not there."""
    return {
        (sample.name, *labels(sample.labels)): sample.value
        for metric in pushed.registry.collect()
        for sample in metric.samples
        # When a series was created is its start time in OTLP.
        if not sample.name.endswith("_created")
    }


def received(pushed) -> Values:
    """What came by OTLP."""
    return {
        (each["metric"]["__name__"], *labels(each["metric"])): float(each["value"][1])
        for each in pushed.prometheus.query(f"{{{OURS}}}")
    }


def labels(given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Its own labels that have a value."""
    return sorted(
        (key, f"{float(value):g}" if key == "le" else value)
        for key, value in given.items()
        if value and key not in ("__name__", "job", "instance")
    )


def test_each_series_has_the_name_the_labels_and_the_value_of_a_scrape(pushed):
    with suppress(PartFailedError):
        pushed.prometheus.until(lambda: scraped(pushed) == received(pushed), "has something else")
    assert scraped(pushed) == received(pushed)


@pytest.mark.parametrize("record", RECORDS)
def test_a_recording_rule_works_on_what_was_pushed(pushed, record):
    selector = f'{record}{{job="{JOB}"}}' if record.startswith(("job", "instance")) else record
    pushed.prometheus.until(lambda: pushed.prometheus.query(selector), f"has no {record}")


def test_metrics_of_spans_count_the_same_calls(pushed):
    ours = f'glance_client_call_duration_seconds_count{{job="{JOB}", operation="images.get"}}'
    spans = f'traces_span_metrics_calls_total{{job="{JOB}", span_name="glance.images.get"}}'
    equal = f"sum({ours}) == sum({spans})"
    pushed.prometheus.until(lambda: pushed.prometheus.query(equal), "has others")
    assert pushed.shows <= float(pushed.prometheus.query(f"sum({spans})")[0]["value"][1])


def test_metrics_of_spans_tell_how_long_attempts_on_each_server_took(pushed):
    name = 'traces_span_metrics_duration_seconds_count{span_name="glance.images.get attempt"}'
    found = pushed.prometheus.query(f"sum by (server_port, error_type) ({name})")
    assert 3 == len({each["metric"]["server_port"] for each in found})
    assert {"503"} == {each["metric"].get("error_type", "503") for each in found}
