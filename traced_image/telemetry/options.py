"""Where telemetry goes, and in how much detail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from ..config import checks
from ..errors import InvalidOption

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from prometheus_client import CollectorRegistry

Detail = Literal["full", "reason", "operation", "host"]
"""Which labels the metrics have: operation and reason, one of the two, or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """Where a service sends its spans and metrics, and in how much detail.

    Attributes:
        tracer_provider: Where spans go; None for the process's global provider.
        registry: The registry of the Prometheus metrics; None for prometheus_client's default
            registry, False for no Prometheus metrics.
        meter_provider: Where the same metrics go through OpenTelemetry's Metrics API; None for
            the process's global provider, False for no such metrics.
        wire_spans: Whether each HTTP request has its own span below the attempt's span. Without
            wire spans the attempt's span is the CLIENT span.
        detail: Which labels the metrics have; fewer labels mean fewer series, for large fleets.
            ``full`` keeps all. ``reason`` drops the operation. ``operation`` drops the reason:
            it becomes ``_OTHER``, and the verdict still tells a refusal. ``host`` drops both.

    Raises:
        InvalidOption: An attribute has a value of another type, or an unknown `detail`.
    """

    tracer_provider: TracerProvider | None = None
    registry: CollectorRegistry | Literal[False] | None = None
    meter_provider: MeterProvider | Literal[False] | None = None
    wire_spans: bool = True
    detail: Detail = "full"

    def __post_init__(self) -> None:
        # Checked by method: an `isinstance` check would import OpenTelemetry here. A class has
        # the method too, but the caller must pass an instance.
        for item, (method, can_be_off) in _METHODS.items():
            value = getattr(self, item)
            instance = hasattr(value, method) and not isinstance(value, type)
            off = can_be_off and value is False
            check_type(item, value, fits=value is None or off or instance)
        checks.check_boolean("wire_spans", self.wire_spans, "argument", InvalidOption)
        checks.check_choice(
            "detail", self.detail, "argument", InvalidOption, choices=get_args(Detail)
        )


_METHODS = {
    "tracer_provider": ("get_tracer", False),
    "registry": ("register", True),
    "meter_provider": ("get_meter", True),
}


_FIXES = {
    "tracer_provider": "give an OpenTelemetry TracerProvider",
    "registry": "give a CollectorRegistry of prometheus_client, or False for none",
    "meter_provider": "give an OpenTelemetry MeterProvider, or False for none",
    "telemetry": "give Telemetry(...), or False for none",
}


def check_type(item: str, value: object, *, fits: bool) -> None:
    """Raise an error if a value does not fit.

    Args:
        item: The name of the argument.
        value: Its value; the message shows the value's type only.
        fits: Whether the value can be used.

    Raises:
        InvalidOption: `fits` is false.
    """
    if not fits:
        raise InvalidOption(item, f"{type(value).__name__} can't be used", fix=_FIXES[item])
