"""What is known of the call under way in this thread or task, from its start to its end."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .catalogue import OTHER, REASONS

if TYPE_CHECKING:
    from ..config import Server
    from .spans import Active

_KNOWN = REASONS | {str(status) for status in range(400, 600)}


@dataclass(slots=True)
class CallRecord:
    """A call as it goes on.

    Attributes:
        operation: Its name, such as ``images.get``.
        started: When it began, in seconds of ``time.perf_counter``.
        span: Its span, unless that could not be started.
        delay: Seconds that it has waited between attempts.
        servers: The server of each attempt, in order.
        sent: How often each request was sent, by its method and what follows the server's URL.
    """

    operation: str
    started: float
    span: Active | None = None
    delay: float = 0.0
    servers: list[Server] = field(default_factory=list)
    sent: dict[tuple[str | None, str], int] = field(default_factory=dict)


CURRENT: ContextVar[CallRecord] = ContextVar("traced_image_call")


def resends(method: str | None, url: str) -> int:
    """How often the call under way has sent this request before, to whichever server."""
    record = CURRENT.get()
    request = method, url.removeprefix(record.servers[-1].url)
    count = record.sent.get(request, 0)
    record.sent[request] = count + 1
    return count


def reason_of(error: BaseException) -> str:
    """The reason that an error has, if it is one of the closed set."""
    reason = getattr(error, "reason", OTHER)
    return reason if isinstance(reason, str) and reason in _KNOWN else OTHER
