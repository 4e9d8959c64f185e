"""What one source of configuration says, and how one lies over another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and where it was found."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class EndpointFilter:
    """What of a catalogue is the image service's endpoint.

    Attributes:
        interfaces: The kinds of endpoint, most wanted first.
        service_name: Its name, where there are several.
    """

    interfaces: tuple[str, ...] = ("public",)
    service_name: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """All that one source says.

    Attributes:
        found: Values of `Config` by the names of its fields.
        lookup: How the endpoint is found in the catalogue, if the source knows of one.
    """

    found: Mapping[str, Found] = field(default_factory=dict)
    lookup: EndpointFilter | None = None


def merge_sources(layers: Iterable[Source]) -> dict[str, Found]:
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
