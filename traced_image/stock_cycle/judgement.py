"""What an exception of a stock client says about the server of its attempt."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from ..instrumentation.failures import find_blame, list_frames
from ..reasons import OTHER, find_reason, find_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config import RetryPolicy
    from ..errors import Reason, Verdict

_OF_REQUESTS = "glanceclient.common.http"
"""The module of python-glanceclient that makes the requests."""

_BEFORE_DATA = frozenset({"connection_refused", "connect_timeout", "dns_error", "tls_error"})
"""The reasons for which an upload fails before any of its data is read."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a failed attempt says about its server.

    Attributes:
        verdict: Whether the server failed, refused the request as any would, or neither.
        reason: Why the attempt failed.
        cool: Whether the server cools down, because other calls would fail on it too.
    """

    verdict: Verdict
    reason: Reason = OTHER
    cool: bool = False


_NOT_THE_SERVERS = Judgement("cancelled")


def judge(
    error: BaseException,
    handled: BaseException | None,
    policy: RetryPolicy,
    *,
    transfer: bool,
) -> Judgement:
    """Return what an exception says about the server of the last attempt.

    Args:
        error: What the attempt or its call raised.
        handled: What the caller was handling when the call began; it is no cause of `error`.
        policy: Tells which statuses another server might not give.
        transfer: Whether the attempt sent image data: a broken connection may be the fault of what
            the data was read from, and nobody can tell.
    """
    request = next(_list_of_requests(error, handled), None)
    blame = find_blame(error, handled)
    if request is None or blame.keystone or blame.caller or not isinstance(error, Exception):
        return _NOT_THE_SERVERS
    status = find_status(request)
    reason = find_reason(request, handled)
    if status:
        cool = status in policy.statuses
        is_refused = status < HTTPStatus.INTERNAL_SERVER_ERROR and not cool
        return Judgement("refused" if is_refused else "failed", reason, cool)
    if reason == OTHER or (transfer and reason not in _BEFORE_DATA):
        return _NOT_THE_SERVERS
    # A failure of the proxy concerns each server.
    return Judgement("failed", reason, cool=reason != "proxy_error")


def _list_of_requests(
    error: BaseException, handled: BaseException | None
) -> Iterator[BaseException]:
    """Yield those of an exception and its causes that ended a request, the outermost first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and link is not handled and id(link) not in seen:
        seen.add(id(link))
        if any(module == _OF_REQUESTS for module, _ in list_frames(link.__traceback__)):
            yield link
        link = link.__cause__ or link.__context__
