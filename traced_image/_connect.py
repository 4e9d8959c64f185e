"""The way in: a service built of a configuration, with telemetry composed around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .config import Config, load_config
from .pipeline.attempts.seams import Layers
from .pipeline.client import GlanceClientWrapper
from .pipeline.ec2.service import S3ImageService
from .pipeline.service import GlanceImageService

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .config.keywords import LoadKeywords
    from .telemetry import Telemetry


def connect(
    *,
    config: Config | None = None,
    telemetry: Telemetry | Literal[False] | None = None,
    **fields: Unpack[LoadKeywords],
) -> GlanceImageService:
    """Build an image service.

    Args:
        config: What to connect to, and how.
        telemetry: What observes the calls; None for what the process has (the global tracer
            provider, the default registry), False for nothing.
        **fields: Fields of `Config`. If `config` is given, they replace its own. If not, what
            they leave out is taken from the environment, a configuration file or
            ``clouds.yaml`` (see `load_config`, whose other arguments may be given too).

    Raises:
        ConfigError: A field or what stands for it can't be used.
    """
    if config is None:
        config = load_config(**fields)
    elif fields:
        changes: dict[str, Any] = {**fields}
        config = config.replace(**changes)
    layers = Layers()
    if telemetry is not False:
        from .telemetry.layers import make_layers

        layers = make_layers(telemetry, config.servers)
    return GlanceImageService(GlanceClientWrapper(config, layers))


_default: dict[Literal["service"], GlanceImageService] = {}


def get_default_image_service() -> GlanceImageService:
    """The service that the environment or a configuration file describes, one for the process.

    Raises:
        ConfigError: They describe none, or one that can't be used.
    """
    service = _default.get("service")
    if service is None:
        # Threads that come at once may each make one, and get the first. A lock here could be
        # held for ever in the child of a fork.
        service = _default.setdefault("service", connect())
    return service


S3ImageService.default = staticmethod(get_default_image_service)
