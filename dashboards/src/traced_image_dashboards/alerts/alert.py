"""The form of an alert, and the templates that name servers and reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..links import OF_JOB as BOARD_OF_JOB
from ..links import BoardOfAlert, runbook
from ..promql import ROUTES
from ..recording import (
    ALL_BAD_CALLS,
    FAILURES,
    INTERVAL,
    OPERATION_FAILURES,
    RECENT_SINCE,
    RETRY_COST,
    SAVED_CALLS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["page", "ticket", "none"]
"""``page``: act now; ``ticket``: within a working day; ``none``: this is no trouble."""


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
        keep: How long it goes on after its condition ended; empty for not at all. It is for
            conditions that end by chance, where there is little traffic.
        board: The dashboard that shows what fails.
    """

    name: str
    severity: Severity
    expr: str
    wait: str
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)
    keep: str = ""
    board: BoardOfAlert = BOARD_OF_JOB

    def rule(self, page: str, grafana: str) -> dict[str, object]:
        """Return the alert in the form of a rule file.

        Args:
            page: The address of the runbooks.
            grafana: The address of Grafana; empty if it is unknown.
        """
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.wait,
            **({"keep_firing_for": self.keep} if self.keep else {}),
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": runbook(self.name, page),
                "dashboard_url": self.board.url(grafana),
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


SERVER = '{{ $labels.server_address | reReplaceAll "^(.*:.*)$" "[$1]" }}:{{ $labels.server_port }}'
"""The template of the server of an alert, if the alert has one; an IPv6 address has brackets."""

_JOB_KEYS = ("job", *ROUTES)
_SERVER_KEYS = (*_JOB_KEYS, "server_address", "server_port")


def _match(*keys: str) -> str:
    """Build matchers of an alert's own labels; `_name` gives their values, in the same order."""
    return "{" + ", ".join(f"{key}=%q" for key in keys) + "}"


def _name(*keys: str) -> str:
    return " ".join(f"$labels.{key}" for key in keys)


OF_JOB, JOB_LABELS = _match(*_JOB_KEYS), _name(*_JOB_KEYS)
OF_SERVER, SERVER_LABELS = _match(*_SERVER_KEYS), _name(*_SERVER_KEYS)
_OF_OPERATION = _match(*_SERVER_KEYS, "operation")


def _with(query: str, shown: str, otherwise: str, labels: str = SERVER_LABELS) -> str:
    """Build the template that shows the first result of a query, or something else if none is."""
    asked = f"{{{{ with printf `{query}` {labels} | query }}}}"
    return f"{asked}{shown}{{{{ else }}}}{otherwise}{{{{ end }}}}"


def _most_frequent(failures: str, labels: str = SERVER_LABELS) -> str:
    reason = "{{ . | first | label `error_type` }}"
    return _with(f"topk(1, {failures} > 0)", reason, "unknown", labels)


REASON = _most_frequent(FAILURES.record + OF_SERVER)
"""The template of the most frequent reason of failed attempts on an alert's server now."""

REASON_OF_OPERATION = _most_frequent(
    OPERATION_FAILURES.record + _OF_OPERATION, f"{SERVER_LABELS} $labels.operation"
)
"""The same for the operation of an alert."""

SINCE = _with(
    RECENT_SINCE.record + OF_SERVER,
    ', since {{ (. | first | value | toTime).Format "15:04:05" }} UTC',
    "",
)
"""The template of the time of day since when an alert's server fails, if it is known."""


def _add_up(rate: str, form: str, none: str, labels: str = SERVER_LABELS) -> str:
    return _with(f"sum({rate}) * 300", f"{{{{ . | first | value | {form} }}}}", none, labels)


_SAVED = _add_up(SAVED_CALLS.record + OF_SERVER, 'printf "%.0f"', "0")
_LOST = _add_up(ALL_BAD_CALLS.record + OF_JOB, 'printf "%.0f"', "0", JOB_LABELS)
_LONGER = _add_up(RETRY_COST.record + OF_SERVER, "humanizeDuration", "0s")


COST = (
    f"In the last 5 minutes, retries saved about {_SAVED} calls of {{{{ $labels.job }}}} from it,"
    f" which took {_LONGER} longer in all; about {_LOST} of its calls failed."
)
"""The template of what an alert's server costs its job."""


def _list(series: str, labels: str, label: str = "what") -> str:
    each = f"{{{{ if $i }}}}, {{{{ end }}}}{{{{ .Labels.{label} }}}}{{{{ else }}}}none{{{{ end }}}}"
    found = f"printf `{series}` {labels} | query | sortByLabel `{label}`"
    return f"{{{{ range $i, $each := {found} }}}}{each}"


_FAILS = f"{OPERATION_FAILURES.record}{OF_SERVER} > 0"
OPERATIONS = _list(f'label_join({_FAILS}, "what", " ", "operation", "error_type")', SERVER_LABELS)
"""The template of the operations that fail on an alert's server now, with the reasons."""


def listed(series: str) -> str:
    """Build the template that lists the servers of an alert's job in some series, with reasons.

    Args:
        series: A recording of the level ``job_server`` with the label ``error_type``.
    """
    # sortByLabel leaves equal labels in any order. So one label has all that is shown, and no two
    # are equal.
    address = '"server_address", "[$1]", "server_address", "(.*:.*)"'
    found = f"label_replace({series}{OF_JOB} > 0, {address})"
    server = f'label_join({found}, "at", ":", "server_address", "server_port")'
    return _list(f'label_join({server}, "what", " ", "at", "error_type")', JOB_LABELS)


BLAMED = listed(FAILURES.record)
"""The template of the servers that fail attempts of an alert's job now, with the reasons."""


def list_reasons(series: str) -> str:
    """Build the template that lists the reasons in some series of an alert's job.

    Args:
        series: A recording of the level ``job`` with the label ``error_type``.
    """
    return _list(f"{series}{OF_JOB} > 0", JOB_LABELS, "error_type")


def show_first(series: str, label: str) -> str:
    """Build the template of a label of the first series of an alert's server."""
    return _with(series + OF_SERVER, f"{{{{ . | first | label `{label}` }}}}", "unknown")
