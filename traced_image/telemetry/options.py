"""Where telemetry goes, and the layers that send it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """

    tracer_provider: TracerProvider | None = None
    registry: CollectorRegistry | None = None
    wire_spans: bool = True


def layers_for(telemetry: Telemetry | None) -> Layers:
    """Build the layers that observe a pipeline."""
    from .observe import observing

    return observing(telemetry or Telemetry())
