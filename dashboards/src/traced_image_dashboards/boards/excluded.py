"""What dashboard-linter is told to leave alone, and why: the file ``.lint``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import links

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .board import Board

_EVERY_PANEL = ("*",)
_ITSELF: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Excluded:
    """A rule that is broken on purpose.

    Attributes:
        rule: Its name.
        reason: Why.
        where: The dashboards' uids, each with the titles of its panels that break the rule.
    """

    rule: str
    reason: str
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_EXCLUDED = (
    _Excluded(
        "template-instance-rule",
        "These dashboards read what is recorded of a whole job; single processes are in Callers.",
        {links.OVERVIEW: _ITSELF, links.SERVERS: _ITSELF},
    ),
    _Excluded(
        "target-instance-rule",
        "What is recorded of a whole job has no instance, and costs the same for 1,000 processes; "
        "the lower half of Callers reads one process, which is chosen as caller.",
        {
            links.OVERVIEW: _EVERY_PANEL,
            links.SERVERS: _EVERY_PANEL,
            links.CALLERS: (
                *("Processes", "Calls by job", "Failed calls by job", "Its servers", "Its calls"),
                *("How long its calls take, 95th percentile", "Its failed attempts"),
                *("Retries of its calls that had any", "What its calls wait between attempts"),
            ),
        },
    ),
    _Excluded(
        "template-job-rule",
        "Panels of what Prometheus itself tells of its targets: All has to be the jobs that are"
        " ours, and no other target of the same Prometheus.",
        {links.PIPELINE: _ITSELF},
    ),
    _Excluded(
        "target-job-rule",
        "The objective is one number for all jobs; an alert may be of a job that has no telemetry.",
        {
            links.OVERVIEW: (
                "Error budget left",
                "Success of calls, and of attempts",
                "Alerts that fire",
            )
        },
    ),
    _Excluded(
        "target-counter-agg-rule",
        "These queries find exemplars, which counters have as they are, and no samples.",
        {
            links.OVERVIEW: (
                "Calls that gave up, by the last reason",
                "Servers that calls were retried after",
            )
        },
    ),
)


def text(boards: Iterable[Board]) -> str:
    """The file."""
    known = {board.uid: board for board in boards}
    lines = [
        "# Written by the generator: dashboards/src/traced_image_dashboards/boards/excluded.py"
    ]
    lines.append("exclusions:")
    for each in _EXCLUDED:
        lines += [f"  {each.rule}:", f"    reason: {_quoted(each.reason)}", "    entries:"]
        for uid, titles in each.where.items():
            lines += _entries(known[uid], titles)
    return "\n".join(lines) + "\n"


def _entries(board: Board, titles: tuple[str, ...]) -> Iterator[str]:
    if titles == _EVERY_PANEL:
        titles = board.titles()
    if titles == _ITSELF:
        yield f"      - dashboard: {_quoted(board.title)}"
    for title in titles:
        yield f"      - dashboard: {_quoted(board.title)}"
        yield f"        panel: {_quoted(title)}"


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"
