"""The words of spans, attributes, outcomes, reasons, states and log fields."""

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
    *("image_tags.update", "image_tags.delete", "schemas.get", "probe"),
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

# --- outcomes and reasons ----------------------------------------------------------------------

Outcome = Literal["success_first_try", "success_after_retry", "exhausted", "non_retryable"]

OUTCOMES: dict[Outcome, str] = {
    "success_first_try": "the first attempt succeeded",
    "success_after_retry": "a later attempt succeeded: retries hid a failure",
    "exhausted": "the call gave up on the servers: `GlanceConnectionFailed`",
    "non_retryable": "it failed in a way that another server would not change",
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

REFUSED = "4xx"
"""Stands for each of `REFUSALS` in metrics whose `detail` drops the reason."""

REFUSALS = frozenset({REFUSED, *map(str, range(400, 500))} - {"429"})
"""By which a server that is well refuses something to its caller; 429 says that it is not well."""

StateLabel = Literal["healthy", "cooling", "trial"]
STATES: dict[StateLabel, str] = {
    "healthy": "nothing speaks against it",
    "cooling": "it failed, and the others go first",
    "trial": "one attempt tries it after its cool-down",
}

Direction = Literal["download", "upload"]
DIRECTIONS: tuple[Direction, ...] = ("download", "upload")

TelemetryErrorKind = Literal["spans", "metrics", "logs", "wire"]
TELEMETRY_ERROR_KINDS: dict[TelemetryErrorKind, str] = {
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
