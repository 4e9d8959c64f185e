"""What an alert is, and the words in which alerts name servers and reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..links import runbook
from ..recording import FAILURES, INTERVAL

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["page", "ticket"]
"""``page``: callers fail, and somebody has to look now; ``ticket``: within a working day."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule.

    Attributes:
        name: Its name; the page of runbooks has a section of the same name.
        severity: Who is told, and when.
        expr: What must not be, in PromQL.
        wait: For how long it must be so.
        summary: One line, a template of Prometheus.
        description: What is known, and what to think of it, a template too.
        labels: Labels beside the severity.
    """

    name: str
    severity: Severity
    expr: str
    wait: str
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self, page: str) -> dict[str, object]:
        """It as a rule file has it; `page` is where the runbooks are."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.wait,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": runbook(self.name, page),
            },
        }


def at_least(count: int, rate: str) -> str:
    """That a rate over 5 minutes stands for so many events.

    Prometheus extrapolates, so that two of them may look like 2.5.
    """
    return f"{rate} * 300 > {count - 0.5:g}"


def at_least_within(window: str, count: int, rate: str) -> str:
    """That there were so many events in a longer window, by their recorded rate.

    An average of the window would take its first minutes, after a deployment, for all of it.
    """
    return f"sum_over_time({rate}[{window}]) * {INTERVAL} > {count - 0.5:g}"


SERVER = "{{ $labels.server_address }}:{{ $labels.server_port }}"
"""The server of an alert that has one."""

_OF_SERVER = (
    "job=%q, server_address=%q, server_port=%q}> 0` "
    "$labels.job $labels.server_address $labels.server_port"
)

REASON = (
    f"{{{{ with printf `topk(1, {FAILURES.record}{{{_OF_SERVER.replace('> 0', ' > 0)')}"
    " | query }}{{ . | first | label `error_type` }}{{ else }}unknown{{ end }}"
)
"""The commonest reason for which attempts on an alert's server fail right now."""


def listed(series: str) -> str:
    """The servers of an alert's job that have such series now, with their reasons.

    Args:
        series: A recording of the level ``job_server`` with the label ``error_type``.
    """
    # sortByLabel leaves equals in any order, so that there must be none.
    server = f'label_join({series}{{job=%q}} > 0, "at", ":", "server_address", "server_port")'
    return (
        f'{{{{ range $i, $each := printf `label_join({server}, "what", " ", "at", "error_type")`'
        " $labels.job | query | sortByLabel `what` }}"
        "{{ if $i }}, {{ end }}{{ .Labels.what }}{{ else }}none{{ end }}"
    )


BLAMED = listed(FAILURES.record)
"""The servers on which attempts of an alert's job fail right now, with their reasons."""
