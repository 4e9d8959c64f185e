"""The spans and events as the semantic conventions list theirs: kind, status and attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import attributes_reasons as names


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of spans or of the retry event.

    Attributes:
        name: The name.
        type: The type, in the notation of OpenTelemetry's conventions.
        description: What it says or counts, with its unit.
        examples: Some values.
    """

    name: str
    type: Literal["string", "string[]", "int", "double", "boolean"]
    description: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpanType:
    """A kind of span, or an event.

    Attributes:
        title: What the span or event is of.
        name: The name.
        kind: The kind of the span; empty for an event.
        description: What it covers: one for each of what, and from when to when.
        status: When the status is an error; empty for an event.
        events: The events, and when they happen.
        attributes: The attributes, by their names, with their requirement levels.
    """

    title: str
    name: str
    kind: str
    description: str
    status: str
    events: str
    attributes: tuple[tuple[str, str], ...]


ATTRIBUTES = (
    Attribute(names.OPERATION, "string", "what the call asks of Glance", ("images.get",)),
    Attribute(names.OUTCOME, "string", "how the call ended", ("success_after_retry", "exhausted")),
    Attribute(
        names.ATTEMPTS,
        "int",
        "the number of attempts that the call made, the first one included; 0 if no server was"
        " asked",
        ("1", "3"),
    ),
    Attribute(
        names.RETRY_DELAY_TOTAL,
        "double",
        "the sum of the waits between attempts, in seconds",
        ("0.0", "0.35"),
    ),
    Attribute(
        names.RETRY_COST_TOTAL,
        "double",
        "what retries added to the call's duration, in seconds: attempts that a retry followed, the"
        " time from the last bytes of a stream to its break, and the waits",
        ("0.0", "61.2"),
    ),
    Attribute(
        names.SERVERS_TRIED,
        "string[]",
        "`host:port` of each attempt's server, in order",
        ('["glance-1:9292", "glance-2:9292"]',),
    ),
    Attribute(
        names.SERVER_ADDRESS,
        "string",
        "the server's name or IP address; on the event, that of the server that failed",
        ("glance-1", "192.0.2.7"),
    ),
    Attribute(
        names.SERVER_PORT,
        "int",
        "the server's port; on the event, that of the server that failed",
        ("9292",),
    ),
    Attribute(
        names.ATTEMPT_NUMBER, "int", "the attempt's place among those of its call, from 1", ("1",)
    ),
    Attribute(
        names.ATTEMPT_MAXIMUM,
        "int",
        "the number that the call's last attempt would have if all from now on failed: 1 +"
        " `num_retries`; after a stream broke, the attempts before that are added",
        ("4",),
    ),
    Attribute(
        names.ATTEMPT_TRIAL,
        "boolean",
        "whether the server is on trial after its cool-down",
        ("false",),
    ),
    Attribute(
        names.ATTEMPT_VERDICT,
        "string",
        "what the attempt says about its server",
        ("failed", "refused", "cancelled"),
    ),
    Attribute(
        names.REQUEST_ID,
        "string",
        "the server's `X-OpenStack-Request-ID`",
        ("req-8f3c1a52-0000-4000-8000-000000000001",),
    ),
    Attribute(
        names.STREAM_SIZE,
        "int",
        "the image data that this server sent, in bytes",
        ("16300544",),
    ),
    Attribute(
        names.STREAM_COMPLETE,
        "boolean",
        "whether the data came to its end; false if the stream broke or its reader stopped",
        ("true",),
    ),
    Attribute(names.ERROR_TYPE, "string", "the [reason](#reasons)", ("connection_refused", "503")),
    Attribute(
        names.RETRY_DELAY, "double", "the wait before the next attempt, in seconds", ("0.1",)
    ),
    Attribute(
        names.RETRY_NEXT_SERVER,
        "string",
        "`host:port` of the server that the next attempt asks",
        ("glance-2:9292",),
    ),
    Attribute(
        names.HAZARD_KIND,
        "string",
        "[what the client did](#hazards) and its caller does not see",
        ("upload_truncated",),
    ),
    Attribute(names.HTTP_REQUEST_METHOD, "string", "as in the conventions", ("GET",)),
    Attribute(
        names.URL_FULL,
        "string",
        "as in the conventions, without secrets",
        ("http://glance-1:9292/v2/images",),
    ),
    Attribute(names.HTTP_RESPONSE_STATUS_CODE, "int", "as in the conventions", ("200",)),
    Attribute(
        names.HTTP_RESEND_COUNT,
        "int",
        "how often the call had sent this request before, to any server",
        ("1",),
    ),
    Attribute(
        names.NETWORK_PEER_ADDRESS, "string", "the address that was connected to", ("192.0.2.7",)
    ),
    Attribute(names.NETWORK_PEER_PORT, "int", "the port that was connected to", ("9292",)),
    Attribute(names.NETWORK_PROTOCOL_VERSION, "string", "the reply's version of HTTP", ("1.1",)),
    Attribute(
        names.USER_AGENT_ORIGINAL,
        "string",
        "the `User-Agent` that was sent",
        ("traced-image/0.1.0",),
    ),
)

_REQUIRED = "Required"
_RECOMMENDED = "Recommended"


def _if(condition: str) -> str:
    return f"Conditionally Required: {condition}"


_FAILED = _if("if it is an error")
_SERVER = (
    (names.SERVER_ADDRESS, _if("if the server is known")),
    (names.SERVER_PORT, _if("if the server is known")),
)
_NO_WIRE = _if("if `wire_spans=False`")

SPAN_TYPES = (
    SpanType(
        "Call",
        names.CALL_SPAN,
        "INTERNAL",
        "One for each call. It covers all attempts and waits. With `download(data=…)` and"
        " `download(dst_path=…)` it also covers the transfer, with attempts on other servers after"
        " a stream broke. A `Download` to iterate over is returned, and its call ended, when the"
        " first bytes are there; with `download_rest`, when the head of the reply is there.",
        "An error if the call failed, also by a refusal. Unset if it recovered, and if its caller"
        " cancelled it.",
        f"`{names.RETRY_EVENT}` for each retry; `{names.HAZARD_EVENT}` for each hazard of a stock"
        " client",
        (
            (names.OPERATION, _REQUIRED),
            (names.OUTCOME, _REQUIRED),
            (names.ATTEMPTS, _REQUIRED),
            (names.SERVERS_TRIED, _REQUIRED),
            (names.RETRY_DELAY_TOTAL, _REQUIRED),
            (names.RETRY_COST_TOTAL, _REQUIRED),
            (names.ERROR_TYPE, _FAILED),
        ),
    ),
    SpanType(
        "Retry",
        names.RETRY_EVENT,
        "",
        "An event of a call's span, when a retry is decided.",
        "",
        "",
        (
            *_SERVER,
            (names.ERROR_TYPE, _REQUIRED),
            (names.RETRY_DELAY, _REQUIRED),
            (names.RETRY_NEXT_SERVER, _if("if the next server is known")),
        ),
    ),
    SpanType(
        "Hazard",
        names.HAZARD_EVENT,
        "",
        "An event of a stock client's call or stream, when the client does what its caller does not"
        " see. The server is that of the last attempt.",
        "",
        "",
        ((names.HAZARD_KIND, _REQUIRED), *_SERVER),
    ),
    SpanType(
        "Attempt",
        names.ATTEMPT_SPAN,
        "INTERNAL; CLIENT if `wire_spans=False`",
        "One for each attempt on one server, below its call. That of a download ends with the head"
        " of the data's reply.",
        "An error if the attempt failed or was refused, also if the call recovers. Unset if its"
        " caller cancelled it.",
        "none",
        (
            (names.OPERATION, _REQUIRED),
            *_SERVER,
            (names.ATTEMPT_NUMBER, _REQUIRED),
            (names.ATTEMPT_MAXIMUM, _if("if the number is known")),
            (names.ATTEMPT_TRIAL, _REQUIRED),
            (names.ATTEMPT_VERDICT, _if("if it is not `success`")),
            (names.REQUEST_ID, _if("if the server sent one")),
            (names.ERROR_TYPE, _FAILED),
            (names.HTTP_REQUEST_METHOD, _NO_WIRE),
            (names.URL_FULL, _NO_WIRE),
            (names.HTTP_RESPONSE_STATUS_CODE, f"{_NO_WIRE}, and if a reply came"),
            (names.HTTP_RESEND_COUNT, f"{_NO_WIRE}, from the second attempt on"),
        ),
    ),
    SpanType(
        "Stream",
        names.STREAM_SPAN,
        "INTERNAL",
        "One for each server that sent a part of a download, below the call. It starts with the"
        " head of the reply, and ends when the data has come, when it breaks off, or when its"
        " reader closes or drops it. It is never the current span of its reader.",
        "An error if the stream broke, or the data is not that of the image's record.",
        f"`{names.HAZARD_EVENT}` if a stock client's download broke",
        (
            (names.OPERATION, _REQUIRED),
            *_SERVER,
            (names.STREAM_SIZE, _REQUIRED),
            (names.STREAM_COMPLETE, _REQUIRED),
            (names.ERROR_TYPE, _FAILED),
        ),
    ),
    SpanType(
        "Request",
        "{method}",
        "CLIENT",
        "One for each HTTP request, below its attempt, by the stable HTTP conventions. It ends with"
        " the head of the reply.",
        "An error if no reply came, or one with a status of 400 or more.",
        "none",
        (
            (names.HTTP_REQUEST_METHOD, _REQUIRED),
            (names.SERVER_ADDRESS, _REQUIRED),
            (names.SERVER_PORT, _REQUIRED),
            (names.URL_FULL, _REQUIRED),
            (names.ERROR_TYPE, _FAILED),
            (names.HTTP_RESPONSE_STATUS_CODE, _if("if a reply came")),
            (names.HTTP_RESEND_COUNT, _if("if it was sent before")),
            (names.NETWORK_PEER_ADDRESS, _RECOMMENDED),
            (names.NETWORK_PEER_PORT, _RECOMMENDED),
            (names.NETWORK_PROTOCOL_VERSION, _RECOMMENDED),
            (names.USER_AGENT_ORIGINAL, "Opt-In in the conventions; always here"),
        ),
    ),
)
"""All spans, and the events of a call's span, in the order in which they happen."""
