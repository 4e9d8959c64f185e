"""What an attempt or a call that failed says, if no policy of a client has decided it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from .._signals import is_from_signal_handler
from ..config import RetryPolicy
from ..errors import InvalidArgument, StreamConsumed
from .catalogue import STATUSES

if TYPE_CHECKING:
    from .catalogue import VerdictLabel


TOKEN_UNAVAILABLE = "token_unavailable"  # noqa: S105 a reason
"""The reason of a call for which Keystone gave no token."""

_REFUSALS = frozenset(
    {
        "4xx",
        *(
            str(status)
            for status in STATUSES - RetryPolicy().statuses
            if status < HTTPStatus.INTERNAL_SERVER_ERROR
        ),
    }
)
"""The reasons that are no failure of a server, unless a client's own policy decides that."""


def decide_verdict(reason: str) -> VerdictLabel:
    """Return what an attempt says about its server, if no policy of a client has decided it.

    Args:
        reason: Why it failed, from the closed set; empty for success.
    """
    if not reason:
        return "success"
    return "refused" if reason in _REFUSALS else "failed"


def is_cancelled(error: BaseException) -> bool:
    """Return whether an exception is the caller's: an interrupt, a time limit, an argument."""
    if isinstance(error, (InvalidArgument, StreamConsumed)) or not isinstance(error, Exception):
        return True
    return is_from_signal_handler(error)
