"""The committed dashboards, asked of a Prometheus in the way in which Grafana asks it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts.prometheus import Prometheus

FOLDER = Path(__file__).parents[2] / "dashboards"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}

_SHOWN = 20  # seconds that a dashboard shows here
_OWN = {"__rate_interval": "10s", "__range": f"{_SHOWN}s", "__interval": "1s"}
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")

Chosen = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """What one query of a panel found: labels and the last value of each series."""

    series: Sequence[tuple[Mapping[str, str], float]]

    def by(self, *labels: str) -> dict[Any, float]:
        """The values by one label, or by several."""
        keys = [tuple(found.get(label, "") for label in labels) for found, _ in self.series]
        assert len(set(keys)) == len(keys), f"not told apart by {labels}: {self.series}"
        return {
            key[0] if len(labels) == 1 else key: value
            for key, (_, value) in zip(keys, self.series, strict=True)
        }

    @property
    def value(self) -> float:
        """The only value."""
        ((_, value),) = self.series
        return value

    @property
    def most(self) -> Mapping[str, str]:
        """The labels of the greatest value."""
        return max(self.series, key=lambda each: each[1])[0]


def panels(board: str) -> Iterator[dict[str, Any]]:
    """The panels of a dashboard that ask something."""
    yield from (panel for panel in BOARDS[board]["panels"] if panel["type"] != "row")


def titled(board: str, title: str) -> dict[str, Any]:
    """A panel by its title."""
    (found,) = (panel for panel in panels(board) if panel["title"] == title)
    return found


def interpolated(prometheus: Prometheus, board: str, expr: str, chosen: Chosen) -> str:
    """An expression with Grafana's variables replaced, those that nobody chose by All."""
    known = {each["name"]: each for each in BOARDS[board]["templating"]["list"]}

    def replaced(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name in _OWN:
            return _OWN[name]
        value = chosen.get(name)
        if value is not None:
            return _quoted(known[name], value)
        every = known[name].get("allValue")
        return every or _quoted(known[name], sorted(options(prometheus, board, name, chosen)))

    return _VARIABLE.sub(replaced, expr)


def _quoted(variable: Mapping[str, Any], value: str | Sequence[str]) -> str:
    """A value in the form for a PromQL string: a regular expression, if there may be several."""
    if not variable["multi"]:
        assert isinstance(value, str)
        return value.replace("\\", "\\\\").replace('"', '\\"')
    several = [value] if isinstance(value, str) else list(value)
    quoted = [_SPECIAL.sub(r"\\\\\g<0>", each) for each in several]
    return quoted[0] if len(quoted) == 1 else f"({'|'.join(quoted)})"


def ask(
    prometheus: Prometheus, board: str, title: str, at: float, chosen: Chosen
) -> dict[str, Answer]:
    """What a panel shows at a time, by the letters of its queries."""
    return {
        target["refId"]: Answer(
            _asked(prometheus, interpolated(prometheus, board, target["expr"], chosen), target, at)
        )
        for target in titled(board, title)["targets"]
        if "offset 40y" not in target["expr"]
    }


def _asked(
    prometheus: Prometheus, expr: str, target: Mapping[str, Any], at: float
) -> list[tuple[Mapping[str, str], float]]:
    if target.get("instant"):
        found = prometheus.get("query", query=expr, time=at)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]
    found = prometheus.get("query_range", query=expr, start=at - _SHOWN, end=at, step=1)["result"]
    # What is not there any more is drawn further to the left.
    shown = [(each["metric"], each["values"][-1]) for each in found]
    return [(labels, float(last[1])) for labels, last in shown if last[0] == at]


def exemplars(
    prometheus: Prometheus, board: str, title: str, at: float, chosen: Chosen
) -> set[str]:
    """The traces that a panel's dots lead to."""
    return {
        dot["labels"]["trace_id"]
        for target in titled(board, title)["targets"]
        if target.get("exemplar")
        for series in prometheus.get(
            "query_exemplars",
            query=interpolated(prometheus, board, target["expr"], chosen),
            start=at - 3600,
            end=at,
        )
        for dot in series["exemplars"]
    }


def marks(prometheus: Prometheus, board: str, name: str, at: float, ago: str) -> Answer:
    """What an annotation marks at a time; it compares with what was so much earlier."""
    (found,) = (each for each in BOARDS[board]["annotations"]["list"] if each["name"] == name)
    expr = re.sub(
        r"offset \w+", f"offset {ago}", interpolated(prometheus, board, found["expr"], {})
    )
    return Answer(_asked(prometheus, expr, {"instant": True}, at))


def options(prometheus: Prometheus, board: str, name: str, chosen: Chosen) -> set[str]:
    """The values that a variable offers."""
    (variable,) = (each for each in BOARDS[board]["templating"]["list"] if each["name"] == name)
    asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
    assert asked, variable["query"]
    parameters = {"match[]": interpolated(prometheus, board, asked[1], chosen)}
    return set(prometheus.get(f"label/{asked[2]}/values", **parameters))
