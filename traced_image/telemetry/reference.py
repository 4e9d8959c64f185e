"""The catalogue as Markdown tables, and their places in a page of documentation.

``python -m traced_image.telemetry.reference docs/reference/telemetry.md`` writes them anew.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from . import catalogue
from .catalogue import exporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_WordT = TypeVar("_WordT", bound=str)

_PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str) -> str:
    """A page with the catalogue's tables in their places.

    Args:
        text: The page; a place is ``<!-- table: NAME -->`` to ``<!-- end -->``.

    Raises:
        KeyError: There is no such table.
    """
    return _PLACE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)


def _attributes() -> str:
    rows = (
        (f"`{one.name}`", one.type, ", ".join(one.on), one.help) for one in catalogue.ATTRIBUTES
    )
    return _table(("attribute", "type", "on", "value"), rows)


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
    return _table(("metric", "type", "labels", "what it tells", "in OpenTelemetry"), rows)


def _labels() -> str:
    rows = ((f"`{label}`", f"`{name}`") for label, name in catalogue.LABELS.items())
    return _table(("label", "attribute in OpenTelemetry"), rows)


def _reasons() -> str:
    words = {**catalogue.REASONS}
    other = words.pop(catalogue.OTHER)
    rows = {**words, "400` … `599": "the HTTP status that was answered", catalogue.OTHER: other}
    return _words("reason", "what it means", rows)


def _operations() -> str:
    return ", ".join(f"`{name}`" for name in sorted(catalogue.OPERATIONS))


def _words(name: str, meaning: str, rows: Mapping[_WordT, str]) -> str:
    return _table((name, meaning), ((f"`{word}`", text) for word, text in rows.items()))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES: Mapping[str, Callable[[], str]] = {
    "attributes": _attributes,
    "labels": _labels,
    "log_fields": lambda: _words("field", "what it tells", catalogue.LOG_FIELDS),
    "metrics": lambda: _metrics(catalogue.METRICS),
    "exporter": lambda: _metrics((*exporter.PROBE_METRICS, exporter.RELOADED)),
    "phases": lambda: _words("phase", "what its time is", exporter.PHASES),
    "checks": lambda: _words("check", "what is asked", exporter.CHECKS),
    "operations": _operations,
    "outcomes": lambda: _words("outcome", "what it means", catalogue.OUTCOMES),
    "reasons": _reasons,
    "states": lambda: _words("state", "what it means", catalogue.STATES),
    "troubles": lambda: _words("kind", "what failed", catalogue.TROUBLES),
}


def main(path: str) -> None:
    """Write the tables of a page anew."""
    place = Path(path)
    place.write_text(page(place.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
