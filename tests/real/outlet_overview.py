"""Reads what Overview says of a scene, as an operator would: in at most three panels."""

from collections.abc import Mapping
from statistics import median

from diagnose_scene import Scene, Watched
from grafana import Answer, ask, interpolated, titled
from outlet_truth import KEYSTONE, SLOW, Told

_RED = 5
"""The table shows as many failures in a row in red; with fewer, attempts may succeed in between."""

_FAILED = ("exhausted", "non_retryable")
_TOKENS = "Calls without a token, by Keystone's reason"


class _Overview:
    """The panels of Overview, for the jobs of a scene."""

    def __init__(self, watched: Watched, scene: Scene, at: float) -> None:
        self._prometheus, self._at = watched.prometheus, at
        self._chosen = {"job": scene.jobs}

    def ask(self, title: str) -> Mapping[str, Answer]:
        """Put the queries of a panel to Prometheus."""
        return ask(self._prometheus, "overview", title, self._at, self._chosen)

    def find_begin(self, title: str, *outcomes: str) -> float | None:
        """Find where lines of a graph begin to be above 0: all lines, or those of outcomes."""
        (target, *_) = titled("overview", title)["targets"]
        expr = interpolated(self._prometheus, "overview", target["expr"], self._chosen)
        shown = {"start": self._at - 600, "end": self._at, "step": 1}
        found = self._prometheus.get("query_range", query=expr, **shown)["result"]
        times = [
            float(time)
            for each in found
            for time, value in each["values"]
            if float(value) > 0 and (not outcomes or each["metric"]["outcome"] in outcomes)
        ]
        return min(times, default=None)


def read_overview(watched: Watched, scene: Scene, at: float) -> Told:
    """Read the table of what fails first; if it is empty, the panels beside it."""
    board, told = _Overview(watched, scene, at), Told()
    failing = board.ask("What fails now")
    if failing["A"].series:
        _note_failing(told, failing)
        _note_outcomes(told, 2, board)
        _note_cost(told, board)
        return told
    alerts = [labels for labels, _ in board.ask("Alerts")["A"].series]
    jobs = frozenset(it["job"] for it in alerts if it["alertname"] == "GlanceKeystoneFailing")
    if jobs:
        told.note(2, server=frozenset([KEYSTONE]), jobs=jobs, hidden=False)
        _note_tokens(told, board)
    else:
        _note_slow(told, board)
    return told


def _name(labels: Mapping[str, str]) -> str:
    return f"{labels['server_address']}:{labels['server_port']}"


def _note_failing(told: Told, panel: Mapping[str, Answer]) -> None:
    rows = [labels for labels, _ in panel["A"].series]
    what = ("server_port", "job", "operation", "error_type")
    red = {row for row, count in panel["B"].by(*what).items() if count >= _RED}
    since = [it / 1000 for row, it in panel["C"].by(*what).items() if row in red]
    told.note(
        1,
        server=frozenset(map(_name, rows)),
        reason=panel["A"].most["error_type"],
        since=min(since, default=None),
        jobs=frozenset(each["job"] for each in rows),
        operations=frozenset(each["operation"] for each in rows),
    )


def _note_outcomes(told: Told, read: int, board: _Overview) -> None:
    title = "Calls by outcome"
    rates = board.ask(title)["A"].by("outcome")
    failed = sum(rates.get(each, 0.0) for each in _FAILED)
    if failed:
        cost, since = ("failed calls a second", failed), board.find_begin(title, *_FAILED)
        told.note(read, hidden=False, cost=cost, since=since)
    else:
        told.note(read, hidden=bool(rates.get("success_after_retry")))


def _note_cost(told: Told, board: _Overview) -> None:
    title = "What retries cost"
    cost = sum(it for _, it in board.ask(title)["A"].series)
    if cost:
        told.note(3, cost=("seconds a second", cost), since=board.find_begin(title))


def _note_tokens(told: Told, board: _Overview) -> None:
    panel = board.ask(_TOKENS)["A"]
    told.note(
        3,
        reason=panel.most["error_type"],
        since=board.find_begin(_TOKENS),
        cost=("failed calls a second", sum(it for _, it in panel.series)),
    )


def _note_slow(told: Told, board: _Overview) -> None:
    rows = board.ask("Slowest servers")["B"].series
    slow = {}
    for labels, seconds in rows:
        others = median(it for other, it in rows if _name(other) != _name(labels))
        if seconds > max(0.2 + others, 3 * others):
            slow[_name(labels)] = seconds
    if not slow:
        return
    told.note(
        2,
        server=frozenset(slow),
        reason=SLOW,
        jobs=frozenset(labels["job"] for labels, _ in rows if _name(labels) in slow),
        cost=("long attempts", max(slow.values())),
    )
    _note_outcomes(told, 3, board)
