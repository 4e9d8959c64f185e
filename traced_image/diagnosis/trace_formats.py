"""Spans in the three JSON formats that tools write: OTLP, Jaeger, and the SDK's console."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .json_values import find, find_list, find_number, find_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NANO, _MICRO = 1e-9, 1e-6


@dataclass(frozen=True, slots=True)
class SpanSeen:
    """A span.

    Attributes:
        trace_id: Its trace, in hex digits.
        span_id: Its id.
        parent_id: That of its parent; empty for none.
        name: Its name.
        start: When it began, in seconds since the epoch.
        end: When it ended.
        attributes: Its attributes.
        job: The ``service.name`` of its process.
        process: The machine and the number of its process; empty if they are not told.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start: float
    end: float
    attributes: Mapping[str, object]
    job: str
    process: str


def read_spans(text: str) -> list[SpanSeen]:
    """Return the spans of a text: one JSON value or several, with other lines between them.

    A span that it has twice, as of several files in one, counts once.
    """
    found: dict[object, SpanSeen] = {}
    for value in _decode(text):
        for span in _find_spans(value):
            found.setdefault((span.trace_id, span.span_id or len(found)), span)
    return list(found.values())


def _decode(text: str) -> Iterator[object]:
    decoder, place = json.JSONDecoder(), 0
    while True:
        starts = [found for each in "{[" if (found := text.find(each, place)) >= 0]
        if not starts:
            return
        try:
            value, place = decoder.raw_decode(text, min(starts))
            yield value
        except (ValueError, RecursionError):
            # Something else than JSON, such as a line of a log: go on behind it.
            line = text.find("\n", min(starts))
            place = len(text) if line < 0 else line


def _find_spans(value: object) -> Iterator[SpanSeen]:
    """Yield the spans of one JSON value, in whatever format it is."""
    if isinstance(value, list):
        for each in value:
            yield from _find_spans(each)
    elif find(value, "processes") is not None:
        yield from _read_jaeger(value)
    elif find_text(value, "context", "span_id"):
        yield _read_console(value)
    else:
        yield from _unwrap(value)


def _unwrap(value: object) -> Iterator[SpanSeen]:
    """Yield the spans of an object that holds others."""
    for name in ("resourceSpans", "batches"):  # Tempo's API names them so
        for group in find_list(value, name):
            yield from _read_otlp(group)
    for wrapper in ("data", "trace"):  # Jaeger's API, and newer Tempo's
        if (inner := find(value, wrapper)) is not None:
            yield from _find_spans(inner)


# --- OTLP --------------------------------------------------------------------------------------


def _read_otlp(group: object) -> Iterator[SpanSeen]:
    resource = dict(_read_pairs(find_list(group, "resource", "attributes")))
    scopes = find_list(group, "scopeSpans") or find_list(group, "instrumentationLibrarySpans")
    for scope in scopes:
        for span in find_list(scope, "spans"):
            yield _make_span(
                span,
                ids=(
                    find_text(span, "traceId"),
                    find_text(span, "spanId"),
                    find_text(span, "parentSpanId"),
                ),
                times=(
                    (find_number(span, "startTimeUnixNano") or 0.0) * _NANO,
                    (find_number(span, "endTimeUnixNano") or 0.0) * _NANO,
                ),
                attributes=dict(_read_pairs(find_list(span, "attributes"))),
                resource=resource,
            )


def _read_pairs(pairs: Iterable[object]) -> Iterator[tuple[str, object]]:
    for each in pairs:
        yield find_text(each, "key"), _read_value(find(each, "value"))


def _read_value(value: object) -> object:
    """Return a value of OTLP, which names its type; an integer is a text there."""
    if not isinstance(value, dict):
        return None
    if "arrayValue" in value:
        return [_read_value(each) for each in find_list(value, "arrayValue", "values")]
    return next(iter(value.values()), None)


# --- Jaeger ------------------------------------------------------------------------------------


def _read_jaeger(trace: object) -> Iterator[SpanSeen]:
    for span in find_list(trace, "spans"):
        process = find(trace, "processes", find_text(span, "processID"))
        resource = dict(_read_tags(find_list(process, "tags")))
        resource["service.name"] = find_text(process, "serviceName")
        parents = (find_text(each, "spanID") for each in find_list(span, "references"))
        start = (find_number(span, "startTime") or 0.0) * _MICRO
        yield _make_span(
            span,
            ids=(find_text(span, "traceID"), find_text(span, "spanID"), next(parents, "")),
            times=(start, start + (find_number(span, "duration") or 0.0) * _MICRO),
            attributes=dict(_read_tags(find_list(span, "tags"))),
            resource=resource,
        )


def _read_tags(tags: Iterable[object]) -> Iterator[tuple[str, object]]:
    for each in tags:
        yield find_text(each, "key"), find(each, "value")


# --- the SDK's console -------------------------------------------------------------------------


def _read_console(span: object) -> SpanSeen:
    attributes, resource = find(span, "attributes"), find(span, "resource", "attributes")
    return _make_span(
        span,
        ids=(
            find_text(span, "context", "trace_id").removeprefix("0x"),
            find_text(span, "context", "span_id").removeprefix("0x"),
            find_text(span, "parent_id").removeprefix("0x"),
        ),
        times=(_read_time(find_text(span, "start_time")), _read_time(find_text(span, "end_time"))),
        attributes=attributes if isinstance(attributes, dict) else {},
        resource=resource if isinstance(resource, dict) else {},
    )


def _read_time(text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _make_span(
    span: object,
    *,
    ids: tuple[str, str, str],
    times: tuple[float, float],
    attributes: Mapping[str, object],
    resource: Mapping[str, object],
) -> SpanSeen:
    host, pid = resource.get("host.name"), resource.get("process.pid")
    told = ":".join(str(each) for each in (host, pid) if each is not None)
    return SpanSeen(
        *ids,
        find_text(span, "name") or find_text(span, "operationName"),
        *times,
        attributes,
        str(resource.get("service.name") or ""),
        told or str(resource.get("service.instance.id") or ""),
    )
