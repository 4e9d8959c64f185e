"""Where telemetry goes, and the layers that send it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config import checks
from ..errors import InvalidOption

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider
    from prometheus_client import CollectorRegistry

    from ..pipeline.model import Layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What a service's calls are told to.

    Attributes:
        tracer_provider: Where spans go; None for the process's global provider.
        registry: Where metrics are registered; None for prometheus_client's default registry.
        wire_spans: Whether each HTTP request has a span of its own below the attempt's. Without
            them the attempt's span is the CLIENT span.

    Raises:
        InvalidOption: One of them is something else.
    """

    tracer_provider: TracerProvider | None = None
    registry: CollectorRegistry | None = None
    wire_spans: bool = True

    def __post_init__(self) -> None:
        for item, method in (("tracer_provider", "get_tracer"), ("registry", "register")):
            value = getattr(self, item)
            instance = hasattr(value, method) and not isinstance(value, type)
            _check(item, value, fits=value is None or instance)
        checks.boolean("wire_spans", self.wire_spans, "argument", InvalidOption)


def layers_for(telemetry: Telemetry | None) -> Layers:
    """Build the layers that observe a pipeline; None is `Telemetry` with its defaults.

    Raises:
        InvalidOption: It is not a `Telemetry`.
    """
    from .observe import observing

    telemetry = Telemetry() if telemetry is None else telemetry
    _check("telemetry", telemetry, fits=isinstance(telemetry, Telemetry))
    return observing(telemetry)


_MENDS = {
    "tracer_provider": "give an OpenTelemetry TracerProvider",
    "registry": "give a CollectorRegistry of prometheus_client",
    "telemetry": "give Telemetry(...), or False for none",
}


def _check(item: str, value: object, *, fits: bool) -> None:
    if not fits:
        raise InvalidOption(item, f"{type(value).__name__} can't be used", mend=_MENDS[item])
