"""What was broken, what each witness said of it, and where they do not agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Accusation = tuple[str, str]
"""A server, ``host:port``, and a reason."""

_TIMES = 3
_LEAST_SECONDS = 0.05
"""A server is slow whose median is so many times that of any other, and so much above it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one witness said of an episode.

    Attributes:
        failures: How many attempts failed, by server and reason.
        medians: The median of those that succeeded, by server, in seconds; None for a witness
            who knows of no durations.
        unwell: The state of each server that is not in rotation at the end.
    """

    failures: Counter[Accusation] = field(default_factory=Counter)
    medians: Mapping[str, float] | None = None
    unwell: Mapping[str, str] = field(default_factory=dict)

    @property
    def outlier(self) -> str | None:
        """The server whose latency stands out, if one's does."""
        if self.medians is None or len(self.medians) < 2:  # noqa: PLR2004 one has nobody to exceed
            return None
        *_, (next_slow, _), (slowest, server) = sorted(
            (seconds, server) for server, seconds in self.medians.items()
        )
        limit = max(next_slow * _TIMES, next_slow + _LEAST_SECONDS)
        return server if slowest >= limit else None


@dataclass(frozen=True, slots=True)
class Episode:
    """A time in which one server was broken, or none.

    Attributes:
        seconds: How long it was.
        said: What each witness said of it.
        server: The server that was broken; None if all were well.
        fault: How, in a word.
        reason: Why attempts on it fail; empty if they do not: it is slow.
    """

    seconds: float
    said: Mapping[str, Statement]
    server: str | None = None
    fault: str = ""
    reason: str = ""

    @property
    def complaints(self) -> list[str]:
        """In what the witnesses were wrong, or differ; nothing where they were right."""
        wrong = [line for name in self.said for line in self._wrong(name)]
        return wrong or list(self._differing())

    def _wrong(self, name: str) -> Iterator[str]:
        statement = self.said[name]
        expected = {(self.server, self.reason)} if self.server and self.reason else set()
        named = set(statement.failures)
        for server, reason in sorted(expected - named):
            yield f"{name} did not name {server}: {reason}"
        for server, reason in sorted(named - expected):
            yield f"{name} accused {server}: {reason}"
        if self.server and not self.reason and statement.medians is not None:
            outlier = statement.outlier
            if outlier != self.server:
                yield f"{name} showed {outlier or 'no server'} as slow, not {self.server}"
        if self.server is None:
            for server, state in sorted(statement.unwell.items()):
                yield f"{name} showed {server} as {state}, though it was well"

    def _differing(self) -> Iterator[str]:
        counts = {name: statement.failures.total() for name, statement in self.said.items()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            yield f"they counted differently: {told}"
