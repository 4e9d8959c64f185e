"""The table of alerts that the rule tests play: which fires in which scene, and after how long.

Promtool checks the figures (``tests/real/test_real_rules.py``): a scene asks for the seconds from
its fault, whose time is the number at the query's end, to the first evaluation in which each alert
fires. A scene in which nothing may fire expects no answer.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import yaml  # type: ignore[import-untyped]

from .pages import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TESTS = Path(__file__).parents[3] / "dashboards/rules/tests"
"""The folder of the rule tests."""

ANY = 'ALERTS{alertstate="firing", severity!="none"}'
"""The selector of any alert but the watchdog."""

TIMES = re.compile(
    r"min by \(alertname, job, severity\) \(min_over_time\(timestamp\((?P<what>ALERTS\{.+\})\)"
    r"\[\d+s:(?P<step>\d+[sm])\]\)\)( - \d+)?"
)
"""The query of a scene; its selector has any alert, or only those that the scene is about.

Its step is the interval of the evaluations, so that it misses none.
"""

_SILENCE = re.compile(rf"count_over_time\({re.escape(ANY)}\[\w+\]\)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_FILES = (
    *("outages", "servers", "calls", "budget", "fleet", "cloud", "probes"),
    *("gone", "telemetry", "objective", "quiet"),
)


class Sample(TypedDict):
    """What a query must find: the labels of a series as PromQL, and its value."""

    labels: str
    value: float


class Query(TypedDict):
    """A query of a rule test, as its file has it."""

    expr: str
    exp_samples: Sequence[Sample]


def list_scenes() -> Iterator[tuple[str, Query]]:
    """Yield the title of each scene, and the query that says what fires in it."""
    for name in _FILES:
        for test in yaml.safe_load((TESTS / f"{name}.yaml").read_text("utf-8"))["tests"]:
            for query in test.get("promql_expr_test", ()):
                if TIMES.fullmatch(query["expr"]) or _SILENCE.fullmatch(query["expr"]):
                    yield test["name"], query


def _rows() -> Iterator[tuple[str, ...]]:
    for title, query in list_scenes():
        shown = title[0].upper() + title[1:]
        samples = sorted(query["exp_samples"], key=lambda each: each["value"])
        every = [dict(_LABEL.findall(each["labels"])) for each in samples]
        several = len({labels.get("job") for labels in every}) > 1
        if not samples:
            yield shown, "none", ""
        for labels, sample in zip(every, samples, strict=True):
            of = f", job `{labels['job']}`" if several else ""
            alert = f"`{labels['alertname']}` ({labels['severity']}{of})"
            yield shown, alert, f"{sample['value'] / 60:.4g}"
            shown = ""


def _scenes() -> str:
    return table(("what happens", "alert", "minutes"), _rows())


TABLES = {"scenes": _scenes}
