"""The tasks of a lab: one for each import of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .http1 import JSON


@dataclass(frozen=True)
class Task:
    """An import in one state; a change makes a new object.

    Attributes:
        id: The task's id.
        image_id: The image that it imports data for.
        owner: The project that started it; None for none.
        user_id: The user who started it; None for none.
        request_id: The id of the request that started it.
        input: What was asked for, as Glance shows it.
        created_at: When it was started; times as in `Images.timestamp`.
        updated_at: When its status changed.
        status: ``pending``, ``processing``, ``success`` or ``failure``.
        message: What went wrong, or Glance's text about a success.
        expires_at: When Glance would forget it; None before its end.
    """

    id: str
    image_id: str
    owner: str | None
    user_id: str | None
    request_id: str
    input: Mapping[str, JSON]
    created_at: str
    updated_at: str
    status: str = "pending"
    message: str = ""
    expires_at: str | None = None

    def view(self) -> dict[str, JSON]:
        """Return the task as ``/v2/images/{id}/tasks`` shows it."""
        return {
            "id": self.id,
            "type": "api_image_import",
            "status": self.status,
            "owner": self.owner,
            "expires_at": self.expires_at,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "deleted_at": None,
            "deleted": False,
            "image_id": self.image_id,
            "request_id": self.request_id,
            "user_id": self.user_id,
            "input": dict(self.input),
            "result": {"image_id": self.image_id} if self.status == "success" else None,
            "message": self.message,
        }
