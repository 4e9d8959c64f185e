"""Telemetry composed around the pipeline; importing this imports no OpenTelemetry.

`Telemetry` says where it goes, `layers_for` builds what observes a pipeline.
"""

from __future__ import annotations

from .options import Telemetry, layers_for

__all__ = ["Telemetry", "layers_for"]
