"""Every span, attribute, event, metric, label, bucket, outcome, reason and log field, as data.

Code, dashboards, rules, documentation and tests are checked against this. Names of their own are
under ``glance.``, since OpenTelemetry has conventions for HTTP but none for retries or for
OpenStack (semantic-conventions 1.44; issue 2355 there is open).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SCOPE = "traced_image"
"""The instrumentation scope of every span and metric."""

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions whose names are used."""

# --- operations --------------------------------------------------------------------------------

OPERATIONS = frozenset(
    f"images.{method}"
    for method in (
        *("get", "list", "create", "update", "delete", "data", "upload"),
        *("deactivate", "reactivate", "image_import"),
        *("add_location", "add_image_location", "delete_locations"),
    )
) | {
    *(f"image_members.{method}" for method in ("list", "get", "create", "update", "delete")),
    *("image_tags.update", "image_tags.delete", "schemas.get"),
}
"""What a call may be: controller and method, as python-glanceclient names them."""

OTHER = "_OTHER"
"""Stands for an operation, a server or a reason that is not of its closed set."""

# --- spans -------------------------------------------------------------------------------------

CALL_SPAN = "glance.{operation}"
ATTEMPT_SPAN = "glance.{operation} attempt"
STREAM_SPAN = "glance.{operation} stream"

OPERATION = "glance.operation"
OUTCOME = "glance.call.outcome"
ATTEMPTS = "glance.call.attempts"
RETRY_DELAY_TOTAL = "glance.retry.delay_total"
SERVERS_TRIED = "glance.servers.tried"
ATTEMPT_NUMBER = "glance.attempt.number"
ATTEMPT_MAXIMUM = "glance.attempt.max"
ATTEMPT_TRIAL = "glance.attempt.trial"
REQUEST_ID = "glance.request_id"
STREAM_SIZE = "glance.stream.size"
STREAM_COMPLETE = "glance.stream.complete"
RETRY_EVENT = "glance.retry.scheduled"
RETRY_DELAY = "glance.retry.delay"

ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_REQUEST_METHOD = "http.request.method"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
HTTP_RESEND_COUNT = "http.request.resend_count"
URL_FULL = "url.full"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of spans or of the retry event.

    Attributes:
        name: Its name.
        type: Its type, as OpenTelemetry's conventions write it.
        on: What has it; ``attempt?`` has it where there are no wire spans.
        help: What it tells.
    """

    name: str
    type: Literal["string", "string[]", "int", "double", "boolean"]
    on: tuple[str, ...]
    help: str


ATTRIBUTES = (
    Attribute(OPERATION, "string", ("call", "attempt", "stream"), "what was asked for"),
    Attribute(OUTCOME, "string", ("call",), "how it ended"),
    Attribute(ATTEMPTS, "int", ("call",), "how many attempts it took"),
    Attribute(RETRY_DELAY_TOTAL, "double", ("call",), "seconds waited between attempts"),
    Attribute(SERVERS_TRIED, "string[]", ("call",), "`host:port` of each attempt"),
    Attribute(SERVER_ADDRESS, "string", ("attempt", "stream", "wire"), "the server's host"),
    Attribute(SERVER_PORT, "int", ("attempt", "stream", "wire"), "the server's port"),
    Attribute(ATTEMPT_NUMBER, "int", ("attempt",), "1 for the first"),
    Attribute(ATTEMPT_MAXIMUM, "int", ("attempt",), "how many there may be"),
    Attribute(ATTEMPT_TRIAL, "boolean", ("attempt",), "whether the server is on trial"),
    Attribute(REQUEST_ID, "string", ("attempt",), "the server's `X-OpenStack-Request-ID`"),
    Attribute(STREAM_SIZE, "int", ("stream",), "bytes that came"),
    Attribute(STREAM_COMPLETE, "boolean", ("stream",), "false for one that was given up"),
    Attribute(ERROR_TYPE, "string", ("call", "attempt", "stream", "wire", "event"), "the reason"),
    Attribute(RETRY_DELAY, "double", ("event",), "seconds until the next attempt"),
    Attribute(HTTP_REQUEST_METHOD, "string", ("wire", "attempt?"), "as in the conventions"),
    Attribute(URL_FULL, "string", ("wire", "attempt?"), "without secrets"),
    Attribute(HTTP_RESPONSE_STATUS_CODE, "int", ("wire", "attempt?"), "as in the conventions"),
    Attribute(HTTP_RESEND_COUNT, "int", ("wire", "attempt?"), "how often it was sent before"),
)

SECRET_KEYS = tuple(
    "X-Amz-Signature X-Amz-Credential X-Amz-Security-Token AWSAccessKeyId Signature sig"
    " X-Goog-Signature".split()
)
"""Keys of a query whose values ``url.full`` must not have, by the conventions for HTTP spans."""

# --- outcomes and reasons ----------------------------------------------------------------------

Outcome = Literal["success_first_try", "success_after_retry", "exhausted", "non_retryable"]

OUTCOMES: dict[Outcome, str] = {
    "success_first_try": "the first attempt succeeded",
    "success_after_retry": "a later attempt succeeded: retries hid a failure",
    "exhausted": "the call gave up on the servers: `GlanceConnectionFailed`",
    "non_retryable": "it failed in a way that no other server would mend",
}

REASONS: dict[str, str] = {
    "dns_error": "the server's name does not resolve",
    "connection_refused": "nothing listens there",
    "connect_timeout": "no connection in time",
    "network_unreachable": "no way there",
    "tls_error": "TLS could not be set up, or broke",
    "read_timeout": "no answer in time",
    "connection_reset": "the connection was closed without a whole answer",
    "protocol_error": "the answer is not what it claims to be",
    "invalid_endpoint": "the address, or what it redirects to, is unusable",
    "too_many_redirects": "the server redirects in a circle",
    "checksum_mismatch": "the data is not that of the image's record",
    "deadline_exceeded": "the call's deadline passed",
    "budget_exhausted": "the process has retried enough for now",
    OTHER: "anything else",
}
"""Why an attempt or a call failed, beside an HTTP status code as text, with what each means."""

KNOWN_REASONS = frozenset(REASONS) | {str(status) for status in range(400, 600)}

State = Literal["healthy", "cooling", "trial"]
STATES: dict[State, str] = {
    "healthy": "nothing speaks against it",
    "cooling": "it failed, and the others go first",
    "trial": "one attempt tries it after its cool-down",
}

Direction = Literal["download", "upload"]
DIRECTIONS: tuple[Direction, ...] = ("download", "upload")

Trouble = Literal["spans", "metrics", "logs", "wire"]
TROUBLES: dict[Trouble, str] = {
    "spans": "a span processor, sampler or exporter",
    "metrics": "a registry or a meter",
    "logs": "a logging handler",
    "wire": "the instrumentation of requests, or a hook",
}
"""Where telemetry itself may fail."""

LOG_FIELDS = {
    "operation": "as in the metrics",
    "server_address": "the server that failed",
    "server_port": "its port",
    "error_type": "the reason",
    "request_id": "the server's `X-OpenStack-Request-ID`, if it answered",
    "trace_id": "the attempt's trace, in hex digits",
    "span_id": "the attempt's or the stream's span, in hex digits",
    "attempt": "the attempt's number",
    "attempts_max": "how many there may be",
    "retry_delay": "seconds until the next attempt; None after the last",
    "attempts": "on the line of a call that gave up: how many attempts it made",
}
"""The fields of a log record beside the standard library's."""

# --- metrics -----------------------------------------------------------------------------------

LABELS = {
    "operation": "operation",
    "outcome": "outcome",
    "error_type": "error.type",
    "server_address": "server.address",
    "server_port": "server.port",
    "state": "state",
    "direction": "direction",
    "version": "version",
    "kind": "kind",
}
"""The labels, with the attributes that stand for them in OpenTelemetry's metrics."""

_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(30.0, 60.0, 120.0, 300.0, 600.0),
)
"""The boundaries of ``http.client.request.duration``, and on to python-glanceclient's timeout."""

_SERVER = ("server_address", "server_port")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, by its Prometheus name.

    Attributes:
        name: Its name; a counter's samples end in ``_total``.
        otel: Its name and unit in OpenTelemetry, which Prometheus translates to `name`.
        unit: Its unit, by UCUM.
        kind: Its type; an ``updown`` is a gauge that is only ever added to.
        help: What it tells.
        labels: Its labels.
        buckets: A histogram's upper bounds.
        merge: What a gauge of several processes is (prometheus_client's multiprocess mode).
    """

    name: str
    otel: str
    unit: str
    kind: Literal["counter", "gauge", "updown", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Literal["all", "livesum", "livemax", "livemostrecent", "max"] = "all"


CALL_DURATION = Metric(
    "glance_client_call_duration_seconds",
    "glance.client.call.duration",
    "s",
    "histogram",
    "Duration of calls to Glance, with all their attempts and waits.",
    ("operation", "outcome", "error_type"),
    _SECONDS,
)
ATTEMPT_DURATION = Metric(
    "glance_client_attempt_duration_seconds",
    "glance.client.attempt.duration",
    "s",
    "histogram",
    "Duration of attempts on one Glance server; error_type is empty for those that succeeded.",
    ("operation", *_SERVER, "error_type"),
    _SECONDS,
)
CALL_RETRIES = Metric(
    "glance_client_call_retries",
    "glance.client.call.retries",
    "{retry}",
    "histogram",
    "Retries of calls that had any.",
    ("operation",),
    (1.0, 2.0, 3.0, 4.0, 5.0),
)
RETRIES = Metric(
    "glance_client_retries_total",
    "glance.client.retries",
    "{retry}",
    "counter",
    "Retries, by the server that failed before.",
    ("operation", *_SERVER, "error_type"),
)
RETRY_DELAYS = Metric(
    "glance_client_retry_delay_seconds",
    "glance.client.retry_delay",
    "s",
    "histogram",
    "Waits before retries.",
    ("operation",),
    _SECONDS,
)
CONNECTION_FAILED = Metric(
    "glance_client_connection_failed_total",
    "glance.client.connection_failed",
    "{call}",
    "counter",
    "Calls that ended in GlanceConnectionFailed, by the last server tried.",
    ("operation", *_SERVER, "error_type"),
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
    "1 for the state that the server is in, 0 for the others.",
    (*_SERVER, "state"),
    merge="livemostrecent",
)
CONSECUTIVE_FAILURES = Metric(
    "glance_client_server_consecutive_failures",
    "glance.client.server.consecutive_failures",
    "{attempt}",
    "gauge",
    "Failed attempts since the last one that succeeded.",
    _SERVER,
    merge="livemax",
)
LAST_SUCCESS = Metric(
    "glance_client_server_last_success_timestamp_seconds",
    "glance.client.server.last_success_timestamp",
    "s",
    "gauge",
    "When an attempt last succeeded, in seconds since the epoch; 0 for never.",
    _SERVER,
    merge="max",
)
LAST_FAILURE = Metric(
    "glance_client_server_last_failure_timestamp_seconds",
    "glance.client.server.last_failure_timestamp",
    "s",
    "gauge",
    "When an attempt last failed, in seconds since the epoch; 0 for never.",
    _SERVER,
    merge="max",
)
STREAM_ERRORS = Metric(
    "glance_client_stream_errors_total",
    "glance.client.stream.errors",
    "{error}",
    "counter",
    "Image data that broke off, or was not what its record says.",
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
    "Failures of the telemetry itself, none of which changed a call's result.",
    ("kind",),
)

METRICS = (
    CALL_DURATION,
    ATTEMPT_DURATION,
    CALL_RETRIES,
    RETRIES,
    RETRY_DELAYS,
    CONNECTION_FAILED,
    ACTIVE_ATTEMPTS,
    SERVER_STATE,
    CONSECUTIVE_FAILURES,
    LAST_SUCCESS,
    LAST_FAILURE,
    STREAM_ERRORS,
    STREAM_BYTES,
    BUILD_INFO,
    TELEMETRY_ERRORS,
)
