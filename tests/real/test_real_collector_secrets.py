"""A token planted wherever a program could have one is nowhere behind the collector."""

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from collector_layouts import one, opened, two
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode
from parts.backend import Backend
from parts.collector import AGENT

import traced_image
from traced_image import GlanceConnectionFailed, RequestContext, RetryPolicy, Telemetry
from traced_image.redact import SECRET_KEYS

FERNET = "gAAAAABplanted-fernet_token-hunter2hunter2hunter2=="
OPAQUE = "0123456789abcdef0123456789abcdef"
"""A token that does not look like one."""

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2lnbmF0dXJlLWh1bnRlcjI"
PASSWORD = "hunter2"
BASIC = "Z2xhbmNlOmh1bnRlcjItaHVudGVyMg=="
SIGNATURE = "d1gn4tur3"
SECRETS = (FERNET, OPAQUE, JWT, PASSWORD, BASIC, SIGNATURE)

TEXTS = {
    "fernet": f"the token {FERNET} has expired",
    "jwt": f"could not decode {JWT} of",
    "header": f"sent X-Auth-Token: {OPAQUE} to",
    "dict": f"headers {{'X-Auth-Token': '{OPAQUE}', 'Accept': '*/*'}} of",
    "json": f'{{"X-Subject-Token": "{OPAQUE}", "kept": 1}}',
    "pairs": f"[('x-service-token', '{OPAQUE}'), ('kept', '1')]",
    "curl": f"curl -H 'Authorization: Basic {BASIC}' http://10.0.0.1",
    "bearer": f"Authorization=Bearer {JWT}, kept",
    "option": f"connect(user='glance', password='{PASSWORD}', kept=1)",
    "userinfo": f"swift+https://glance:{PASSWORD}@store.example/images",
    "slash": f"s3://key:{PASSWORD}/{PASSWORD}@store.example/images",
    **{
        key: f"GET https://store.example/image?kept=1&{key}={SIGNATURE}&also=kept"
        for key in SECRET_KEYS
    },
}
"""Secrets by what gives them away."""

KEYS = ("http.request.header.x-auth-token", "http.request.header.authorization", "db.password")
"""Attributes whose values are secrets whatever they look like."""

PLAIN = "a span like any other"
ORDINARY = {
    "url.full": "http://10.0.0.1:9292/v2/images/5d3c0b9e-7d4e-4b6c-9f57-4b1f4bd5f9a4?limit=1",
    "glance.call.attempts": 3,
    "glance.retry.delay": 0.5,
    "glance.attempt.trial": True,
    "glance.servers.tried": ("10.0.0.1:9292", "10.0.0.2:9292"),
    "gen_ai.usage.input_tokens": 7,
}


@pytest.fixture(scope="module", params=["node", "tiers"])
def behind(request, collector, tmp_path_factory) -> Iterator[Backend]:
    """What is behind a collector, or two tiers, that were told of every secret in every way."""
    folder = tmp_path_factory.mktemp("secrets")
    layout = one(collector, folder) if request.param == "node" else two(collector, folder, AGENT)
    with opened([layout]):
        backend = layout.backend
        told = tell(f"http://127.0.0.1:{layout.entry.http}")
        layout.until(lambda: told <= {each.name for each in backend.spans()}, "kept no spans")
        layout.until(lambda: backend.size("logs"), "sent no logs")
        layout.until(lambda: any(backend.points("told.briefly")), "sent no metrics")
        layout.until(lambda: any(backend.points("traces.span.metrics.calls")), "counted no spans")
        layout.stop()
        yield backend


def tell(url: str) -> set[str]:
    """Have a program say all that it knows; return names of spans that must be kept."""
    resource = Resource({"service.name": "gossip", "process.command_args": tuple(TEXTS.values())})
    tracers, loggers = TracerProvider(resource=resource), LoggerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"))
    # What a view leaves out of a metric is in its exemplars.
    views = [View(instrument_name="told.briefly", attribute_keys=set())]
    meters = MeterProvider([reader], resource=resource, views=views)
    handler = Handler(loggers)
    names = ("traced_image", "gossip")
    for name in names:
        logging.getLogger(name).addHandler(handler)
    serve(Telemetry(tracer_provider=tracers, meter_provider=meters, registry=False))
    gossip(tracers, meters)
    for name in names:
        logging.getLogger(name).removeHandler(handler)
    for provider in (tracers, meters, loggers):
        provider.shutdown()
    return {"glance.images.get", PLAIN}


class Handler(logging.Handler):
    """Sends log records with all that they have."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._logger = provider.get_logger("gossip")

    def emit(self, record: logging.LogRecord) -> None:
        fields = {key: str(value) for key, value in vars(record).items()}
        self._logger.emit(body=record.getMessage(), attributes=fields)


class Page(BaseHTTPRequestHandler):
    """A server whose answer repeats all that there is to know."""

    def do_GET(self):
        page = "\n".join(TEXTS.values()).encode()
        self.send_response(503, f"X-Auth-Token: {OPAQUE}")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        pass


def serve(telemetry: Telemetry) -> None:
    """A call with a token, of which the server speaks."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        service = traced_image.connect(
            servers=[f"http://127.0.0.1:{server.server_port}"],
            auth_strategy="keystone",
            num_retries=1,
            retry=RetryPolicy(backoff_base=0.0),
            telemetry=telemetry,
        )
        for token in (FERNET, OPAQUE):
            with pytest.raises(GlanceConnectionFailed):
                service.show(RequestContext(auth_token=token), "image")
        service.close()
        server.shutdown()


def gossip(tracers: TracerProvider, meters: MeterProvider) -> None:
    """Instrumentation that minds nothing."""
    tracer, meter = tracers.get_tracer("gossip"), meters.get_meter("gossip")
    counters = [meter.create_counter(name) for name in ("told", "told.briefly")]
    for text in TEXTS.values():
        logging.getLogger("gossip").error("told: %s", text, extra={"text": text})
        with suppress(RuntimeError), tracer.start_as_current_span(f"told {text}") as span:
            span.set_attributes(
                {"text": text, "texts": ["first", text], **dict.fromkeys(KEYS, OPAQUE)}
            )
            span.set_attribute("http.request.header.x-subject-token", [OPAQUE])
            span.add_event(text, {"text": text})
            for counter in counters:
                counter.add(1, {"text": text})
            raise RuntimeError(text)
    with tracer.start_as_current_span(PLAIN, attributes=ORDINARY) as span:
        span.add_event("an event", ORDINARY)
        span.set_status(StatusCode.ERROR, "no reason")


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_behind_the_collector(behind, secret):
    assert secret not in behind.everything()


def test_what_is_around_a_secret_stays(behind):
    spans = [span for span in behind.spans() if span.name.startswith("told ")]
    assert len(TEXTS) == len(spans)
    told = "".join(span.text for span in spans)
    for words in ("has expired", "could not decode", "Accept", "?kept=1", "&also=kept"):
        assert 4 * sum(words in text for text in TEXTS.values()) <= told.count(words)


def test_what_is_no_secret_is_left_alone(behind):
    (plain,) = (span for span in behind.spans() if span.name == PLAIN)
    assert ORDINARY == plain.attributes
    for words in ('name: "an event"', 'message: "no reason"'):
        assert words in plain.text


def test_a_secret_attribute_is_masked_whatever_it_looks_like(behind):
    spans = [span for span in behind.spans() if span.name.startswith("told ")]
    for key in KEYS:
        assert {"****"} == {span.attributes[key] for span in spans}
