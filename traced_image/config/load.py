"""The configuration from all its sources, in one order."""

from __future__ import annotations

from .config import Config, check_names


def load_config(**fields: object) -> Config:
    """Make a configuration of arguments (the other sources follow)."""
    check_names(fields)
    return Config(**fields)  # type: ignore[arg-type]
