"""Alerts on the telemetry itself: without it, no other alert can fire."""

from __future__ import annotations

from traced_image.telemetry import catalogue
from traced_image.telemetry.catalogue import OTHER

from .. import collector
from ..links import OF_TELEMETRY
from ..promql import ROUTES, SERVER, selector
from ..recording import ATTEMPTS, CALLER, CALLERS, CLOCKS, OBJECTIVE, SEEN
from .alert import Alert

_CALLER = ", ".join(CALLER)
_SUCCEEDED = catalogue.LAST_SUCCESS.name
_JOB = "{{ with $labels.job }}{{ . }}{{ else }}any job{{ end }}"
_LOST = "otelcol {{ $labels.instance }} loses {{ $labels.signal }}"


def _collector(counter: str) -> str:
    return f"sum without (exporter, receiver, transport) (\n    {collector.rates(counter)}\n) > 0"


_TOLD = f"and on (job, instance) {SEEN.record}"
"""A clause that leaves out what else is scraped in the same job."""

_DOWN = f"count without ({_CALLER}) (up == 0 {_TOLD})"

_LASTED = f"max_over_time(count_over_time({CALLERS.record}[3h:15m])[3d:1h]) >= 12"
"""Jobs that were there for three hours on end, in the last days: no cron jobs."""

TELEMETRY_ALERTS = (
    Alert(
        "GlanceWatchdog",
        "none",
        "vector(1)",
        "0m",
        "Alerts on Glance work.",
        "This alert always fires. Send it to what tells you if it stops, such as a dead man's"
        " switch: then no other alert reaches you.",
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceRulesBlind",
        "ticket",
        f"count without ({_CALLER}, operation, outcome, error_type)"
        f" ({catalogue.CALL_DURATION.name})",
        "15m",
        "Rules and dashboards can't read the calls of {{ $labels.job }}: they are native"
        " histograms.",
        "Prometheus keeps {{ $value }} of the histograms of {{ $labels.job }} as native ones,"
        " without the series _count and _bucket. Remove convert_classic_histograms_to_nhcb from its"
        " configuration, or set it to false for this job.",
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceCallerClockWrong",
        "ticket",
        f"max without ({_CALLER}, {SERVER}) ({_SUCCEEDED} - timestamp({_SUCCEEDED})) > {CLOCKS}",
        "15m",
        "The clock of a process of {{ $labels.job }} is {{ $value | humanizeDuration }} ahead.",
        "It is compared with the time of the scrapes. The rules leave out when its attempts failed"
        " and succeeded, and its logs and traces have wrong times. This query finds it:"
        f" {_SUCCEEDED} - timestamp({_SUCCEEDED}) > {CLOCKS}.",
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceTelemetryAbsent",
        "ticket",
        f"{_DOWN} / count without ({_CALLER}) (up {_TOLD}) > 0.1\n"
        f"or\ncount without ({_CALLER}) (up == 1 {_TOLD}) unless {CALLERS.record} unless {_DOWN}\n"
        f"or\n{_LASTED} unless {CALLERS.record} unless {_DOWN}\n"
        f"or\nabsent(last_over_time({CALLERS.record}[3d]))",
        "15m",
        f"No telemetry of Glance's callers comes from {_JOB}.",
        f"More than a tenth of the targets of {_JOB} are down, or none of them reports calls to"
        " Glance any more. The other alerts do not see these callers.",
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceObjectiveMissing",
        "ticket",
        f'absent({OBJECTIVE}{{job="", region=""}})'
        # Also what is not a number.
        f" or {OBJECTIVE} unless {OBJECTIVE} >= 0.95 < 1"
        f" or count by (job, region) ({OBJECTIVE}) > 1",
        "15m",
        "The objective for calls to Glance is missing, or can't be used.",
        f"{OBJECTIVE} must be a number from 0.95 to below 1, one for all jobs and at most one for"
        " each job and region, recorded by dashboards/rules/objective.yaml; without it,"
        " GlanceClientErrorBudgetBurn never fires.",
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
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceCardinalityOverflow",
        "ticket",
        f"count by (job, {', '.join(ROUTES)})"
        ' ({otel_metric_overflow="true", __name__=~"glance_client_.+"})\n'
        f"or\nsum without ({SERVER}) ({ATTEMPTS.record}"
        f'{{server_address="{OTHER}"}}) > 0',
        "15m",
        "{{ $labels.job }} has more servers or series than its telemetry keeps apart.",
        "All beyond the limit is counted together, as the server _OTHER or under the attribute"
        " otel.metric.overflow. Alerts on single servers do not see it.",
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceCollectorQueueFilling",
        "ticket",
        f"{collector.of_ours(collector.QUEUE_SIZE)}"
        f" / ({collector.of_ours(collector.QUEUE_CAPACITY)} > 0) > 0.8",
        "10m",
        "The queue of {{ $labels.exporter }} in otelcol {{ $labels.instance }} is nearly full.",
        "{{ $value | humanizePercentage }} of it is used: the backend of {{ $labels.exporter }} is"
        " too slow, or down. When the queue is full, telemetry is lost or refused.",
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceCollectorEnqueueFailed",
        "ticket",
        _collector(collector.ENQUEUE_FAILED),
        "5m",
        f"{_LOST}: a queue is full.",
        "{{ $value | humanize }} {{ $labels.signal }} a second find no place in the sending queue"
        " of {{ $labels.job }} at {{ $labels.instance }}.",
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceCollectorSendFailed",
        "ticket",
        _collector(collector.SEND_FAILED),
        "5m",
        f"{_LOST}: the backend rejects them.",
        "{{ $labels.job }} at {{ $labels.instance }} drops {{ $value | humanize }}"
        " {{ $labels.signal }} a second, because the backend rejects them for good.",
        board=OF_TELEMETRY,
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
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceCollectorExportsRejected",
        "ticket",
        f"{collector.rejected()} > 0",
        "10m",
        "otelcol {{ $labels.instance }} answers {{ $labels.answer }} to those who send to it.",
        "{{ $value | humanize }} exports a second are refused by {{ $labels.job }} at"
        " {{ $labels.instance }} with {{ $labels.answer }}, which senders do not send again: a"
        " wrong token, path or message. They lose them.",
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceCollectorTracesWaiting",
        "ticket",
        f"{collector.of_ours(collector.TRACES_WAITING)} > {0.8 * collector.MAX_TRACES:.0f}",
        "5m",
        "{{ $value | humanize }} traces wait in otelcol {{ $labels.instance }}.",
        "{{ $labels.job }} at {{ $labels.instance }} waits for the rest of so many traces. Over"
        f" COLLECTOR_MAX_TRACES, {collector.MAX_TRACES} unless you set it, the oldest are dropped"
        " before their time.",
        board=OF_TELEMETRY,
    ),
    Alert(
        "GlanceCollectorTracesDropped",
        "ticket",
        f"{collector.dropped_share()} > 0.05",
        "10m",
        "otelcol {{ $labels.instance }} has no room for the traces that wait.",
        "{{ $labels.job }} at {{ $labels.instance }} drops {{ $value | humanizePercentage }} of"
        " its traces before their time. If one of these fails later, what came before is missing"
        " from its trace.",
        board=OF_TELEMETRY,
    ),
)
