"""An application that switches instrumentation off gets no spans; the metrics go on."""

import pytest
from opentelemetry.instrumentation.utils import (
    suppress_http_instrumentation,
    suppress_instrumentation,
)

CALLS = "glance_client_call_duration_seconds_count"


@pytest.mark.parametrize("wire_spans", [True, False])
@pytest.mark.parametrize("method", ["show", "download"])
def test_no_span_starts_while_all_instrumentation_is_off(
    service, image_id, trace, method, wire_spans
):
    with suppress_instrumentation():
        found = getattr(service(wire_spans=wire_spans), method)(None, image_id)
        list(found)
    assert [] == [span.name for span in trace.exporter.get_finished_spans()]


def test_the_metrics_go_on(service, image_id, counts):
    with suppress_instrumentation():
        service().show(None, image_id)
    assert {("images.get",): 1.0} == counts.of(CALLS, "operation")


def test_calls_and_attempts_have_spans_while_that_of_http_is_off(service, image_id, trace):
    with suppress_http_instrumentation():
        service().show(None, image_id)
    names = {span.name for span in trace.exporter.get_finished_spans()}
    assert {"glance.images.get", "glance.images.get attempt"} == names
