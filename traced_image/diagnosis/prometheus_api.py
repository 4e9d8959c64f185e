"""Prometheus's HTTP API, as far as the diagnosis asks it; other programs have the same API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import DiagnosisError
from .json_values import find, find_list, find_number, find_text, find_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .requests_of_sources import SourceReader

_API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Sample:
    """A series and its value, or its values by time.

    Attributes:
        labels: Its labels.
        points: Times in seconds since the epoch, with the values; an instant query has one.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """The last value."""
        return self.points[-1][1]


class PrometheusAPI:
    """Asks Prometheus.

    Args:
        reader: Reads its answers.
    """

    def __init__(self, reader: SourceReader) -> None:
        self._reader = reader
        self.shown = reader.shown

    def query(self, promql: str, at: float) -> list[Sample]:
        """Return the series that an instant query finds."""
        return self._ask("query", {"query": promql, "time": f"{at:.3f}"})

    def query_range(self, promql: str, start: float, end: float, step: float) -> list[Sample]:
        """Return the series that a range query finds."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return self._ask("query_range", {"query": promql, **times})

    def number(self, promql: str, at: float) -> float | None:
        """Return the one value that an instant query finds; None for none."""
        return next((each.value for each in self.query(promql, at)), None)

    def _ask(self, path: str, parameters: Mapping[str, str]) -> list[Sample]:
        answer = self._reader.read(f"{_API}/{path}", parameters)
        result = find(answer, "data", "result")
        if find_text(answer, "status") != "success" or not isinstance(result, list):
            problem = f"{self.shown} does not answer as Prometheus does; check the URL"
            raise DiagnosisError(problem)
        samples = (_read_sample(each) for each in result)
        return [each for each in samples if each.points]

    def find_runbooks(self) -> dict[str, str]:
        """Return the runbooks of the alerts of now, by their names; empty if they are not told."""
        return {
            find_text(alert, "labels", "alertname"): find_text(alert, "annotations", "runbook_url")
            for alert in find_list(self._try("alerts"), "data", "alerts")
        }

    def find_traces(self, promql: str, start: float, end: float) -> list[str]:
        """Return the ids of traces of exemplars, newest first; none if it keeps no exemplars."""
        times = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        exemplars = [
            (find_number(each, "timestamp") or 0.0, find_text(each, "labels", "trace_id"))
            for series in find_list(self._try("query_exemplars", times), "data")
            for each in find_list(series, "exemplars")
        ]
        return list(dict.fromkeys(trace for _, trace in sorted(exemplars, reverse=True) if trace))

    def _try(self, path: str, parameters: Mapping[str, str] | None = None) -> object:
        """Read what not every program with this API has; return None if it is not there."""
        try:
            return self._reader.read(f"{_API}/{path}", parameters)
        except DiagnosisError:
            return None


def _read_sample(told: object) -> Sample:
    points = find_list(told, "values") or [find_list(told, "value")]
    return Sample(find_texts(told, "metric"), tuple(_read_points(points)))


def _read_points(points: list[object]) -> Iterator[tuple[float, float]]:
    for point in points:
        match point:
            case [time, value]:
                pair = find_number({"": time}, ""), find_number({"": value}, "")
                if pair[0] is not None and pair[1] is not None:
                    yield pair[0], pair[1]
