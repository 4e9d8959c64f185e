"""When a failed attempt is repeated, how long that waits, and how long a server is left alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..errors import InvalidRetry
from . import checks

if TYPE_CHECKING:
    from collections.abc import Callable


_STATUSES = range(400, 600)


def _statuses(item: str, value: object, source: str) -> frozenset[int]:
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        found = list(value)
        if all(type(status) is int and status in _STATUSES for status in found):
            return frozenset(found)
    mend = "give HTTP statuses from 400 to 599"
    raise InvalidRetry(item, f"{checks.shown(value)} can't be used", source=source, mend=mend)


def _delay(item: str, value: object, source: str) -> float | None:
    return None if value is None else checks.number(item, value, source, InvalidRetry)


def _share(item: str, value: object, source: str) -> float | None:
    return None if value is None else checks.number(item, value, source, InvalidRetry, most=10)


_number = partial(checks.number, error=InvalidRetry)
_boolean = partial(checks.boolean, error=InvalidRetry)

_CHECKS: dict[str, Callable[[str, object, str], object]] = {
    "backoff_base": _number,
    "backoff_cap": _number,
    "fixed_delay": _delay,
    "statuses": _statuses,
    "protocol_errors": _boolean,
    "retry_after_cap": _number,
    "repeat_unsafe": _boolean,
    "budget_share": _share,
    "budget_floor": _number,
    "cooldown_base": _number,
    "cooldown_cap": _number,
}


def checked(name: str, value: object, source: str) -> object:
    """Return the value of one field as the policy keeps it.

    Args:
        name: A field of `RetryPolicy`.
        value: What it is to be.
        source: Where it came from, for the error.

    Raises:
        InvalidRetry: It can't be used.
    """
    return _CHECKS[name](f"retry.{name}", value, source)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How the attempt loop deals with failures.

    Connections that fail, names that don't resolve and the `statuses` are retried on the next
    server. There is no wait before a server that is another one and healthy; else a random time
    of up to ``min(backoff_cap, backoff_base * 2 ** (failures - 1))``.

    Attributes:
        backoff_base: Seconds; the longest wait after the first failure. Exponential backoff with
            full jitter, after "Exponential Backoff And Jitter" in the AWS Architecture Blog.
        backoff_cap: Seconds that no backoff exceeds.
        fixed_delay: Seconds waited after every failure but the last, even where another server
            is next, in place of backoff; None for backoff. nova's loop has ``time.sleep(1)``.
        statuses: HTTP statuses that are retried. nova retries 503 alone.
        protocol_errors: Whether a reply that is not what it claims is retried.
        retry_after_cap: Seconds of a ``Retry-After`` that are honoured at most; 0 ignores it.
        repeat_unsafe: Whether create, update, delete and upload are repeated although the first
            request may have reached a server, as nova does.
        budget_share: Retries allowed for each call of the recent past; None for no budget.
            Finagle's ``RetryBudget`` and Linkerd's ``retryRatio`` have the same 0.2.
        budget_floor: Retries a second that are allowed however few the calls, as Finagle's and
            Linkerd's ``minRetriesPerSecond`` of 10.
        cooldown_base: Seconds for which a server goes last after its first failure; doubled by
            each further one. 0 keeps no memory of failures, like nova.
        cooldown_cap: Seconds that no cooldown exceeds.

    Raises:
        InvalidRetry: A field is out of range.
    """

    backoff_base: float = 0.5
    backoff_cap: float = 8.0
    fixed_delay: float | None = None
    statuses: frozenset[int] = frozenset({429, 502, 503, 504})
    protocol_errors: bool = True
    retry_after_cap: float = 30.0
    repeat_unsafe: bool = False
    budget_share: float | None = 0.2
    budget_floor: float = 10.0
    cooldown_base: float = 1.0
    cooldown_cap: float = 60.0

    def __post_init__(self) -> None:
        for name in _CHECKS:
            object.__setattr__(self, name, checked(name, getattr(self, name), "argument"))

    @classmethod
    def seed(cls) -> RetryPolicy:
        """The behaviour of nova 2013.1 to the letter.

        One second after every failure but the last, for 503 alone among the statuses, whatever
        the method, with no budget and no memory of servers that failed. Two things stay with
        `Config`, where nova had none or another default: ``deadline=None``, ``num_retries=0``.
        """
        return cls(
            fixed_delay=1.0,
            statuses=frozenset({503}),
            protocol_errors=False,
            retry_after_cap=0.0,
            repeat_unsafe=True,
            budget_share=None,
            cooldown_base=0.0,
        )
