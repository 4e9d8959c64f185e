"""Alerts on the telemetry itself: what is not seen can't be alerted on."""

from __future__ import annotations

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import OTHER

from .. import collector
from ..promql import selector
from ..recording import ATTEMPTS, CALLER, CALLERS, OBJECTIVE
from .alert import Alert

_CALLER = ", ".join(CALLER)
_JOB = "{{ with $labels.job }}{{ . }}{{ else }}any job{{ end }}"
_LOST = "otelcol {{ $labels.instance }} loses {{ $labels.signal }}"


def _collector(counter: str) -> str:
    return f"sum without (exporter, receiver, transport) (\n    {collector.rates(counter)}\n) > 0"


TELEMETRY_ALERTS = (
    Alert(
        "GlanceTelemetryAbsent",
        "ticket",
        f"count without ({_CALLER}) (up == 0) / count without ({_CALLER}) (up) > 0.1\n"
        # By what it told before it is known to be ours, after a long week-end, too.
        f"and last_over_time({CALLERS.record}[7d])\n"
        f"or\nlast_over_time({CALLERS.record}[6h]) unless {CALLERS.record} unless"
        f" count without ({_CALLER}) (up == 0)\n"
        f"or\nabsent({CALLERS.record})",
        "15m",
        f"No telemetry of Glance's callers comes from {_JOB}.",
        f"More than a tenth of the targets of {_JOB} are down, or none of them tells of calls to"
        " Glance any more. The other alerts are blind to these callers.",
    ),
    Alert(
        "GlanceObjectiveMissing",
        "ticket",
        f"absent({OBJECTIVE}) or {OBJECTIVE} < 0.95 or {OBJECTIVE} >= 1 or count({OBJECTIVE}) > 1",
        "15m",
        "The objective for calls to Glance is missing, or can't be used.",
        f"{OBJECTIVE} has to be one number from 0.95 to below 1, recorded by"
        " dashboards/rules/objective.yaml; without it, GlanceClientErrorBudgetBurn never fires.",
    ),
    Alert(
        "GlanceTelemetryErrors",
        "ticket",
        f"sum without ({_CALLER}) (increase({selector(catalogue.TELEMETRY_ERRORS)}[15m])) > 4.5",
        "15m",
        "The telemetry of {{ $labels.job }} fails: {{ $labels.kind }}.",
        "{{ $value | humanize }} failures in 15 minutes of what observes the calls of"
        " {{ $labels.job }}, none of which changed a call's result. The first of its kind is in the"
        " log of each process.",
    ),
    Alert(
        "GlanceCardinalityOverflow",
        "ticket",
        'count by (job) ({otel_metric_overflow="true", __name__=~"glance_client_.+"})\n'
        f'or\nsum by (job) ({ATTEMPTS.record}{{server_address="{OTHER}"}}) > 0',
        "15m",
        "{{ $labels.job }} has more servers or series than its telemetry tells apart.",
        "What is beyond the limit is counted together, as the server _OTHER or under the attribute"
        " otel.metric.overflow, so that alerts on single servers do not see it.",
    ),
    Alert(
        "GlanceCollectorQueueFilling",
        "ticket",
        f"{collector.QUEUE_SIZE} / ({collector.QUEUE_CAPACITY} > 0) > 0.8",
        "10m",
        "The queue of {{ $labels.exporter }} in otelcol {{ $labels.instance }} is nearly full.",
        "{{ $value | humanizePercentage }} of it is taken: what {{ $labels.exporter }} sends to"
        " does not keep up, or is down. When it is full, telemetry is lost or refused.",
    ),
    Alert(
        "GlanceCollectorEnqueueFailed",
        "ticket",
        _collector(collector.ENQUEUE_FAILED),
        "5m",
        f"{_LOST}: a queue is full.",
        "{{ $value | humanize }} {{ $labels.signal }} a second find no place in the sending queue"
        " of {{ $labels.job }} at {{ $labels.instance }}.",
    ),
    Alert(
        "GlanceCollectorSendFailed",
        "ticket",
        _collector(collector.SEND_FAILED),
        "5m",
        f"{_LOST}: the backend does not take them.",
        "{{ $value | humanize }} {{ $labels.signal }} a second are given up by {{ $labels.job }} at"
        " {{ $labels.instance }}, since the backend answers that it will never take them.",
    ),
    Alert(
        "GlanceCollectorRefusing",
        "ticket",
        _collector(collector.REFUSED),
        "10m",
        "otelcol {{ $labels.instance }} refuses {{ $labels.signal }}.",
        "{{ $value | humanize }} {{ $labels.signal }} a second are refused by {{ $labels.job }} at"
        " {{ $labels.instance }}: its memory limit is reached, or a pipeline behind it is stuck."
        " Senders that do not send again lose them.",
    ),
)
