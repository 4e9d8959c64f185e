"""The attempt loop: it tries one call on the servers of the cycle until one answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from ... import errors
from ..._signals import SUPPRESSED
from ...errors import AttemptError, FailedAttempt, GlanceConnectionFailed, Reason
from ..context import NO_TOKENS
from .backoff import find_delay
from .seams import Announce, Answer, Attempt, Call, Failure, Send, T, layered

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from ...config import RetryPolicy, Server
    from ...errors import Verdict
    from ..api.operation import Operation
    from ..clock import Clock
    from ..context import Context, SentTokens
    from .fleet import Fleet
    from .host_state import Pick
    from .seams import Authorize, Layer


DEADLINE_EXCEEDED = Reason("deadline_exceeded")
PROXY_ERROR = Reason("proxy_error")
BUDGET_EXHAUSTED = Reason("budget_exhausted")

_TIMEOUTS = frozenset({Reason("connect_timeout"), Reason("read_timeout")})
_PATIENCE = 2
"""How many times as long as a quick answer a trial may take, even if that is more than its time."""

_REASONS: dict[type[GlanceConnectionFailed], Reason] = {
    errors.DeadlineExceeded: DEADLINE_EXCEEDED,
    errors.RetryBudgetExhausted: BUDGET_EXHAUSTED,
}

_WORDS: dict[type[GlanceConnectionFailed], str] = {
    errors.GlanceConnectionFailed: "{error}",
    errors.DeadlineExceeded: (
        "{error}; not retried because the call's deadline leaves no time for it: raise"
        " Config.deadline, or check the server"
    ),
    errors.RetryBudgetExhausted: (
        "{error}; not retried because this process has used up its retry budget: fix the servers,"
        " or raise RetryPolicy.budget_share"
    ),
    errors.UnsafeToRepeat: (
        "{error}; not repeated because the server may have carried out '{action}' already: check"
        " before you try again, or set RetryPolicy.repeat_unsafe"
    ),
    errors.UploadNotRewindable: (
        "{error}; not repeated because the data was already read and can't be rewound: pass bytes"
        " or a seekable file"
    ),
}


def build_refusal(
    kind: type[GlanceConnectionFailed], attempt: Attempt[object], error: AttemptError
) -> GlanceConnectionFailed:
    """Build the error for a call that gives up after `attempt` failed with `error`."""
    words = _WORDS[kind].format(error=error, action=attempt.call.operation.action)
    return kind(attempt.server.url, _REASONS.get(kind, error.reason), words)


def find_verdict(error: AttemptError, policy: RetryPolicy) -> Verdict:
    """Return what a failed attempt says about its server, by the error's type and the policy."""
    # A 4xx is the caller's error, and the server did its work. By one that the policy retries, a
    # server says that another one may succeed.
    if isinstance(error, errors.HTTPStatusError) and error.status not in policy.statuses:
        return "refused" if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else "failed"
    return "failed"


def is_retryable(error: AttemptError, policy: RetryPolicy) -> bool:
    """Return whether another server may succeed, by the error's type and the policy."""
    # Not by `Retryable` alone: the policy may list any status, and leave out a retryable one.
    if isinstance(error, errors.HTTPStatusError):
        return error.status in policy.statuses
    if isinstance(error, errors.ProtocolError):
        return policy.protocol_errors
    return isinstance(error, errors.Retryable)


def _is_answered(error: BaseException) -> bool:
    """Return whether the server did its work, and its answer can't be used all the same."""
    others = errors.InvalidArgument, errors.StreamConsumed, errors.GlanceConnectionFailed
    return isinstance(error, errors.TracedImageError) and not isinstance(error, others)


def _is_cut_short(attempt: Attempt[object], error: AttemptError, duration: float) -> bool:
    """Return whether a trial failed only because its own time was short."""
    # A timeout that comes earlier is that of the configuration, and says that the server fails.
    limit = attempt.timeout
    return limit is not None and duration >= limit and error.reason in _TIMEOUTS


def find_none(_context: Context, _left: float, /) -> SentTokens:
    """Return no tokens, for servers that ask for none."""
    return NO_TOKENS


@dataclass(slots=True)
class _Progress:
    """The state of a call between its attempts; it `made` some before this operation."""

    pick: Pick
    started: float
    deadline: float | None
    tokens: SentTokens
    made: int = 0
    number: int = 1
    history: list[FailedAttempt] = field(default_factory=list)
    tried: list[Server] = field(default_factory=list)


class AttemptLoop:
    """A function that makes calls: 1 + `num_retries` attempts, as nova's ``call`` does.

    Args:
        send: Makes one attempt.
        announce: Reports each failed attempt that its server is responsible for.
        fleet: The servers, their health and the retry budget.
        num_retries: Attempts after the first one.
        policy: The rules for retries and waits.
        deadline: Seconds that a call may take in all; None for no limit.
        trial_timeout: Seconds for each request of a trial, if another server is healthy and may
            be tried next; None for no other limit than that of any request.
        clock: The source of time.
        rng: The source of the jitter.
        authorize: Finds the tokens of a call; by default there are none.
        layers: The functions that observe each attempt, with its verdict.
    """

    def __init__(
        self,
        send: Send,
        announce: Announce,
        fleet: Fleet,
        *,
        num_retries: int,
        policy: RetryPolicy,
        deadline: float | None,
        clock: Clock,
        rng: random.Random,
        trial_timeout: float | None = None,
        authorize: Authorize = find_none,
        layers: Iterable[Layer[Send]] = (),
    ) -> None:
        self._authorize = authorize
        self._innermost = send
        self._send = layered(self._decide, layers)
        self._announce = announce
        self._cycle = fleet.cycle
        self._budget = fleet.budget
        self._maximum = 1 + num_retries
        self._policy = policy
        self._deadline = deadline
        self._trial_timeout = trial_timeout
        self._clock = clock
        self._rng = rng

    def __call__(self, call: Call[T], /) -> T:
        """Make one call.

        Every exception that ends the call has the history of failed attempts as ``attempts``.

        Returns:
            The result of the call's operation.

        Raises:
            TokenUnavailable: Keystone gave no token, so that no server was asked.
            AttemptError: An attempt failed, and another server would fail in the same way.
            GlanceConnectionFailed: No attempt succeeded, or no further attempt is allowed.
        """
        result, made = self.perform(call, 0)
        return result if call.finish is None else call.finish(result, _Rest(self, made))

    def perform(self, call: Call[T], made: int) -> tuple[T, int]:
        """Perform a call's operation; return its result, and how many attempts the call made.

        Args:
            call: The call.
            made: How many attempts it made before, for another operation.
        """
        self._budget.call()
        progress = self._begin(call, made)
        try:
            while True:
                attempt = self._attempt(call, progress)
                try:
                    answer = self._send(attempt)
                except AttemptError as error:
                    self._after(attempt, error, progress)
                else:
                    self._cycle.record_success(progress.pick)
                    if call.operation.check is not None:
                        call.operation.check()
                    return answer.value, attempt.number
        except BaseException as error:
            # A pick ends only once. So this affects only paths that did not end it before, such
            # as a KeyboardInterrupt or a deadline that passed before the next attempt.
            if _is_answered(error):
                self._cycle.record_success(progress.pick)
            else:
                self._cycle.release(progress.pick)
            # By __dict__, because the exception may be of any class.
            error.__dict__["attempts"] = tuple(progress.history)
            raise

    def _decide(self, attempt: Attempt[T], /) -> Answer[T]:
        """Make one attempt; decide what a failure says about the server, before any layer asks."""
        try:
            return self._innermost(attempt)
        except AttemptError as error:
            error.verdict = self._find_verdict(attempt, error)
            raise

    def _find_verdict(self, attempt: Attempt[object], error: AttemptError) -> Verdict:
        if error.reason == DEADLINE_EXCEEDED:
            duration = self._clock.monotonic() - attempt.started - error.token_seconds
            if duration < (self._deadline or 0.0) / 2:
                # Earlier attempts, waits or Keystone used most of the call's time, so this server
                # had too little of it.
                return "cancelled"
        return find_verdict(error, self._policy)

    def _begin(self, call: Call[object], made: int) -> _Progress:
        operation = call.operation
        deadline, left = None, math.inf
        if self._deadline is not None and not operation.transfer:
            deadline, left = self._clock.monotonic() + self._deadline, self._deadline
        # Before a server is picked: no attempt waits on it for Keystone.
        tokens = self._authorize(call.context, left)
        now = self._clock.monotonic()
        pick = self._cycle.pick(careful=not operation.repeatable, transfer=operation.transfer)
        try:
            return _Progress(pick, now, deadline, tokens, made)
        except BaseException:  # a signal handler's: `perform` does not have the pick yet
            self._cycle.release(pick)
            raise

    def _attempt(self, call: Call[T], progress: _Progress) -> Attempt[T]:
        pick, number = progress.pick, progress.number
        timeout = self._limit(call.operation, progress) if pick.trial else None
        return Attempt(
            call,
            pick.server,
            progress.made + number,
            progress.made + self._maximum,
            progress.started,
            progress.tokens,
            pick.trial,
            progress.deadline,
            timeout,
        )

    def _limit(self, operation: Operation[object], progress: _Progress) -> float | None:
        """Return the seconds for each request of a trial, or None if it is not to be cut short.

        It is not if no other attempt could follow: the call would fail, and all servers may be
        slow. So an operation that is not safe to repeat has the full time too.
        """
        may_follow = progress.number < self._maximum and self._budget.has_room()
        repeatable = operation.repeatable or self._policy.repeat_unsafe
        if self._trial_timeout is None or operation.transfer or not (may_follow and repeatable):
            return None
        if not progress.pick.spare:
            return None
        return max(self._trial_timeout, _PATIENCE * progress.pick.usual)

    def _after(self, attempt: Attempt[object], error: AttemptError, progress: _Progress) -> None:
        """Record a failed attempt; return when the next one may start, or raise an error."""
        now = self._clock.monotonic()
        server = attempt.server
        duration = now - progress.started
        progress.history.append(FailedAttempt(server.url, error.reason, duration, error.request_id))
        progress.tried.append(server)
        self._give_back(progress.pick, attempt, error, duration)
        failure = Failure(attempt, error)
        if not is_retryable(error, self._policy):
            if error.verdict == "failed":
                self._tell(failure)
            raise error
        refusal = self._refusal(attempt, error, now)
        if refusal is not None:
            self._give_up(failure, refusal)
        self._wait_for_next(failure, progress, now)

    def _give_back(
        self, pick: Pick, attempt: Attempt[object], error: AttemptError, duration: float
    ) -> None:
        """Record the outcome of a failed attempt, by its verdict."""
        if error.verdict == "refused":
            self._cycle.record_success(pick)
        elif error.verdict == "cancelled":
            self._cycle.release(pick)
        else:
            self._cycle.record_failure(
                pick,
                error.reason,
                # A failure such as 500 may concern one image, and a failure of the proxy each
                # server, so other calls still use the server.
                cool=is_retryable(error, self._policy) and error.reason != PROXY_ERROR,
                retry_after=self._retry_after(error),
                cut_short=_is_cut_short(attempt, error, duration),
            )

    def _retry_after(self, error: AttemptError) -> float:
        asked = error.retry_after if isinstance(error, errors.HTTPStatusError) else None
        return min(asked or 0.0, self._policy.retry_after_cap)

    def _refusal(
        self, attempt: Attempt[object], error: AttemptError, now: float
    ) -> type[GlanceConnectionFailed] | None:
        """Return why no server may get a further attempt, or None if one may."""
        # The order decides which reason the caller sees: first the one that needs most care.
        operation = attempt.call.operation
        if error.reached and not (operation.repeatable or self._policy.repeat_unsafe):
            return errors.UnsafeToRepeat
        if attempt.deadline is not None and now >= attempt.deadline:
            return errors.DeadlineExceeded
        if attempt.number >= attempt.maximum:
            return GlanceConnectionFailed
        if operation.rewind is not None and not operation.rewind():
            return errors.UploadNotRewindable
        return None

    def _wait_for_next(self, failure: Failure, progress: _Progress, now: float) -> None:
        attempt = failure.attempt
        transfer = attempt.call.operation.transfer
        pick = progress.pick = self._cycle.pick(progress.tried, careful=True, transfer=transfer)
        delay = find_delay(self._policy, self._rng, pick, attempt.server, progress.number)
        if attempt.deadline is not None and now + delay >= attempt.deadline:
            self._give_up(failure, errors.DeadlineExceeded)
        if not self._budget.retry():
            self._give_up(failure, errors.RetryBudgetExhausted)
        progress.number += 1
        self._tell(replace(failure, delay=delay, next_server=pick.server))
        if delay:
            self._clock.sleep(delay)
        progress.started = self._clock.monotonic()

    def _give_up(self, failure: Failure, refusal: type[GlanceConnectionFailed]) -> NoReturn:
        given_up = build_refusal(refusal, failure.attempt, failure.error)
        self._tell(replace(failure, given_up=given_up))
        raise given_up from failure.error

    def _tell(self, failure: Failure) -> None:
        # An application's log handler may raise anything; that must not end the call.
        with SUPPRESSED:
            self._announce(failure)


class _Rest:
    """A function that performs more operations as part of a call, whose attempts it numbers on."""

    def __init__(self, loop: AttemptLoop, made: int) -> None:
        self._loop = loop
        self._made = made

    def __call__(self, call: Call[T], /) -> T:
        result, self._made = self._loop.perform(call, self._made)
        return result
