"""The exceptions for dashboard-linter, with their reasons: the file ``.lint``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import links

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .board import Board

_EVERY_PANEL = ("*",)
_ITSELF: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Excluded:
    """A rule that some dashboards break on purpose.

    Attributes:
        rule: Its name.
        reason: Why they break it.
        where: The uids of these dashboards, each with the titles of the panels that break it.
    """

    rule: str
    reason: str
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_EXCLUDED = (
    _Excluded(
        "template-instance-rule",
        "These dashboards read recordings of whole jobs; Callers shows single processes.",
        {links.OVERVIEW: _ITSELF, links.SERVERS: _ITSELF},
    ),
    _Excluded(
        "target-instance-rule",
        "Recordings of a whole job have no instance, and cost the same for 1,000 processes; the "
        "lower half of Callers reads one process, chosen as caller.",
        {
            links.OVERVIEW: _EVERY_PANEL,
            links.SERVERS: _EVERY_PANEL,
            links.CALLERS: (
                *("Processes", "Processes that an agent adds up", "What is kept of it"),
                *("Calls by job", "Failed calls by job", "Its servers", "Its calls"),
                *("How long its calls take, 95th percentile", "Its failed attempts"),
                *("Retries of its calls that had any", "What its calls wait between attempts"),
            ),
        },
    ),
    _Excluded(
        "template-job-rule",
        "Panels of what Prometheus reports about its targets: All must be the jobs of callers and"
        " collectors, and no other target of the same Prometheus.",
        {links.PIPELINE: _ITSELF},
    ),
    _Excluded(
        "target-job-rule",
        "An alert may name a job without telemetry, or none, and so the panel has these, too.",
        {links.OVERVIEW: ("Alerts",)},
    ),
    _Excluded(
        "target-counter-agg-rule",
        "These queries find the exemplars of counters, and no samples.",
        {
            links.OVERVIEW: (
                "Calls that gave up, by the last reason",
                "Calls that retries saved",
                "Servers that calls were retried after",
            )
        },
    ),
)


def text(boards: Iterable[Board]) -> str:
    """Return the text of the file."""
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
