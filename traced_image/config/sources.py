"""What one source of configuration says, and how one lies over another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


_BOOLEANS = dict.fromkeys(("true", "1", "on", "yes"), True) | dict.fromkeys(
    ("false", "0", "off", "no"), False
)
"""The words that oslo.config takes for a boolean."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and where it was found."""

    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """What of a catalogue is the image service's endpoint.

    Attributes:
        interfaces: The kinds of endpoint, most wanted first.
        service_name: Its name, where there are several.
    """

    interfaces: tuple[str, ...] = ("public",)
    service_name: str | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """All that one source says.

    Attributes:
        found: Values of `Config` by the names of its fields.
        lookup: How the endpoint is found in the catalogue, if the source knows of one.
    """

    found: Mapping[str, Found] = field(default_factory=dict)
    lookup: Lookup | None = None


def merged(layers: Iterable[Layer]) -> dict[str, Found]:
    """Lay sources over each other, the strongest first.

    Some values make sense only together: a key belongs to the certificate that its source names,
    and the service's own token to a source that does not lie under ``auth_strategy=noauth``.
    """
    result: dict[str, Found] = {}
    for layer in layers:
        new = {name: found for name, found in layer.found.items() if name not in result}
        if "certfile" in result:
            new.pop("keyfile", None)
        if "auth_strategy" in result and result["auth_strategy"].value == "noauth":
            new.pop("auth", None)
        result.update(new)
    return result


def _boolean(text: str) -> bool:
    return _BOOLEANS[text.lower()]


def _optional(text: str) -> float | None:
    return None if text.lower() == "none" else float(text)


def _statuses(text: str) -> frozenset[int]:
    return frozenset(int(each) for each in text.split(","))


_READERS: Mapping[str, Callable[[str], object]] = {
    "num_retries": int,
    "connect_timeout": float,
    "read_timeout": float,
    "deadline": _optional,
    "insecure": _boolean,
    "api_version": int,
    "pool_size": int,
    "max_metadata_size": int,
    "backoff_base": float,
    "backoff_cap": float,
    "fixed_delay": _optional,
    "statuses": _statuses,
    "protocol_errors": _boolean,
    "retry_after_cap": float,
    "repeat_unsafe": _boolean,
    "budget_share": _optional,
    "budget_floor": float,
    "cooldown_base": float,
    "cooldown_cap": float,
}


def read(name: str, text: str) -> object:
    """Return the value that `text` stands for in a field.

    Text that stands for none is returned as it is, for the field's check to refuse.
    """
    reader = _READERS.get(name)
    try:
        return reader(text.strip()) if reader else text
    except (ValueError, KeyError):
        return text
