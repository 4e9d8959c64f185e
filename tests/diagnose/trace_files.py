"""Spans of real calls in the JSON formats that tools write."""

from __future__ import annotations

import json

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import traced_image
from traced_image import RetryPolicy, Telemetry

RESOURCE = {"service.name": "nova-api", "host.name": "node-1", "process.pid": 42}


def record(servers, act, resource=None, **options):
    """The spans of what ``act(service)`` does, as one process or several."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create(resource or RESOURCE))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    retry = RetryPolicy(backoff_base=0.001, cooldown_base=0)
    service = traced_image.connect(
        servers=[each.url for each in servers],
        retry=retry,
        telemetry=Telemetry(tracer_provider=provider, registry=False, meter_provider=False),
        **options,
    )
    with service:
        act(service)
    return kept.get_finished_spans()


def to_console(spans):
    return "\n".join(each.to_json() for each in spans)


def _otlp_value(value):
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_otlp_value(each) for each in value]}}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue" if isinstance(value, float) else "stringValue": value}


def _pairs(attributes):
    return [{"key": key, "value": _otlp_value(value)} for key, value in attributes.items()]


def to_otlp(spans, outer="resourceSpans", scope="scopeSpans"):
    """As the collector's file exporter writes it: a line for each batch."""
    lines = []
    for each in spans:
        span = {
            "traceId": f"{each.context.trace_id:032x}",
            "spanId": f"{each.context.span_id:016x}",
            "parentSpanId": f"{each.parent.span_id:016x}" if each.parent else "",
            "name": each.name,
            "startTimeUnixNano": str(each.start_time),
            "endTimeUnixNano": str(each.end_time),
            "attributes": _pairs(each.attributes),
        }
        resource = {"attributes": _pairs(each.resource.attributes)}
        lines.append(json.dumps({outer: [{"resource": resource, scope: [{"spans": [span]}]}]}))
    return "\n".join(lines)


def _tags(attributes):
    return [
        {"key": key, "value": json.dumps(value) if isinstance(value, tuple) else value}
        for key, value in attributes.items()
    ]


def to_jaeger(spans):
    """As Jaeger's API and its button write it."""
    resource = dict(spans[0].resource.attributes)
    found = [
        {
            "traceID": f"{each.context.trace_id:032x}",
            "spanID": f"{each.context.span_id:016x}",
            "references": [{"refType": "CHILD_OF", "spanID": f"{each.parent.span_id:016x}"}]
            if each.parent
            else [],
            "operationName": each.name,
            "startTime": each.start_time // 1000,
            "duration": (each.end_time - each.start_time) // 1000,
            "tags": _tags(each.attributes),
            "processID": "p1",
        }
        for each in spans
    ]
    process = {"serviceName": resource.pop("service.name"), "tags": _tags(resource)}
    return json.dumps({"data": [{"spans": found, "processes": {"p1": process}}]})


FORMATS = {
    "console": to_console,
    "console with a log": lambda spans: f"[warning] {{\n{to_console(spans)}\n[",
    "otlp": to_otlp,
    "otlp of old": lambda spans: to_otlp(spans, scope="instrumentationLibrarySpans"),
    "tempo": lambda spans: to_otlp(spans, outer="batches"),
    "tempo's new": lambda spans: f'{{"trace": {to_otlp(spans[-1:])}}}{to_otlp(spans[:-1])}',
    "jaeger": to_jaeger,
}
