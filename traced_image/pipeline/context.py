"""On whose behalf a call is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Context(Protocol):
    """What the pipeline reads of a caller's context.

    nova's, cinder's and oslo's ``RequestContext`` have these attributes, and so may any other
    object. What is absent counts as None.
    """

    @property
    def auth_token(self) -> str | None:
        """A Keystone token."""

    @property
    def user_id(self) -> str | None:
        """The caller's user."""

    @property
    def project_id(self) -> str | None:
        """The caller's project."""

    @property
    def is_admin(self) -> bool:
        """Whether every image is the caller's to see."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """A caller of the image service, with the attributes of nova's ``RequestContext``.

    Attributes:
        auth_token: A Keystone token, sent as ``X-Auth-Token`` under ``auth_strategy=keystone``.
        user_id: The caller's user, compared with an image's ``user_id`` under noauth.
        project_id: The caller's project, compared with an image's ``owner_id``.
        is_admin: Whether every image is the caller's to see.
        request_id: The caller's own request, ``req-`` and a UUID.
        global_request_id: The request that the caller's own belongs to.
    """

    auth_token: str | None = field(default=None, repr=False)
    user_id: str | None = None
    project_id: str | None = None
    is_admin: bool = False
    request_id: str | None = None
    global_request_id: str | None = None

    @property
    def global_id(self) -> str | None:
        """The id that ties the requests of several services together, as in oslo.context."""
        return self.global_request_id or self.request_id


SERVICE = RequestContext(is_admin=True)
"""Stands for None: the service asks for itself, so every image is its to see."""
