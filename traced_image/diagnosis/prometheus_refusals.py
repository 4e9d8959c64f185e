"""What a Prometheus knows about requests that servers refused in the last minutes."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..telemetry import catalogue
from .episodes import add_points, find_latest
from .observations import Tally
from .prometheus_times import find_begin
from .promql import match_server
from .refusals import find_unlike, sum_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .observations import ServerSeen
    from .prometheus_api import PrometheusAPI, Sample
    from .prometheus_servers import Place
    from .prometheus_times import Window
    from .promql import Questions

_RECENT = 300.0


@dataclass(frozen=True, slots=True)
class RefusalsSeen:
    """The refusals of all servers.

    Attributes:
        reasons: How many there were, by reason.
        unlike: What a server refuses and another one answers, by server.
        since: Since when it does.
    """

    reasons: Mapping[str, float]
    unlike: Mapping[Place, tuple[Tally, ...]]
    since: Mapping[Place, float | None]


def observe_refusals(api: PrometheusAPI, ask: Questions, window: Window) -> RefusalsSeen:
    """Return what Prometheus tells."""
    asked: dict[Place, list[Tally]] = defaultdict(list)
    for each in api.query(ask.answers(min(_RECENT, window.seconds)), window.end):
        place = each.labels.get("server_address", ""), each.labels.get("server_port", "")
        asked[place].append(_read_answers(each))
    unlike = find_unlike(asked)
    since = {place: _find_since(api, ask, window, match_server(place)) for place in unlike}
    return RefusalsSeen(sum_up(asked.values()), unlike, since)


def add_refusals(
    servers: Mapping[Place, ServerSeen], seen: RefusalsSeen
) -> dict[Place, ServerSeen]:
    """Return servers with what they alone refuse."""
    return {
        place: replace(
            each, refusals=seen.unlike.get(place, ()), refused_since=seen.since.get(place)
        )
        for place, each in servers.items()
    }


def _read_answers(sample: Sample) -> Tally:
    labels = sample.labels
    refused = labels.get("verdict") == "refused"
    reason = (labels.get("error_type") or catalogue.OTHER) if refused else ""
    return Tally(labels.get("job", ""), labels.get("operation", ""), reason, sample.value)


def _find_since(api: PrometheusAPI, ask: Questions, window: Window, server: str) -> float | None:
    step, end = window.step, window.end
    start = end - (math.ceil(window.seconds / step) - 1) * step
    found = api.query_range(ask.refused(step, server), start, end, step)
    episode = find_latest(add_points(each.points for each in found), window.pause)
    if episode is None:
        return None
    return find_begin(api, ask.refused_now(server), window, episode.first)
