"""nova's image pipeline to Glance, with every call, every attempt and every server visible.

::

    import traced_image

    service = traced_image.connect(servers=["10.0.0.1:9292", "10.0.0.2:9292"])
    service.show(None, image_id)
    service.servers()

This module has what most programs use. `traced_image.errors` has the whole tree of errors. To
import this module imports neither OpenTelemetry nor prometheus_client. It imports the errors only;
each other name is imported when it is first used, so that `traced_image.lab` starts fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import errors
from .errors import (
    AttemptError,
    ChecksumMismatch,
    CommunicationError,
    ConfigError,
    Conflict,
    Forbidden,
    GlanceConnectionFailed,
    HTTPStatusError,
    ImageBadRequest,
    ImageDeleteConflict,
    ImageImportImpossible,
    ImageNotAuthorized,
    ImageNotFound,
    ImageQuotaExceeded,
    ImageUnacceptable,
    InvalidArgument,
    InvalidImageRecord,
    ListTooLarge,
    NotFound,
    ServiceClosed,
    TokenUnavailable,
    TracedImageError,
    UnsafeToRepeat,
    UploadIncomplete,
)

__all__ = [
    "AttemptError",
    "ChecksumMismatch",
    "CommunicationError",
    "Config",
    "ConfigError",
    "Conflict",
    "Download",
    "Forbidden",
    "GlanceClientWrapper",
    "GlanceConnectionFailed",
    "GlanceImageService",
    "HTTPStatusError",
    "ImageBadRequest",
    "ImageDeleteConflict",
    "ImageImportImpossible",
    "ImageNotAuthorized",
    "ImageNotFound",
    "ImageQuotaExceeded",
    "ImageUnacceptable",
    "InvalidArgument",
    "InvalidImageRecord",
    "ListTooLarge",
    "NotFound",
    "RequestContext",
    "RetryPolicy",
    "S3ImageService",
    "Server",
    "ServerHealth",
    "ServiceClosed",
    "Telemetry",
    "TokenUnavailable",
    "TracedImageError",
    "UnsafeToRepeat",
    "UploadIncomplete",
    "connect",
    "errors",
    "get_default_image_service",
    "get_remote_image_service",
    "load_config",
]

_PLACES = {
    "Config": "config",
    "Download": "pipeline.api.download",
    "GlanceClientWrapper": "pipeline.client",
    "GlanceImageService": "pipeline.service",
    "RequestContext": "pipeline.context",
    "RetryPolicy": "config",
    "S3ImageService": "pipeline.ec2.service",
    "Server": "config",
    "ServerHealth": "pipeline.attempts.server_cycle",
    "Telemetry": "telemetry",
    "connect": "_connect",
    "get_default_image_service": "_connect",
    "get_remote_image_service": "_connect",
    "load_config": "config",
}
"""The modules of the names that are imported when they are first used."""


if TYPE_CHECKING:
    from ._connect import connect, get_default_image_service, get_remote_image_service
    from .config import Config, RetryPolicy, Server, load_config
    from .pipeline.api.download import Download
    from .pipeline.attempts.server_cycle import ServerHealth
    from .pipeline.client import GlanceClientWrapper
    from .pipeline.context import RequestContext
    from .pipeline.ec2.service import S3ImageService
    from .pipeline.service import GlanceImageService
    from .telemetry import Telemetry

    __version__: str
else:
    # Type checkers do not see these functions. If they did, they would accept every attribute name.

    def __getattr__(name: str) -> object:
        # To read the metadata takes milliseconds, so only a program that needs the version pays.
        if name == "__version__":
            from ._version import find_version

            return find_version()
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(f".{_PLACES[name]}", __name__), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_PLACES})
