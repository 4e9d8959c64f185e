"""Records that lists leave out: counted by their kind, and never a failure of the list."""

import pytest

from traced_image import Telemetry
from traced_image.pipeline.api.operation import SkippedRecord
from traced_image.pipeline.attempts.seams import Skips
from traced_image.telemetry import catalogue
from traced_image.telemetry.layers import make_layers

SKIPPED = "glance_client_skipped_records_total"


@pytest.fixture
def telemetry(registry):
    return Telemetry(registry=registry, meter_provider=False)


def announce(telemetry, operation, count, inner=lambda _skips: None):
    (layer,) = make_layers(telemetry).skips
    layer(inner)(Skips(operation, [SkippedRecord("x", "id")] * count))


def test_what_a_list_leaves_out_is_counted(service, images, counts):
    images.add(created_at="yesterday")
    images.add(name="good")
    assert ["good"] == [image["name"] for image in service().detail(None)]
    assert {("image",): 1.0} == counts.of(SKIPPED, "kind")


def test_the_list_itself_is_a_success(service, images, counts):
    images.add(created_at="yesterday")
    service().detail(None)
    calls = counts.of("glance_client_call_duration_seconds_count", "outcome", "error_type")
    assert {("success_first_try", ""): 1.0} == calls


def test_an_image_that_can_t_be_shown_fails_the_call_and_not_the_attempt(service, images, counts):
    image_id = images.add(created_at="yesterday")
    with pytest.raises(Exception, match="is not a time stamp"):
        service().show(None, image_id)
    calls = counts.of("glance_client_call_duration_seconds_count", "outcome", "error_type")
    attempts = counts.of("glance_client_attempt_duration_seconds_count", "error_type")
    assert ({("non_retryable", "_OTHER"): 1.0}, {("",): 1.0}) == (calls, attempts)


@pytest.mark.parametrize(
    ("operation", "kind"), [("images.list", "image"), ("image_members.list", "member")]
)
def test_records_are_counted_by_their_kind(telemetry, counts, operation, kind):
    announce(telemetry, operation, 3)
    assert {(kind,): 3.0} == counts.of(SKIPPED, "kind")


def test_each_kind_is_at_zero_from_the_start(telemetry, counts):
    make_layers(telemetry)
    zeros = {(kind,): 0.0 for kind in catalogue.RECORD_KINDS}
    assert zeros == counts.of(SKIPPED, "kind", zeros=True)


def test_a_logging_handler_that_fails_is_counted(telemetry, counts):
    def fail(_skips):
        raise OSError

    announce(telemetry, "images.list", 1, fail)
    assert {("logs",): 1.0} == counts.of("traced_image_telemetry_errors_total", "kind")
