"""The metrics by which OpenTelemetry's collector tells of itself: no catalogue of ours has them."""

from __future__ import annotations

SIGNALS = ("spans", "metric_points", "log_records")

QUEUE_SIZE = "otelcol_exporter_queue_size"
QUEUE_CAPACITY = "otelcol_exporter_queue_capacity"
ENQUEUE_FAILED = "otelcol_exporter_enqueue_failed"
SEND_FAILED = "otelcol_exporter_send_failed"
REFUSED = "otelcol_receiver_refused"
"""The last three are counters, one for each of `SIGNALS`."""


def rates(counter: str, window: str = "5m") -> str:
    """How fast a counter grows for each signal, told by the label ``signal``.

    The collector's own page has its names without ``_total``, what it sends by OTLP with it.
    """
    terms = (
        f'label_replace(rate({counter}_{signal}{suffix}[{window}]), "signal", "{signal}", "", "")'
        for signal in SIGNALS
        for suffix in ("", "_total")
    )
    return "\n    or ".join(terms)
