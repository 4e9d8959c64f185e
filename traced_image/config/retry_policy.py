"""The retry policy: what a call retries, how long it waits, and how long a server cools down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from ..errors import InvalidRetry
from . import checks
from .option_definition import document_fields, list_options, option
from .parse import parse_boolean, parse_integers, parse_optional_number

_STATUSES = range(400, 600)


def _check_statuses(item: str, value: object, source: str) -> frozenset[int]:
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        found = list(value)
        if all(type(status) is int and status in _STATUSES for status in found):
            return frozenset(found)
    fix = "give HTTP statuses from 400 to 599"
    raise InvalidRetry(item, f"{checks.format_value(value)} can't be used", source=source, fix=fix)


_number = partial(checks.check_number, error=InvalidRetry)
_boolean = partial(checks.check_boolean, error=InvalidRetry)


@document_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The rules by which the attempt loop handles failures.

    The loop retries failed connections, names that don't resolve and the `statuses` on the next
    server. It does not wait if the next server is a different one and healthy. Otherwise it waits
    a random time of up to ``min(backoff_cap, backoff_base * 2 ** (failures - 1))`` seconds.

    Raises:
        InvalidRetry: A field is out of range.
    """

    backoff_base: float = option(
        0.5,
        doc="Seconds; the longest wait after the first failure. Exponential backoff with full"
        ' jitter, after "Exponential Backoff And Jitter" in the AWS Architecture Blog.',
        check=_number,
        read=float,
    )
    backoff_cap: float = option(
        8.0, doc="The longest backoff, in seconds.", check=_number, read=float
    )
    fixed_delay: float | None = option(
        None,
        doc="Seconds to wait after each failure except the last, even if another server is next;"
        " it replaces the backoff. None for backoff. nova's loop has ``time.sleep(1)``.",
        check=checks.allow_none(_number),
        read=parse_optional_number,
    )
    statuses: frozenset[int] = option(
        frozenset({408, 421, 425, 429, 502, 503, 504}),
        doc="HTTP statuses to retry: those by which a server, or a proxy in front of it, says that"
        " another try may succeed. nova retries only 503.",
        check=_check_statuses,
        read=parse_integers,
    )
    protocol_errors: bool = option(
        True,
        doc="Whether to retry a reply that is malformed, cut short or of a wrong type.",
        check=_boolean,
        read=parse_boolean,
    )
    retry_after_cap: float = option(
        30.0,
        doc="The longest ``Retry-After`` that a call respects, in seconds; 0 ignores it.",
        check=_number,
        read=float,
    )
    repeat_unsafe: bool = option(
        False,
        doc="Whether to repeat create, update, delete and upload, as nova does, although the first"
        " request may have reached a server.",
        check=_boolean,
        read=parse_boolean,
    )
    budget_share: float | None = option(
        0.2,
        doc="Retries that each call of the last 10 seconds allows; None for no budget. Finagle's"
        " ``RetryBudget`` and Linkerd's ``retryRatio`` have the same 0.2.",
        check=checks.allow_none(partial(_number, most=10)),
        read=parse_optional_number,
    )
    budget_floor: float = option(
        10.0,
        doc="Retries per second that the budget always allows, as Finagle's and Linkerd's"
        " ``minRetriesPerSecond`` of 10.",
        check=_number,
        read=float,
    )
    cooldown_base: float = option(
        1.0,
        doc="Seconds for which a server cools down after its first failure; each further failure"
        " doubles them. 0 keeps no memory of failures, like nova.",
        check=_number,
        read=float,
    )
    cooldown_cap: float = option(
        60.0, doc="The longest cool-down, in seconds.", check=_number, read=float
    )

    def __post_init__(self) -> None:
        for name in OPTIONS:
            object.__setattr__(self, name, check_field(name, getattr(self, name), "argument"))

    @classmethod
    def nova_2013(cls) -> RetryPolicy:
        """Return the policy of nova 2013.1's ``GlanceClientWrapper.call``.

        The policy waits one second after each failure except the last. It retries only status
        503, and it repeats every operation. It has no retry budget and no cool-down. `Config`
        has the rest of nova 2013.1's behaviour: ``num_retries=0``, ``deadline=None``,
        ``read_timeout=600`` and ``api_version=1``.

        Some cases differ from nova 2013.1 on purpose. For example, the loop also retries if a
        server closes a connection without an answer, if a certificate is not trusted, and if a
        list fails. ``docs/explanation/seed.md`` lists what is the same and what differs.
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


OPTIONS = list_options(RetryPolicy)
"""All options of a policy, by the names of their fields."""


def check_field(name: str, value: object, source: str) -> object:
    """Check the value of one field, and return it as the policy stores it.

    Args:
        name: A field of `RetryPolicy`.
        value: The value to check.
        source: Where the value came from, for the error.

    Raises:
        InvalidRetry: The value can't be used.
    """
    return OPTIONS[name].check_value(f"retry.{name}", value, source)
