"""What came of a run: its table, its file, from which another run goes on, and its record."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .engine import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(slots=True)
class Row:
    """What came of one target.

    Attributes:
        rounds: How many rounds were run.
        examples: How many examples were tried.
        seconds: How long they took.
        finding: The first example that failed.
    """

    rounds: int = 0
    examples: int = 0
    seconds: float = 0.0
    finding: Finding | None = None

    def add(self, outcome: Outcome) -> None:
        """Add a round."""
        self.rounds += 1
        self.examples += outcome.examples
        self.seconds += outcome.seconds
        self.finding = outcome.finding

    @property
    def verdict(self) -> str:
        """Whether an example has failed."""
        if self.finding is not None:
            return "failed"
        return "passed" if self.examples else "not tried"


@dataclass(slots=True)
class Fuzzed:
    """A run, of one or more parts.

    Attributes:
        run: Seed, versions and machine.
        seconds: How long all parts were.
        number: The number of its latest round.
        rows: What came of each target, by name.
    """

    run: dict[str, Any]
    seconds: float = 0.0
    number: int = 0
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """What all examples come from."""
        seed: int = self.run["seed"]
        return seed

    @property
    def findings(self) -> list[Finding]:
        """All examples that failed."""
        return [row.finding for row in self.rows.values() if row.finding is not None]

    @property
    def examples(self) -> int:
        """How many examples of all targets were tried."""
        return sum(row.examples for row in self.rows.values())

    def list_lines(self) -> Iterator[str]:
        """Yield the lines of the table."""
        yield "| Reader | Rounds | Examples | A second | Verdict |"
        yield "|---|--:|--:|--:|---|"
        for name, row in self.rows.items():
            rate = row.examples / row.seconds if row.seconds else 0
            yield f"| {name} | {row.rounds} | {row.examples:,} | {rate:,.0f} | {row.verdict} |"
        yield f"{self.seconds:.0f} s, {self.number} rounds, {self.examples:,} examples"
        left = [name for name, row in self.rows.items() if row.verdict == "not tried"]
        if left:
            yield f"not tried in so short a time: {', '.join(left)}"

    def make_record(self) -> dict[str, object]:
        """Return the figures that the documentation shows."""
        return {
            "conditions": self.run,
            "seconds": round(self.seconds),
            "counted": {
                "rounds": self.number,
                "examples": self.examples,
            },
            "checks": {
                name: {
                    "examples": row.examples,
                    "verdict": row.verdict,
                    "passed": row.finding is None,
                }
                for name, row in self.rows.items()
            },
        }

    def save(self, path: Path) -> None:
        """Write it as a whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")
        new.replace(path)


def load(path: Path) -> Fuzzed:
    """Read what `Fuzzed.save` has written.

    Raises:
        OSError: There is no such file.
        ValueError: It is of another version of this program.
    """
    value = json.loads(path.read_text("utf-8"))
    try:
        rows = {name: _make_row(each) for name, each in value["rows"].items()}
        return Fuzzed(value["run"], value["seconds"], value["number"], rows)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no file of a run: {error}; fix: remove it") from error


def _make_row(value: dict[str, Any]) -> Row:
    found = value.pop("finding")
    return Row(**value, finding=None if found is None else Finding(**found))
