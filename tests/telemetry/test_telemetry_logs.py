"""Log records beside spans and metrics: they name the same trace, span, server and reason."""

import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

from traced_image import (
    ChecksumMismatch,
    GlanceConnectionFailed,
    RetryPolicy,
    Telemetry,
    TracedImageError,
)
from traced_image.lab import faults
from traced_image.telemetry import catalogue

ATTEMPT = "glance.images.get attempt"
STREAM = "glance.images.data stream"
LOGGER = "traced_image.pipeline.log"
NO_MEMORY = RetryPolicy(backoff_base=0.0, cooldown_base=0.0, budget_share=None)


def lines(caplog, level=logging.WARNING):
    return [one for one in caplog.records if one.name == LOGGER and one.levelno == level]


def where(record):
    return record.trace_id, record.span_id


def ids(span):
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


@pytest.fixture
def give_up(service, servers, image_id):
    """Make a call of three attempts, each of which fails in another way."""

    def call():
        for server, fault in zip(
            servers, (faults.status(503), faults.refuse(), faults.not_json()), strict=True
        ):
            server.break_with(fault)
        with pytest.raises(GlanceConnectionFailed) as caught:
            service(num_retries=2, retry=NO_MEMORY).show(None, image_id)
        return caught.value

    return call


def test_each_failed_attempts_line_names_its_span(give_up, caplog, trace):
    give_up()
    assert [ids(span) for span in trace.named(ATTEMPT)] == [where(one) for one in lines(caplog)]


def test_the_line_of_a_call_that_gave_up_names_the_span_of_its_last_attempt(give_up, caplog, trace):
    give_up()
    (line,) = lines(caplog, logging.ERROR)
    assert ids(trace.named(ATTEMPT)[-1]) == where(line)


def test_lines_tell_what_the_spans_do(give_up, caplog, trace):
    give_up()
    assert [
        (
            span.attributes[catalogue.SERVER_ADDRESS],
            span.attributes[catalogue.SERVER_PORT],
            span.attributes[catalogue.ERROR_TYPE],
            span.attributes.get(catalogue.REQUEST_ID),
            span.attributes[catalogue.ATTEMPT_NUMBER],
            span.attributes[catalogue.ATTEMPT_MAXIMUM],
        )
        for span in trace.named(ATTEMPT)
    ] == [
        (
            line.server_address,
            line.server_port,
            line.error_type,
            line.request_id,
            line.attempt,
            line.attempts_max,
        )
        for line in lines(caplog)
    ]


def test_every_line_has_a_count_beside_it(give_up, caplog, counts):
    give_up()
    warned = {(str(line.server_port), line.error_type): 1.0 for line in lines(caplog)}
    failed = {
        (str(line.server_port), line.error_type): 1.0 for line in lines(caplog, logging.ERROR)
    }
    attempts = counts.of(
        "glance_client_attempt_duration_seconds_count", "server_port", "error_type"
    )
    assert (warned, failed) == (
        {key: count for key, count in attempts.items() if key[-1]},
        counts.of("glance_client_connection_failed_total", "server_port", "error_type"),
    )


def test_the_error_of_a_failed_attempt_names_its_span_too(service, servers, image_id, trace):
    servers[0].break_with(faults.status(500))
    with pytest.raises(TracedImageError) as caught:
        service().show(None, image_id)
    assert ids(trace.one(ATTEMPT)) == where(caught.value)


def test_the_cause_of_a_call_that_gave_up_names_the_span_of_its_last_attempt(give_up, trace):
    error = give_up()
    assert ids(trace.named(ATTEMPT)[-1]) == where(error.__cause__)


def test_the_line_of_a_broken_stream_names_the_streams_span(
    service, servers, images, caplog, trace
):
    image_id = images.add(data=bytes(1 << 17))
    servers[0].break_with(faults.cut_body().only(path="/file$"))
    list(service(retry=NO_MEMORY).download(None, image_id))
    (line,) = lines(caplog)
    assert (*ids(trace.named(STREAM)[0]), "protocol_error", servers[0].port) == (
        *where(line),
        line.error_type,
        line.server_port,
    )


def test_the_line_of_wrong_data_names_the_streams_span(service, servers, image_id, caplog, trace):
    servers[0].break_with(faults.corrupt_data())
    with pytest.raises(ChecksumMismatch) as caught:
        list(service().download(None, image_id))
    (line,) = lines(caplog)
    assert [ids(trace.one(STREAM))] * 2 == [where(line), where(caught.value)]


def test_what_is_not_sampled_has_ids_all_the_same(service, servers, image_id, registry, caplog):
    """Servers are told them, and may log them."""
    provider = TracerProvider(sampler=ALWAYS_OFF)
    servers[0].break_with(faults.status(503))
    service(telemetry=Telemetry(tracer_provider=provider, registry=registry)).show(None, image_id)
    (line,) = lines(caplog)
    told = servers[0].access_log[0].traceparent.split("-")
    assert told[1] == line.trace_id


def test_without_an_sdk_there_are_no_ids(service, servers, image_id, registry, caplog):
    provider = NoOpTracerProvider()
    servers[0].break_with(faults.status(503))
    service(telemetry=Telemetry(tracer_provider=provider, registry=registry)).show(None, image_id)
    (line,) = lines(caplog)
    assert (None, None) == where(line)


def test_below_a_callers_span_lines_are_of_its_trace(service, servers, image_id, caplog, trace):
    servers[0].break_with(faults.status(503))
    with trace.provider.get_tracer("caller").start_as_current_span("boot") as span:
        service().show(None, image_id)
    (line,) = lines(caplog)
    assert f"{span.get_span_context().trace_id:032x}" == line.trace_id
