"""Every span, attribute, event, metric, label, bucket, outcome and reason, as data.

Code, dashboards, rules, documentation and tests are checked against this. Names of their own are
under ``glance.``, since OpenTelemetry has conventions for HTTP but none for retries or for
OpenStack (semantic-conventions 1.44; issue 2355 there is open).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SCOPE = "traced_image"
"""The instrumentation scope of every span."""

# --- spans -------------------------------------------------------------------------------------

CALL_SPAN = "glance.{operation}"
"""One logical call, kind INTERNAL."""

ATTEMPT_SPAN = "glance.{operation} attempt"
"""One attempt on one server: kind INTERNAL above wire spans, kind CLIENT where there are none."""

OPERATION = "glance.operation"
OUTCOME = "glance.call.outcome"
ATTEMPTS = "glance.call.attempts"
RETRY_DELAY_TOTAL = "glance.retry.delay_total"
SERVERS_TRIED = "glance.servers.tried"
ATTEMPT_NUMBER = "glance.attempt.number"
ATTEMPT_MAXIMUM = "glance.attempt.max"
ATTEMPT_TRIAL = "glance.attempt.trial"
REQUEST_ID = "glance.request_id"

ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_REQUEST_METHOD = "http.request.method"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
HTTP_RESEND_COUNT = "http.request.resend_count"
URL_FULL = "url.full"

SECRET_KEYS = (
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
)
"""Keys of a query whose values ``url.full`` must not have, by the conventions for HTTP spans."""

RETRY_EVENT = "glance.retry.scheduled"
"""On the call's span, once for each retry."""

RETRY_DELAY = "glance.retry.delay"

# --- outcomes and reasons ----------------------------------------------------------------------

Outcome = Literal["success_first_try", "success_after_retry", "exhausted", "non_retryable"]

REASONS = frozenset(
    {
        "dns_error",
        "connection_refused",
        "connect_timeout",
        "read_timeout",
        "connection_reset",
        "network_unreachable",
        "tls_error",
        "protocol_error",
        "invalid_endpoint",
        "checksum_mismatch",
        "too_many_redirects",
        "deadline_exceeded",
        "budget_exhausted",
        "_OTHER",
    }
)
"""Why an attempt or a call failed, beside an HTTP status code as text."""

OTHER = "_OTHER"

# --- metrics -----------------------------------------------------------------------------------

_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(30.0, 60.0, 120.0, 300.0, 600.0),
)
"""The boundaries of ``http.client.request.duration``, and on to python-glanceclient's timeout."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, by its Prometheus name.

    Attributes:
        name: Its name; a counter's samples end in ``_total``.
        kind: Its type.
        help: What it tells.
        labels: Its labels.
        buckets: A histogram's upper bounds.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


CALL_DURATION = Metric(
    "glance_client_call_duration_seconds",
    "histogram",
    "Duration of calls to Glance, with all their attempts and waits.",
    ("operation", "outcome", "error_type"),
    _SECONDS,
)
ATTEMPT_DURATION = Metric(
    "glance_client_attempt_duration_seconds",
    "histogram",
    "Duration of attempts on one Glance server; error_type is empty for those that succeeded.",
    ("operation", "server_address", "server_port", "error_type"),
    _SECONDS,
)
CALL_RETRIES = Metric(
    "glance_client_call_retries",
    "histogram",
    "Retries of calls that had any.",
    ("operation",),
    (1.0, 2.0, 3.0, 4.0, 5.0),
)
RETRIES = Metric(
    "glance_client_retries_total",
    "counter",
    "Retries, by the server that failed before.",
    ("operation", "server_address", "server_port", "error_type"),
)
RETRY_DELAYS = Metric(
    "glance_client_retry_delay_seconds",
    "histogram",
    "Waits before retries.",
    ("operation",),
    _SECONDS,
)
CONNECTION_FAILED = Metric(
    "glance_client_connection_failed_total",
    "counter",
    "Calls that ended in GlanceConnectionFailed, by the last server tried.",
    ("operation", "server_address", "server_port", "error_type"),
)
TELEMETRY_ERRORS = Metric(
    "traced_image_telemetry_errors_total",
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
    TELEMETRY_ERRORS,
)
