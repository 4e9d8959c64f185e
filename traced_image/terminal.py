"""What telemetry knows, drawn for a terminal: a trace as a tree, the servers as a table."""

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

    from .pipeline.attempts.cycle import ServerHealth

_COLOURS = {"healthy": "green", "cooling": "red", "trial": "yellow"}
_MARKS = "✓", "✗"
_ASCII_MARKS = "ok", "failed:"
_SECOND = 1e9
_MILLISECOND = 1e6
_NUMBERS = ("tries", "failed", "p50 ms", "p95 ms")
_WIDEST = 10_000


def choose_marks(*, ascii_only: bool) -> tuple[str, str]:
    """What stands before that which is well, and that which is not."""
    return _ASCII_MARKS if ascii_only else _MARKS


def make_trace_tree(spans: Sequence[ReadableSpan], *, ascii_only: bool = False) -> Tree:
    """Draw the spans of one trace below each other, the earliest first."""
    told = choose_marks(ascii_only=ascii_only)
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
    """The id of a span."""
    return span.context.span_id if span.context else 0


def format_trace_id(span: ReadableSpan) -> int:
    """The id of the trace that a span belongs to."""
    return span.context.trace_id if span.context else 0


def _make_line(span: ReadableSpan, told: tuple[str, str]) -> str:
    """One span: its name, its server, its duration, and how it ended."""
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
    """What is kept of an attempt's span.

    Attributes:
        server: Where it went, ``host:port``.
        started: When, in seconds since the epoch.
        seconds: How long it took.
        reason: Why it failed; empty where it did not.
    """

    server: str
    started: float
    seconds: float
    reason: str

    @classmethod
    def of(cls, span: ReadableSpan) -> AttemptSummary | None:
        """The attempt that a span is of, if it is of one."""
        attributes = span.attributes or {}
        server = find_server(span)
        if names.ATTEMPT_NUMBER not in attributes or server is None:
            return None
        reason = str(attributes.get(names.ERROR_TYPE, ""))
        return cls(server, _find_start(span) / _SECOND, format_milliseconds(span) / 1000, reason)

    @property
    def ended(self) -> float:
        """When it ended, in seconds since the epoch."""
        return self.started + self.seconds


@dataclass(slots=True)
class ServerTally:
    """What the attempts on one server came to.

    Attributes:
        tries: How many there were.
        seconds: How long each took that succeeded.
        reasons: How often each reason was met.
        since: When the first attempt failed, in seconds since the epoch.
    """

    tries: int = 0
    seconds: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    since: float | None = None

    def add(self, attempt: AttemptSummary) -> None:
        """Count an attempt."""
        self.tries += 1
        if not attempt.reason:
            self.seconds.append(attempt.seconds)
            return
        self.reasons[attempt.reason] += 1
        self.since = min(self.since or attempt.started, attempt.started)

    @property
    def p50(self) -> float | None:
        """The median of those that succeeded, in seconds."""
        return median(self.seconds) if self.seconds else None

    @property
    def p95(self) -> float | None:
        """What 95 of 100 that succeeded did not exceed, in seconds."""
        if not self.seconds:
            return None
        return sorted(self.seconds)[ceil(len(self.seconds) * 0.95) - 1]


def count_attempts(attempts: Iterable[AttemptSummary]) -> Mapping[str, ServerTally]:
    """Add up attempts by server."""
    tallies: defaultdict[str, ServerTally] = defaultdict(ServerTally)
    for attempt in attempts:
        tallies[attempt.server].add(attempt)
    return tallies


Row = tuple[tuple[str, str], ...]
"""Headings with their values, which may have markup."""


def make_row(health: ServerHealth, known: ServerTally, broken: str | None = None) -> Row:
    """What is known of one server.

    Args:
        health: What the cycle knows.
        known: What its attempts came to.
        broken: What is broken there right now; None to tell since when it fails in its place.
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
    """Draw what is known of each server: its state, its attempts, and why it failed.

    It is a table, or a block for each server where the console is too narrow for one.

    Args:
        rows: A row for each server.
        console: Where it is to be printed.
        brief: Whether a block must be short, that all are on the screen at the same time.
    """
    # A space stands between the columns, so that there is room for it in 80 of them.
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
    """One server's row with the headings before its values; those that are empty are left out."""
    block = Table.grid(padding=(0, 1, 0, 0), expand=True)
    block.add_column(no_wrap=True)
    block.add_column(overflow="fold", ratio=1)
    for heading, value in values:
        if value:
            block.add_row(heading, value)
    block.add_row()
    return block


def _make_brief_block(values: Row) -> Text:
    """One server's row in four lines or so."""
    told = dict(values)
    lines = [f"{told['tries']} tries, {told['failed']} failed", *told["why"].splitlines()]
    if told["p50 ms"]:
        lines.append(f"p50 {told['p50 ms']} ms, p95 {told['p95 ms']} ms")
    head = f"{told['server']}  {told['state']}  {told['broken']}"
    return Text.from_markup("\n  ".join([head, *lines]))


def _describe_reason(reasons: Counter[str]) -> str:
    """The reasons of failures, with their counts where there are several."""
    if len(reasons) == 1:
        return next(iter(reasons))
    return "\n".join(f"{count} {reason}" for reason, count in reasons.most_common())


def _find_milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def find_netloc(host: object, port: object) -> str:
    """A server's ``host:port``, as its `ExporterServer.netloc` is written."""
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def find_server(span: ReadableSpan) -> str | None:
    """The server that a span is about, ``host:port``."""
    attributes = span.attributes or {}
    if names.SERVER_ADDRESS not in attributes:
        return None
    return find_netloc(attributes[names.SERVER_ADDRESS], attributes.get(names.SERVER_PORT, ""))


def _find_start(span: ReadableSpan) -> int:
    return span.start_time or 0


def format_milliseconds(span: ReadableSpan) -> float:
    """How long a span took."""
    return ((span.end_time or 0) - _find_start(span)) / _MILLISECOND
