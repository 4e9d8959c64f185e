"""What telemetry itself meets never changes a call's result: counted, and logged once."""

import logging

import pytest
from opentelemetry import propagate
from opentelemetry.metrics import NoOpMeter, NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import INVALID_SPAN, get_current_span
from prometheus_client import CollectorRegistry, Counter

from traced_image import GlanceConnectionFailed, ImageNotFound, RetryPolicy, Telemetry
from traced_image.lab import faults
from traced_image.telemetry.collector import (
    CounterSeries,
    GaugeSeries,
    HistogramSeries,
)

ERRORS = "traced_image_telemetry_errors_total"
ATTEMPTS = "glance_client_attempt_duration_seconds_count"
LOGGERS = ("traced_image.telemetry.telemetry_errors", "traced_image.telemetry.shared_metrics")
NO_MEMORY = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)


class Deaf(SpanProcessor):
    """Raises when a span starts."""

    def on_start(self, span, parent_context=None):
        raise ConnectionRefusedError("no collector")


class Dumb(SpanProcessor):
    """Raises when a span ends."""

    def on_end(self, span):
        raise ConnectionRefusedError("no collector")


class Lost(SpanExporter):
    """Raises when a span is exported."""

    def export(self, spans):
        raise ConnectionRefusedError("no collector")


@pytest.fixture
def with_processor(registry):
    """Telemetry whose spans go through a processor."""

    def build(processor, *, wire_spans=True):
        provider = TracerProvider()
        provider.add_span_processor(processor)
        return Telemetry(tracer_provider=provider, registry=registry, wire_spans=wire_spans)

    return build


def logged(caplog):
    return [record.getMessage() for record in caplog.records if record.name in LOGGERS]


@pytest.mark.parametrize("wire_spans", [True, False])
@pytest.mark.parametrize("processor", [Deaf(), Dumb(), SimpleSpanProcessor(Lost())])
def test_the_result_is_the_same(service, image_id, with_processor, processor, wire_spans):
    telemetry = with_processor(processor, wire_spans=wire_spans)
    assert service().show(None, image_id) == service(telemetry=telemetry).show(None, image_id)


@pytest.mark.parametrize("wire_spans", [True, False])
@pytest.mark.parametrize("processor", [Deaf(), Dumb(), SimpleSpanProcessor(Lost())])
def test_an_error_is_the_same(service, servers, with_processor, processor, wire_spans):
    telemetry = with_processor(processor, wire_spans=wire_spans)
    with pytest.raises(ImageNotFound):
        service(telemetry=telemetry).show(None, "absent")


@pytest.mark.parametrize("wire_spans", [True, False])
@pytest.mark.parametrize("processor", [Deaf(), Dumb()])
def test_the_reason_of_a_failure_is_the_servers(
    service, servers, image_id, with_processor, processor, wire_spans
):
    servers[0].break_with(faults.reset())
    telemetry = with_processor(processor, wire_spans=wire_spans)
    with pytest.raises(GlanceConnectionFailed) as caught:
        service(telemetry=telemetry, num_retries=0).show(None, image_id)
    assert "connection_reset" == caught.value.reason


@pytest.mark.parametrize("processor", [Deaf(), Dumb()])
def test_a_request_is_sent_once(service, servers, image_id, with_processor, processor):
    service(telemetry=with_processor(processor)).show(None, image_id)
    assert 1 == len(servers[0].access_log)


@pytest.mark.parametrize("processor", [Deaf(), Dumb()])
def test_a_request_that_failed_is_sent_once(service, servers, image_id, with_processor, processor):
    servers[0].break_with(faults.reset().only(method="GET"))
    service(telemetry=with_processor(processor)).show(None, image_id)
    assert 1 == len(servers[0].access_log)


@pytest.mark.parametrize("wire_spans", [True, False])
@pytest.mark.parametrize("fault", [faults.refuse(), faults.reset(), faults.status(503)])
def test_what_a_server_does_is_no_failure_of_telemetry(
    service, servers, image_id, counts, fault, wire_spans
):
    servers[0].break_with(fault)
    service(wire_spans=wire_spans).show(None, image_id)
    assert {} == counts.of(ERRORS, "kind")


@pytest.mark.parametrize("processor", [Deaf(), Dumb()])
def test_no_span_stays_current(service, servers, image_id, with_processor, processor):
    servers[0].break_with(faults.status(503))
    service(telemetry=with_processor(processor)).show(None, image_id)
    assert INVALID_SPAN is get_current_span()


@pytest.mark.parametrize("processor", [Deaf(), Dumb()])
def test_each_failure_is_counted(service, image_id, with_processor, counts, processor):
    shown = service(telemetry=with_processor(processor))
    shown.show(None, image_id)
    shown.show(None, image_id)
    assert {("spans",): 4.0, ("wire",): 2.0} == counts.of(ERRORS, "kind")


@pytest.mark.parametrize("processor", [Deaf(), Dumb()])
def test_each_kind_of_failure_is_logged_once(service, image_id, with_processor, caplog, processor):
    telemetry = with_processor(processor)
    for _ in range(2):
        service(telemetry=telemetry).show(None, image_id)
    assert [
        f"Telemetry failed at {kind}: further failures are only counted."
        for kind in ("spans", "wire")
    ] == sorted(logged(caplog))


def test_the_log_has_the_failure_itself(service, image_id, with_processor, caplog):
    service(telemetry=with_processor(Deaf(), wire_spans=False)).show(None, image_id)
    assert ["ConnectionRefusedError: no collector"] == [
        record.exc_text.splitlines()[-1] for record in caplog.records if record.name in LOGGERS
    ]


def test_the_log_has_the_failure_without_its_secrets(service, image_id, with_processor, caplog):
    class Talkative(SpanProcessor):
        def on_start(self, span, parent_context=None):
            raise ConnectionRefusedError("https://user:hunter2@collector")

    service(telemetry=with_processor(Talkative(), wire_spans=False)).show(None, image_id)
    assert "https://REDACTED:REDACTED@collector" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("processor", [Deaf(), Dumb()])
def test_metrics_are_exact_whatever_spans_meet(
    service, servers, image_id, with_processor, counts, processor
):
    servers[0].break_with(faults.status(503))
    service(telemetry=with_processor(processor)).show(None, image_id)
    assert [1.0, 1.0, 1.0, 2.0] == [
        sum(counts.of(f"glance_client_{name}", *labels).values())
        for name, *labels in (
            ("call_duration_seconds_count",),
            ("call_retries_sum",),
            ("retries_total",),
            ("attempt_duration_seconds_count", "error_type"),
        )
    ]


# --- every part that may raise -----------------------------------------------------------------


class Undecided(Sampler):
    """Raises when asked."""

    def should_sample(self, *args, **kwargs):
        raise ConnectionRefusedError("no sampling rules")

    def get_description(self):
        return "Undecided"


class Nameless(IdGenerator):
    """Has no ids to give."""

    def generate_trace_id(self):
        raise OSError("no entropy")

    generate_span_id = generate_trace_id


class Raising:
    """An instrument of which each use raises."""

    def __getattr__(self, name):
        raise AttributeError(name)

    def add(self, *_, **__):
        raise RuntimeError("no meter")

    record = set = add


class BrokenMeter(NoOpMeter):
    """A meter all of whose instruments raise."""

    def create_counter(self, *_, **__):
        return Raising()

    create_up_down_counter = create_gauge = create_histogram = create_counter


class BrokenMeters(NoOpMeterProvider):
    """A provider of meters that raise."""

    def get_meter(self, name, *_, **__):
        return BrokenMeter(name)


def raising(*_, **__):
    raise RuntimeError("too many series")


class Noisy(logging.Handler):
    """A logging handler that raises."""

    def emit(self, record):
        raise OSError("disk full")


@pytest.fixture
def noisy():
    """Have each line of the log raise."""
    logger, handler = logging.getLogger("traced_image"), Noisy()
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


def processing(processor):
    provider = TracerProvider()
    provider.add_span_processor(processor)
    return provider


BROKEN = {
    "sampler": lambda: {"tracer_provider": TracerProvider(sampler=Undecided())},
    "ids": lambda: {"tracer_provider": TracerProvider(id_generator=Nameless())},
    "start": lambda: {"tracer_provider": processing(Deaf())},
    "end": lambda: {"tracer_provider": processing(Dumb())},
    "exporter": lambda: {"tracer_provider": processing(SimpleSpanProcessor(Lost()))},
    "meter": lambda: {"meter_provider": BrokenMeters()},
}
REPLACED = {
    "histogram": [(HistogramSeries, "update")],
    "gauge": [(GaugeSeries, "update")],
    "counter": [(CounterSeries, "update")],
}
"""Which updates of the collector raise."""

PARTS = {
    "sampler": {"spans", "wire"},
    "ids": {"spans", "wire"},
    "start": {"spans", "wire"},
    "end": {"spans", "wire"},
    "exporter": set(),  # the SDK takes note of that itself
    "histogram": {"metrics"},
    "gauge": {"metrics"},
    "counter": {"metrics"},
    "meter": {"metrics"},
    "log": {"logs"},
}
"""What may raise, and the kinds that are logged and counted of it."""

COUNTED = {**PARTS, "counter": set()}
"""The count of failures is a counter too."""

LOGGED = {**PARTS}
del LOGGED["log"]
"""What can't be logged is not."""

each_part = pytest.mark.parametrize("part", PARTS)


@pytest.fixture
def telemetry_with(registry, trace, monkeypatch, request):
    """Telemetry of which one part raises, by that part's name."""

    def build(part):
        for place, name in REPLACED.get(part, ()):
            monkeypatch.setattr(place, name, raising)
        if part == "log":
            request.getfixturevalue("noisy")
        broken = BROKEN.get(part, dict)()
        return Telemetry(**{"tracer_provider": trace.provider, "registry": registry, **broken})

    return build


@each_part
def test_whatever_raises_a_call_brings_what_it_does_without(
    service, servers, image_id, telemetry_with, part
):
    expected = service().show(None, image_id)
    shown = service(telemetry=telemetry_with(part), retry=NO_MEMORY)
    servers[0].break_with(faults.status(503))
    assert expected == shown.show(None, image_id)


@each_part
def test_whatever_raises_a_call_fails_as_it_does_without(
    service, servers, image_id, telemetry_with, part
):
    shown = service(telemetry=telemetry_with(part), retry=NO_MEMORY, num_retries=2)
    for server in servers:
        server.break_with(faults.status(503))
    with pytest.raises(GlanceConnectionFailed) as caught:
        shown.show(None, image_id)
    assert ("503", 3) == (caught.value.reason, len(caught.value.attempts))


@each_part
def test_whatever_raises_each_request_is_sent_once(
    service, servers, image_id, telemetry_with, part
):
    shown = service(telemetry=telemetry_with(part), retry=NO_MEMORY)
    servers[0].break_with(faults.status(503))
    shown.show(None, image_id)
    assert [1, 1, 0] == [len(server.access_log) for server in servers]


@each_part
def test_whatever_raises_data_comes_and_goes_whole(service, images, telemetry_with, part):
    shown = service(telemetry=telemetry_with(part))
    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    created = shown.create(None, fields, iter([b"01234", b"56789"]))
    assert b"0123456789" == b"".join(shown.download(None, created["id"]))


@each_part
def test_whatever_raises_it_is_counted_by_its_kind(
    service, servers, image_id, telemetry_with, counts, part
):
    shown = service(telemetry=telemetry_with(part), retry=NO_MEMORY)
    servers[0].break_with(faults.status(503))
    shown.show(None, image_id)
    assert COUNTED[part] == {kind for (kind,) in counts.of(ERRORS, "kind")}


@pytest.mark.parametrize("part", LOGGED)
def test_whatever_raises_it_is_logged_once_for_each_kind(
    service, servers, image_id, telemetry_with, caplog, part
):
    telemetry = telemetry_with(part)
    servers[0].break_with(faults.status(503))
    for _ in range(3):
        service(telemetry=telemetry, retry=NO_MEMORY).show(None, image_id)
    assert sorted(LOGGED[part]) == sorted(
        record.args[0] for record in caplog.records if record.name in LOGGERS
    )


def test_a_log_that_raises_raises_for_what_is_logged_of_that_too(
    service, servers, image_id, noisy, counts
):
    servers[0].break_with(faults.status(503))
    shown = service(retry=NO_MEMORY)
    for _ in range(3):
        shown.show(None, image_id)
    failures = 2.0  # the server's turn comes with the first call and the third
    assert {("logs",): failures} == counts.of(ERRORS, "kind")


def test_a_count_of_failures_that_fails_is_not_counted_in_its_turn(
    service, servers, image_id, monkeypatch
):
    """Those of the retry, its cost and the saved call fail, and then those of these failures."""
    failed = []
    monkeypatch.setattr(CounterSeries, "update", lambda *_: raising(failed.append(1)))
    servers[0].break_with(faults.status(503))
    shown = service(retry=NO_MEMORY)
    failed.clear()
    shown.show(None, image_id)
    assert 6 == len(failed)


@each_part
def test_whatever_raises_no_span_stays_current(service, servers, image_id, telemetry_with, part):
    servers[0].break_with(faults.status(503))
    service(telemetry=telemetry_with(part), retry=NO_MEMORY).show(None, image_id)
    assert INVALID_SPAN is get_current_span()


@pytest.mark.parametrize("part", [part for part in PARTS if part not in REPLACED])
def test_whatever_else_raises_prometheus_counts_every_attempt(
    service, servers, image_id, telemetry_with, counts, part
):
    servers[0].break_with(faults.status(503))
    service(telemetry=telemetry_with(part), retry=NO_MEMORY).show(None, image_id)
    assert {("503",): 1.0, ("",): 1.0} == counts.of(ATTEMPTS, "error_type")


def test_what_prometheus_can_t_count_is_counted_by_opentelemetry(
    service, image_id, registry, monkeypatch
):
    monkeypatch.setattr(HistogramSeries, "update", raising)
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    telemetry = Telemetry(registry=registry, meter_provider=provider)
    service(telemetry=telemetry).show(None, image_id)
    (resource,) = reader.get_metrics_data().resource_metrics
    (scope,) = resource.scope_metrics
    assert [1] == [
        point.count
        for metric in scope.metrics
        if metric.name == "glance.client.call.duration"
        for point in metric.data.data_points
    ]


# --- what tells the server of a trace ----------------------------------------------------------


class Refusing(propagate.textmap.TextMapPropagator):
    """Propagates nothing, with noise."""

    fields = frozenset()

    def extract(self, carrier, context=None, getter=None):
        raise NotImplementedError

    def inject(self, carrier, context=None, setter=None):
        raise ConnectionRefusedError("no propagation")


@pytest.fixture
def no_propagation():
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(Refusing())
    yield
    propagate.set_global_textmap(before)


@pytest.mark.parametrize("wire_spans", [True, False])
def test_a_request_is_sent_without_a_propagator(
    service, servers, image_id, no_propagation, wire_spans
):
    service(wire_spans=wire_spans).show(None, image_id)
    assert [(200, None)] == [(one.status, one.traceparent) for one in servers[0].access_log]


@pytest.mark.parametrize("wire_spans", [True, False])
def test_a_propagator_that_fails_is_counted(service, image_id, no_propagation, counts, wire_spans):
    service(wire_spans=wire_spans).show(None, image_id)
    assert {("wire",): 1.0} == counts.of(ERRORS, "kind")


class Interrupted:
    def __iter__(self):
        raise KeyboardInterrupt


def test_what_stops_a_thread_is_not_lost(service, with_processor):
    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    with pytest.raises(KeyboardInterrupt):
        service(telemetry=with_processor(Dumb())).create(None, fields, Interrupted())


# --- metrics -----------------------------------------------------------------------------------


class Full(CollectorRegistry):
    """Takes no collector."""

    def register(self, collector):
        raise MemoryError("too many series")


def occupied():
    """A registry that has a metric of one of our names already."""
    registry = CollectorRegistry()
    Counter("glance_client_retries", "Somebody else's.", registry=registry)
    return registry


@pytest.mark.parametrize("build", [Full, occupied])
def test_a_registry_that_takes_no_metrics_changes_no_result(service, image_id, trace, build):
    telemetry = Telemetry(tracer_provider=trace.provider, registry=build())
    assert service().show(None, image_id) == service(telemetry=telemetry).show(None, image_id)


def test_a_registry_that_takes_no_metrics_is_logged_once(service, image_id, trace, caplog):
    telemetry = Telemetry(tracer_provider=trace.provider, registry=Full())
    for _ in range(2):
        service(telemetry=telemetry).show(None, image_id)
    assert ["Full takes no metrics of Glance: none are kept there."] == logged(caplog)


def test_spans_are_kept_without_metrics(service, image_id, trace):
    service(telemetry=Telemetry(tracer_provider=trace.provider, registry=Full())).show(
        None, image_id
    )
    assert 3 == len(trace.spans)


FILES_THAT_CANT_BE_WRITTEN = """
    import logging
    import os
    import sys
    from pathlib import Path

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from prometheus_client import CollectorRegistry

    import traced_image
    from traced_image import RetryPolicy, lab


    class Names(logging.Handler):
        def emit(self, record):
            print(record.name, record.args[0])


    logging.getLogger("traced_image.telemetry").addHandler(Names())
    logging.getLogger("traced_image.pipeline").addHandler(logging.NullHandler())
    for kind in sys.argv[1:]:
        (Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) / f"{kind}_{os.getpid()}.db").mkdir()
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    registry = CollectorRegistry()
    telemetry = traced_image.Telemetry(tracer_provider=provider, registry=registry)
    policy = RetryPolicy(backoff_base=0.0, cooldown_base=0.0)
    images = lab.Images()
    image_id = images.add(name="cirros")
    with lab.GlanceServer(images) as server:
        server.break_with(lab.faults.flapping(lab.faults.status(503), None))
        service = traced_image.connect(servers=[server.url], retry=policy, telemetry=telemetry)
        for _ in range(2):
            print(service.show(None, image_id)["name"])
        service.close()
    spans = exporter.get_finished_spans()
    print(len(spans), "spans", sum(len(span.events) for span in spans), "events")
    for kind in ("metrics", "spans"):
        value = registry.get_sample_value("traced_image_telemetry_errors_total", {"kind": kind})
        print(kind, value)
"""
"""prometheus_client's multiprocess mode writes to files, whose names these programs occupy."""

LOGGED_ONCE = "traced_image.telemetry.telemetry_errors metrics"


def test_metrics_that_fail_are_counted_and_logged_once(run_python, tmp_path):
    """Five a call: its duration, its retries, the wait for one, and each attempt's duration."""
    assert [
        LOGGED_ONCE,
        "cirros",
        "cirros",
        "10 spans 2 events",
        "metrics 10.0",
        "spans 0.0",
    ] == run_python(FILES_THAT_CANT_BE_WRITTEN, "histogram", PROMETHEUS_MULTIPROC_DIR=str(tmp_path))


def test_a_count_of_failures_that_fails_too_changes_no_result(run_python, tmp_path):
    assert [
        LOGGED_ONCE,
        "cirros",
        "cirros",
        "10 spans 2 events",
        "metrics None",
        "spans None",
    ] == run_python(
        FILES_THAT_CANT_BE_WRITTEN, "histogram", "counter", PROMETHEUS_MULTIPROC_DIR=str(tmp_path)
    )
