"""The error tree: one root, and what each error means for a retry.

::

    TracedImageError
    ├── ConfigError (ValueError)            a configured value: item, source, fix
    │   ├── InvalidServer                   a member of the server list, or the list
    │   ├── InvalidRetry                    num_retries or a field of RetryPolicy
    │   ├── InvalidTimeout                  a timeout or the deadline
    │   ├── InvalidTLS                      insecure, cafile, certfile, keyfile
    │   ├── InvalidAuth                     auth_strategy, auth, a cloud, the catalogue
    │   ├── InvalidOption                   any other field, an unknown one, a file
    │   └── MissingExtra                    a feature whose optional package is absent
    ├── InvalidArgument (ValueError)        a call's argument, rejected before any request
    │   ├── InvalidImageID
    │   │   └── InvalidImageRef
    │   ├── InvalidQuery                    filters, marker, limit, sorting
    │   ├── InvalidMetadata                 image_meta, data, a member, a tag, a location
    │   ├── InvalidPatch
    │   └── InvalidContext                  no context, or one that headers can't contain
    ├── AttemptError                        one attempt on one server failed
    │   ├── CommunicationError [Retryable]
    │   │   └── TLSError
    │   ├── InvalidEndpoint [Retryable]     a name that does not resolve, an invalid URL
    │   ├── ProtocolError [Retryable]       a reply that is malformed, cut short or too large
    │   ├── ChecksumMismatch                data that does not match its image record
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
    │   └── UnsafeToRepeat                  a second attempt could do harm
    │       └── UploadNotRewindable         the data was read and can't be read again
    ├── ServiceClosed                       a call on a service after its `close`
    ├── StreamConsumed                      image data that was read already, or closed
    ├── ListTooLarge                        a list of more bytes than `max_list_size`
    ├── InvalidImageRecord                  an image's field that can't be read, such as a date
    ├── TokenUnavailable                    Keystone gave no token for the service itself
    ├── ImageUnacceptable                   an image without data
    │   └── UploadIncomplete                an upload that Glance confirmed and did not store
    ├── ImageMapUnavailable                 the database that maps EC2's integers
    ├── ExporterError                       the exporter can't listen, or its files can't be used
    └── DiagnosisError                      a source of the diagnosis that can't be read

The names and the conditions follow nova 34 ``nova/exception.py`` and ``nova/image/glance.py``. The
errors of an attempt follow python-glanceclient's ``exc.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NewType, TypeVar

Reason = NewType("Reason", str)
"""Why an attempt failed, from the closed set of ``telemetry.catalogue.REASONS``."""

Verdict = Literal["success", "refused", "failed", "cancelled"]
"""What an attempt says about its server, as ``telemetry.catalogue.VERDICTS`` explains."""

_ErrorT = TypeVar("_ErrorT", bound="TracedImageError")


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One failed attempt in the history of a call.

    Attributes:
        server: The server's URL, without credentials.
        reason: Why the attempt failed.
        duration: Seconds from the start of the attempt to its failure.
        request_id: The server's ``X-OpenStack-Request-ID``, if it answered with one.
    """

    server: str
    reason: Reason
    duration: float
    request_id: str | None = None


class TracedImageError(Exception):
    """The base class of every error that this package raises.

    Attributes:
        attempts: The failed attempts that led to the error, first to last.
        image_id: The image that Glance has now, although its creation failed or its upload was
            not stored; None if there is none, or if nobody knows.
    """

    attempts: tuple[FailedAttempt, ...] = ()
    image_id: str | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[_ErrorT], args: tuple[object, ...], state: dict[str, object]) -> _ErrorT:
    """Unpickle an error without calling its constructor."""
    # ``BaseException.__reduce__`` calls the constructor with ``args``, which is the message alone.
    # The constructors here take other arguments.
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class Retryable:
    """A mixin of errors after which another server may succeed."""


# --- configuration -----------------------------------------------------------------------------


class ConfigError(TracedImageError, ValueError):
    """A configured value can't be used.

    Attributes:
        item: The option's name.
        source: Where the value came from: ``argument``, the name of a variable, the path of a
            file.
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
    """The caller asked for a feature, and its optional package is not installed."""


# --- arguments ---------------------------------------------------------------------------------


class InvalidArgument(TracedImageError, ValueError):
    """An argument of a call is not valid; no request was sent."""


class InvalidImageID(InvalidArgument):
    """An image id that is empty or not text."""


class InvalidImageRef(InvalidImageID):
    """The URL of an image that can't be parsed, or that names a server which is not configured."""


class InvalidQuery(InvalidArgument):
    """A filter, marker, limit or sort argument that Glance would not understand."""


class InvalidMetadata(InvalidArgument):
    """Image metadata, a member, a tag or a location that can't be sent."""


class InvalidPatch(InvalidArgument):
    """A JSON patch that Glance's media type does not allow."""


class InvalidContext(InvalidArgument):
    """An object that is no context, or a context whose token or request id can't be sent."""


# --- one attempt -------------------------------------------------------------------------------


class AttemptError(TracedImageError):
    """One attempt on one server failed.

    Attributes:
        reason: Why the attempt failed.
        verdict: What the retry policy makes of it; None until the policy has decided.
        reached: Whether the request may have reached the server. If it is False, every
            operation is safe to repeat.
        request_id: The server's ``X-OpenStack-Request-ID``, if it answered with one.
        token_seconds: Seconds of the attempt in which Keystone renewed a token.
        trace_id: The trace of the attempt in hex digits, if telemetry made one.
        span_id: The attempt's span in hex digits, if telemetry made one.
    """

    reason = Reason("_OTHER")
    verdict: Verdict | None = None
    reached = True
    request_id: str | None = None
    token_seconds: float = 0.0
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
    """TLS with a server failed, usually in the handshake, before any request was sent."""

    reason = Reason("tls_error")


class InvalidEndpoint(AttemptError, Retryable):
    """A server's name does not resolve, or a redirect led to an address that can't be used."""

    reason = Reason("invalid_endpoint")


class ProtocolError(AttemptError, Retryable):
    """A reply is cut short, not JSON, of a wrong type or too large."""

    reason = Reason("protocol_error")


class ChecksumMismatch(AttemptError):
    """Image data does not have the checksum of its image record."""

    reason = Reason("checksum_mismatch")


class HTTPStatusError(AttemptError):
    """A server answered with a status of 400 or above.

    Attributes:
        status: The HTTP status code.
        retry_after: Seconds that the server asks the client to wait (``Retry-After``); None if
            it does not ask.
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
    """The server answered 400, or a 4xx that has no class of its own."""

    status = 400


class ImageBadRequest(Invalid):
    """Glance answered 400 to a request about one image."""


class Forbidden(HTTPStatusError):
    """The server answered 403: the caller may not do this."""

    status = 403


class Unauthorized(Forbidden):
    """The server answered 401: the token is missing, not valid or expired."""

    # A subclass of Forbidden: nova 34 ``_translate_image_exception`` treats 401 and 403 alike.
    status = 401


class ImageNotAuthorized(Forbidden):
    """Glance answered 401 or 403 to a request about one image."""


class NotFound(HTTPStatusError):
    """The server answered 404."""

    status = 404


class ImageNotFound(NotFound):
    """The image does not exist, or this caller may not see it."""


class Conflict(HTTPStatusError):
    """The server answered 409: the state of the image does not allow the request."""

    status = 409


class ImageDeleteConflict(Conflict):
    """The image is in use and can't be deleted."""


class ImageImportImpossible(Conflict):
    """The image is in a state that allows no import."""


class OverLimit(HTTPStatusError):
    """The server answered 413: the request exceeds a limit."""

    status = 413


class ImageQuotaExceeded(OverLimit):
    """The image exceeds a limit or quota."""


class TooManyRequests(HTTPStatusError, Retryable):
    """The server answered 429: it asks the client to send fewer requests."""

    status = 429


class ServerError(HTTPStatusError):
    """The server answered 500, or a 5xx that has no class of its own."""

    status = 500


class NotImplementedByServer(ServerError):
    """The server answered 501: this Glance does not have the operation."""

    status = 501


class BadGateway(ServerError, Retryable):
    """The server answered 502: a proxy in front of Glance got no usable answer."""

    status = 502


class ServiceUnavailable(ServerError, Retryable):
    """The server answered 503: it can't answer for now."""

    status = 503


class GatewayTimeout(ServerError, Retryable):
    """The server answered 504: a proxy in front of Glance got no answer in time."""

    status = 504


# --- the whole call ----------------------------------------------------------------------------


class GlanceConnectionFailed(TracedImageError):
    """The call gave up: every attempt failed, or no further attempt was allowed.

    Attributes:
        server: The URL of the last server tried.
        reason: Why the call ended: the last attempt's reason, ``deadline_exceeded`` or
            ``budget_exhausted``.
    """

    def __init__(self, server: str, reason: Reason, detail: str) -> None:
        # The words are those of nova's GlanceConnectionFailed; operators search logs for them.
        super().__init__(f"Connection to glance host {server} failed: {detail}")
        self.server = server
        self.reason = reason


class DeadlineExceeded(GlanceConnectionFailed):
    """The deadline of the call passed before a server answered."""


class RetryBudgetExhausted(GlanceConnectionFailed):
    """The call could be retried, but the process has used up its retry budget for now."""


class UnsafeToRepeat(GlanceConnectionFailed):
    """The request may have reached the server, and a second one could do harm."""


class UploadNotRewindable(UnsafeToRepeat):
    """The upload's data was already read and can't be rewound, so no retry can send it."""


class ServiceClosed(TracedImageError):
    """The service was closed before the call; nothing was sent."""


class StreamConsumed(TracedImageError):
    """A `Download` was read twice, after its `close`, or in another process than its own.

    No server caused this. The name is that of httpx.
    """


class ListTooLarge(TracedImageError):
    """The replies of one list have too many bytes. No server caused this.

    The limits are ``max_list_size`` for all replies, and ``max_metadata_size`` for one.
    """


class InvalidImageRecord(TracedImageError):
    """An image's record has a field that can't be read. No server caused this.

    A list leaves such an image out, and a line of the log names it.

    Attributes:
        field: The field's name.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class TokenUnavailable(TracedImageError):
    """Keystone gave the service no token. No Glance server caused this failure.

    Attributes:
        reason: Why, from the same closed set as an attempt's; an HTTP status is Keystone's.
    """

    reason = Reason("_OTHER")

    def __init__(self, message: str, *, reason: Reason | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class ImageUnacceptable(TracedImageError):
    """The image has no data, or its data can't be used."""


class UploadIncomplete(ImageUnacceptable):
    """Glance answered an upload with success, but its record says that it lacks the data.

    Attributes:
        status: The image's status, as Glance has it after the upload.
        size: Bytes of the image's data, as Glance has it after the upload; None if it has none.
        sent: Bytes that were sent.
    """

    def __init__(
        self,
        message: str,
        *,
        image_id: str | None = None,
        status: str | None = None,
        size: int | None = None,
        sent: int = 0,
    ) -> None:
        super().__init__(message)
        self.image_id = image_id
        self.status = status
        self.size = size
        self.sent = sent


class ImageMapUnavailable(TracedImageError):
    """The database that maps EC2's integers can't be used."""


class ExporterError(TracedImageError):
    """The exporter can't listen on its address, or can't use a file that it needs."""


class DiagnosisError(TracedImageError):
    """A source of the diagnosis can't be read: a Prometheus, an exporter, or a file of traces."""


_BY_STATUS: dict[int, type[HTTPStatusError]] = {
    kind.status: kind
    for kind in (
        *(Invalid, Unauthorized, Forbidden, NotFound, Conflict, OverLimit, TooManyRequests),
        *(ServerError, NotImplementedByServer, BadGateway, ServiceUnavailable, GatewayTimeout),
    )
}


def status_error(
    status: int, message: str, *, retry_after: float | None, request_id: str | None
) -> HTTPStatusError:
    """Build the error for an HTTP status of 400 or above.

    Args:
        status: The HTTP status code.
        message: The error's message.
        retry_after: Seconds of the reply's ``Retry-After``, if it has one.
        request_id: The reply's ``X-OpenStack-Request-ID``, if it has one.
    """
    kind = _BY_STATUS.get(status) or (Invalid if status < ServerError.status else ServerError)
    return kind(message, status=status, retry_after=retry_after, request_id=request_id)
