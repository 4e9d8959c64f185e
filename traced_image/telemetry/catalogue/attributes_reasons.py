"""The words of spans, attributes, outcomes, reasons, states and log fields."""

from __future__ import annotations

from typing import Literal

SCOPE = "traced_image"
"""The instrumentation scope of every span and metric."""

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that the names follow."""

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
    *(
        f"images.{method}"
        for method in (
            *("stage", "update_location", "delete_from_store", "get_associated_image_tasks"),
            *("get_image_locations", "get_import_info", "get_stores_info"),
            "get_stores_info_detail",
        )
    ),
    *(f"tasks.{method}" for method in ("list", "get", "create")),
    *(f"cache.{method}" for method in ("list", "list_cached_nodes", "queue", "delete")),
    *("cache.clear", "cache.clean", "cache.prune", "info.get_usage", "versions.list"),
    *(f"metadefs_namespace.{method}" for method in ("list", "get", "create", "update", "delete")),
    *(f"metadefs_resource_type.{method}" for method in ("list", "get")),
    *("metadefs_resource_type.associate", "metadefs_resource_type.deassociate"),
    *(
        f"metadefs_{kind}.{method}"
        for kind in ("property", "object", "tag")
        for method in ("list", "get", "create", "update", "delete", "delete_all")
    ),
    *("metadefs_tag.create_multiple", "images.rbd_download"),
}
"""The operations of calls: controller and method, as in python-glanceclient.

Nova's ``rbd_download`` copies an image's data from Ceph, and asks no server of Glance."""

OTHER = "_OTHER"
"""Stands for an operation, a server or a reason outside its closed set."""

# --- spans -------------------------------------------------------------------------------------

CALL_SPAN = "glance.{operation}"
ATTEMPT_SPAN = "glance.{operation} attempt"
STREAM_SPAN = "glance.{operation} stream"

OPERATION = "glance.operation"
OUTCOME = "glance.call.outcome"
ATTEMPTS = "glance.call.attempts"
RETRY_DELAY_TOTAL = "glance.retry.delay_total"
RETRY_COST_TOTAL = "glance.retry.cost_total"
SERVERS_TRIED = "glance.servers.tried"
ATTEMPT_NUMBER = "glance.attempt.number"
ATTEMPT_MAXIMUM = "glance.attempt.max"
ATTEMPT_TRIAL = "glance.attempt.trial"
ATTEMPT_VERDICT = "glance.attempt.verdict"
REQUEST_ID = "glance.request_id"
STREAM_SIZE = "glance.stream.size"
STREAM_COMPLETE = "glance.stream.complete"
RETRY_EVENT = "glance.retry.scheduled"
RETRY_DELAY = "glance.retry.delay"
RETRY_NEXT_SERVER = "glance.retry.next_server"
HAZARD_EVENT = "glance.hazard"
HAZARD_KIND = "glance.hazard.kind"

ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_REQUEST_METHOD = "http.request.method"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
HTTP_RESEND_COUNT = "http.request.resend_count"
URL_FULL = "url.full"
NETWORK_PEER_ADDRESS = "network.peer.address"
NETWORK_PEER_PORT = "network.peer.port"
NETWORK_PROTOCOL_VERSION = "network.protocol.version"
USER_AGENT_ORIGINAL = "user_agent.original"

# --- outcomes and reasons ----------------------------------------------------------------------

Outcome = Literal[
    "success_first_try",
    "success_after_retry",
    "refused",
    "cancelled",
    "exhausted",
    "non_retryable",
]

OUTCOMES: dict[Outcome, str] = {
    "success_first_try": "the first attempt succeeded",
    "success_after_retry": "a later attempt succeeded: retries hid a failure",
    "refused": "a healthy server refused the request as any would, such as by 404, or the caller"
    " may not see the image, or it has no data, or an EC2 id is unknown: no failure",
    "cancelled": "its caller ended it: by an interrupt, a time limit, a file that can't be read or"
    " written, or an argument that can't be used: no failure",
    "exhausted": "no attempt succeeded, and the call gave up: `GlanceConnectionFailed`",
    "non_retryable": "the call failed in a way that no other server would change",
}

FAILED_OUTCOMES: tuple[Outcome, ...] = ("exhausted", "non_retryable")
"""The outcomes of calls that failed, and that neither their callers nor their requests caused."""

VerdictLabel = Literal["success", "refused", "failed", "cancelled"]
VERDICTS: dict[VerdictLabel, str] = {
    "success": "the server answered as it should",
    "refused": "the server refused the request as any would, such as by 404: no failure",
    "failed": "the server, or the way to it, failed",
    "cancelled": "the caller ended the attempt, or its deadline left the attempt too little time;"
    " only spans have this value, and metrics do not count the attempt",
}
"""What an attempt says about its server; the retry policy decides it."""

REASONS: dict[str, str] = {
    "dns_error": "the server's name does not resolve",
    "connection_refused": "nothing listens on the server's port",
    "connect_timeout": "no connection in time",
    "network_unreachable": "no route to the server",
    "tls_error": "the TLS handshake failed, or TLS broke later",
    "proxy_error": "the proxy in front of the server refused or could not connect",
    "read_timeout": "no reply in time",
    "connection_reset": "the connection closed before the reply was complete",
    "protocol_error": "the reply is not valid, or not what its headers say",
    "invalid_endpoint": "the server's address, or the address it redirects to, is not usable; or"
    " the service found no server to ask",
    "too_many_redirects": "the server redirects in a loop",
    "checksum_mismatch": "the data does not match the checksum of the image's record",
    "deadline_exceeded": "the call's deadline passed",
    "budget_exhausted": "the process's retry budget is empty",
    "token_unavailable": "Keystone gave the service no token; no server was asked",
    OTHER: "any other reason",
}
"""Why an attempt or a call failed, and what each reason means; HTTP statuses are reasons too."""

STATUSES = frozenset(
    {*range(400, 418), *range(421, 427), 428, 429, 431, 451, *range(500, 509), 510, 511}
)
"""The statuses of errors in IANA's registry of HTTP's (2026-11); each is a reason of its own."""

KNOWN_REASONS = frozenset(REASONS) | {"4xx", "5xx"} | {str(status) for status in STATUSES}
"""All reasons; ``4xx`` and ``5xx`` stand for the statuses that nobody has registered."""


def close_reason(reason: str) -> str:
    """Return a reason of the closed set: an unregistered status by its class, else ``_OTHER``."""
    if not reason or reason in KNOWN_REASONS:
        return reason
    status = reason.isascii() and reason.isdecimal() and len(reason) == len("4xx")
    by_class = f"{reason[0]}xx" if status else OTHER
    return by_class if by_class in KNOWN_REASONS else OTHER


StateLabel = Literal["healthy", "failing", "cooling", "trial"]
STATES: dict[StateLabel, str] = {
    "healthy": "no recent failure counts against the server",
    "failing": "the last attempt failed, and the server stays in turn: the policy has no cool-down,"
    " or the failure, such as a 500, may concern one image",
    "cooling": "the server failed, and other servers are tried first",
    "trial": "one attempt tests the server after its cool-down",
}

Direction = Literal["download", "upload"]
DIRECTIONS: tuple[Direction, ...] = ("download", "upload")

RecordKind = Literal["image", "member"]
RECORD_KINDS: tuple[RecordKind, ...] = ("image", "member")
"""The kinds of records that lists have."""

HazardKind = Literal[
    "upload_truncated",
    "create_repeated",
    "delete_not_found",
    "list_restarted",
    "download_broken",
    "error_swallowed",
    "server_unnamed",
]
HAZARD_KINDS: dict[HazardKind, str] = {
    "upload_truncated": "a retry of an upload sent fewer bytes than an attempt before it, and the"
    " call succeeded: the image may lack data",
    "create_repeated": "an image was created again after an attempt that may have created it: one"
    " of the two may be left over",
    "delete_not_found": "a retry of a deletion got 404 after an attempt that may have deleted the"
    " image: the caller is told that the image does not exist",
    "list_restarted": "a list that broke after its first page was fetched again from the start",
    "download_broken": "a download broke off, or its checksum differs, after its call had"
    " succeeded: no retry followed",
    "error_swallowed": "the call returned nothing, although Glance had answered with an error",
    "server_unnamed": "the call gave up with an exception that does not name the failed server",
}
"""What stock clients do with a call and its caller does not see."""

TelemetryErrorKind = Literal["spans", "metrics", "logs", "wire", "hooks", "instrumentation"]
TELEMETRY_ERROR_KINDS: dict[TelemetryErrorKind, str] = {
    "spans": "a span processor, sampler or exporter",
    "metrics": "a registry or a meter",
    "logs": "a logging handler",
    "wire": "the span of an HTTP request, or the headers that name it to the server",
    "hooks": "a request_hook or response_hook of the application",
    "instrumentation": "the code of another client library is not as expected",
}
"""The parts of telemetry that may fail."""

LOG_FIELDS = {
    "operation": "as in the metrics",
    "server_address": "the server that failed; None if none is at fault",
    "server_port": "its port; None if no server is at fault",
    "error_type": "the reason",
    "request_id": "the server's `X-OpenStack-Request-ID`, if the server answered",
    "trace_id": "the attempt's trace, in hex digits",
    "span_id": "the attempt's or the stream's span, in hex digits",
    "attempt": "the attempt's number",
    "attempts_max": "how many attempts the call may make",
    "retry_delay": "seconds until the next attempt; None after the last",
    "attempts": "how many attempts a call made before it gave up",
}
"""The fields that log records have in addition to the standard library's."""
