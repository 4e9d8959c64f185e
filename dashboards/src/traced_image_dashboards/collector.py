"""The names of the metrics that OpenTelemetry's collector reports about itself."""

from __future__ import annotations

SIGNALS = ("spans", "metric_points", "log_records")

QUEUE_SIZE = "otelcol_exporter_queue_size"
QUEUE_CAPACITY = "otelcol_exporter_queue_capacity"
ENQUEUE_FAILED = "otelcol_exporter_enqueue_failed"
SEND_FAILED = "otelcol_exporter_send_failed"
REFUSED = "otelcol_receiver_refused"
"""The last three are counters, one for each of `SIGNALS`."""


def rates(counter: str, window: str = "5m") -> str:
    """Build the query of a counter's growth per second, with the signal in the label ``signal``.

    Both spellings of a name are in it: the collector's own Prometheus page has names without
    ``_total``, and what it sends by OTLP has names with it.
    """
    terms = (
        f'label_replace(rate({counter}_{signal}{suffix}[{window}]), "signal", "{signal}", "", "")'
        for signal in SIGNALS
        for suffix in ("", "_total")
    )
    return "\n    or ".join(terms)
