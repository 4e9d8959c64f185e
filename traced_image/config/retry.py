"""When a failed attempt is repeated, how long that waits, and how long a server is left alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from ..errors import InvalidRetry
from . import checks
from .option import document_fields, list_options, option
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
    """How the attempt loop deals with failures.

    Connections that fail, names that don't resolve and the `statuses` are retried on the next
    server. There is no wait before a server that is another one and healthy; else a random time
    of up to ``min(backoff_cap, backoff_base * 2 ** (failures - 1))``.

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
        8.0, doc="Seconds that no backoff exceeds.", check=_number, read=float
    )
    fixed_delay: float | None = option(
        None,
        doc="Seconds waited after every failure but the last, even where another server is next,"
        " in place of backoff; None for backoff. nova's loop has ``time.sleep(1)``.",
        check=checks.allow_none(_number),
        read=parse_optional_number,
    )
    statuses: frozenset[int] = option(
        frozenset({429, 502, 503, 504}),
        doc="HTTP statuses that are retried. nova retries 503 alone.",
        check=_check_statuses,
        read=parse_integers,
    )
    protocol_errors: bool = option(
        True,
        doc="Whether a reply that is not what it claims is retried.",
        check=_boolean,
        read=parse_boolean,
    )
    retry_after_cap: float = option(
        30.0,
        doc="Seconds of a ``Retry-After`` that are honoured at most; 0 ignores it.",
        check=_number,
        read=float,
    )
    repeat_unsafe: bool = option(
        False,
        doc="Whether create, update, delete and upload are repeated although the first request may"
        " have reached a server, as nova does.",
        check=_boolean,
        read=parse_boolean,
    )
    budget_share: float | None = option(
        0.2,
        doc="Retries allowed for each call of the recent past; None for no budget. Finagle's"
        " ``RetryBudget`` and Linkerd's ``retryRatio`` have the same 0.2.",
        check=checks.allow_none(partial(_number, most=10)),
        read=parse_optional_number,
    )
    budget_floor: float = option(
        10.0,
        doc="Retries a second that are allowed however few the calls, as Finagle's and Linkerd's"
        " ``minRetriesPerSecond`` of 10.",
        check=_number,
        read=float,
    )
    cooldown_base: float = option(
        1.0,
        doc="Seconds for which a server goes last after its first failure; doubled by each"
        " further one. 0 keeps no memory of failures, like nova.",
        check=_number,
        read=float,
    )
    cooldown_cap: float = option(
        60.0, doc="Seconds that no cooldown exceeds.", check=_number, read=float
    )

    def __post_init__(self) -> None:
        for name in OPTIONS:
            object.__setattr__(self, name, check_field(name, getattr(self, name), "argument"))

    @classmethod
    def nova_2013(cls) -> RetryPolicy:
        """Return the policy of nova 2013.1's ``GlanceClientWrapper.call``.

        It waits one second after every failure but the last, retries 503 alone among the
        statuses, repeats every operation, and has neither a retry budget nor a cool-down.
        `Config` has the rest of nova 2013.1's behaviour: ``num_retries=0``, ``deadline=None``,
        ``read_timeout=600`` and ``api_version=1``.

        Some failures end otherwise than in nova 2013.1, on purpose: a server that closes a
        connection without an answer and a certificate that is not trusted are retried here, and
        so is a list.
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
"""All options of a policy, by their fields' names."""


def check_field(name: str, value: object, source: str) -> object:
    """Return the value of one field as the policy keeps it.

    Args:
        name: A field of `RetryPolicy`.
        value: What it is to be.
        source: Where it came from, for the error.

    Raises:
        InvalidRetry: It can't be used.
    """
    return OPTIONS[name].check_value(f"retry.{name}", value, source)
