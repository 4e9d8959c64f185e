"""A real Prometheus and its promtool on what a process with real traffic exposes.

promtool reads the text format alone: of OpenMetrics it says that an exemplar's ``#`` is no time
stamp. What it would check there is checked by Prometheus itself, which asks for OpenMetrics and
takes all of a target's samples or none.
"""

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import traced_image
from traced_image import ImageNotFound, RetryPolicy, Telemetry, TracedImageError, lab
from traced_image.lab import faults
from traced_image.telemetry import catalogue

FIELDS = {"name": "new", "disk_format": "raw", "container_format": "bare"}
INSTANCE = "observed"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TYPES = {"updown": "gauge"}


@pytest.fixture(scope="module")
def process() -> Iterator[SimpleNamespace]:
    """What this process has counted of real traffic, its spans, and where it shows the counts."""
    registry, exporter = CollectorRegistry(), InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with lab.cluster(3) as servers:
        service = traced_image.connect(
            servers=[server.url for server in servers],
            num_retries=3,
            retry=RetryPolicy(backoff_base=0.001, budget_share=None),
            telemetry=Telemetry(tracer_provider=provider, registry=registry),
        )
        traffic(service, servers)
        service.close()
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield SimpleNamespace(
        registry=registry, spans=exporter.get_finished_spans(), port=server.server_address[1]
    )
    server.shutdown()
    server.server_close()
    thread.join()


def traffic(service, servers) -> None:
    """Calls that succeed, recover, are refused, and give up, with data to and fro."""
    for server in servers:
        server.break_with(faults.status(503).times(1))
    service.detail(None)
    image_id = service.create(None, FIELDS, b"0123456789")["id"]
    b"".join(service.download(None, image_id))
    with pytest.raises(ImageNotFound):
        service.show(None, "absent")
    for fault in (faults.cut_body().only(path="/file$"), faults.refuse()):
        for server in servers:
            server.break_with(fault)
        with pytest.raises(TracedImageError):
            b"".join(service.download(None, image_id))


@pytest.fixture(scope="module")
def scraped(prometheus, process):
    """The Prometheus, when it has scraped this process."""
    prometheus.scrape(INSTANCE, process.port)
    return prometheus


def exposed(process, accept):
    """What this process shows to one that asks so."""
    url = f"http://127.0.0.1:{process.port}/metrics"
    return requests.get(url, headers={"Accept": accept}, timeout=10)


def test_promtool_finds_no_fault_with_the_text_format(prometheus, process):
    assert (0, "") == prometheus.check_metrics(exposed(process, "text/plain").text)


def test_promtool_finds_fault_with_what_is_no_metric(prometheus):
    assert 0 != prometheus.check_metrics("# TYPE things counter\nthings 1\n")[0]


def test_openmetrics_is_what_its_own_parser_takes(process):
    reply = exposed(process, OPENMETRICS)
    assert {metric.name.removesuffix("_total") for metric in catalogue.METRICS} == {
        family.name for family in text_string_to_metric_families(reply.text)
    }


def test_prometheus_finds_no_fault_with_openmetrics(scraped):
    (target,) = [
        target
        for target in scraped.get("targets", state="active")["activeTargets"]
        if target["labels"]["instance"] == INSTANCE
    ]
    assert ("up", "") == (target["health"], target["lastError"])


def test_prometheus_asked_for_openmetrics_and_knows_each_type_and_text(scraped):
    """Only in OpenMetrics the name of a counter is without its ``_total``."""
    told = scraped.get("targets/metadata", match_target=f'{{instance="{INSTANCE}"}}')
    assert {
        metric.name.removesuffix("_total"): (TYPES.get(metric.kind, metric.kind), metric.help)
        for metric in catalogue.METRICS
    } == {one["metric"]: (one["type"], one["help"]) for one in told}


@pytest.mark.parametrize("metric", catalogue.METRICS, ids=lambda metric: metric.name)
def test_prometheus_answers_for_each_name_of_the_catalogue(scraped, metric):
    name = f"{metric.name}_bucket" if metric.kind == "histogram" else metric.name
    found = scraped.query(f'{name}{{instance="{INSTANCE}"}}')
    assert {name} == {series["metric"]["__name__"] for series in found}


def test_prometheus_has_each_sample_as_it_was_counted(scraped, process):
    scraped.fresh(INSTANCE)
    found = scraped.query(f'{{instance="{INSTANCE}", __name__=~"(glance|traced_image)_.*"}}')
    assert {
        # To Prometheus, an empty label is one that is not there.
        (sample.name, *sorted(item for item in sample.labels.items() if item[1])): sample.value
        for metric in process.registry.collect()
        for sample in metric.samples
    } == {sample_key(series["metric"]): float(series["value"][1]) for series in found}


def sample_key(labels):
    own = {key: value for key, value in labels.items() if key not in ("instance", "job")}
    return own.pop("__name__"), *sorted(own.items())


def exemplars(prometheus, selector):
    """The trace and span ids of the exemplars of some series."""
    now = time.time()
    found = prometheus.get("query_exemplars", query=selector, start=now - 3600, end=now + 3600)
    return {
        (one["labels"]["trace_id"], one["labels"]["span_id"])
        for series in found
        for one in series["exemplars"]
    }


def ids(process, name, **attributes):
    """The trace and span ids of recorded spans."""
    found = {
        (format(span.context.trace_id, "032x"), format(span.context.span_id, "016x"))
        for span in process.spans
        if span.name == name and attributes.items() <= dict(span.attributes).items()
    }
    assert found, f"no span {name}"
    return found


def test_an_exemplar_of_the_calls_durations_is_the_calls_span(scraped, process):
    selector = f'{catalogue.CALL_DURATION.name}_bucket{{operation="images.list"}}'
    assert ids(process, "glance.images.list") == exemplars(scraped, selector)


def test_the_exemplars_of_the_attempts_durations_are_the_failed_attempts_spans(scraped, process):
    selector = (
        f'{catalogue.ATTEMPT_DURATION.name}_bucket{{operation="images.list",error_type="503"}}'
    )
    failed = ids(process, "glance.images.list attempt", **{catalogue.ERROR_TYPE: "503"})
    assert failed == exemplars(scraped, selector)


def test_the_exemplars_of_the_retries_are_the_span_of_the_call_that_made_them(scraped, process):
    selector = f'{catalogue.RETRIES.name}{{operation="images.list"}}'
    assert ids(process, "glance.images.list") == exemplars(scraped, selector)
