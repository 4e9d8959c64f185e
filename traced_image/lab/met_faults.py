"""The faults that one request or connection meets: at most one for each stage of the exchange."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fault import Fault, Then


@dataclass(frozen=True)
class MetFaults:
    """The faults that one request or connection meets.

    Attributes:
        parts: The faults, in the order in which they were written.
    """

    parts: tuple[Fault, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.parts)

    @cached_property
    def name(self) -> str | None:
        """The names of the faults, for the access log; None for none."""
        return "|".join(part.name for part in self.parts) or None

    @property
    def carried_out(self) -> bool:
        """Whether the server still carries out the request."""
        return all(part.carried_out for part in self.parts)

    @property
    def then(self) -> Then:
        """What the server does with the connection after a reply."""
        return next((part.then for part in self.parts if part.then != "keep"), "keep")

    def find(self, *names: str) -> Fault | None:
        """Return the fault of one of these names; None for none."""
        return next((part for part in self.parts if part.name in names), None)


HEALTHY = MetFaults()
