"""What telemetry knows, drawn for a terminal: a trace as a tree, the servers as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from time import localtime, strftime
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from .telemetry import catalogue as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from .pipeline.cycle import ServerHealth

_COLOURS = {"healthy": "green", "cooling": "red", "trial": "yellow"}
_MARKS = "✓", "✗"
_ASCII_MARKS = "ok", "failed:"
_SECOND = 1e9
_MILLISECOND = 1e6
_HEADINGS = ("server", "state", "since", "why", "tries", "failed", "p50 ms")
_NUMBERS = ("tries", "failed", "p50 ms")
_WIDEST = 10_000


def trace_tree(spans: Sequence[ReadableSpan], *, ascii_only: bool = False) -> Tree:
    """Draw the spans of one trace below each other, the earliest first."""
    marks = _ASCII_MARKS if ascii_only else _MARKS
    by_parent: defaultdict[int | None, list[ReadableSpan]] = defaultdict(list)
    for span in sorted(spans, key=_start):
        by_parent[span.parent.span_id if span.parent else None].append(span)
    (root,) = by_parent[None]
    tree = Tree(_line(root, marks))
    _grow(tree, root, by_parent, marks)
    return tree


def _grow(
    tree: Tree,
    span: ReadableSpan,
    by_parent: Mapping[int | None, list[ReadableSpan]],
    marks: tuple[str, str],
) -> None:
    for child in by_parent.get(_span_id(span), []):
        _grow(tree.add(_line(child, marks)), child, by_parent, marks)


def _span_id(span: ReadableSpan) -> int:
    return span.context.span_id if span.context else 0


def trace_id(span: ReadableSpan) -> int:
    """The id of the trace that a span belongs to."""
    return span.context.trace_id if span.context else 0


def _line(span: ReadableSpan, marks: tuple[str, str]) -> str:
    """One span: its name, its server, its duration, and how it ended."""
    attributes = span.attributes or {}
    parts = [f"[bold]{escape(span.name)}[/]", f"{milliseconds(span):.1f} ms"]
    if names.SERVER_ADDRESS in attributes:
        parts.insert(1, escape(_server(attributes)))
    well, failed = marks
    if names.ERROR_TYPE in attributes:
        parts.append(f"[red]{failed} {escape(str(attributes[names.ERROR_TYPE]))}[/]")
    else:
        parts.append(f"[green]{well} {attributes.get(names.OUTCOME, '')}[/]")
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


def servers_table(
    servers: Iterable[ServerHealth], tallies: Mapping[str, ServerTally], console: Console
) -> RenderableType:
    """Draw what is known of each server: its state, its attempts, and why it failed.

    It is a table, or a block for each server where the console is too narrow for one.
    """
    rows = [
        _row(health, tallies.get(health.server.netloc, ServerTally()))
        for health in sorted(servers, key=lambda health: health.server.netloc)
    ]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    for row in rows:
        table.add_row(*row)
    unbounded = console.options.update_width(_WIDEST)
    if console.measure(table, options=unbounded).maximum <= console.width:
        return table
    return Group(*(_block(row) for row in rows))


def _row(health: ServerHealth, known: ServerTally) -> tuple[str, ...]:
    return (
        escape(health.server.netloc),
        f"[{_COLOURS[health.state]}]{health.state}[/]",
        strftime("%H:%M:%S", localtime(known.since)) if known.since else "",
        _why(known.reasons),
        str(len(known.durations)),
        str(known.reasons.total()),
        f"{median(known.durations):.1f}" if known.durations else "",
    )


def _block(row: tuple[str, ...]) -> Table:
    """One server's row with the headings before its values; those that are empty are left out."""
    block = Table.grid(padding=(0, 1, 0, 0), expand=True)
    block.add_column(no_wrap=True)
    block.add_column(overflow="fold", ratio=1)
    for heading, value in zip(_HEADINGS, row, strict=True):
        if value:
            block.add_row(heading, value)
    block.add_row()
    return block


def _why(reasons: Counter[str]) -> str:
    """The reasons of failures, with their counts where there are several."""
    if len(reasons) == 1:
        return next(iter(reasons))
    return "\n".join(f"{count} {reason}" for reason, count in reasons.most_common())


def _server(attributes: Mapping[str, object]) -> str:
    """A server's ``host:port``, as its `netloc` is written."""
    host = str(attributes[names.SERVER_ADDRESS])
    return f"{f'[{host}]' if ':' in host else host}:{attributes.get(names.SERVER_PORT, '')}"


def _start(span: ReadableSpan) -> int:
    return span.start_time or 0


def milliseconds(span: ReadableSpan) -> float:
    """How long a span took."""
    return ((span.end_time or 0) - _start(span)) / _MILLISECOND
