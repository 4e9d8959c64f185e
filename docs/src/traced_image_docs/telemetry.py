"""The tables of the page of telemetry, made of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import probe_metrics

from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_WordT = TypeVar("_WordT", bound=str)


_TYPES = {"updown": "UpDownCounter; a gauge in Prometheus"}


def _spans() -> str:
    """The spans and the event, as the semantic conventions write theirs."""
    known = {one.name: one for one in catalogue.ATTRIBUTES}
    return "\n\n".join(_span(one, known) for one in catalogue.SPAN_TYPES)


def _span(span: catalogue.SpanType, known: Mapping[str, catalogue.Attribute]) -> str:
    facts = (("Name", f"`{span.name}`"), ("Kind", span.kind), ("Status", span.status))
    lines = [f"- {what}: {text}" for what, text in (*facts, ("Events", span.events)) if text]
    rows = (
        (
            f"`{name}`",
            known[name].type,
            known[name].description,
            "; ".join(f"`{one}`" for one in known[name].examples),
            level,
        )
        for name, level in span.attributes
    )
    head = ("attribute", "type", "description", "examples", "requirement level")
    parts = (f"### {span.title}", span.description, "\n".join(lines), table(head, rows))
    return "\n\n".join(parts)


def _metrics(metrics: Iterable[catalogue.Metric]) -> str:
    rows = (
        (
            f"`{one.name}`",
            f"`{one.otel}`",
            _TYPES.get(one.kind, one.kind),
            f"`{one.unit}`" if one.unit else "",
            one.help,
            ", ".join(f"`{label}`" for label in one.labels),
        )
        for one in metrics
    )
    head = ("name in Prometheus", "name in OpenTelemetry", "instrument", "unit", "description")
    return table((*head, "labels"), rows)


_VALUES = {
    "operation": "[the operations](#operations), `_OTHER`",
    "outcome": ", ".join(f"`{one}`" for one in catalogue.OUTCOMES),
    "error_type": "[the reasons](#reasons); empty for success",
    "verdict": ", ".join(f"`{one}`" for one in catalogue.VERDICTS if one != "cancelled"),
    "server_address": "the hosts of the configured servers, `_OTHER`",
    "server_port": "the ports of the configured servers, `_OTHER`",
    "state": ", ".join(f"`{one}`" for one in catalogue.STATES),
    "direction": ", ".join(f"`{one}`" for one in catalogue.DIRECTIONS),
    "version": "the version of traced-image",
    "kind": "of a failure of telemetry, of a record that a list left out, or of a hazard",
}
"""The closed set of each label's values."""


def _labels() -> str:
    rows = ((f"`{label}`", f"`{name}`", _VALUES[label]) for label, name in catalogue.LABELS.items())
    return table(("label", "attribute in OpenTelemetry", "values"), rows)


def _reasons() -> str:
    words = {**catalogue.REASONS}
    other = words.pop(catalogue.OTHER)
    rows = {
        **words,
        "400` … `511": "the HTTP status that was answered, if it is registered",
        "4xx`, `5xx": "an HTTP status that was answered, and that nobody has registered",
        catalogue.OTHER: other,
    }
    return _words("reason", "what it means", rows)


def _operations() -> str:
    return ", ".join(f"`{name}`" for name in sorted(catalogue.OPERATIONS))


def _words(name: str, meaning: str, rows: Mapping[_WordT, str]) -> str:
    return table((name, meaning), ((f"`{word}`", text) for word, text in rows.items()))


TABLES: Mapping[str, Callable[[], str]] = {
    "spans": _spans,
    "labels": _labels,
    "log_fields": lambda: _words("field", "what it tells", catalogue.LOG_FIELDS),
    "metrics": lambda: _metrics(catalogue.METRICS),
    "exporter": lambda: _metrics((*probe_metrics.PROBE_METRICS, probe_metrics.RELOADED)),
    "phases": lambda: _words("phase", "what its time is", probe_metrics.PHASES),
    "settings": lambda: _words("setting", "what is wrong", probe_metrics.SETTINGS),
    "checks": lambda: _words("check", "what is asked", probe_metrics.CHECKS),
    "operations": _operations,
    "outcomes": lambda: _words("outcome", "what it means", catalogue.OUTCOMES),
    "reasons": _reasons,
    "hazards": lambda: _words("kind", "what the client did", catalogue.HAZARD_KINDS),
    "states": lambda: _words("state", "what it means", catalogue.STATES),
    "troubles": lambda: _words("kind", "what failed", catalogue.TELEMETRY_ERROR_KINDS),
}
