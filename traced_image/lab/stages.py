"""The stages of an exchange that each fault concerns, and which faults go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Stages = frozenset[str]

_ANSWER = frozenset({"reply", "headers", "interim replies", "delivery"})
_REQUEST = _ANSWER | {"upload", "pace", "wait"}
_ALL = _REQUEST | {"handshake"}
_REPLACED = frozenset({"reply", "headers", "delivery"})
_REPLY = frozenset({"reply"})
_DELIVERY = frozenset({"delivery"})

_STAGES: Mapping[str, Stages] = {
    **dict.fromkeys(
        ("black_hole", "broken_tls", "never_read", "plain_http", "refuse", "silent_tls"), _ALL
    ),
    **dict.fromkeys(
        ("demand_certificate", "expiring_tls", "untrusted_tls"), frozenset({"handshake"})
    ),
    **dict.fromkeys(("endless_body", "endless_headers", "raw_reply", "unexpected_body"), _REPLACED),
    **dict.fromkeys(("many_headers", "new_cookies"), frozenset({"headers"})),
    **dict.fromkeys(("haproxy_error", "nginx_error"), frozenset({"reply", "headers"})),
    **dict.fromkeys(
        ("bad_chunk", "chunked", "cut_body", "framing", "garbage_headers", "slow_body"), _DELIVERY
    ),
    **dict.fromkeys(("slow_headers", "wrong_length"), _DELIVERY),
    "cut_upload": _REQUEST - {"pace"},
    "delay": frozenset({"wait"}),
    "early_answer": frozenset({"upload", "reply"}),
    "interim_replies": frozenset({"interim replies"}),
    "limit_rate": frozenset({"pace"}),
    "lost_reply": _ANSWER,
    "never_answer": _ANSWER | {"wait"},
    "slow_error": _REPLY | _DELIVERY,
}


class HasStages(Protocol):
    """The parts of a fault that its stages depend on."""

    @property
    def name(self) -> str:
        """The kind of the fault."""

    @property
    def code(self) -> int:
        """The HTTP status of its reply; 0 for none."""

    @property
    def carried_out(self) -> bool:
        """Whether the server still carries out the request."""

    @property
    def parts(self) -> Sequence[HasStages]:
        """The faults that apply together."""

    @property
    def sequence(self) -> Sequence[HasStages | None]:
        """One fault per request."""

    @property
    def is_narrowed(self) -> bool:
        """Whether it affects some requests only."""

    @property
    def is_partial(self) -> bool:
        """Whether it leaves some requests to another fault."""


def find_stages(fault: HasStages) -> Stages:
    """Return the stages of an exchange that a fault concerns."""
    if fault.parts or fault.sequence:
        steps = (*fault.parts, *filter(None, fault.sequence))
        return frozenset().union(*(find_stages(step) for step in steps))
    if fault.name == "reset":
        return _find_stages_of_reset(fault)
    if fault.name == "extra_reply":
        return _DELIVERY | _REPLY if fault.code else _DELIVERY
    return _STAGES.get(fault.name, _REPLY)


def _find_stages_of_reset(fault: HasStages) -> Stages:
    if fault.carried_out:
        return _ANSWER
    return _REQUEST if fault.is_narrowed else _ALL


def check_parts(parts: Sequence[HasStages]) -> None:
    """Refuse a combination in which a fault would never apply.

    Raises:
        InvalidArgument: Two faults concern one stage, and the first affects every request.
    """
    for index, first in enumerate(parts):
        for second in parts[index + 1 :]:
            both = find_stages(first) & find_stages(second)
            if both and not first.is_partial:
                raise InvalidArgument(
                    f"{first.name} | {second.name}: both concern the {min(both)} of an exchange, so"
                    f" that {second.name} would never apply; narrow {first.name} with only(),"
                    " times(), with_probability() or during(), or leave one of them out."
                )
