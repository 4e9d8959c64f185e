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
"""Which labels the metrics have: operation and reason, one of these, or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What a service's calls are told to.

    Attributes:
        tracer_provider: Where spans go; None for the process's global provider.
        registry: Where metrics are registered; None for prometheus_client's default registry,
            False for none.
        meter_provider: Where the same metrics go by OpenTelemetry's Metrics API; None for the
            process's global provider, False for none.
        wire_spans: Whether each HTTP request has a span of its own below the attempt's. Without
            them the attempt's span is the CLIENT span.
        detail: How many series there are, for large fleets: ``full``; ``reason`` drops the
            operation; ``operation`` drops the reason, so that failures are ``_OTHER`` and refusals
            ``4xx``; ``host`` drops both.

    Raises:
        InvalidOption: One of them is something else.
    """

    tracer_provider: TracerProvider | None = None
    registry: CollectorRegistry | Literal[False] | None = None
    meter_provider: MeterProvider | Literal[False] | None = None
    wire_spans: bool = True
    detail: Detail = "full"

    def __post_init__(self) -> None:
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
    """Refuse what can't be used.

    Raises:
        InvalidOption: It does not fit.
    """
    if not fits:
        raise InvalidOption(item, f"{type(value).__name__} can't be used", fix=_FIXES[item])
