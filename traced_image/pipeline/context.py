"""The caller of a call: the attributes that the pipeline reads, and a class that has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Context(Protocol):
    """The attributes of a caller's context that the pipeline reads.

    nova's, cinder's and oslo's ``RequestContext`` have these attributes, and any other object may
    have them. An object without ``auth_token`` is no context. Any other attribute that is absent
    counts as None, which gives the caller no rights.
    """

    @property
    def auth_token(self) -> str | None:
        """A Keystone token; None or empty for a caller without one, which then sends none."""

    @property
    def user_id(self) -> str | None:
        """The caller's user."""

    @property
    def project_id(self) -> str | None:
        """The caller's project."""

    @property
    def is_admin(self) -> bool:
        """Whether the caller may see every image."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """A caller of the image service, with the attributes of nova's ``RequestContext``.

    Attributes:
        auth_token: A Keystone token, sent as ``X-Auth-Token`` under ``auth_strategy=keystone``.
            Without it, a request carries no token.
        user_id: The caller's user; compared with an image's ``user_id`` under noauth.
        project_id: The caller's project; compared with an image's ``owner_id`` under noauth.
        is_admin: Whether the caller may see every image.
        request_id: The id of the caller's own request: ``req-`` and a UUID.
        global_request_id: The id of the request that caused the caller's own request.
    """

    auth_token: str | None = field(default=None, repr=False)
    user_id: str | None = None
    project_id: str | None = None
    is_admin: bool = False
    request_id: str | None = None
    global_request_id: str | None = None

    @property
    def global_id(self) -> str | None:
        """The id that connects the requests of several services, as in oslo.context."""
        return self.global_request_id or self.request_id


SERVICE = RequestContext(is_admin=True)
"""The context that stands for None: the service calls for itself and may see every image.

Only this object, not an equal one, makes a request carry the service's own token.
"""


class SentTokens(NamedTuple):
    """The tokens of one request.

    Attributes:
        token: Whose request it is: ``X-Auth-Token``; None for nobody's.
        service: Which service passes it on: ``X-Service-Token``; None for none.
    """

    token: str | None = None
    service: str | None = None


NO_TOKENS = SentTokens()
