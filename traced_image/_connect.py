"""The way in: a service built of a configuration, with telemetry composed around it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

from .config import Config, load_config
from .pipeline.client import GlanceClientWrapper
from .pipeline.model import Layers
from .pipeline.service import GlanceImageService

if TYPE_CHECKING:
    from .telemetry import Telemetry


def connect(
    *,
    config: Config | None = None,
    telemetry: Telemetry | Literal[False] | None = None,
    **fields: object,
) -> GlanceImageService:
    """Build an image service.

    Args:
        config: What to connect to, and how.
        telemetry: What observes the calls; None for what the process has (the global tracer
            provider, the default registry), False for nothing.
        **fields: Fields of `Config`, where `config` is not given; what they leave out is taken
            from the environment, a configuration file or ``clouds.yaml`` (see `load_config`).

    Raises:
        ConfigError: A field or what stands for it can't be used.
    """
    config = load_config(**fields) if config is None else config.replace(**fields)
    layers = Layers()
    if telemetry is not False:
        from .telemetry import layers_for

        layers = layers_for(telemetry)
    return GlanceImageService(GlanceClientWrapper(config, layers))


@functools.cache
def get_default_image_service() -> GlanceImageService:
    """The service that the environment or a configuration file describes, made once a process.

    Raises:
        ConfigError: They describe none, or one that can't be used.
    """
    return connect()
