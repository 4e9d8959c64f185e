"""Telemetry that is switched off, has no SDK, or is given something else."""

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

import traced_image
from traced_image import Telemetry
from traced_image.errors import InvalidOption
from traced_image.pipeline.attempts.retry_loop import AttemptLoop
from traced_image.pipeline.http.send import HTTPSend
from traced_image.pipeline.http.transport import send_prepared
from traced_image.pipeline.log import log_failure
from traced_image.telemetry.layers import make_layers

LOADED = """
    import sys

    import traced_image
    from traced_image import lab

    images = lab.Images()
    with lab.GlanceServer(images) as server:
        service = traced_image.connect(servers=[server.url], {telemetry})
        service.show(None, images.add())
        service.close()
        print(server.access_log[0].traceparent)
    print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {{{found}}}))
"""
FOREIGN = '"opentelemetry", "prometheus_client"'


def test_switched_off_it_imports_nothing_of_its_libraries(run_python):
    program = LOADED.format(telemetry="telemetry=False", found=FOREIGN)
    assert ["None", ""] == run_python(program)


def test_by_default_it_is_on(run_python):
    program = LOADED.format(telemetry="", found=FOREIGN)
    assert ["None", "opentelemetry prometheus_client"] == run_python(program)


def test_by_default_it_imports_no_instrumentation_of_requests(run_python):
    program = """
        import sys

        import traced_image

        traced_image.connect(servers=["glance"])
        print("opentelemetry.instrumentation.requests" in sys.modules)
    """
    assert ["False"] == run_python(program)


@pytest.fixture
def bare():
    service = traced_image.connect(servers=["glance-1", "glance-2"], telemetry=False)
    yield service._client
    service.close()


def test_switched_off_calls_go_straight_to_the_attempt_loop(bare):
    assert AttemptLoop is type(bare._perform)


def test_switched_off_attempts_go_straight_to_http(bare):
    assert bare._http is bare._perform._innermost
    assert HTTPSend is type(bare._http)


def test_switched_off_failures_are_only_announced(bare):
    assert log_failure is bare._perform._announce


def test_switched_off_requests_go_straight_to_their_exchange(bare):
    assert {send_prepared} == {transport._send for transport in bare._http.transports.values()}


def test_the_processs_own_are_the_default(run_python):
    """A tracer provider that is set later counts too, as OpenTelemetry wants it."""
    assert ["glance.images.get", "1.0"] == run_python(
        """
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from opentelemetry.trace import set_tracer_provider
        from prometheus_client import REGISTRY

        import traced_image
        from traced_image import lab

        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        images = lab.Images()
        with lab.GlanceServer(images) as server:
            service = traced_image.connect(servers=[server.url])
            set_tracer_provider(provider)
            service.show(None, images.add())
            service.close()
        print(exporter.get_finished_spans()[-1].name)
        labels = {"operation": "images.get", "outcome": "success_first_try", "error_type": ""}
        print(REGISTRY.get_sample_value("glance_client_call_duration_seconds_count", labels))
        """
    )


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("tracer_provider", "otlp://collector"),
        ("tracer_provider", TracerProvider),
        ("registry", "default"),
        ("registry", CollectorRegistry),
        ("wire_spans", "yes"),
        ("wire_spans", None),
        ("meter_provider", "default"),
        ("meter_provider", MeterProvider),
        ("tracer_provider", False),
        ("detail", "none"),
        ("detail", None),
    ],
)
def test_what_is_no_telemetry_is_refused(item, value):
    with pytest.raises(InvalidOption, match=rf"{item} \(from argument\)"):
        Telemetry(**{item: value})


@pytest.mark.parametrize("value", [True, 0, "", object(), TracerProvider()])
def test_only_telemetry_and_false_are_understood(value):
    with pytest.raises(InvalidOption, match=r"telemetry \(from argument\)"):
        traced_image.connect(servers=["glance"], telemetry=value)


def test_telemetry_is_a_value():
    assert Telemetry(wire_spans=False) == Telemetry(wire_spans=False)


def test_layers_are_as_a_pipeline_takes_them():
    layers = make_layers(Telemetry(registry=CollectorRegistry()))
    assert [1] * 5 == [
        len(each)
        for each in (layers.call, layers.attempt, layers.failure, layers.wire, layers.hosts)
    ]
