"""What telemetry knows, drawn for a terminal: a trace as a tree, the servers as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from time import localtime, strftime
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from .telemetry import catalogue as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from .pipeline.cycle import ServerHealth

_COLOURS = {"healthy": "green", "cooling": "red", "trial": "yellow"}
_SECOND = 1e9
_MILLISECOND = 1e6


def trace_tree(spans: Sequence[ReadableSpan]) -> Tree:
    """Draw the spans of one trace below each other, the earliest first."""
    by_parent: defaultdict[int | None, list[ReadableSpan]] = defaultdict(list)
    for span in sorted(spans, key=_start):
        by_parent[span.parent.span_id if span.parent else None].append(span)
    (root,) = by_parent[None]
    tree = Tree(_line(root))
    _grow(tree, root, by_parent)
    return tree


def _grow(
    tree: Tree, span: ReadableSpan, by_parent: Mapping[int | None, list[ReadableSpan]]
) -> None:
    for child in by_parent.get(_span_id(span), []):
        _grow(tree.add(_line(child)), child, by_parent)


def _span_id(span: ReadableSpan) -> int:
    return span.context.span_id if span.context else 0


def trace_id(span: ReadableSpan) -> int:
    """The id of the trace that a span belongs to."""
    return span.context.trace_id if span.context else 0


def _line(span: ReadableSpan) -> str:
    """One span: its name, its server, its duration, and how it ended."""
    attributes = span.attributes or {}
    parts = [f"[bold]{escape(span.name)}[/]", f"{milliseconds(span):.1f} ms"]
    if names.SERVER_ADDRESS in attributes:
        parts.insert(1, _server(attributes))
    if names.ERROR_TYPE in attributes:
        parts.append(f"[red]✗ {escape(str(attributes[names.ERROR_TYPE]))}[/]")
    else:
        parts.append(f"[green]✓ {attributes.get(names.OUTCOME, '')}[/]")
    return "  ".join(parts)


@dataclass(slots=True)
class ServerTally:
    """What the attempts on one server came to.

    Attributes:
        durations: Milliseconds of each attempt.
        reasons: How often each reason was met.
        since: When the first attempt failed, in seconds since the epoch.
    """

    durations: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    since: float | None = None

    def add(self, span: ReadableSpan) -> None:
        """Count an attempt's span."""
        self.durations.append(milliseconds(span))
        reason = (span.attributes or {}).get(names.ERROR_TYPE)
        if reason is not None:
            self.reasons[str(reason)] += 1
            self.since = self.since or _start(span) / _SECOND


def tally(spans: Iterable[ReadableSpan]) -> Mapping[str, ServerTally]:
    """Add up the spans of attempts by server, ``host:port``."""
    tallies: defaultdict[str, ServerTally] = defaultdict(ServerTally)
    for span in sorted(spans, key=_start):
        if names.ATTEMPT_NUMBER in (span.attributes or {}):
            tallies[_server(span.attributes or {})].add(span)
    return tallies


def servers_table(servers: Iterable[ServerHealth], tallies: Mapping[str, ServerTally]) -> Table:
    """Draw what is known of each server: its state, its attempts, and why it failed."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("server", "state", "since", "why"):
        table.add_column(heading, overflow="fold")
    for heading in ("tries", "failed", "p50 ms"):
        table.add_column(heading, justify="right")
    for health in sorted(servers, key=lambda health: health.server.netloc):
        known = tallies.get(health.server.netloc, ServerTally())
        since = strftime("%H:%M:%S", localtime(known.since)) if known.since else ""
        table.add_row(
            health.server.netloc,
            f"[{_COLOURS[health.state]}]{health.state}[/]",
            since,
            _why(known.reasons),
            str(len(known.durations)),
            str(known.reasons.total()),
            f"{median(known.durations):.1f}" if known.durations else "",
        )
    return table


def _why(reasons: Counter[str]) -> str:
    """The reasons of failures, with their counts where there are several."""
    if len(reasons) == 1:
        return next(iter(reasons))
    return "\n".join(f"{count} {reason}" for reason, count in reasons.most_common())


def _server(attributes: Mapping[str, object]) -> str:
    return f"{attributes[names.SERVER_ADDRESS]}:{attributes.get(names.SERVER_PORT, '')}"


def _start(span: ReadableSpan) -> int:
    return span.start_time or 0


def milliseconds(span: ReadableSpan) -> float:
    """How long a span took."""
    return ((span.end_time or 0) - _start(span)) / _MILLISECOND
