"""What is known of the call under way in this thread or task, from its start to its end."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .catalogue import OTHER, REASONS

if TYPE_CHECKING:
    from ..config import Server
    from .spans import Active


@dataclass(slots=True)
class CallRecord:
    """A call as it goes on.

    Attributes:
        operation: Its name, such as ``images.get``.
        started: When it began, in seconds of ``time.perf_counter``.
        span: Its span, unless that could not be started.
        delay: Seconds that it has waited between attempts.
        servers: The server of each attempt, in order.
    """

    operation: str
    started: float
    span: Active | None = None
    delay: float = 0.0
    servers: list[Server] = field(default_factory=list)


CURRENT: ContextVar[CallRecord | None] = ContextVar("traced_image_call", default=None)


def current_attempt() -> int:
    """The number of the attempt under way, 0 if there is none."""
    record = CURRENT.get()
    return len(record.servers) if record is not None else 0


def reason_of(error: BaseException) -> str:
    """The reason that an error has, if it is one of the closed set."""
    reason = getattr(error, "reason", OTHER)
    if reason in REASONS or (isinstance(reason, str) and _is_status(reason)):
        return str(reason)
    return OTHER


def _is_status(reason: str) -> bool:
    return len(reason) == len("404") and reason.isdecimal() and reason[0] in "45"
