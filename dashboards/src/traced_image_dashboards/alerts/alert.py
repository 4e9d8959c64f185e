"""The form of an alert, and the templates that name servers and reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..links import runbook
from ..recording import FAILURES, INTERVAL

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["page", "ticket"]
"""``page``: calls fail, and an operator must act now; ``ticket``: within a working day."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule.

    Attributes:
        name: Its name; the page of runbooks has a section of the same name.
        severity: Its urgency.
        expr: Its condition in PromQL.
        wait: How long the condition must hold.
        summary: One line, a template of Prometheus.
        description: The facts and what they mean, a template too.
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
        """Return the alert in the form of a rule file; `page` is the address of the runbooks."""
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
    """Build the condition that a rate over 5 minutes stands for at least so many events.

    The limit is half an event lower, because Prometheus extrapolates: 2 events may look like 2.5.
    """
    return f"{rate} * 300 > {count - 0.5:g}"


def at_least_within(window: str, count: int, rate: str) -> str:
    """Build the condition of at least so many events in a longer window, by their recorded rate.

    It is a sum. An average would take the first minutes after a deployment for the whole window.
    """
    return f"sum_over_time({rate}[{window}]) * {INTERVAL} > {count - 0.5:g}"


SERVER = "{{ $labels.server_address }}:{{ $labels.server_port }}"
"""The template of the server of an alert, if the alert has one."""

_OF_SERVER = (
    "job=%q, server_address=%q, server_port=%q}> 0` "
    "$labels.job $labels.server_address $labels.server_port"
)

REASON = (
    f"{{{{ with printf `topk(1, {FAILURES.record}{{{_OF_SERVER.replace('> 0', ' > 0)')}"
    " | query }}{{ . | first | label `error_type` }}{{ else }}unknown{{ end }}"
)
"""The template of the most frequent reason of failed attempts on an alert's server now."""


def listed(series: str) -> str:
    """Build the template that lists the servers of an alert's job in some series, with reasons.

    Args:
        series: A recording of the level ``job_server`` with the label ``error_type``.
    """
    # sortByLabel leaves equal labels in any order. So one label has all that is shown, and no two
    # are equal.
    server = f'label_join({series}{{job=%q}} > 0, "at", ":", "server_address", "server_port")'
    return (
        f'{{{{ range $i, $each := printf `label_join({server}, "what", " ", "at", "error_type")`'
        " $labels.job | query | sortByLabel `what` }}"
        "{{ if $i }}, {{ end }}{{ .Labels.what }}{{ else }}none{{ end }}"
    )


BLAMED = listed(FAILURES.record)
"""The template of the servers that fail attempts of an alert's job now, with the reasons."""
