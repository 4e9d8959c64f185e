"""The command ``demo``: real calls through the pipeline, and what telemetry tells of them."""

from __future__ import annotations

from ..demo import main as demo

__all__ = ["demo"]
