"""The tables of the page of telemetry, made of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import probe_metrics

from .pages import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_WordT = TypeVar("_WordT", bound=str)


def _attributes() -> str:
    rows = (
        (f"`{one.name}`", one.type, ", ".join(one.on), one.help) for one in catalogue.ATTRIBUTES
    )
    return table(("attribute", "type", "on", "value"), rows)


def _metrics(metrics: Iterable[catalogue.Metric]) -> str:
    rows = (
        (
            f"`{one.name}`",
            "gauge" if one.kind == "updown" else one.kind,
            ", ".join(f"`{label}`" for label in one.labels),
            one.help,
            f"`{one.otel}`" + (f", {one.unit}" if one.unit else ""),
        )
        for one in metrics
    )
    return table(("metric", "type", "labels", "what it tells", "in OpenTelemetry"), rows)


def _labels() -> str:
    rows = ((f"`{label}`", f"`{name}`") for label, name in catalogue.LABELS.items())
    return table(("label", "attribute in OpenTelemetry"), rows)


def _reasons() -> str:
    words = {**catalogue.REASONS}
    other = words.pop(catalogue.OTHER)
    rows = {**words, "400` … `599": "the HTTP status that was answered", catalogue.OTHER: other}
    return _words("reason", "what it means", rows)


def _operations() -> str:
    return ", ".join(f"`{name}`" for name in sorted(catalogue.OPERATIONS))


def _words(name: str, meaning: str, rows: Mapping[_WordT, str]) -> str:
    return table((name, meaning), ((f"`{word}`", text) for word, text in rows.items()))


TABLES: Mapping[str, Callable[[], str]] = {
    "attributes": _attributes,
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
    "states": lambda: _words("state", "what it means", catalogue.STATES),
    "troubles": lambda: _words("kind", "what failed", catalogue.TELEMETRY_ERROR_KINDS),
}
