"""What is told at the end: in words, and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from ..telemetry import catalogue
from ..terminal import (
    ServerTally,
    marks,
    milliseconds,
    row,
    server_of,
    servers_table,
    span_id,
    tally,
    trace_id,
    trace_tree,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from rich.console import Console

    from ..pipeline.attempts.cycle import ServerHealth
    from .evidence import Episode, Spans, Statement
    from .scenario import Play


@dataclass(frozen=True)
class Report:
    """What has been, up to the end or to Ctrl-C.

    Attributes:
        play: What was played.
        spans: What they told.
        servers: How the servers are.
        page: The page's address.
        interrupted: Whether it was ended from outside.
    """

    play: Play
    spans: Spans
    servers: Sequence[ServerHealth]
    page: str
    interrupted: bool = False

    @property
    def complaints(self) -> list[str]:
        """In what telemetry was not right; nothing was compared where nothing was broken."""
        lines = [line for episode in self.play.episodes for line in episode.complaints]
        return lines + self.miscounted

    @property
    def miscounted(self) -> list[str]:
        """Whether spans tell of other calls that failed than their callers do."""
        told, seen = self.spans.failed, self.play.failed
        if not self.play.episodes or self.interrupted or told == seen:
            return []
        return [f"spans tell of {told} calls that failed, their callers of {seen}"]

    @property
    def tallies(self) -> Mapping[str, ServerTally]:
        """What the attempts on each server came to."""
        return tally(self.spans.attempts)


# --- as JSON -----------------------------------------------------------------------------------


def document(report: Report) -> dict[str, object]:
    """The report for programs; times are in seconds."""
    episodes = report.play.episodes
    title, trace = report.spans.telling
    return {
        "agreed": not report.complaints if episodes and not report.interrupted else None,
        "interrupted": report.interrupted,
        "complaints": report.complaints,
        "page": report.page,
        "episodes": [_episode(each) for each in episodes],
        "calls": dict(report.spans.outcomes),
        "failed_calls": report.spans.failed,
        "servers": [_server(each, report.tallies) for each in report.servers],
        "trace": {"of": title, "spans": [_span(each) for each in sorted(trace, key=_start)]},
    }


def _episode(episode: Episode) -> dict[str, object]:
    return {
        "server": episode.server,
        "fault": episode.fault or None,
        "reason": episode.reason or None,
        "seconds": round(episode.seconds, 3),
        "said": {name: _statement(each) for name, each in episode.said.items()},
        "agreed": not episode.complaints,
    }


def _statement(statement: Statement) -> dict[str, object]:
    failures = [
        {"server": server, "reason": reason, "count": count}
        for (server, reason), count in sorted(statement.failures.items())
    ]
    medians = statement.medians
    return {"failures": failures, "slow": statement.outlier, "p50": medians and dict(medians)}


def _server(health: ServerHealth, tallies: Mapping[str, ServerTally]) -> dict[str, object]:
    known = tallies.get(health.server.netloc, ServerTally())
    return {
        "server": health.server.netloc,
        "state": health.state,
        "attempts": known.tries,
        "failed": known.reasons.total(),
        "reasons": dict(known.reasons),
        "under_way": health.active_attempts,
        "p50": known.p50,
        "p95": known.p95,
    }


def _start(span: ReadableSpan) -> int:
    return span.start_time or 0


def _span(span: ReadableSpan) -> dict[str, object]:
    attributes = span.attributes or {}
    return {
        "name": span.name,
        "trace_id": format(trace_id(span), "032x"),
        "span_id": format(span_id(span), "016x"),
        "parent_id": format(span.parent.span_id, "016x") if span.parent else None,
        "server": server_of(span),
        "seconds": milliseconds(span) / 1000,
        "outcome": attributes.get(catalogue.OUTCOME),
        "reason": attributes.get(catalogue.ERROR_TYPE),
    }


# --- in words ----------------------------------------------------------------------------------


def tell(report: Report, console: Console) -> None:
    """Print one trace, what was broken and what was said of it, the servers, and the verdict."""
    ascii_only = console.options.ascii_only
    title, trace = report.spans.telling
    if trace:
        console.print(f"\n[bold]{title}[/]")
        console.print(trace_tree(trace, ascii_only=ascii_only))
    if report.play.episodes:
        console.print("\n[bold]What was broken, and what telemetry said[/]")
        for episode in report.play.episodes:
            if episode.server is not None:
                _tell_episode(episode, console)
    console.print()
    tallies = report.tallies
    rows = [row(each, tallies.get(each.server.netloc, ServerTally())) for each in report.servers]
    console.print(servers_table(rows, console))
    console.print()
    calls = report.spans.outcomes
    told = ", ".join(f"{count} {outcome}" for outcome, count in calls.items())
    console.print(f"{_counted(calls.total(), 'call')}{': ' if told else ''}{told}")
    for line in (*_truth(report), *_verdict(report, tallies)):
        console.print(line)


def _tell_episode(episode: Episode, console: Console) -> None:
    well, failed = marks(ascii_only=console.options.ascii_only)
    reason = episode.reason or "the longest answers"
    console.print(
        f"{escape(str(episode.server))} was broken ({episode.fault}) for {episode.seconds:.1f} s;"
        f" expected: {reason}"
    )
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for name, statement in episode.said.items():
        lines.add_row(f"  {name}", escape(_named(statement, slow=not episode.reason)))
    console.print(lines)
    complaints = episode.complaints
    for line in complaints:
        console.print(f"  [red]{failed} {escape(line)}[/]")
    if not complaints:
        console.print(f"  [green]{well} right, and nobody else was accused[/]")


def _named(statement: Statement, *, slow: bool) -> str:
    """Whom one witness named."""
    named = [
        f"{server}: {reason} ({count})"
        for (server, reason), count in sorted(statement.failures.items())
    ]
    medians = statement.medians or {}
    if slow and statement.outlier is not None:
        slowest = statement.outlier
        others = max(seconds for server, seconds in medians.items() if server != slowest)
        named.append(f"{slowest}: p50 {_ms(medians[slowest])}, the others' {_ms(others)} at most")
    return ", ".join(named) or "nobody"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _truth(report: Report) -> Iterator[str]:
    """Whether telemetry was right."""
    for server, fault in report.play.broken.items():
        yield f"It ended while {escape(server)} was broken ({fault}): that is not judged."
    broken = [each for each in report.play.episodes if each.server is not None]
    if not broken:
        return
    right = sum(not each.complaints for each in broken)
    colour = "green" if right == len(broken) else "red"
    yield f"[{colour}]Telemetry was right about {right} of {_counted(len(broken), 'fault')}.[/]"
    well = [each for each in report.play.episodes if each.server is None]
    wrong = [f"While all were well, {line}." for each in well for line in each.complaints]
    if not wrong:
        yield "[green]While all were well, it accused nobody.[/]"
    wrong += [f"The {line}." for line in report.miscounted]
    yield from (f"[red]{escape(line)}[/]" for line in wrong)


def _verdict(report: Report, tallies: Mapping[str, ServerTally]) -> list[str]:
    """Which servers fail and why, and whether their failures reached the callers."""
    verb = "failed" if report.play.episodes else "fails"
    servers, failed_calls = report.servers, report.spans.failed
    failing = [line for health in servers for line in _failing(health, tallies, verb)]
    waiting = [line for health in servers for line in _waiting(health)]
    lines = failing + waiting
    if failed_calls:
        whose = "its caller" if failed_calls == 1 else "their callers"
        lines.append(f"[red]{_counted(failed_calls, 'call')} failed for {whose}.[/]")
    elif failing and not waiting:
        lines.append("[green]Retries hid it: no caller saw a failure.[/]")
    elif not waiting:
        lines.append("[green]No server fails.[/]")
    return lines


def _failing(health: ServerHealth, tallies: Mapping[str, ServerTally], verb: str) -> Iterator[str]:
    """How often a server failed, and why; or else that it cools down since an earlier failure."""
    name = escape(health.server.netloc)
    known = tallies.get(health.server.netloc, ServerTally())
    if known.reasons:
        tries = _counted(known.tries, "attempt")
        reasons = known.reasons.most_common()
        why = ", ".join(f"{reason} ({count} of {tries})" for reason, count in reasons)
        yield f"[red]{name} {verb}[/]: {why}"
    elif health.state != "healthy":
        yield f"[red]{name} {verb}[/]: {health.last_reason}"


def _waiting(health: ServerHealth) -> Iterator[str]:
    """What a server that hangs owes, where Ctrl-C was sooner."""
    if health.active_attempts:
        owed = _counted(health.active_attempts, "attempt")
        yield f"[yellow]{escape(health.server.netloc)} has not answered[/]: {owed} under way"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
