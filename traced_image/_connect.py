"""The entry point: it builds a service from a configuration and puts telemetry around it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

from . import _forks
from .config import Config, load_config
from .pipeline.attempts.seams import Layers
from .pipeline.client import GlanceClientWrapper
from .pipeline.ec2.service import S3ImageService
from .pipeline.image_ref import find_image_ref
from .pipeline.service import GlanceImageService

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .config.keywords import LoadKeywords
    from .pipeline.context import Context
    from .telemetry import Telemetry


def connect(
    *,
    config: Config | None = None,
    telemetry: Telemetry | Literal[False] | None = None,
    **fields: Unpack[LoadKeywords],
) -> GlanceImageService:
    """Build an image service.

    Args:
        config: The servers and how to reach them.
        telemetry: The object that observes the calls. None uses the global tracer provider and
            the default registry of the process; False observes nothing.
        **fields: Fields of `Config`. If `config` is given, they replace its fields. If not, the
            environment, a configuration file or ``clouds.yaml`` sets the fields that are left
            out; the other arguments of `load_config` are accepted too.

    Returns:
        A service that has made no request, except one to Keystone if `load_config` looks up
        the servers in the catalogue.

    Raises:
        ConfigError: The value of a field can't be used, wherever it came from.
    """
    if config is None:
        config = load_config(**fields)
    elif fields:
        changes: dict[str, Any] = {**fields}
        config = config.replace(**changes)
    layers = Layers()
    if telemetry is not False:
        # Imported here so that a service without telemetry needs neither of its libraries.
        from .telemetry.layers import make_layers

        layers = make_layers(telemetry, config.servers)
    return GlanceImageService(GlanceClientWrapper(config, layers))


class _Default:
    """The process's one service, until it is closed."""

    def __init__(self) -> None:
        self._service: GlanceImageService | None = None
        self._lock = threading.RLock()
        _forks.track(self)

    def get(self) -> GlanceImageService:
        with self._lock:
            if self._service is None or self._service.closed:
                self._service = connect()
            return self._service

    def clear(self) -> None:
        self._service = None

    def after_fork(self) -> None:
        """Replace the lock in a child: a thread of the parent may hold the old one."""
        self._lock = threading.RLock()


_default = _Default()


def get_default_image_service() -> GlanceImageService:
    """Return the process's one service, as the environment or a configuration file describes it.

    If that service was closed, this builds a new one.

    Raises:
        ConfigError: They describe no service, or a service that can't be used.
    """
    return _default.get()


def get_remote_image_service(
    context: Context | None,  # noqa: ARG001 - nova's signature; the service's methods need it
    image_href: str,
) -> tuple[GlanceImageService, str]:
    """Return the process's one service, and the id of the image that a reference names.

    nova's function returned a service for the one server of the URL, whatever it was, and so sent
    it the caller's token. Here the URL must name a server of the process's service. Any server of
    its cycle may then answer.

    Args:
        context: On whose behalf; nothing is sent until a method of the service is called.
        image_href: An image's id, or its URL, such as ``http://glance-1:9292/v2/images/ID``.

    Raises:
        InvalidImageRef: The URL can't be parsed, or it names a server that is not configured.
        ConfigError: The configuration describes no service, or a service that can't be used.
    """
    service = get_default_image_service()
    if "/" not in str(image_href):
        return service, image_href
    return service, find_image_ref(str(image_href), service.config.servers)


# The pipeline imports no telemetry, so it can't import this module: the default is set from here.
S3ImageService.default = staticmethod(get_default_image_service)
