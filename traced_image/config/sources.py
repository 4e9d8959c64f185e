"""The values of one source of configuration, and the merge of several sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and the name of its source."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class EndpointFilter:
    """A filter that selects the image service's endpoint in a catalogue.

    Attributes:
        interfaces: The kinds of endpoint, the preferred one first.
        service_type: The service's type.
        service_name: The service's name, if the catalogue has several; None for any.
    """

    interfaces: tuple[str, ...] = ("public",)
    service_type: str = "image"
    service_name: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """All values of one source.

    Attributes:
        found: Values of `Config` by the names of its fields.
        lookup: The filter for the endpoint in the catalogue, if the source has one.
        find_spare: Returns more values, which count only if no source has servers or credentials;
            None if the source has none.
    """

    found: Mapping[str, Found] = field(default_factory=dict)
    lookup: EndpointFilter | None = None
    find_spare: Callable[[], Source] | None = None


def merge_sources(layers: Iterable[Source]) -> dict[str, Found]:
    """Merge sources; a value of an earlier source overrides that of a later one.

    Some values make sense only together. A key belongs to the certificate of the same source. A
    source's credentials are dropped if an earlier source sets ``auth_strategy=noauth``.

    Args:
        layers: The sources, the strongest first.

    Returns:
        The values of all sources by the names of the fields.
    """
    result: dict[str, Found] = {}
    for layer in layers:
        new = {name: found for name, found in layer.found.items() if name not in result}
        if "certfile" in result:
            new.pop("keyfile", None)
        if "auth_strategy" in result and result["auth_strategy"].value == "noauth":
            new.pop("auth", None)
            new.pop("service_auth", None)
        result.update(new)
    return result
