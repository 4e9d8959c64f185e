"""The name of this process: its service, as its telemetry names it, its machine, and its id."""

from __future__ import annotations

import os
import socket
from urllib.parse import unquote

from opentelemetry.trace import get_tracer_provider

from ..telemetry.global_providers import has_tracer_provider
from .schema import ProcessReport

_UNKNOWN = "unknown_service"
"""What the SDK calls a service without a name; its program may follow."""


def name_process(processes: int) -> ProcessReport:
    """Return the name of this process.

    Args:
        processes: How many processes the report is of.
    """
    return ProcessReport(
        service=_find_service(),
        host=socket.gethostname(),
        pid=os.getpid(),
        processes=processes,
    )


def _find_service() -> str | None:
    provider = get_tracer_provider() if has_tracer_provider() else None
    # Only the SDK's provider has a resource.
    resource = getattr(provider, "resource", None)
    name = str(getattr(resource, "attributes", {}).get("service.name", _UNKNOWN))
    if not name.startswith(_UNKNOWN):
        return name
    return os.environ.get("OTEL_SERVICE_NAME") or _find_in_attributes()


def _find_in_attributes() -> str | None:
    """Return the name from the variable of all attributes, as the SDK reads it."""
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        name, _, value = pair.partition("=")
        if name.strip() == "service.name":
            return unquote(value.strip()) or None
    return None
