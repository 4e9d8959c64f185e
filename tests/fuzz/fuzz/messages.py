"""Targets: what servers, other tools and people write: replies, records, traces, secrets."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
from hypothesis import strategies as st

from traced_image import Server, Telemetry, connect, errors, lab
from traced_image.cli.output import make_printable
from traced_image.diagnosis import answer, exporter, findings, trace
from traced_image.diagnosis.exporter_report import ProcessSaw
from traced_image.exporter.web.auth import read_credentials
from traced_image.pipeline.api import nova_image_dict, records, v1
from traced_image.pipeline.api.operation import Reply
from traced_image.pipeline.http import reply_parser
from traced_image.reasons import MalformedReplyError
from traced_image.redact import hide_in_text, hide_in_url

from .config import check_message, refused_as
from .engine import Target
from .strategies import change_bytes, change_json, change_text, json_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from traced_image.diagnosis.observations import Observations

SERVER = Server.parse("glance-1")

RECORD = {
    "id": "8f3c1a52-0000-4000-8000-000000000001", "name": "cirros", "status": "active",
    "visibility": "public", "protected": True, "os_hidden": False, "checksum": "0" * 32,
    "os_hash_algo": "sha512", "os_hash_value": "0" * 128, "owner": "p", "size": 2**40,
    "virtual_size": None, "container_format": "bare", "disk_format": "raw", "tags": ["a"],
    "created_at": "2026-11-23T10:00:00Z", "updated_at": "2026-11-23T10:00:00.5+01:00",
    "min_ram": 1, "min_disk": 2, "file": "/v2/images/x/file", "direct_url": "rbd://x",
    "locations": [{"url": "rbd://x", "metadata": {}}], "mappings": '[{"device": "vda"}]',
}  # fmt: skip
PAGE = {"images": [RECORD, RECORD], "next": "/v2/images?marker=x", "first": "/v2/images"}

HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Openstack-Request-Id: req-1\r\n",
    b"HTTP/1.1 206 Partial\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 1-2/3\r\n",
    b"HTTP/1.0 301 Moved\r\nLocation: http://glance-2/v2\r\nConnection: close\r\n",
)
HEAD_WORDS = (
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Location: /\r\n", b"X: y\r\n"),
    *(b"HTTP/1.0 204 ", b"\r\n fold", b"\r", b": ", b", 5", b"+5", b"0x5", b"close, keep-alive"),
    *(b"Retry-After: 9e9\r\n", b"HTTP/1.1 503 ", b"HTTP/1.1 413 ", b"Content-Encoding: gzip\r\n"),
)

HEADERS = {
    "x-image-meta-id": "x", "x-image-meta-size": "5", "x-image-meta-is_public": "True",
    "x-image-meta-created_at": "2026-11-23T10:00:00", "x-image-meta-property-a": "b",
    "x-image-meta-deleted": "False", "x-image-meta-min_ram": "1", "x-image-meta-name": "\xc3\xa9",
}  # fmt: skip

FAULTS = (
    "status(503, retry_after=2).only(method='PUT').after_effect()",
    "flapping(refuse(), None, reset()) | delay(0.1).times(3)",
    "cut_body(after=5, then='reset').during(1, 2, every=3).per_client().with_probability(0.5)",
)


def make_targets() -> list[Target]:
    """Return the targets."""
    reports = change_json(*_reports(), keys=("servers", "latest_calls", "minutes", "keystone"))
    names = [*HEADERS, "x-image-meta-protected", "x-image-meta-property-", "X-IMAGE-META-"]
    headers = st.dictionaries(
        st.sampled_from(names) | st.text(max_size=9), change_text("5", "True")
    )
    return [
        Target("reply-heads", change_bytes(*HEADS, words=HEAD_WORDS), check_head, 400),
        Target("chunk-sizes", change_bytes(b"1f;name=value", b"0", b"A:\r\n"), check_chunk, 400),
        Target("v1-headers", headers.map(lambda odd: {**HEADERS, **odd}), check_headers, 400),
        Target("v1-bodies", change_json(PAGE, {"image": RECORD}, RECORD), check_v1_body),
        Target("v2-bodies", change_json(PAGE, RECORD), check_v2_body),
        Target("images-to-send", _images(), check_image),
        Target("trace-files", _traces(), check_trace, 100),
        Target("exporter-reports", reports, check_report, 100),
        Target("credentials", change_bytes(b"Basic YWxpY2U6cA==", b"basic Og=="), check_login, 400),
        Target("fault-texts", change_text(*FAULTS, words=("**", "flapping(", ")|(")), check_fault),
        Target("secrets-in-text", _secrets(), check_secret),
    ]


_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def check_head(data: bytes) -> None:
    """A head is refused, or h11 reads the same status, names and kind of body in it."""
    with suppress(MalformedReplyError):
        reply_parser.check_unfinished(data)
    try:
        head = reply_parser.parse_head(data)
        length = reply_parser.find_length("GET", head)
    except MalformedReplyError:
        return
    reply_parser.stays_open(head)
    if head.status < HTTPStatus.OK or b"\r\n\r\n" in data:
        return
    other = h11.Connection(h11.CLIENT)
    other.send(h11.Request(method="GET", target="/", headers=[("Host", "glance")]))
    other.send(h11.EndOfMessage())
    other.receive_data(data + b"\r\n")
    try:
        event = other.next_event()
    except h11.RemoteProtocolError:
        # h11 reads the coding of a reply that has no body whatever it says.
        assert head.status in _BODILESS, "h11 refuses it"
        assert "transfer-encoding" in head.headers, "h11 refuses it"
        return
    assert isinstance(event, h11.Response), event
    names = {name.decode() for name, _ in event.headers}
    assert (head.status, set(head.headers)) == (event.status_code, names)
    assert (length == 0) == isinstance(other.next_event(), h11.EndOfMessage)


def check_chunk(data: bytes) -> None:
    """The line of a chunk, or a trailer, is understood or refused."""
    for read in (reply_parser.parse_chunk_size, reply_parser.check_trailers):
        with suppress(MalformedReplyError):
            read(data)


def check_headers(headers: dict[str, str]) -> None:
    """Headers are a record, which is an image or is refused."""
    with refused_as(errors.InvalidImageRecord):
        nova_image_dict.from_v1(v1.read_image_headers(headers))


def check_v1_body(body: bytes) -> None:
    """A body of API v1 is a page or an image, or is refused."""
    reply = Reply(200, {}, body, SERVER, None, None)
    with refused_as(errors.ProtocolError, errors.InvalidImageRecord):
        for record in records.read_page(reply).images:
            nova_image_dict.from_v1(record)
    with refused_as(errors.ProtocolError, errors.InvalidImageRecord):
        found = records.parse_object(reply)
        nova_image_dict.from_v1(records.check_image(found.get("image"), reply.origin))


def check_v2_body(body: bytes) -> None:
    """A body of API v2 is a page or an image, or is refused."""
    reply = Reply(200, {}, body, SERVER, None, None)
    with refused_as(errors.ProtocolError, errors.InvalidImageRecord):
        for record in records.read_page(reply).images:
            nova_image_dict.from_v2(record, include_locations=True)
    with refused_as(errors.ProtocolError, errors.InvalidImageRecord):
        nova_image_dict.from_v2(records.parse_image(reply))


def _images() -> st.SearchStrategy[Any]:
    names = ["name", "min_ram", "is_public", "size", "properties", "visibility", "id", "tags"]
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=4), json_values(names))


def check_image(image: dict[str, Any]) -> None:
    """An image of nova's can be sent by each API, or is refused."""
    with refused_as(errors.InvalidArgument):
        headers = v1.make_image_headers(nova_image_dict.to_v1(image))
        text = "".join([*headers, *headers.values()])
        assert not set("\r\n\0") & set(text), text
    with refused_as(errors.InvalidArgument):
        records.encode_json(nova_image_dict.to_v2(image), "image")


@cache
def _traced() -> tuple[str, ...]:
    """The spans of some calls that failed at first, as the SDK's console writes them."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    telemetry = Telemetry(tracer_provider=provider, registry=False, meter_provider=False)
    with lab.GlanceServer() as server:
        image_id = server.images.add(name="cirros", data=b"...")
        server.break_with(lab.faults.flapping(lab.faults.status(503), None))
        with connect(servers=[server.url], telemetry=telemetry) as service:
            for _ in range(3):
                service.show(None, image_id)
    return tuple(_make_constant(span.to_json() for span in kept.get_finished_spans()))


_CHANGING = re.compile(
    r"0x[0-9a-f]{16,}|[0-9a-f-]{36}|\d{4}-[\d-]+T[\d:.]+|\d+\.\d{3,}(?![\d.])"
    r'|(?<=127\.0\.0\.1:)\d+|(?<="server\.port": )\d+|(?<="network\.peer\.port": )\d+'
)


def _make_constant(texts: Iterable[str]) -> Iterator[str]:
    """The same texts in each run: each value that differs becomes one of the same length."""
    known: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        return known.setdefault(match[0], _make_value(match[0], len(known) + 1))

    for text in texts:
        yield _CHANGING.sub(replace, text)


def _make_value(text: str, number: int) -> str:
    if "T" in text:
        return f"2026-11-23T10:00:{number % 60:02}.000000"
    if text.startswith("0x"):
        return f"0x{number:0{len(text) - 2}x}"
    return (
        f"{number:036}" if "-" in text else str(number % 10) if "." in text else str(9000 + number)
    )


def _traces() -> st.SearchStrategy[bytes]:
    spans = [json.loads(each) for each in _traced()]
    several = st.lists(change_json(*spans), min_size=1, max_size=6).map(b"\n".join)
    whole = b"\n".join(each.encode() for each in _traced())
    return (
        several | change_bytes(whole) | change_json(_to_otlp(spans), {"data": [{"spans": spans}]})
    )


def _to_otlp(spans: list[Any]) -> Any:
    scoped = [
        {
            "traceId": each["context"]["trace_id"][2:],
            "spanId": each["context"]["span_id"][2:],
            "parentSpanId": (each["parent_id"] or "0x")[2:],
            "name": each["name"],
            "startTimeUnixNano": "1700000000000000000",
            "endTimeUnixNano": 1700000001000000000,
            "attributes": [
                {"key": key, "value": {"stringValue": value}}
                for key, value in each["attributes"].items()
            ],
            "status": {"code": 2},
        }
        for each in spans
    ]
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": scoped}]}]}


def check_trace(data: bytes) -> None:
    """A trace file is diagnosed, or is refused."""
    with refused_as(errors.DiagnosisError):
        _diagnose(trace.observe(data.decode("utf-8", "replace"), "a file"))


def _reports() -> list[Any]:
    minute = {"start": 1e9, "attempts": 5, "failed": 3, "reason": "503"}
    operation = {"operation": "images.get", "attempts": 5, "failed": 3, "since": 1e9,
                 "last_success": 1e9, "last_failure": 1e9, "last_error": "503"}  # fmt: skip
    recent = {"attempts": 5, "failed": 3, "p50": 0.1, "p95": 0.2, "max": 1, "share": 0.3}
    server = {"server": "http://glance-1:9292", "state": "cooling", "minutes": [minute],
              "operations": [operation], "recent": recent, "errors": {"503": 3}}  # fmt: skip
    process = {"service": "nova", "host": "a", "pid": 5, "processes": 1}
    call = {"operation": "images.get", "reason": "503", "trace_id": "0" * 32, "time": 1e9}
    return [{"process": process, "generated": 1e9, "probes": False, "servers": [server, server],
             "latest_calls": [call], "keystone": {"attempts": 5, "failed": 5}}]  # fmt: skip


def check_report(data: bytes) -> None:
    """A report of an exporter, which is JSON, is diagnosed."""
    with suppress(ValueError, RecursionError):
        report = json.loads(data)
        saw = [ProcessSaw("http://a:9293", report), ProcessSaw("http://b:9293", None)]
        try:
            _diagnose(exporter.combine(saw))
        except ValueError as error:
            raise AssertionError("a report of another form was not left out") from error


def _diagnose(seen: Observations) -> None:
    found = findings.find(seen)
    json.dumps(answer.make_json(found, seen), default=str)
    for line in answer.make_lines(found, seen):
        check_message(make_printable(line))  # as the command prints it


def check_login(value: bytes) -> None:
    """The credentials of a request are understood, or there are none."""
    read_credentials([(b"authorization", value)])


def check_fault(text: str) -> None:
    """A fault is understood or refused."""
    with refused_as(errors.InvalidArgument):
        lab.parse_fault(text)


def _secrets() -> st.SearchStrategy[str]:
    samples = (
        "http://user:hunter2@glance/v2?Signature=x&a=b", "X-Auth-Token: gAAAAABhunter2",
        "rabbit://nova:hunter2@rabbit", '{"password": "hunter2"}', "a%2540b%253fsig%253Dx",
    )  # fmt: skip
    return change_text(*samples, words=("sig=", "%25", "://", "token=", "password="))


def check_secret(text: str) -> None:
    """Secrets in any text are hidden; what is hidden stays so."""
    for hide in (hide_in_text, hide_in_url):
        once = hide(text)
        assert once == hide(once), once
