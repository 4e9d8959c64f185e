"""The collectors between callers and the trace backend: queues, refusals and sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import collector
from .panels import BAD, ODD, About, levels, lines, query, row, stacked
from .queries import CALLER_NAME, CHOSEN, INSTANCE, WINDOW, share, top

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import prometheus, timeseries
    from grafana_foundation_sdk.cog.builder import Builder

ACCEPTED = "otelcol_receiver_accepted"
SENT = "otelcol_exporter_sent"
SAMPLED_BY_POLICY = "otelcol_processor_tail_sampling_count_traces_sampled"
MEMORY = "otelcol_process_memory_rss"

_NONE = "No collector is scraped; without one this row has nothing to show"
_BY_INSTANCE = "by (job, instance)"
_BY_EXPORTER = "by (job, instance, exporter)"
_EXPORTER = "{{instance}} {{exporter}}"


def parts() -> tuple[Builder[Any], ...]:
    """Build the row of the collectors and its panels."""
    return (
        *(row("Collectors"), queues(), not_queued(), not_sent(), refused(), passed()),
        *(sampled(), by_policy(), waiting(), too_early(), memory()),
    )


def _named(name: str) -> str:
    # The collector's own Prometheus page has names without unit and type; what it sends has both.
    return f'{{__name__=~"{name}(_bytes)?(_total)?", {CHOSEN}, {INSTANCE}}}'


def _rate(name: str) -> str:
    return f"rate({_named(name)}[{WINDOW}])"


def _signals(counter: str, by: str, legend: str) -> list[prometheus.Dataquery]:
    """Build a query for each signal of a counter's growth."""
    return [
        query(top(20, f"sum {by} ({_rate(f'{counter}_{signal}')})"), f"{signal} {legend}")
        for signal in collector.SIGNALS
    ]


def queues() -> timeseries.Panel:
    """Build the panel of the queues."""
    about = About(
        "How full the sending queues are",
        "The 20 fullest. If one fills, its backend is down or slow. At 1, telemetry is refused or "
        "lost.",
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
    """Build the panel of what a full queue lost."""
    about = About(
        "Lost because a queue is full",
        "Spans, metric points and log records each second. Fix the backend that the exporter sends "
        "to, or enlarge the queue.",
        "ops",
        _NONE,
        "GlanceCollectorEnqueueFailed",
    )
    return lines(about, *_signals(collector.ENQUEUE_FAILED, _BY_EXPORTER, _EXPORTER))


def not_sent() -> timeseries.Panel:
    """Build the panel of what the backend rejected."""
    about = About(
        "Rejected by the backend",
        "Each second, what the collector dropped because the backend rejected it for good. The "
        "collector's log has the backend's answer.",
        "ops",
        _NONE,
        "GlanceCollectorSendFailed",
    )
    return lines(about, *_signals(collector.SEND_FAILED, _BY_EXPORTER, _EXPORTER))


def refused() -> timeseries.Panel:
    """Build the panel of what collectors refused."""
    about = About(
        "Refused by collectors",
        "Each second, what senders must send again later, because the memory limit is reached or a "
        "queue is full. Check both; if neither has a cause of its own, add collectors.",
        "ops",
        _NONE,
        "GlanceCollectorRefusing",
    )
    by = "by (job, instance, receiver)"
    return lines(about, *_signals(collector.REFUSED, by, "{{instance}} {{receiver}}"))


def passed() -> timeseries.Panel:
    """Build the panel of spans received and sent."""
    about = About(
        "Spans received and sent",
        "By receiver and exporter. The difference is what is not sampled. If no spans arrive, "
        "check where callers send them (OTEL_EXPORTER_OTLP_ENDPOINT).",
        "ops",
        _NONE,
        "GlanceCollectorSendFailed",
    )
    came = f"sum by (receiver) ({_rate(f'{ACCEPTED}_spans')})"
    went = f"sum by (exporter) ({_rate(f'{SENT}_spans')})"
    return lines(about, query(came, "received {{receiver}}"), query(went, "sent {{exporter}}"))


def sampled() -> timeseries.Panel:
    """Build the panel of the traces that are kept."""
    about = About(
        "Traces sampled",
        "Traces each second that were kept (true) and not (false). If many are kept, many have an "
        "error, a retry or a slow call.",
        "ops",
        "No collector that samples is scraped",
        "GlanceCollectorRefusing",
    )
    decided = query(f"sum by (sampled) ({_rate(collector.TRACES_DECIDED)})", "{{sampled}}")
    return stacked(lines(about, decided))


def by_policy() -> timeseries.Panel:
    """Build the panel of the policies that keep traces."""
    about = About(
        "Traces kept by each policy",
        "Why traces are kept; several policies may keep one. If attempts fail and the errors' "
        "policy keeps none, the callers' traces do not arrive.",
        "ops",
        "No collector that samples is scraped",
        "GlanceCollectorRefusing",
    )
    kept = _named(SAMPLED_BY_POLICY).replace("}", ', sampled="true"}')
    return lines(about, query(f"sum by (policy) (rate({kept}[{WINDOW}]))", "{{policy}}"), width=6)


def waiting() -> timeseries.Panel:
    """Build the panel of traces that wait."""
    about = About(
        "Traces that wait",
        "Traces in memory, in case that a call in them fails. Over num_traces (COLLECTOR_MAX_TRACES"
        f", {collector.MAX_TRACES} by default) the oldest are dropped.",
        "short",
        "No collector that samples is scraped",
        "GlanceCollectorTracesWaiting",
    )
    traces = f"sum {_BY_INSTANCE} ({_named(collector.TRACES_WAITING)})"
    return lines(about, query(top(20, traces), CALLER_NAME), width=6)


def too_early() -> timeseries.Panel:
    """Build the panel of traces dropped before their time."""
    about = About(
        "Traces dropped before their time",
        "Each second, for lack of room. If one of these fails later, what came before is missing "
        "from its trace. Raise num_traces (COLLECTOR_MAX_TRACES), or add gateways.",
        "ops",
        "No collector that samples is scraped",
        "GlanceCollectorTracesDropped",
    )
    received, decided = (
        f"sum {_BY_INSTANCE} ({_rate(each)})"
        for each in (collector.TRACES_RECEIVED, collector.TRACES_DECIDED)
    )
    return lines(about, query(top(20, f"{received} - {decided}"), CALLER_NAME), width=6)


def memory() -> timeseries.Panel:
    """Build the panel of the collectors' memory."""
    about = About(
        "Memory of collectors",
        "The 20 that use the most. At the limit of memory_limiter they refuse new telemetry.",
        "bytes",
        _NONE,
        "GlanceCollectorRefusing",
    )
    used = f"max {_BY_INSTANCE} ({_named(MEMORY)})"
    return lines(about, query(top(20, used), CALLER_NAME), width=6)
