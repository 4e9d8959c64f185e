"""The error tree: one root, and what each error means for a retry.

::

    TracedImageError
    ├── ConfigError (ValueError)            a configured value: item, source, fix
    │   ├── InvalidServer                   a member of the server list, or the list
    │   ├── InvalidRetry                    num_retries or a field of RetryPolicy
    │   ├── InvalidTimeout                  connect_timeout, read_timeout, deadline
    │   ├── InvalidTLS                      insecure, cafile, certfile, keyfile
    │   ├── InvalidAuth                     auth_strategy, auth, a cloud, the catalogue
    │   ├── InvalidOption                   any other field, an unknown one, a file
    │   └── MissingExtra                    a feature whose optional package is absent
    ├── InvalidArgument (ValueError)        a call's argument, refused before any request
    │   ├── InvalidImageID
    │   ├── InvalidQuery                    filters, marker, limit, sorting
    │   ├── InvalidMetadata                 image_meta, data, a member, a tag, a location
    │   ├── InvalidPatch
    │   └── InvalidContext                  a token or request id that no header can carry
    ├── AttemptError                        what one attempt on one server met
    │   ├── CommunicationError [Retryable]
    │   │   └── TLSError
    │   ├── InvalidEndpoint [Retryable]     a name that does not resolve, a URL that is none
    │   ├── ProtocolError [Retryable]       a reply that is not what it claims to be
    │   ├── ChecksumMismatch                data that is not what its image record says
    │   └── HTTPStatusError                 an answer with a status of 400 or above
    │       ├── Invalid                     400, and any other 4xx
    │       │   └── ImageBadRequest
    │       ├── Forbidden                   403
    │       │   ├── Unauthorized            401
    │       │   └── ImageNotAuthorized      401 or 403, for one image
    │       ├── NotFound                    404
    │       │   └── ImageNotFound           also: an image that the caller may not see
    │       ├── Conflict                    409
    │       │   ├── ImageDeleteConflict
    │       │   └── ImageImportImpossible
    │       ├── OverLimit                   413
    │       │   └── ImageQuotaExceeded
    │       ├── TooManyRequests [Retryable] 429
    │       └── ServerError                 500, and any other 5xx
    │           ├── NotImplementedByServer  501
    │           ├── BadGateway [Retryable]          502
    │           ├── ServiceUnavailable [Retryable]  503
    │           └── GatewayTimeout [Retryable]      504
    ├── GlanceConnectionFailed              the call gave up on the cycle
    │   ├── DeadlineExceeded                the call's total deadline passed
    │   ├── RetryBudgetExhausted            the process has retried enough for now
    │   └── UnsafeToRepeat                  a second try could have done harm
    │       └── UploadNotRewindable         the data was read and can't be read again
    ├── TokenUnavailable                    Keystone gave no token for the service itself
    ├── ImageUnacceptable                   an image record that has no data to give
    ├── ImageMapUnavailable                 the database that maps EC2's integers
    └── ExporterError                       the exporter can't listen, or its files can't be used

The names and what they are raised for follow nova 34 ``nova/exception.py`` and
``nova/image/glance.py``; those of the attempt follow python-glanceclient's ``exc.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType, TypeVar

Reason = NewType("Reason", str)
"""Why an attempt failed, from the closed set of ``telemetry.catalogue.REASONS``."""

_ErrorT = TypeVar("_ErrorT", bound="TracedImageError")


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One failed attempt in the history of a call.

    Attributes:
        server: The server's URL, without credentials.
        reason: Why it failed.
        duration: Seconds from the start of the attempt to its failure.
        request_id: The server's ``X-OpenStack-Request-ID``, if it answered with one.
    """

    server: str
    reason: Reason
    duration: float
    request_id: str | None = None


class TracedImageError(Exception):
    """The root of every error that this package raises.

    Attributes:
        attempts: The failed attempts behind the error, first to last.
    """

    attempts: tuple[FailedAttempt, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[_ErrorT], args: tuple[object, ...], state: dict[str, object]) -> _ErrorT:
    """Unpickle an error without calling its constructor, whose arguments are not its ``args``."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class Retryable:
    """Marks an error after which another server may do better."""


# --- configuration -----------------------------------------------------------------------------


class ConfigError(TracedImageError, ValueError):
    """A configured value can't be used.

    Attributes:
        item: The option's name.
        source: Where the value came from: ``argument``, a variable's name, a file's path.
    """

    def __init__(self, item: str, problem: str, *, source: str = "argument", fix: str) -> None:
        super().__init__(f"{item} (from {source}): {problem}; {fix}.")
        self.item = item
        self.source = source


class InvalidServer(ConfigError):
    """A member of the server list, or the list itself, can't be used."""


class InvalidRetry(ConfigError):
    """``num_retries`` or a field of the retry policy is out of range."""


class InvalidTimeout(ConfigError):
    """A timeout or the deadline is not a positive number of seconds."""


class InvalidTLS(ConfigError):
    """A CA file, client certificate or key can't be used."""


class InvalidAuth(ConfigError):
    """The authentication settings contradict each other or can't be used."""


class InvalidOption(ConfigError):
    """Any other option, an unknown one, or a configuration file that can't be read."""


class MissingExtra(ConfigError):
    """A feature was asked for whose optional package is not installed."""


# --- arguments ---------------------------------------------------------------------------------


class InvalidArgument(TracedImageError, ValueError):
    """An argument of a call was refused before any request was made."""


class InvalidImageID(InvalidArgument):
    """An image id that is empty or not text."""


class InvalidQuery(InvalidArgument):
    """Filters, marker, limit or sorting that Glance would not understand."""


class InvalidMetadata(InvalidArgument):
    """Image metadata, a member, a tag or a location that can't be sent."""


class InvalidPatch(InvalidArgument):
    """A JSON patch that Glance's media type does not allow."""


class InvalidContext(InvalidArgument):
    """A context whose token or request id can't be sent."""


# --- one attempt -------------------------------------------------------------------------------


class AttemptError(TracedImageError):
    """What one attempt on one server met.

    Attributes:
        reason: Why it failed.
        reached: Whether the request may have reached the server. Only what surely did not may
            be repeated without thinking of harm.
        request_id: The server's ``X-OpenStack-Request-ID``, if it answered with one.
        trace_id: The trace of the attempt in hex digits, if telemetry made one.
        span_id: The attempt's span in hex digits, if telemetry made one.
    """

    reason = Reason("_OTHER")
    reached = True
    request_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        reached: bool = True,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason
        self.reached = reached
        self.request_id = request_id


class CommunicationError(AttemptError, Retryable):
    """The connection to a server failed, timed out or broke."""


class TLSError(CommunicationError):
    """TLS with a server failed: mostly in the handshake, so that nothing was sent."""

    reason = Reason("tls_error")


class InvalidEndpoint(AttemptError, Retryable):
    """A server's name does not resolve, or a redirect led to no usable address."""

    reason = Reason("invalid_endpoint")


class ProtocolError(AttemptError, Retryable):
    """A reply is not what it claims: cut short, not JSON, of a wrong type, too large."""

    reason = Reason("protocol_error")


class ChecksumMismatch(AttemptError):
    """Image data does not have the checksum that its record claims."""

    reason = Reason("checksum_mismatch")


class HTTPStatusError(AttemptError):
    """A server answered with a status of 400 or above.

    Attributes:
        status: The HTTP status code.
        retry_after: Seconds that the server asked to wait (``Retry-After``), if it did.
    """

    status: int = 0

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        status = status or self.status
        super().__init__(message, reason=Reason(str(status)), request_id=request_id)
        self.status = status
        self.retry_after = retry_after


class Invalid(HTTPStatusError):
    """400, or a 4xx that has no type of its own."""

    status = 400


class ImageBadRequest(Invalid):
    """Glance refused a request about one image as malformed."""


class Forbidden(HTTPStatusError):
    """403."""

    status = 403


class Unauthorized(Forbidden):
    """401: no token, or one that is not valid (any more)."""

    status = 401


class ImageNotAuthorized(Forbidden):
    """401 or 403 for one image."""


class NotFound(HTTPStatusError):
    """404."""

    status = 404


class ImageNotFound(NotFound):
    """The image does not exist, or not for this caller."""


class Conflict(HTTPStatusError):
    """409."""

    status = 409


class ImageDeleteConflict(Conflict):
    """The image is in use and can't be deleted."""


class ImageImportImpossible(Conflict):
    """The image is in a state that allows no import."""


class OverLimit(HTTPStatusError):
    """413."""

    status = 413


class ImageQuotaExceeded(OverLimit):
    """The image exceeds a limit or quota."""


class TooManyRequests(HTTPStatusError, Retryable):
    """429."""

    status = 429


class ServerError(HTTPStatusError):
    """500, or a 5xx that has no type of its own."""

    status = 500


class NotImplementedByServer(ServerError):
    """501: this Glance does not know the call."""

    status = 501


class BadGateway(ServerError, Retryable):
    """502: a proxy before Glance got no usable answer."""

    status = 502


class ServiceUnavailable(ServerError, Retryable):
    """503."""

    status = 503


class GatewayTimeout(ServerError, Retryable):
    """504: a proxy before Glance got no answer in time."""

    status = 504


# --- the whole call ----------------------------------------------------------------------------


class GlanceConnectionFailed(TracedImageError):
    """The call failed on every attempt that it had.

    Attributes:
        server: The URL of the last server tried.
        reason: Why the call ended: the last attempt's reason, ``deadline_exceeded`` or
            ``budget_exhausted``.
    """

    def __init__(self, server: str, reason: Reason, detail: str) -> None:
        super().__init__(f"Connection to glance host {server} failed: {detail}")
        self.server = server
        self.reason = reason


class DeadlineExceeded(GlanceConnectionFailed):
    """The total deadline of the call passed before a server answered."""


class RetryBudgetExhausted(GlanceConnectionFailed):
    """The call could have been retried, but the process has retried enough for now."""


class UnsafeToRepeat(GlanceConnectionFailed):
    """The request may have reached the server, and repeating it could do harm."""


class UploadNotRewindable(UnsafeToRepeat):
    """The upload's data was read already and can't be rewound, so no retry could send it."""


class TokenUnavailable(TracedImageError):
    """Keystone gave the service no token; no Glance server is to blame for that."""


class ImageUnacceptable(TracedImageError):
    """The image has no data, or none that could be used."""


class ImageMapUnavailable(TracedImageError):
    """The database that maps EC2's integers can't be used."""


class ExporterError(TracedImageError):
    """The exporter can't listen where it should, or a file that it needs can't be used."""


_BY_STATUS: dict[int, type[HTTPStatusError]] = {
    kind.status: kind
    for kind in (
        Invalid,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        OverLimit,
        TooManyRequests,
        ServerError,
        NotImplementedByServer,
        BadGateway,
        ServiceUnavailable,
        GatewayTimeout,
    )
}


def status_error(
    status: int, message: str, *, retry_after: float | None, request_id: str | None
) -> HTTPStatusError:
    """Build the error for an HTTP status of 400 or above."""
    kind = _BY_STATUS.get(status) or (Invalid if status < ServerError.status else ServerError)
    return kind(message, status=status, retry_after=retry_after, request_id=request_id)
