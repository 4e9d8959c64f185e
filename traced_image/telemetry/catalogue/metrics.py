"""The metrics: names, types, units, labels and buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .attributes_reasons import HAZARD_KINDS, RECORD_KINDS, TELEMETRY_ERROR_KINDS

LABELS = {
    "operation": "operation",
    "outcome": "outcome",
    "error_type": "error.type",
    "verdict": "verdict",
    "server_address": "server.address",
    "server_port": "server.port",
    "state": "state",
    "direction": "direction",
    "version": "version",
    "kind": "kind",
}
"""The labels, with their attributes in OpenTelemetry's metrics."""

HTTP_REQUEST_DURATION = "http.client.request.duration"
"""The semantic conventions' metric of HTTP requests, for an application that records it."""

HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The bucket bounds of `HTTP_REQUEST_DURATION` in the semantic conventions, in seconds."""

AGGREGATED_PROCESSES = "traced_image_aggregated_processes"
"""How many processes an agent has added up: no library shows it, but an agent of a fleet does."""

_SECONDS = (*HTTP_BUCKETS, 30.0, 60.0, 120.0, 300.0, 600.0)
"""The bucket bounds of all durations, in seconds.

The largest is 600 s, python-glanceclient's default timeout.
"""

_SERVER = ("server_address", "server_port")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, by its Prometheus name.

    Attributes:
        name: The Prometheus name; a counter's samples end in ``_total``.
        otel: The name in OpenTelemetry. Prometheus translates it and `unit` to `name`.
        unit: The unit, in UCUM notation.
        kind: The type; an ``updown`` is a gauge whose values add up over processes.
        help: The help text.
        labels: The names of the labels.
        buckets: The upper bounds of a histogram's buckets.
        merge: How a gauge combines several processes (prometheus_client's ``multiprocess_mode``).
    """

    name: str
    otel: str
    unit: str
    kind: Literal["counter", "gauge", "updown", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Literal["all", "liveall", "livesum", "livemax", "livemostrecent", "max"] = "all"


CALL_DURATION = Metric(
    "glance_client_call_duration_seconds",
    "glance.client.call.duration",
    "s",
    "histogram",
    "Duration of calls to Glance, with all attempts, waits and transfers into files, in seconds.",
    ("operation", "outcome", "error_type"),
    _SECONDS,
)
ATTEMPT_DURATION = Metric(
    "glance_client_attempt_duration_seconds",
    "glance.client.attempt.duration",
    "s",
    "histogram",
    "Duration of attempts, each on one server, in seconds; error_type is empty for success.",
    ("operation", *_SERVER, "verdict", "error_type"),
    _SECONDS,
)
CALL_RETRIES = Metric(
    "glance_client_call_retries",
    "glance.client.call.retries",
    "{retry}",
    "histogram",
    "Retries per call, for calls with at least one retry.",
    ("operation",),
    (1.0, 2.0, 3.0, 4.0, 5.0),
)
RETRIES = Metric(
    "glance_client_retries_total",
    "glance.client.retries",
    "{retry}",
    "counter",
    "Retries, by the server whose attempt failed before.",
    ("operation", *_SERVER, "error_type"),
)
RETRY_DELAYS = Metric(
    "glance_client_retry_delay_seconds",
    "glance.client.retry_delay",
    "s",
    "histogram",
    "Waits before retries, in seconds.",
    ("operation",),
    _SECONDS,
)
RETRY_COST = Metric(
    "glance_client_retry_cost_seconds_total",
    "glance.client.retry_cost",
    "s",
    "counter",
    "Seconds that retries added to calls that did not fail, by the server that failed before.",
    (*_SERVER, "error_type"),
)
SAVED_CALLS = Metric(
    "glance_client_saved_calls_total",
    "glance.client.saved_calls",
    "{call}",
    "counter",
    "Calls that did not fail because of retries, by each server that failed before.",
    (*_SERVER, "error_type"),
)
CONNECTION_FAILED = Metric(
    "glance_client_connection_failed_total",
    "glance.client.connection_failed",
    "{call}",
    "counter",
    "Calls that ended in GlanceConnectionFailed, by the last server that failed them.",
    ("operation", *_SERVER, "error_type"),
)
TOKEN_FAILURES = Metric(
    "glance_client_token_failures_total",
    "glance.client.token_failures",
    "{failure}",
    "counter",
    "Calls for which Keystone gave the service no token, by reason; no Glance server was at fault.",
    ("error_type",),
)
ACTIVE_ATTEMPTS = Metric(
    "glance_client_active_attempts",
    "glance.client.active_attempts",
    "{attempt}",
    "updown",
    "Attempts under way.",
    _SERVER,
    merge="livesum",
)
SERVER_STATE = Metric(
    "glance_client_server_state",
    "glance.client.server.state",
    "{server}",
    "gauge",
    "1 for the server's current state (healthy, failing, cooling or trial), else 0.",
    (*_SERVER, "state"),
    merge="livemostrecent",
)
CONSECUTIVE_FAILURES = Metric(
    "glance_client_server_consecutive_failures",
    "glance.client.server.consecutive_failures",
    "{attempt}",
    "gauge",
    "Failed attempts since the last attempt that succeeded.",
    _SERVER,
    merge="livemax",
)
LAST_SUCCESS = Metric(
    "glance_client_server_last_success_timestamp_seconds",
    "glance.client.server.last_success_timestamp",
    "s",
    "gauge",
    "Time of the last attempt that succeeded, in seconds since the epoch; 0 for never.",
    _SERVER,
    merge="max",
)
LAST_FAILURE = Metric(
    "glance_client_server_last_failure_timestamp_seconds",
    "glance.client.server.last_failure_timestamp",
    "s",
    "gauge",
    "Time of the last attempt that failed, in seconds since the epoch; 0 for never.",
    _SERVER,
    merge="max",
)
FAILING_SINCE = Metric(
    "glance_client_server_failing_since_timestamp_seconds",
    "glance.client.server.failing_since_timestamp",
    "s",
    "gauge",
    "Time of the first of the server's failures in a row, in seconds since the epoch; 0 for none.",
    _SERVER,
    merge="liveall",
)
STREAM_ERRORS = Metric(
    "glance_client_stream_errors_total",
    "glance.client.stream.errors",
    "{error}",
    "counter",
    "Streams that broke off, or whose data does not match the image's record.",
    (*_SERVER, "direction"),
)
STREAM_BYTES = Metric(
    "glance_client_stream_bytes_total",
    "glance.client.stream",
    "By",
    "counter",
    "Bytes of image data received or sent.",
    (*_SERVER, "direction"),
)
SKIPPED_RECORDS = Metric(
    "glance_client_skipped_records_total",
    "glance.client.skipped_records",
    "{record}",
    "counter",
    "Records that lists left out because a field can't be read; no server is the cause.",
    ("kind",),
)
HAZARDS = Metric(
    "glance_client_hazards_total",
    "glance.client.hazards",
    "{hazard}",
    "counter",
    "Calls of stock clients that did what their callers can't see, such as losing data, by kind.",
    ("kind",),
)
BUILD_INFO = Metric(
    "traced_image_build_info",
    "traced_image.build_info",
    "",
    "gauge",
    "1, with the version of traced-image.",
    ("version",),
    merge="livemax",
)
TELEMETRY_ERRORS = Metric(
    "traced_image_telemetry_errors_total",
    "traced_image.telemetry.errors",
    "{error}",
    "counter",
    "Failures of the telemetry itself; they never change a call's result.",
    ("kind",),
)

METRICS = (
    CALL_DURATION,
    ATTEMPT_DURATION,
    CALL_RETRIES,
    RETRIES,
    RETRY_DELAYS,
    RETRY_COST,
    SAVED_CALLS,
    CONNECTION_FAILED,
    TOKEN_FAILURES,
    ACTIVE_ATTEMPTS,
    SERVER_STATE,
    CONSECUTIVE_FAILURES,
    LAST_SUCCESS,
    LAST_FAILURE,
    FAILING_SINCE,
    STREAM_ERRORS,
    STREAM_BYTES,
    SKIPPED_RECORDS,
    HAZARDS,
    BUILD_INFO,
    TELEMETRY_ERRORS,
)

KINDS: dict[Metric, tuple[str, ...]] = {
    TELEMETRY_ERRORS: tuple(TELEMETRY_ERROR_KINDS),
    SKIPPED_RECORDS: RECORD_KINDS,
    HAZARDS: tuple(HAZARD_KINDS),
}
"""The counters by kind, with their kinds: each is at zero from the start."""
