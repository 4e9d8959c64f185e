"""The metrics of a registry in the format that a scraper asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from prometheus_client.exposition import choose_encoder

from .messages import ExporterResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    from .messages import ExporterRequest

_VALUES = re.compile(r"(application/openmetrics-text[^,]*?);\s*escaping=values")


def expose(registry: CollectorRegistry, request: ExporterRequest) -> ExporterResponse:
    """Answer with a registry's metrics; ``name[]`` in the query chooses some of them."""
    encode, kind = _choose(request.accept)
    names = parse_qs(request.query).get("name[]")
    shown: Collector = registry if names is None else registry.restricted_registry(names)
    return ExporterResponse(200, (("content-type", kind),), encode(shown))


def _choose(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    # prometheus_client 0.26 escapes the names of OpenMetrics' samples for `values`, but not those
    # of their HELP and TYPE. The names of the default scheme agree, and the reply names the scheme.
    try:
        return choose_encoder(_VALUES.sub(r"\1", accept))
    except Exception:  # noqa: BLE001 any error comes from the client's header
        return choose_encoder("")
