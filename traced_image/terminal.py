"""Drawings of telemetry for a terminal: a trace as a tree, the servers as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from time import localtime, strftime
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from .telemetry import catalogue as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from .pipeline.attempts.server_cycle import ServerHealth

_COLOURS = {"healthy": "green", "failing": "red", "cooling": "red", "trial": "yellow"}
_MARKS = "✓", "✗"
_ASCII_MARKS = "ok", "failed:"
_SECOND = 1e9
_MILLISECOND = 1e6
_NUMBERS = ("tries", "failed", "p50 ms", "p95 ms")
_WIDEST = 10_000
"""Columns that no table needs; rich measures a table's natural width against them."""


def choose_marks(*, ascii_only: bool) -> tuple[str, str]:
    """Return the marks of a success and of a failure, in this order."""
    return _ASCII_MARKS if ascii_only else _MARKS


def make_trace_tree(spans: Sequence[ReadableSpan], *, ascii_only: bool = False) -> Tree:
    """Draw the spans of one trace below each other, the earliest first.

    Raises:
        ValueError: The spans have no root, or more than one.
    """
    told = choose_marks(ascii_only=ascii_only)
    # Spans arrive in the order in which they ended, children before parents.
    by_parent: defaultdict[int | None, list[ReadableSpan]] = defaultdict(list)
    for span in sorted(spans, key=_find_start):
        by_parent[span.parent.span_id if span.parent else None].append(span)
    (root,) = by_parent[None]
    tree = Tree(_make_line(root, told))
    _add_spans(tree, root, by_parent, told)
    return tree


def _add_spans(
    tree: Tree,
    span: ReadableSpan,
    by_parent: Mapping[int | None, list[ReadableSpan]],
    told: tuple[str, str],
) -> None:
    for child in by_parent.get(format_span_id(span), []):
        _add_spans(tree.add(_make_line(child, told)), child, by_parent, told)


def format_span_id(span: ReadableSpan) -> int:
    """Return the id of a span, or 0 if it has no context."""
    return span.context.span_id if span.context else 0


def format_trace_id(span: ReadableSpan) -> int:
    """Return the id of the trace that a span belongs to, or 0 if it has no context."""
    return span.context.trace_id if span.context else 0


def _make_line(span: ReadableSpan, told: tuple[str, str]) -> str:
    """Format one span: its name, its server, its duration and its outcome."""
    attributes = span.attributes or {}
    parts = [f"[bold]{escape(span.name)}[/]", f"{format_milliseconds(span):.1f} ms"]
    server = find_server(span)
    if server is not None:
        parts.insert(1, escape(server))
    well, failed = told
    if names.ERROR_TYPE in attributes:
        parts.append(f"[red]{failed} {escape(str(attributes[names.ERROR_TYPE]))}[/]")
    else:
        parts.append(f"[green]{well} {attributes.get(names.OUTCOME, '')}[/]")
    return "  ".join(parts)


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """The facts of an attempt that its span holds.

    Attributes:
        server: The server of the attempt, ``host:port``.
        started: Its start, in seconds since the epoch.
        seconds: Its duration in seconds.
        reason: Why it failed; empty if it succeeded.
    """

    server: str
    started: float
    seconds: float
    reason: str

    @classmethod
    def of(cls, span: ReadableSpan) -> AttemptSummary | None:
        """Return the attempt that a span describes; None if it describes something else."""
        attributes = span.attributes or {}
        server = find_server(span)
        if names.ATTEMPT_NUMBER not in attributes or server is None:
            return None
        reason = str(attributes.get(names.ERROR_TYPE, ""))
        return cls(server, _find_start(span) / _SECOND, format_milliseconds(span) / 1000, reason)

    @property
    def ended(self) -> float:
        """The end, in seconds since the epoch."""
        return self.started + self.seconds


@dataclass(slots=True)
class ServerTally:
    """The counts and durations of the attempts on one server.

    Attributes:
        tries: The number of attempts.
        seconds: The duration of each successful attempt, in seconds.
        reasons: The number of failed attempts by reason.
        since: The start of the first failed attempt, in seconds since the epoch; None if no
            attempt failed.
    """

    tries: int = 0
    seconds: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    since: float | None = None

    def add(self, attempt: AttemptSummary) -> None:
        """Count an attempt."""
        self.tries += 1
        # A failure's duration would distort the percentiles: a refused connection ends at once.
        if not attempt.reason:
            self.seconds.append(attempt.seconds)
            return
        self.reasons[attempt.reason] += 1
        self.since = min(self.since or attempt.started, attempt.started)

    @property
    def p50(self) -> float | None:
        """The median duration of successful attempts, in seconds; None if there are none."""
        return median(self.seconds) if self.seconds else None

    @property
    def p95(self) -> float | None:
        """The 95th percentile of successful attempts, in seconds; None if there are none."""
        if not self.seconds:
            return None
        return sorted(self.seconds)[ceil(len(self.seconds) * 0.95) - 1]


def count_attempts(attempts: Iterable[AttemptSummary]) -> Mapping[str, ServerTally]:
    """Count attempts by server."""
    tallies: defaultdict[str, ServerTally] = defaultdict(ServerTally)
    for attempt in attempts:
        tallies[attempt.server].add(attempt)
    return tallies


Row = tuple[tuple[str, str], ...]
"""Pairs of a heading and a value; values may contain rich markup."""


def make_row(health: ServerHealth, known: ServerTally, broken: str | None = None) -> Row:
    """Build the table row of one server.

    Args:
        health: What the cycle knows of it.
        known: The tally of its attempts.
        broken: The fault that it has now, or an empty text. If None, the row shows the time of
            the first failure instead.
    """
    since = strftime("%H:%M:%S", localtime(known.since)) if known.since else ""
    return (
        ("server", escape(health.server.netloc)),
        ("state", f"[{_COLOURS[health.state]}]{health.state}[/]"),
        ("since", since) if broken is None else ("broken", f"[bold red]{escape(broken)}[/]"),
        ("why", _describe_reason(known.reasons)),
        ("tries", str(known.tries)),
        ("failed", str(known.reasons.total())),
        ("p50 ms", _find_milliseconds(known.p50)),
        ("p95 ms", _find_milliseconds(known.p95)),
    )


def make_servers_table(
    rows: Sequence[Row], console: Console, *, brief: bool = False
) -> RenderableType:
    """Draw each server's state, its attempts, and the reasons of its failures.

    The result is a table, or a block for each server if the console is too narrow for a table.

    Args:
        rows: A row for each server; at least one.
        console: The console that prints the result.
        brief: Whether blocks must be short, so that all fit on the screen at the same time.
    """
    # A space alone separates the columns, so that the table fits in 80 columns.
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for heading, _ in rows[0]:
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    for each in rows:
        table.add_row(*(value for _, value in each))
    unbounded = console.options.update_width(_WIDEST)
    if console.measure(table, options=unbounded).maximum <= console.width:
        return table
    return Group(*(_make_brief_block(each) if brief else _make_block(each) for each in rows))


def _make_block(values: Row) -> Table:
    """Draw one server's row with a heading before each value; skip empty values."""
    block = Table.grid(padding=(0, 1, 0, 0), expand=True)
    block.add_column(no_wrap=True)
    block.add_column(overflow="fold", ratio=1)
    for heading, value in values:
        if value:
            block.add_row(heading, value)
    block.add_row()
    return block


def _make_brief_block(values: Row) -> Text:
    """Draw one server's row in about four lines."""
    told = dict(values)
    lines = [f"{told['tries']} tries, {told['failed']} failed", *told["why"].splitlines()]
    if told["p50 ms"]:
        lines.append(f"p50 {told['p50 ms']} ms, p95 {told['p95 ms']} ms")
    head = f"{told['server']}  {told['state']}  {told['broken']}"
    return Text.from_markup("\n  ".join([head, *lines]))


def _describe_reason(reasons: Counter[str]) -> str:
    """List the reasons of failures, with their counts if there are several."""
    if len(reasons) == 1:
        return next(iter(reasons))
    return "\n".join(f"{count} {reason}" for reason, count in reasons.most_common())


def _find_milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def find_netloc(host: object, port: object) -> str:
    """Return a server's ``host:port``, with brackets around an IPv6 address, as `Server.netloc`."""
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def find_server(span: ReadableSpan) -> str | None:
    """Return the server of a span, ``host:port``; None if the span names no server."""
    attributes = span.attributes or {}
    if names.SERVER_ADDRESS not in attributes:
        return None
    return find_netloc(attributes[names.SERVER_ADDRESS], attributes.get(names.SERVER_PORT, ""))


def _find_start(span: ReadableSpan) -> int:
    return span.start_time or 0


def format_milliseconds(span: ReadableSpan) -> float:
    """Return the duration of a span in milliseconds."""
    return ((span.end_time or 0) - _find_start(span)) / _MILLISECOND
