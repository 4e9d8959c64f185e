"""Telemetry composed around the pipeline; importing this imports no OpenTelemetry.

`Telemetry` says where it goes, `layers_for` builds what observes a pipeline. Programs may have
OpenTelemetry's SDK set up by `setup`, and servers with several processes say by `child_exit` that
one of them has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .options import Telemetry, layers_for
from .prefork import child_exit

if TYPE_CHECKING:
    from .sdk import Providers

__all__ = ["Telemetry", "child_exit", "layers_for", "setup"]


def setup() -> Providers:
    """Set OpenTelemetry's SDK up for a program; a library leaves that to the program.

    Every ``OTEL_*`` variable counts that the SDK knows: endpoint, protocol, headers, sampler,
    resource, ``OTEL_SDK_DISABLED``, ``OTEL_CONFIG_FILE``. The SDK's default is to export nothing;
    here it is OTLP where an endpoint is set and no exporter is named. What is left is exported
    when the program ends.

    Raises:
        MissingExtra: The packages of the extra ``otlp`` are not there.
        InvalidOption: ``OTEL_EXPORTER_OTLP_PROTOCOL`` is none that the SDK speaks.
    """
    from .sdk import set_up

    return set_up()
