"""The report at the end of the demonstration: as text, and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from ..telemetry import catalogue
from ..terminal import (
    ServerTally,
    choose_marks,
    count_attempts,
    find_server,
    format_milliseconds,
    format_span_id,
    format_trace_id,
    make_row,
    make_servers_table,
    make_trace_tree,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from rich.console import Console

    from ..pipeline.attempts.server_cycle import ServerHealth
    from .evidence import FaultPeriod, Finding, SpanLog
    from .scenario import Scenario


@dataclass(frozen=True)
class DemoReport:
    """The facts of a demonstration, up to its end or to Ctrl-C.

    Attributes:
        play: The scenario that ran.
        spans: The spans of its calls.
        servers: The health of each server at the end.
        page: The address of the exporter's page.
        interrupted: Whether Ctrl-C or a signal ended it.
    """

    play: Scenario
    spans: SpanLog
    servers: Sequence[ServerHealth]
    page: str
    interrupted: bool = False

    @property
    def complaints(self) -> list[str]:
        """The errors of telemetry; empty if it was right, or if no server was broken."""
        lines = [line for episode in self.play.episodes for line in episode.complaints]
        return lines + self.miscounted

    @property
    def miscounted(self) -> list[str]:
        """A line if spans and callers count different numbers of failed calls."""
        told, seen = self.spans.failed, self.play.failed
        if not self.play.episodes or self.interrupted or told == seen:
            return []
        return [f"spans report {told} failed calls, their callers {seen}"]

    @property
    def tallies(self) -> Mapping[str, ServerTally]:
        """The tally of the attempts on each server."""
        return count_attempts(self.spans.attempts)


# --- as JSON -----------------------------------------------------------------------------------


def make_document(report: DemoReport) -> dict[str, object]:
    """Build the report for programs, a document for JSON; times are in seconds."""
    episodes = report.play.episodes
    title, trace = report.spans.telling
    return {
        "agreed": not report.complaints if episodes and not report.interrupted else None,
        "interrupted": report.interrupted,
        "complaints": report.complaints,
        "page": report.page,
        "diagnosis": report.play.diagnosis,
        "episodes": [_make_period(each) for each in episodes],
        "calls": dict(report.spans.outcomes),
        "failed_calls": report.spans.failed,
        "servers": [_make_server(each, report.tallies) for each in report.servers],
        "trace": {
            "of": title,
            "spans": [_make_span(each) for each in sorted(trace, key=_format_start)],
        },
    }


def _make_period(episode: FaultPeriod) -> dict[str, object]:
    return {
        "server": episode.server,
        "fault": episode.fault or None,
        "reason": episode.reason or None,
        "seconds": round(episode.seconds, 3),
        "said": {name: _make_finding(each) for name, each in episode.said.items()},
        "agreed": not episode.complaints,
    }


def _make_finding(statement: Finding) -> dict[str, object]:
    failures = [
        {"server": server, "reason": reason, "count": count}
        for (server, reason), count in sorted(statement.failures.items())
    ]
    medians = statement.medians
    return {"failures": failures, "slow": statement.outlier, "p50": medians and dict(medians)}


def _make_server(health: ServerHealth, tallies: Mapping[str, ServerTally]) -> dict[str, object]:
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


def _format_start(span: ReadableSpan) -> int:
    return span.start_time or 0


def _make_span(span: ReadableSpan) -> dict[str, object]:
    attributes = span.attributes or {}
    return {
        "name": span.name,
        "trace_id": format(format_trace_id(span), "032x"),
        "span_id": format(format_span_id(span), "016x"),
        "parent_id": format(span.parent.span_id, "016x") if span.parent else None,
        "server": find_server(span),
        "seconds": format_milliseconds(span) / 1000,
        "outcome": attributes.get(catalogue.OUTCOME),
        "reason": attributes.get(catalogue.ERROR_TYPE),
    }


# --- in words ----------------------------------------------------------------------------------


def print_report(report: DemoReport, console: Console) -> None:
    """Print one trace, the faults with what telemetry reported, the servers, and the verdict."""
    ascii_only = console.options.ascii_only
    if report.play.diagnosis:
        console.print("\n[bold]What diagnose reported while the first server was broken[/]")
        for line in report.play.diagnosis:
            console.print(escape(line))
    title, trace = report.spans.telling
    if trace:
        console.print(f"\n[bold]{title}[/]")
        console.print(make_trace_tree(trace, ascii_only=ascii_only))
    if report.play.episodes:
        console.print("\n[bold]What was broken, and what telemetry reported[/]")
        for episode in report.play.episodes:
            if episode.server is not None:
                _print_period(episode, console)
    console.print()
    tallies = report.tallies
    rows = [
        make_row(each, tallies.get(each.server.netloc, ServerTally())) for each in report.servers
    ]
    console.print(make_servers_table(rows, console))
    console.print()
    calls = report.spans.outcomes
    told = ", ".join(f"{count} {outcome}" for outcome, count in calls.items())
    console.print(f"{_format_count(calls.total(), 'call')}{': ' if told else ''}{told}")
    for line in (*_judge_truth(report), *_judge(report, tallies)):
        console.print(line)


def _print_period(episode: FaultPeriod, console: Console) -> None:
    well, failed = choose_marks(ascii_only=console.options.ascii_only)
    reason = episode.reason or "the longest durations"
    console.print(
        f"{escape(str(episode.server))} was broken ({episode.fault}) for {episode.seconds:.1f} s;"
        f" expected: {reason}"
    )
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for name, statement in episode.said.items():
        lines.add_row(f"  {name}", escape(_format_finding(statement, slow=not episode.reason)))
    console.print(lines)
    complaints = episode.complaints
    for line in complaints:
        console.print(f"  [red]{failed} {escape(line)}[/]")
    if not complaints:
        console.print(f"  [green]{well} right, and no other server was named[/]")


def _format_finding(statement: Finding, *, slow: bool) -> str:
    """Format the servers that one source names."""
    named = [
        f"{server}: {reason} ({count})"
        for (server, reason), count in sorted(statement.failures.items())
    ]
    medians = statement.medians or {}
    if slow and statement.outlier is not None:
        slowest = statement.outlier
        others = max(seconds for server, seconds in medians.items() if server != slowest)
        named.append(
            f"{slowest}: p50 {_format_ms(medians[slowest])},"
            f" the others' {_format_ms(others)} at most"
        )
    return ", ".join(named) or "no server"


def _format_ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _judge_truth(report: DemoReport) -> Iterator[str]:
    """Yield lines that say whether telemetry was right."""
    for server, fault in report.play.broken.items():
        yield f"It ended while {escape(server)} was broken ({fault}): this fault is not judged."
    broken = [each for each in report.play.episodes if each.server is not None]
    if not broken:
        return
    right = sum(not each.complaints for each in broken)
    colour = "green" if right == len(broken) else "red"
    faults = _format_count(len(broken), "fault")
    yield f"[{colour}]Telemetry was right about {right} of {faults}.[/]"
    well = [each for each in report.play.episodes if each.server is None]
    wrong = [f"While no server was broken, {line}." for each in well for line in each.complaints]
    if not wrong:
        yield "[green]While no server was broken, telemetry named none.[/]"
    wrong += [f"The {line}." for line in report.miscounted]
    yield from (f"[red]{escape(line)}[/]" for line in wrong)


def _judge(report: DemoReport, tallies: Mapping[str, ServerTally]) -> list[str]:
    """List the servers that fail and why, and whether their failures reached the callers."""
    verb = "failed" if report.play.episodes else "fails"
    servers, failed_calls = report.servers, report.spans.failed
    failing = [line for health in servers for line in _list_failing(health, tallies, verb)]
    waiting = [line for health in servers for line in _list_waiting(health)]
    lines = failing + waiting
    if failed_calls:
        whose = "its caller" if failed_calls == 1 else "their callers"
        lines.append(f"[red]{_format_count(failed_calls, 'call')} failed for {whose}.[/]")
    elif failing and not waiting:
        lines.append("[green]Retries hid the failures: no caller saw one.[/]")
    elif not waiting:
        lines.append("[green]No server fails.[/]")
    return lines


def _list_failing(
    health: ServerHealth, tallies: Mapping[str, ServerTally], verb: str
) -> Iterator[str]:
    """Yield how often a server failed, and why; or the reason of an earlier failure."""
    name = escape(health.server.netloc)
    known = tallies.get(health.server.netloc, ServerTally())
    if known.reasons:
        tries = _format_count(known.tries, "attempt")
        reasons = known.reasons.most_common()
        why = ", ".join(f"{reason} ({count} of {tries})" for reason, count in reasons)
        yield f"[red]{name} {verb}[/]: {why}"
    elif health.state != "healthy":
        yield f"[red]{name} {verb}[/]: {health.last_reason}"


def _list_waiting(health: ServerHealth) -> Iterator[str]:
    """Yield the attempts that a server has not answered; Ctrl-C may come before they end."""
    if health.active_attempts:
        owed = _format_count(health.active_attempts, "attempt")
        yield f"[yellow]{escape(health.server.netloc)} has not answered[/]: {owed} under way"


def _format_count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
