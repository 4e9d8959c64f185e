"""nova's image pipeline to Glance, with every call, every attempt and every server visible.

::

    import traced_image

    service = traced_image.connect(servers=["10.0.0.1:9292", "10.0.0.2:9292"])
    service.show(None, image_id)
    service.servers()

This module has what most programs use. `traced_image.errors` has the whole tree of errors. To
import this module imports neither OpenTelemetry nor prometheus_client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import errors
from ._connect import connect, get_default_image_service, get_remote_image_service
from .config import Config, RetryPolicy, Server, load_config
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
from .pipeline.api.download import Download
from .pipeline.attempts.server_cycle import ServerHealth
from .pipeline.client import GlanceClientWrapper
from .pipeline.context import RequestContext
from .pipeline.ec2.service import S3ImageService
from .pipeline.service import GlanceImageService
from .telemetry import Telemetry

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


if TYPE_CHECKING:
    __version__: str
else:
    # Type checkers do not see this function. If they did, they would accept every attribute name.
    # To read the metadata takes milliseconds, so only a program that needs the version pays.

    def __getattr__(name: str) -> str:
        if name == "__version__":
            from ._version import find_version

            return find_version()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
