"""Beside another instrumentation of keystoneauth1, the calls and attempts are the same.

Run by ``make test-clients`` where opentelemetry-instrumentation-keystoneauth1 is installed.
"""

import identity
import pytest
from opentelemetry.trace import INVALID_SPAN, SpanKind, get_current_span

from traced_image.lab import faults

other = pytest.importorskip("opentelemetry.instrumentation.keystoneauth1")

AT_ONCE = {"connect_retry_delay": 0.001, "status_code_retry_delay": 0.001}


@pytest.fixture(params=[True, False], ids=["before", "after"])
def both(request, instrumentor, trace):
    """Switch both on, the other one before or after."""
    beside = other.KeystoneAuth1Instrumentor()
    steps = [
        lambda: beside.instrument(tracer_provider=trace.provider, skip_dep_check=True),
        instrumentor.instrument,
    ]
    for step in steps if request.param else reversed(steps):
        step()
    yield
    beside.uninstrument()


@pytest.fixture
def client(both, library, server):
    with identity.running(server.url) as keystone:
        make = library("glanceclient").Client
        options = {"connect_retries": 1, "status_code_retries": 1, **AT_ONCE}
        yield make("2", session=keystone.session(), **options)


def ours(trace):
    return [span for span in trace.spans if span.name.startswith("glance.")]


@pytest.mark.parametrize("times", [0, 1, 2])
def test_each_attempt_is_one_span_below_the_call(client, server, image_id, trace, times):
    if times:
        server.break_with(faults.status(503).times(times))
    if times > 1:
        with pytest.raises(Exception, match="503"):
            client.images.delete(image_id)
    else:
        client.images.delete(image_id)
    call, *attempts = sorted(ours(trace), key=lambda span: span.start_time)
    assert [call.context.span_id] * min(times + 1, 2) == [span.parent.span_id for span in attempts]
    assert {SpanKind.CLIENT} == {span.kind for span in attempts}


def test_a_call_that_fails_to_connect_names_its_server(client, server, image_id, trace):
    server.break_with(faults.refuse())
    with pytest.raises(Exception, match="Error finding address"):
        client.images.delete(image_id)
    seen = {span.attributes.get("server.port") for span in ours(trace)[1:]}
    assert {server.port} == seen


def test_no_span_stays_current(client, image_id, trace):
    client.images.update(image_id, name="new")
    assert (INVALID_SPAN, set()) == (get_current_span(), trace.open)


def test_its_spans_are_beside_the_attempts(client, server, image_id, trace):
    server.break_with(faults.status(503).times(1))
    client.images.delete(image_id)
    call = trace.one("glance.images.delete")
    others = [span for span in trace.spans if span.name.startswith("DELETE")]
    assert [(call.context.span_id, SpanKind.CLIENT)] == [
        (span.parent.span_id, span.kind) for span in others
    ]


def test_the_server_is_told_the_attempt(client, server, image_id, trace):
    client.images.delete(image_id)
    told = server.access_log[-1].traceparent.split("-")[2]
    assert f"{trace.one('glance.images.delete attempt').context.span_id:016x}" == told
