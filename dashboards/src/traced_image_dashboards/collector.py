"""The names of the metrics that OpenTelemetry's collector reports about itself."""

from __future__ import annotations

SIGNALS = ("spans", "metric_points", "log_records")

QUEUE_SIZE = "otelcol_exporter_queue_size"
QUEUE_CAPACITY = "otelcol_exporter_queue_capacity"
ENQUEUE_FAILED = "otelcol_exporter_enqueue_failed"
SEND_FAILED = "otelcol_exporter_send_failed"
REFUSED = "otelcol_receiver_refused"
"""The last three are counters, one for each of `SIGNALS`."""

TRACES_WAITING = "otelcol_processor_tail_sampling_sampling_traces_on_memory"
TRACES_RECEIVED = "otelcol_processor_tail_sampling_new_trace_id_received"
TRACES_DECIDED = "otelcol_processor_tail_sampling_global_count_traces_sampled"

OURS = 'job=~".*"'
"""The matcher of the collectors that alerts are about; ``--collector-job`` writes another one."""

MAX_TRACES = 100_000
"""How many traces may wait in a collector, unless ``COLLECTOR_MAX_TRACES`` says otherwise."""

_GRPC_ANSWERS = (
    'rpc_server_call_duration{unit}_count{{{ours}, rpc_method=~"opentelemetry.proto.collector.+",'
    ' rpc_response_status_code!~"OK|CANCELLED|UNAVAILABLE|RESOURCE_EXHAUSTED"}}'
)
_HTTP_ANSWERS = (
    'http_server_request_duration{unit}_count{{{ours}, http_route=~"/v1/(traces|metrics|logs)",'
    ' http_response_status_code=~"4..", http_response_status_code!="429"}}'
)
_ABOUT_REQUESTS = (
    *("rpc_method", "rpc_system_name", "rpc_response_status_code"),
    *("http_request_method", "http_route", "http_response_status_code", "url_scheme"),
    *("network_protocol_name", "network_protocol_version", "server_address", "server_port"),
    "error_type",
)


def of_ours(metric: str) -> str:
    """Build the selector of a metric of the collectors that alerts are about."""
    return f"{metric}{{{OURS}}}"


def rates(counter: str, window: str = "5m") -> str:
    """Build the query of a counter's growth per second, with the signal in the label ``signal``.

    Both spellings of a name are in it: the collector's own Prometheus page has names without
    ``_total``, and what it sends by OTLP has names with it.
    """
    terms = (
        f"label_replace(rate({of_ours(f'{counter}_{signal}{suffix}')}[{window}]),"
        f' "signal", "{signal}", "", "")'
        for signal in SIGNALS
        for suffix in ("", "_total")
    )
    return "\n    or ".join(terms)


def rate(counter: str, window: str = "5m") -> str:
    """Build the query of a counter's growth per second, in both spellings of its name."""
    return f"(rate({of_ours(counter)}[{window}]) or rate({of_ours(counter + '_total')}[{window}]))"


def dropped_share() -> str:
    """Build the query of the share of new traces that are dropped before their time."""
    decided = f"sum without (decision, sampled) {rate(TRACES_DECIDED)}"
    return f"1 - {decided}\n  / ({rate(TRACES_RECEIVED)} > 0)"


def rejected() -> str:
    """Build the query of exports that are refused for good, per second, by ``answer``.

    What senders send again, such as what is refused for lack of memory, is not in it: `REFUSED`
    counts that. Durations have their unit in the name only where the collector sends them by OTLP.
    """
    kinds = ((_GRPC_ANSWERS, "rpc"), (_HTTP_ANSWERS, "http"))
    terms = (
        f'label_replace(rate({answers.format(unit=unit, ours=OURS)}[5m]),\n      "answer", "$1",'
        f' "{kind}_response_status_code", "(.+)")'
        for answers, kind in kinds
        for unit in ("", "_seconds")
    )
    every = "\n    or ".join(terms)
    return f"sum without ({', '.join(_ABOUT_REQUESTS)}) (\n    {every})"
