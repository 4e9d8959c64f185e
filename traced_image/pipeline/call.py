"""The attempt loop: one logical call, tried on the servers of the cycle until one answers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from .. import errors
from ..errors import AttemptError, FailedAttempt, GlanceConnectionFailed, Reason
from .model import Attempt, Call, Failure, Send, Settle

if TYPE_CHECKING:
    import random

    from ..config import RetryPolicy
    from .clock import Clock
    from .cycle import Pick
    from .shared import Fleet

LOG = logging.getLogger(__name__)

DEADLINE_EXCEEDED = Reason("deadline_exceeded")
BUDGET_EXHAUSTED = Reason("budget_exhausted")


def announcing(clock: Clock) -> Settle:
    """Build the innermost `Settle`: write the seed's log line, then wait for the next attempt."""

    def settle(failure: Failure) -> None:
        server = failure.attempt.server
        retrying = failure.delay is not None
        LOG.log(
            logging.WARNING if retrying else logging.ERROR,
            "Error contacting glance server '%(host)s:%(port)s' for '%(method)s', %(extra)s.",
            {
                "host": server.host,
                "port": server.port,
                "method": failure.attempt.call.operation.action,
                "extra": "retrying" if retrying else "done trying",
            },
        )
        if failure.delay:
            clock.sleep(failure.delay)

    return settle


def retryable(error: AttemptError, policy: RetryPolicy) -> bool:
    """Whether another server may do better, by the error's type and the policy."""
    if isinstance(error, errors.HTTPStatusError):
        return error.status in policy.statuses
    if isinstance(error, errors.ProtocolError):
        return policy.protocol_errors
    return isinstance(error, errors.Retryable)


@dataclass(slots=True)
class _Progress:
    """How far a call has come."""

    call: Call[object]
    pick: Pick
    started: float
    deadline: float | None
    number: int = 1
    history: list[FailedAttempt] = field(default_factory=list)


class AttemptLoop:
    """Makes calls: 1 + `num_retries` attempts over the cycle, as nova's ``call`` does.

    Args:
        send: Tries once.
        settle: Announces a failed attempt and waits for the next.
        fleet: The servers, their health and the budget for retries.
        num_retries: Attempts beyond the first.
        policy: What is retried, and after how long.
        deadline: Seconds that a call may take in all; None for no limit.
        clock: Where time comes from.
        rng: The source of the jitter.
    """

    def __init__(
        self,
        send: Send,
        settle: Settle,
        fleet: Fleet,
        *,
        num_retries: int,
        policy: RetryPolicy,
        deadline: float | None,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._send = send
        self._settle = settle
        self._cycle = fleet.cycle
        self._budget = fleet.budget
        self._maximum = 1 + num_retries
        self._policy = policy
        self._deadline = deadline
        self._clock = clock
        self._rng = rng

    def __call__(self, call: Call[object]) -> object:
        """Make one call.

        Raises:
            AttemptError: An attempt failed in a way that no other server would mend.
            GlanceConnectionFailed: No attempt succeeded, or no further one may be made.
        """
        self._budget.call()
        progress = self._begin(call)
        while True:
            pick = progress.pick
            attempt = Attempt(
                call, pick.server, progress.number, self._maximum, pick.trial, progress.deadline
            )
            try:
                answer = self._send(attempt)
            except AttemptError as error:
                self._after(attempt, error, progress)
            except BaseException as error:
                self._cycle.abandoned(pick)
                if isinstance(error, errors.TracedImageError):
                    error.attempts = tuple(progress.history)
                raise
            else:
                self._cycle.succeeded(pick)
                return answer.value

    def _begin(self, call: Call[object]) -> _Progress:
        now = self._clock.monotonic()
        deadline = None
        if self._deadline is not None and not call.operation.transfer:
            deadline = now + self._deadline
        return _Progress(call, self._cycle.pick(), now, deadline)

    def _after(self, attempt: Attempt[object], error: AttemptError, progress: _Progress) -> None:
        """Judge a failed attempt; come back when the next one may start, or raise."""
        now = self._clock.monotonic()
        progress.history.append(
            FailedAttempt(
                attempt.server.url, error.reason, now - progress.started, error.request_id
            )
        )
        self._give_back(progress.pick, error)
        if not retryable(error, self._policy):
            error.attempts = tuple(progress.history)
            raise error
        refusal = self._refusal(attempt, error)
        if refusal is not None:
            self._give_up(attempt, error, progress, refusal)
        self._wait_for_next(attempt, error, progress, now)

    def _give_back(self, pick: Pick, error: AttemptError) -> None:
        if retryable(error, self._policy):
            self._cycle.failed(pick, error.reason, retry_after=self._retry_after(error))
        elif (
            isinstance(error, errors.HTTPStatusError)
            and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        ):
            self._cycle.succeeded(pick)
        else:
            self._cycle.failed(pick, error.reason, cool=False)

    def _retry_after(self, error: AttemptError) -> float:
        asked = error.retry_after if isinstance(error, errors.HTTPStatusError) else None
        return min(asked or 0.0, self._policy.retry_after_cap)

    def _refusal(
        self, attempt: Attempt[object], error: AttemptError
    ) -> type[GlanceConnectionFailed] | None:
        """Why there must be no further attempt, whatever server it would go to."""
        operation = attempt.call.operation
        if attempt.number >= attempt.maximum:
            return GlanceConnectionFailed
        if error.reached and not (operation.repeatable or self._policy.repeat_unsafe):
            return errors.UnsafeToRepeat
        if operation.rewind is not None and not operation.rewind():
            return errors.UploadNotRewindable
        return None

    def _wait_for_next(
        self, attempt: Attempt[object], error: AttemptError, progress: _Progress, now: float
    ) -> None:
        pick = self._cycle.pick()
        delay = self._delay(attempt, pick)
        refusal: type[GlanceConnectionFailed] | None = None
        if attempt.deadline is not None and now + delay >= attempt.deadline:
            refusal = errors.DeadlineExceeded
        elif not self._budget.retry():
            refusal = errors.RetryBudgetExhausted
        if refusal is not None:
            self._cycle.abandoned(pick)
            self._give_up(attempt, error, progress, refusal)
        progress.pick = pick
        progress.number += 1
        try:
            self._settle(Failure(attempt, error, delay, pick.server))
        except BaseException:
            self._cycle.abandoned(pick)
            raise
        progress.started = self._clock.monotonic()

    def _delay(self, attempt: Attempt[object], pick: Pick) -> float:
        """Seconds to wait: none for another server that is well, else by full jitter."""
        policy = self._policy
        if policy.fixed_delay is not None:
            return policy.fixed_delay
        if (pick.healthy or pick.trial) and pick.server != attempt.server:
            return 0.0
        longest = min(policy.backoff_cap, policy.backoff_base * 2.0 ** (attempt.number - 1))
        return max(self._rng.uniform(0.0, longest), pick.wait)

    def _give_up(
        self,
        attempt: Attempt[object],
        error: AttemptError,
        progress: _Progress,
        refusal: type[GlanceConnectionFailed],
    ) -> NoReturn:
        self._settle(Failure(attempt, error))
        failed = refusal(attempt.server.url, *_explain(refusal, attempt, error))
        failed.attempts = tuple(progress.history)
        raise failed from error


def _explain(
    refusal: type[GlanceConnectionFailed], attempt: Attempt[object], error: AttemptError
) -> tuple[Reason, str]:
    """The reason and the words for giving up."""
    if refusal is errors.DeadlineExceeded:
        return DEADLINE_EXCEEDED, f"the call's deadline passed; the last attempt: {error}"
    if refusal is errors.RetryBudgetExhausted:
        return BUDGET_EXHAUSTED, (
            f"{error}; not retried, since this process has used up its retry budget: mend the"
            " servers, or raise RetryPolicy.budget_share"
        )
    if refusal is errors.UploadNotRewindable:
        return error.reason, (
            f"{error}; not repeated, since the data was read already and can't be rewound: pass"
            " bytes or a seekable file"
        )
    if refusal is errors.UnsafeToRepeat:
        return error.reason, (
            f"{error}; not repeated, since the server may have carried out"
            f" '{attempt.call.operation.action}' already: look before you try again, or set"
            " RetryPolicy.repeat_unsafe"
        )
    return error.reason, str(error)
