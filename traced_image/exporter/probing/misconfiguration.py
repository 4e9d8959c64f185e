"""What a server's refusal says about the probe's settings: its image, credentials or prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...config.retry_policy import RetryPolicy
from ...errors import AttemptError, Reason

if TYPE_CHECKING:
    from ...config import Server
    from ...telemetry.catalogue.probe_metrics import Setting
    from .result import Canary
    from .timed_requests import TimedReply


UNAUTHORIZED, NOT_FOUND = 401, 404
# A server that answers 408, 421, 425 or 429 did not serve a request that another one may serve.
_REFUSALS = frozenset(range(400, 500)) - RetryPolicy().statuses
_MULTIPLE_CHOICES = 300
_OF_CREDENTIALS = frozenset({UNAUTHORIZED, 403, 407})


class MisconfiguredError(AttemptError):
    """A reply shows that a setting of the probe is wrong. It says nothing against the server.

    Attributes:
        setting: The setting.
    """

    def __init__(
        self, setting: Setting, message: str, *, status: int, request_id: str | None
    ) -> None:
        super().__init__(message, reason=Reason(str(status)), request_id=request_id)
        self.setting = setting


def check_versions(answer: TimedReply, server: Server) -> None:
    """Check that a reply to ``/versions`` does not refuse the request, nor the server's prefix.

    Raises:
        MisconfiguredError: It does.
    """
    status = answer.status
    # Glance lists its versions with 300 for each path that it does not know, where others answer
    # 404. Old Glances (2013) answered /versions with 300, too, which counts without a prefix.
    unknown = status == _MULTIPLE_CHOICES and bool(server.path)
    if status in _OF_CREDENTIALS:
        raise MisconfiguredError(
            "credentials",
            f"{server.netloc}: HTTP {status} for the versions, for which Glance wants no"
            " credentials; fix: let the probe pass the proxy before Glance, or list Glance's own"
            " address",
            status=status,
            request_id=answer.request_id,
        )
    if unknown or status in _REFUSALS:
        raise MisconfiguredError(
            "prefix",
            f"{server.netloc}: {describe_prefix(server)} (HTTP {status}); fix: {_fix(server)}",
            status=NOT_FOUND if unknown else status,
            request_id=answer.request_id,
        )


def describe_prefix(server: Server) -> str:
    """Return the words that no Glance answers under the path of a server's address."""
    return f"Glance does not answer under {server.path or '/'}"


def _fix(server: Server) -> str:
    origin = server.url.removesuffix(server.path)
    if server.path:
        return f"write {origin} if Glance has no prefix, or another prefix than {server.path}"
    return f"write Glance's prefix after the address, as in {origin}/image"


def check_canary(answer: TimedReply, server: Server, canary: Canary, what: str = "") -> None:
    """Check that a reply about the canary does not refuse the request.

    Args:
        answer: The reply.
        server: The server.
        canary: The image, and the token that was sent.
        what: What of the image was requested, as ``the data of``; empty for its record.

    Raises:
        MisconfiguredError: It does.
    """
    status = answer.status
    if status not in _REFUSALS:
        return
    told = f"{server.netloc}: HTTP {status} for {what}image {canary.image}"
    setting: Setting = "credentials" if status in _OF_CREDENTIALS else "image"
    if setting == "credentials" and canary.token is None:
        fix = "the server wants a token; fix: configure the credentials, or probe without an image"
    elif setting == "credentials":
        fix = "fix: check the credentials, which traced-image config shows, and their roles"
    elif what:
        fix = "fix: check the server's image store, or name another image"
    else:
        fix = "fix: name an image that exists and that the probe's credentials may see"
    raise MisconfiguredError(setting, f"{told}; {fix}", status=status, request_id=answer.request_id)
