"""Which processes fail that an agent has added up: their host states tell, which it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .episodes import PAUSE
from .observations import NAMED, Callers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .prometheus_api import PrometheusAPI
    from .promql import Questions

_TOGETHER = 1.0
"""Seconds before a server fails in which a caller's last failure counts: clocks differ."""


def find_added_up(
    api: PrometheusAPI, ask: Questions, server: str, since: float, end: float
) -> Iterator[Callers]:
    """Yield the callers of a server in the jobs that an agent has added up.

    A job without host states has no process that is known: none asks, and none fails.

    Args:
        api: Asks Prometheus.
        ask: Builds the questions.
        server: The matchers of the server.
        since: Since when it fails, in seconds since the epoch.
        end: The time to look at.
    """
    if not ask.aggregated:
        return
    failing, failed_before = (
        _find_processes(api, ask, ask.failing_by_state(server, at), end)
        for at in (since - _TOGETHER, since - PAUSE)
    )
    succeeding, succeeded_before = (
        _find_processes(api, ask, ask.succeeding_by_state(server, at), end)
        for at in (since, since - PAUSE)
    )
    for job in ask.aggregated:
        never = failing[job] - succeeding[job]
        yield Callers(
            job,
            len(failed_before[job] | succeeded_before[job]),
            len(failing[job]),
            len(succeeding[job]),
            len(never),
            # Their names tell who is cut off, if others are not.
            tuple(sorted(never)[:NAMED]) if succeeding[job] else (),
        )


def _find_processes(
    api: PrometheusAPI, ask: Questions, query: str, end: float
) -> dict[str, set[str]]:
    """Return the names of the processes by their jobs."""
    found: dict[str, set[str]] = {job: set() for job in ask.aggregated}
    for each in api.query(query, end):
        found[each.labels["job"]].add(each.labels["instance"])
    return found
