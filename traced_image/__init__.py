"""nova's image pipeline to Glance, with every call, every attempt and every host visible.

::

    import traced_image

    service = traced_image.connect(servers=["10.0.0.1:9292", "10.0.0.2:9292"])
    service.show(None, image_id)
    service.servers()

Importing this imports neither OpenTelemetry nor prometheus_client.
"""

from __future__ import annotations

from importlib import metadata

from ._connect import connect, get_default_image_service
from .config import Config, RetryPolicy, Server, load_config
from .errors import (
    AttemptError,
    BadGateway,
    ChecksumMismatch,
    CommunicationError,
    ConfigError,
    Conflict,
    DeadlineExceeded,
    ExporterError,
    FailedAttempt,
    Forbidden,
    GatewayTimeout,
    GlanceConnectionFailed,
    HTTPStatusError,
    ImageBadRequest,
    ImageDeleteConflict,
    ImageImportImpossible,
    ImageMapUnavailable,
    ImageNotAuthorized,
    ImageNotFound,
    ImageQuotaExceeded,
    ImageUnacceptable,
    Invalid,
    InvalidArgument,
    InvalidAuth,
    InvalidContext,
    InvalidEndpoint,
    InvalidImageID,
    InvalidMetadata,
    InvalidOption,
    InvalidPatch,
    InvalidQuery,
    InvalidRetry,
    InvalidServer,
    InvalidTimeout,
    InvalidTLS,
    MissingExtra,
    NotFound,
    NotImplementedByServer,
    OverLimit,
    ProtocolError,
    Retryable,
    RetryBudgetExhausted,
    ServerError,
    ServiceUnavailable,
    TLSError,
    TokenUnavailable,
    TooManyRequests,
    TracedImageError,
    Unauthorized,
    UnsafeToRepeat,
    UploadNotRewindable,
)
from .pipeline.api.download import Download
from .pipeline.attempts.cycle import ServerHealth
from .pipeline.client import GlanceClientWrapper
from .pipeline.context import RequestContext
from .pipeline.ec2.service import S3ImageService
from .pipeline.service import GlanceImageService
from .telemetry import Telemetry

__all__ = [
    "AttemptError",
    "BadGateway",
    "ChecksumMismatch",
    "CommunicationError",
    "Config",
    "ConfigError",
    "Conflict",
    "DeadlineExceeded",
    "Download",
    "ExporterError",
    "FailedAttempt",
    "Forbidden",
    "GatewayTimeout",
    "GlanceClientWrapper",
    "GlanceConnectionFailed",
    "GlanceImageService",
    "HTTPStatusError",
    "ImageBadRequest",
    "ImageDeleteConflict",
    "ImageImportImpossible",
    "ImageMapUnavailable",
    "ImageNotAuthorized",
    "ImageNotFound",
    "ImageQuotaExceeded",
    "ImageUnacceptable",
    "Invalid",
    "InvalidArgument",
    "InvalidAuth",
    "InvalidContext",
    "InvalidEndpoint",
    "InvalidImageID",
    "InvalidMetadata",
    "InvalidOption",
    "InvalidPatch",
    "InvalidQuery",
    "InvalidRetry",
    "InvalidServer",
    "InvalidTLS",
    "InvalidTimeout",
    "MissingExtra",
    "NotFound",
    "NotImplementedByServer",
    "OverLimit",
    "ProtocolError",
    "RequestContext",
    "RetryBudgetExhausted",
    "RetryPolicy",
    "Retryable",
    "S3ImageService",
    "Server",
    "ServerError",
    "ServerHealth",
    "ServiceUnavailable",
    "TLSError",
    "Telemetry",
    "TokenUnavailable",
    "TooManyRequests",
    "TracedImageError",
    "Unauthorized",
    "UnsafeToRepeat",
    "UploadNotRewindable",
    "connect",
    "get_default_image_service",
    "load_config",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        return metadata.version("traced-image")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
