"""Alerts on the telemetry itself: without it, no other alert can fire."""

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
        # Series of the last 7 days show that a job calls Glance: longer than a long weekend.
        f"and last_over_time({CALLERS.record}[7d])\n"
        f"or\nlast_over_time({CALLERS.record}[6h]) unless {CALLERS.record} unless"
        f" count without ({_CALLER}) (up == 0)\n"
        f"or\nabsent({CALLERS.record})",
        "15m",
        f"No telemetry of Glance's callers comes from {_JOB}.",
        f"More than a tenth of the targets of {_JOB} are down, or none of them reports calls to"
        " Glance any more. The other alerts do not see these callers.",
    ),
    Alert(
        "GlanceObjectiveMissing",
        "ticket",
        f"absent({OBJECTIVE}) or {OBJECTIVE} < 0.95 or {OBJECTIVE} >= 1 or count({OBJECTIVE}) > 1",
        "15m",
        "The objective for calls to Glance is missing, or can't be used.",
        f"{OBJECTIVE} must be one number from 0.95 to below 1, recorded by"
        " dashboards/rules/objective.yaml; without it, GlanceClientErrorBudgetBurn never fires.",
    ),
    Alert(
        "GlanceTelemetryErrors",
        "ticket",
        f"sum without ({_CALLER}) (increase({selector(catalogue.TELEMETRY_ERRORS)}[15m])) > 4.5",
        "15m",
        "The telemetry of {{ $labels.job }} fails: {{ $labels.kind }}.",
        "{{ $value | humanize }} failures in 15 minutes in the code that observes the calls of"
        " {{ $labels.job }}. They changed no call's result. The log of each process has the first"
        " failure of each kind.",
    ),
    Alert(
        "GlanceCardinalityOverflow",
        "ticket",
        'count by (job) ({otel_metric_overflow="true", __name__=~"glance_client_.+"})\n'
        f'or\nsum by (job) ({ATTEMPTS.record}{{server_address="{OTHER}"}}) > 0',
        "15m",
        "{{ $labels.job }} has more servers or series than its telemetry keeps apart.",
        "All beyond the limit is counted together, as the server _OTHER or under the attribute"
        " otel.metric.overflow. Alerts on single servers do not see it.",
    ),
    Alert(
        "GlanceCollectorQueueFilling",
        "ticket",
        f"{collector.QUEUE_SIZE} / ({collector.QUEUE_CAPACITY} > 0) > 0.8",
        "10m",
        "The queue of {{ $labels.exporter }} in otelcol {{ $labels.instance }} is nearly full.",
        "{{ $value | humanizePercentage }} of it is used: the backend of {{ $labels.exporter }} is"
        " too slow, or down. When the queue is full, telemetry is lost or refused.",
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
        f"{_LOST}: the backend rejects them.",
        "{{ $labels.job }} at {{ $labels.instance }} drops {{ $value | humanize }}"
        " {{ $labels.signal }} a second, because the backend rejects them for good.",
    ),
    Alert(
        "GlanceCollectorRefusing",
        "ticket",
        _collector(collector.REFUSED),
        "10m",
        "otelcol {{ $labels.instance }} refuses {{ $labels.signal }}.",
        "{{ $labels.job }} at {{ $labels.instance }} refuses {{ $value | humanize }}"
        " {{ $labels.signal }} a second: it is at its memory limit, or a pipeline behind it is"
        " stuck. Senders that do not send again lose them.",
    ),
)
