"""The collectors between callers and what keeps their traces: what is queued, refused, sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import collector
from .panels import BAD, ODD, About, levels, lines, query, row, stacked
from .queries import CALLER_NAME, INSTANCE, JOB, WINDOW, share, top

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import prometheus, timeseries
    from grafana_foundation_sdk.cog.builder import Builder

ACCEPTED = "otelcol_receiver_accepted"
SENT = "otelcol_exporter_sent"
SAMPLED = "otelcol_processor_tail_sampling_global_count_traces_sampled"
SAMPLED_BY_POLICY = "otelcol_processor_tail_sampling_count_traces_sampled"
DROPPED_TOO_EARLY = "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early"
MEMORY = "otelcol_process_memory_rss"

_NONE = "No collector is scraped; without one this row has nothing to show"
_BY_INSTANCE = "by (job, instance)"
_BY_EXPORTER = "by (job, instance, exporter)"
_EXPORTER = "{{instance}} {{exporter}}"


def parts() -> tuple[Builder[Any], ...]:
    """The row of the collectors and its panels."""
    return (
        *(row("Collectors"), queues(), not_queued(), not_sent(), refused(), passed()),
        *(sampled(), by_policy(), too_early(), memory()),
    )


def _named(name: str) -> str:
    # The collector's own page has names without the type and the unit, what it sends has both.
    return f'{{__name__=~"{name}(_bytes)?(_total)?", {JOB}, {INSTANCE}}}'


def _rate(name: str) -> str:
    return f"rate({_named(name)}[{WINDOW}])"


def _signals(counter: str, by: str, legend: str) -> list[prometheus.Dataquery]:
    """The growth of a counter that there is for each signal."""
    return [
        query(top(20, f"sum {by} ({_rate(f'{counter}_{signal}')})"), f"{signal} {legend}")
        for signal in collector.SIGNALS
    ]


def queues() -> timeseries.Panel:
    """How full the queues are."""
    about = About(
        "How full the sending queues are",
        "The 20 fullest. One that fills: what it sends to is down or slow. At 1, telemetry is "
        "refused or lost.",
        "percentunit",
        _NONE,
        "GlanceCollectorQueueFilling",
    )
    size, capacity = (
        f"sum {_BY_EXPORTER} ({_named(each)})"
        for each in (collector.QUEUE_SIZE, collector.QUEUE_CAPACITY)
    )
    fullest = query(top(20, share(size, capacity)), _EXPORTER)
    return lines(about, fullest).min(0).max(1).thresholds(levels((0.5, ODD), (0.8, BAD)))


def not_queued() -> timeseries.Panel:
    """What found no place."""
    about = About(
        "Lost for want of a place in a queue",
        "Spans, metric points and log records each second. Mend what the exporter sends to, or "
        "give the queue more room.",
        "ops",
        _NONE,
        "GlanceCollectorEnqueueFailed",
    )
    return lines(about, *_signals(collector.ENQUEUE_FAILED, _BY_EXPORTER, _EXPORTER))


def not_sent() -> timeseries.Panel:
    """What could not be sent."""
    about = About(
        "Not taken by the backend",
        "Each second, what was given up because the backend answered that it will never take "
        "it. The collector's log has the answer.",
        "ops",
        _NONE,
        "GlanceCollectorSendFailed",
    )
    return lines(about, *_signals(collector.SEND_FAILED, _BY_EXPORTER, _EXPORTER))


def refused() -> timeseries.Panel:
    """What was not let in."""
    about = About(
        "Refused by collectors",
        "Each second, what senders are told to send again later: the memory limit is reached, or "
        "a queue behind is full. Look at these, and add collectors if neither has a cause.",
        "ops",
        _NONE,
        "GlanceCollectorRefusing",
    )
    by = "by (job, instance, receiver)"
    return lines(about, *_signals(collector.REFUSED, by, "{{instance}} {{receiver}}"))


def passed() -> timeseries.Panel:
    """What comes and goes."""
    about = About(
        "Spans received and sent",
        "By receiver and exporter. Sent is less than received by what is not sampled. If "
        "nothing comes, see where callers send to (OTEL_EXPORTER_OTLP_ENDPOINT).",
        "ops",
        _NONE,
        "GlanceCollectorSendFailed",
    )
    came = f"sum by (receiver) ({_rate(f'{ACCEPTED}_spans')})"
    went = f"sum by (exporter) ({_rate(f'{SENT}_spans')})"
    return lines(about, query(came, "received {{receiver}}"), query(went, "sent {{exporter}}"))


def sampled() -> timeseries.Panel:
    """What is kept."""
    about = About(
        "Traces sampled",
        "Traces each second that were kept (true) and not (false). Many kept are many with an "
        "error, a retry or a slow call.",
        "ops",
        "No collector that samples is scraped",
        "GlanceCollectorRefusing",
    )
    decided = query(f"sum by (sampled) ({_rate(SAMPLED)})", "{{sampled}}")
    return stacked(lines(about, decided))


def by_policy() -> timeseries.Panel:
    """Why it is kept."""
    about = About(
        "Traces kept by each policy",
        "Why they are kept; one trace may be kept by several. If the errors' policy never keeps "
        "one while attempts fail, callers' traces do not come through.",
        "ops",
        "No collector that samples is scraped",
        "GlanceCollectorRefusing",
    )
    kept = _named(SAMPLED_BY_POLICY).replace("}", ', sampled="true"}')
    return lines(about, query(f"sum by (policy) (rate({kept}[{WINDOW}]))", "{{policy}}"), width=8)


def too_early() -> timeseries.Panel:
    """What was dropped before it was decided on."""
    about = About(
        "Traces dropped before they were decided on",
        "Each second; anything above 0 loses traces that should be kept. Raise num_traces "
        "(COLLECTOR_MAX_TRACES), or add gateways.",
        "ops",
        "No collector that samples is scraped",
        "GlanceCollectorRefusing",
    )
    dropped = f"sum {_BY_INSTANCE} ({_rate(DROPPED_TOO_EARLY)})"
    return lines(about, query(top(20, dropped), CALLER_NAME), width=8)


def memory() -> timeseries.Panel:
    """What they need."""
    about = About(
        "Memory of collectors",
        "The 20 that use the most. At the limit of memory_limiter they refuse what comes.",
        "bytes",
        _NONE,
        "GlanceCollectorRefusing",
    )
    used = f"max {_BY_INSTANCE} ({_named(MEMORY)})"
    return lines(about, query(top(20, used), CALLER_NAME), width=8)
