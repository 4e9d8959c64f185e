"""Chooses the media type of a reply by the client's ``Accept``, as WebOb does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_VALUE = f"(?:{_WORD}|{_QUOTED})"
_NEXT = r"[ \t]*;[ \t]*"
_PARAMETERS = f"(?:{_NEXT}(?![qQ]=){_WORD}={_VALUE})*"
_WEIGHT = rf"{_NEXT}[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?)(?:{_NEXT}{_WORD}(?:={_VALUE})?)*"
_RANGE = f"({_WORD}/{_WORD})({_PARAMETERS})(?:{_WEIGHT})?"
_ONE = re.compile(_RANGE)
_LIST = re.compile(rf"(?:(?:,|{_RANGE})(?:[ \t]*,(?:[ \t]*{_RANGE})?)*)?")


def choose_media_type(accept: str, offers: Sequence[str]) -> str | None:
    """Return the offer that a client likes best, and of several the first; None for none.

    Args:
        accept: The value of ``Accept``. One that breaks the rules accepts everything.
        offers: The media types to choose from, without parameters.
    """
    if not _LIST.fullmatch(accept):
        return offers[0]
    weights: dict[str, float] = {}
    for name, parameters, weight in _ONE.findall(accept):
        # No offer has parameters, so that it matches no type with some; wildcards have none.
        if not parameters or name.endswith("/*"):
            weights.setdefault(name.lower(), float(weight or 1))
    best = max(offers, key=lambda offer: _rate(offer, weights))
    return best if _rate(best, weights) else None


def _rate(offer: str, weights: Mapping[str, float]) -> float:
    """Return the weight of the range that matches an offer the closest; 0 for none."""
    wildcard = f"{offer.partition('/')[0]}/*"
    return next((weights[each] for each in (offer, wildcard, "*/*") if each in weights), 0.0)
