"""What a call ends with that is not tried again, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import errors
from ..errors import Reason

if TYPE_CHECKING:
    from ..errors import AttemptError, GlanceConnectionFailed
    from .model import Attempt

DEADLINE_EXCEEDED = Reason("deadline_exceeded")
BUDGET_EXHAUSTED = Reason("budget_exhausted")

_REASONS: dict[type[GlanceConnectionFailed], Reason] = {
    errors.DeadlineExceeded: DEADLINE_EXCEEDED,
    errors.RetryBudgetExhausted: BUDGET_EXHAUSTED,
}

_WORDS: dict[type[GlanceConnectionFailed], str] = {
    errors.GlanceConnectionFailed: "{error}",
    errors.DeadlineExceeded: (
        "{error}; not retried, since the call's deadline leaves no time for it: raise"
        " Config.deadline, or look at the server"
    ),
    errors.RetryBudgetExhausted: (
        "{error}; not retried, since this process has used up its retry budget: mend the servers,"
        " or raise RetryPolicy.budget_share"
    ),
    errors.UnsafeToRepeat: (
        "{error}; not repeated, since the server may have carried out '{action}' already: look"
        " before you try again, or set RetryPolicy.repeat_unsafe"
    ),
    errors.UploadNotRewindable: (
        "{error}; not repeated, since the data was read already and can't be rewound: pass bytes"
        " or a seekable file"
    ),
}


def refused(
    kind: type[GlanceConnectionFailed], attempt: Attempt[object], error: AttemptError
) -> GlanceConnectionFailed:
    """Build the error for a call that gave up after `attempt` had met `error`."""
    words = _WORDS[kind].format(error=error, action=attempt.call.operation.action)
    return kind(attempt.server.url, _REASONS.get(kind, error.reason), words)
