"""Requests of the pipeline beside an application's own instrumentation of requests and urllib3."""

import itertools
from collections import Counter

import pytest
import requests
import urllib3
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import SpanKind, StatusCode
from watching import Trace

from traced_image import GlanceConnectionFailed, ImageNotFound, Telemetry
from traced_image.lab import faults
from traced_image.telemetry.global_providers import has_tracer_provider

INSTRUMENTORS = {"requests": "RequestsInstrumentor", "urllib3": "URLLib3Instrumentor"}
BEFORE = [before for n in range(3) for before in itertools.permutations(INSTRUMENTORS, n)]
ORDERS = [(before, [kind for kind in INSTRUMENTORS if kind not in before]) for before in BEFORE]
"""What is instrumented before a service is made, and what after."""


def clients(trace):
    return [span for span in trace.spans if span.kind is SpanKind.CLIENT]


class Application:
    """An application that instruments libraries, with a tracer and a meter provider of its own."""

    def __init__(self):
        self.trace = Trace()
        self.hooked = []
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader])
        self._instrumentors = []

    def instrument(self, *kinds, **hooks):
        for kind in kinds:
            module = pytest.importorskip(f"opentelemetry.instrumentation.{kind}")
            instrumentor = getattr(module, INSTRUMENTORS[kind])()
            instrumentor.instrument(
                **{
                    "tracer_provider": self.trace.provider,
                    "meter_provider": self.meter_provider,
                    "request_hook": lambda *_, kind=kind: self.hooked.append(kind),
                    **hooks,
                }
            )
            self._instrumentors.append(instrumentor)

    def uninstrument(self):
        while self._instrumentors:
            self._instrumentors.pop().uninstrument()

    def durations(self):
        """The points of the durations of requests, each with its metric and its scope."""
        found = self.reader.get_metrics_data()
        return [
            (point, metric, scope.scope.name)
            for resource in (found.resource_metrics if found else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "http.client.request.duration"
            for point in metric.data.data_points
        ]


@pytest.fixture
def application():
    made = Application()
    yield made
    made.uninstrument()


@pytest.fixture
def observed(service, trace, registry, application):
    """Build a service whose telemetry has the application's meter provider."""

    def build(*, wire_spans=True, **fields):
        telemetry = Telemetry(
            tracer_provider=trace.provider,
            registry=registry,
            meter_provider=application.meter_provider,
            wire_spans=wire_spans,
        )
        return service(telemetry=telemetry, **fields)

    return build


@pytest.mark.parametrize(("before", "after"), ORDERS)
def test_a_request_has_one_client_span_and_it_is_ours(
    observed, image_id, trace, application, before, after
):
    application.instrument(*before)
    shown = observed()
    application.instrument(*after)
    shown.show(None, image_id)
    assert (["GET"], []) == ([span.name for span in clients(trace)], application.trace.spans)


@pytest.mark.parametrize(("before", "after"), ORDERS)
def test_a_request_has_one_duration_for_the_application(
    observed, image_id, application, before, after
):
    application.instrument(*before)
    shown = observed()
    application.instrument(*after)
    shown.show(None, image_id)
    assert [("traced_image", 1)] == [
        (scope, point.count) for point, _, scope in application.durations()
    ]


def test_a_request_keeps_its_span_if_requests_is_no_longer_instrumented(
    observed, image_id, trace, application
):
    application.instrument("requests")
    shown = observed()
    application.uninstrument()
    shown.show(None, image_id)
    assert 1 == len(clients(trace))


def test_without_wire_spans_an_applications_instrumentation_makes_none(
    observed, image_id, trace, application
):
    application.instrument("requests")
    observed(wire_spans=False).show(None, image_id)
    assert (1, []) == (len(clients(trace)), application.trace.spans)


# --- the durations of requests ------------------------------------------------------------------


@pytest.mark.parametrize("wire_spans", [True, False])
def test_an_application_that_instruments_nothing_has_no_durations(
    observed, image_id, application, wire_spans
):
    observed(wire_spans=wire_spans).show(None, image_id)
    assert [] == application.durations()


def test_an_application_that_no_longer_instruments_has_no_durations(
    observed, image_id, application
):
    application.instrument("requests")
    application.uninstrument()
    observed().show(None, image_id)
    assert [] == application.durations()


@pytest.mark.parametrize("wire_spans", [True, False])
def test_a_duration_is_the_conventions(observed, servers, image_id, application, wire_spans):
    application.instrument("requests")
    observed(wire_spans=wire_spans).show(None, image_id)
    ((point, metric, _),) = application.durations()
    assert (
        "s",
        (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
        {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "network.protocol.version": "1.1",
            "server.address": "127.0.0.1",
            "server.port": servers[0].port,
        },
    ) == (metric.unit, tuple(point.explicit_bounds), dict(point.attributes))


def test_a_duration_is_in_seconds(observed, image_id, application):
    application.instrument("requests")
    observed().show(None, image_id)
    ((point, _, _),) = application.durations()
    assert 0 < point.sum < 10


def test_a_durations_exemplar_is_the_requests_span(observed, image_id, trace, application):
    application.instrument("requests")
    observed().show(None, image_id)
    ((point, _, _),) = application.durations()
    assert [trace.one("GET").context.span_id] == [each.span_id for each in point.exemplars]


def test_the_duration_of_a_request_that_is_refused_has_its_status(observed, image_id, application):
    application.instrument("requests")
    with pytest.raises(ImageNotFound):
        observed().show(None, "absent")
    ((point, _, _),) = application.durations()
    found = point.attributes
    assert ("404", 404) == (found["error.type"], found["http.response.status_code"])


def test_the_duration_of_a_request_that_met_nobody_has_its_reason(
    observed, servers, image_id, application
):
    application.instrument("requests")
    servers[0].break_with(faults.refuse())
    with pytest.raises(GlanceConnectionFailed):
        observed(num_retries=0).show(None, image_id)
    ((point, _, _),) = application.durations()
    assert {
        "error.type": "connection_refused",
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": int(servers[0].url.rpartition(":")[2]),
    } == dict(point.attributes)


class Interrupted:
    def __iter__(self):
        raise KeyboardInterrupt


def test_an_interrupted_request_has_no_duration(observed, application):
    application.instrument("requests")
    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    with pytest.raises(KeyboardInterrupt):
        observed().create(None, fields, Interrupted())
    assert {"POST"} == {
        point.attributes["http.request.method"] for point, _, _ in application.durations()
    }


# Each starts a program.
@pytest.mark.parametrize("chosen", ["None", pytest.param("False", marks=pytest.mark.slow)])
def test_a_duration_goes_to_the_global_provider_if_telemetry_names_none(run_python, chosen):
    assert ["traced_image http.client.request.duration 1"] == run_python(
        """
        import sys

        from opentelemetry import metrics, trace
        from opentelemetry.instrumentation.requests import RequestsInstrumentor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        import traced_image
        from traced_image import lab

        reader = InMemoryMetricReader()
        from opentelemetry.sdk.trace import TracerProvider

        metrics.set_meter_provider(MeterProvider([reader]))
        trace.set_tracer_provider(TracerProvider())
        RequestsInstrumentor().instrument()
        chosen = {"None": None, "False": False}[sys.argv[1]]
        telemetry = traced_image.Telemetry(meter_provider=chosen)
        images = lab.Images()
        with lab.GlanceServer(images) as server:
            service = traced_image.connect(servers=[server.url], telemetry=telemetry)
            service.show(None, images.add())
            service.close()
        for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics:
            for metric in scope.metrics:
                if metric.name.startswith("http."):
                    print(scope.scope.name, metric.name, metric.data.data_points[0].count)
        """,
        chosen,
    )


# --- no provider but the application's own ------------------------------------------------------


@pytest.fixture
def no_global_provider(monkeypatch):
    """Undo what another test has set in this process, once and for all as far as it knows."""
    monkeypatch.setattr(otel_trace, "_TRACER_PROVIDER", None)


@pytest.fixture(params=[True, False])
def unaware(request, service, registry, no_global_provider):
    """Build a service that was told of no provider, in a process that has no global one."""

    def build(**fields):
        telemetry = Telemetry(registry=registry, wire_spans=request.param)
        return service(telemetry=telemetry, **fields)

    return build


@pytest.fixture
def stable(monkeypatch):
    """The application wants the stable conventions, which a process decides once."""
    utils = pytest.importorskip("opentelemetry.instrumentation._semconv")
    stability = utils._OpenTelemetrySemanticConventionStability
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    monkeypatch.setattr(stability, "_initialized", False)
    yield
    monkeypatch.delenv("OTEL_SEMCONV_STABILITY_OPT_IN")
    stability._initialized = False
    stability._initialize()


def test_a_request_keeps_the_applications_span(unaware, servers, image_id, application):
    application.instrument("requests")
    unaware().show(None, image_id)
    span = application.trace.one("GET")
    told = servers[0].access_log[0].traceparent.split("-")
    assert (SpanKind.CLIENT, 1, ["requests"], told[1:3]) == (
        span.kind,
        len(application.trace.spans),
        application.hooked,
        [f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"],
    )


def test_a_request_keeps_the_applications_duration(unaware, stable, image_id, application):
    application.instrument("requests")
    unaware().show(None, image_id)
    assert [("opentelemetry.instrumentation.requests", 1, 200, "1.1")] == [
        (
            scope,
            point.count,
            point.attributes["http.response.status_code"],
            point.attributes["network.protocol.version"],
        )
        for point, _, scope in application.durations()
    ]


def test_a_download_and_an_upload_are_whole_by_way_of_the_application(unaware, images, application):
    application.instrument("requests")
    data, fields = bytes(100_000), {"disk_format": "raw", "container_format": "bare"}
    created = unaware().create(None, {"name": "new", **fields}, iter([data]))
    assert data == b"".join(unaware().download(None, created["id"]))
    assert {"POST": 1, "PUT": 1, "GET": 3} == Counter(span.name for span in application.trace.spans)


def test_a_request_that_failed_is_retried_by_way_of_the_application(
    unaware, servers, image_id, application
):
    application.instrument("requests")
    servers[0].break_with(faults.lost_reply())
    servers[1].break_with(faults.redirect(302, "http://127.0.0.1:1/"))
    unaware().show(None, image_id)
    assert [StatusCode.ERROR, StatusCode.UNSET, StatusCode.UNSET] == [
        span.status.status_code for span in application.trace.spans
    ]


@pytest.mark.parametrize("hook", ["request_hook", "response_hook"])
def test_a_hook_of_the_application_that_fails_fails_no_call(
    unaware, image_id, counts, application, hook
):
    def broken(*_):
        raise ValueError("no")

    application.instrument("requests", **{hook: broken})
    assert image_id == unaware().show(None, image_id)["id"]
    assert {("wire",): 1.0} == counts.of("traced_image_telemetry_errors_total", "kind")


def test_urllib3s_instrumentation_alone_has_no_span_of_a_request(unaware, image_id, application):
    application.instrument("urllib3")
    unaware().show(None, image_id)
    assert [] == application.trace.spans


def test_a_global_provider_that_can_t_be_loaded_is_none(monkeypatch, no_global_provider):
    monkeypatch.setenv("OTEL_PYTHON_TRACER_PROVIDER", "bogus")
    assert not has_tracer_provider()


# --- the application's own requests -------------------------------------------------------------


def test_the_applications_hooks_are_not_called(observed, image_id, application):
    application.instrument(*INSTRUMENTORS)
    observed().show(None, image_id)
    assert [] == application.hooked


@pytest.mark.parametrize("kind", INSTRUMENTORS)
def test_the_applications_own_requests_are_untouched(
    observed, servers, image_id, trace, application, kind
):
    application.instrument(kind)
    observed().show(None, image_id)
    before, url = len(trace.spans), f"{servers[0].url}/healthcheck"
    if kind == "requests":
        requests.get(url, timeout=10)
    else:
        urllib3.PoolManager().request("GET", url)
    assert (["GET"], [kind], before) == (
        [span.name for span in application.trace.spans],
        application.hooked,
        len(trace.spans),
    )


def test_others_requests_tell_the_server_no_span_of_ours(service, servers, image_id):
    service().show(None, image_id)
    requests.get(f"{servers[0].url}/healthcheck", timeout=10)
    assert None is servers[0].access_log[-1].traceparent


def test_requests_that_read_the_data_of_an_upload_keep_their_spans(observed, servers, application):
    application.instrument("requests")

    def read():
        yield requests.get(f"{servers[1].url}/healthcheck", timeout=10).content or b"0"

    fields = {"name": "new", "disk_format": "raw", "container_format": "bare"}
    observed().create(None, fields, read())
    assert ["GET"] == [span.name for span in application.trace.spans]


def test_urls_that_the_process_excludes_have_no_span(service, image_id, trace, monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_REQUESTS_EXCLUDED_URLS", "/v2/images/")
    service().show(None, image_id)
    assert [("glance.images.get", [("glance.images.get attempt", [])])] == trace.tree()


def test_nothing_is_imported_to_see_what_is_instrumented(run_python):
    assert ["[]"] == run_python(
        """
        import sys

        import traced_image
        from traced_image import lab

        images = lab.Images()
        with lab.GlanceServer(images) as server:
            service = traced_image.connect(servers=[server.url])
            service.show(None, images.add())
            service.close()
        found = ("opentelemetry.instrumentation.requests", "opentelemetry.instrumentation.urllib3")
        print([name for name in found if name in sys.modules])
        """
    )
