"""Writes the tables of every page anew: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import (
    alerts,
    api,
    architecture,
    commands,
    configuration,
    diagnosis,
    lab,
    lab_differences,
    public_api,
    reliability,
    telemetry,
)
from .pages import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "explanation/design.md": architecture.TABLES,
    "how-to/alert.md": alerts.TABLES,
    "how-to/diagnose.md": diagnosis.TABLES,
    "reference/api.md": api.TABLES,
    "reference/command-line.md": commands.TABLES,
    "reference/configuration.md": configuration.TABLES,
    "reference/lab.md": lab.TABLES,
    "reference/lab-differences.md": lab_differences.TABLES,
    "reference/telemetry.md": telemetry.TABLES,
    "reliability.md": reliability.TABLES,
}
"""The pages that have tables, below ``docs/``."""


def main(folder: str) -> None:
    """Write the tables of the pages in a folder anew, and the record of the API."""
    for name, tables in PAGES.items():
        path = Path(folder, name)
        path.write_text(fill(path.read_text("utf-8"), tables), "utf-8")
    Path(folder, public_api.RECORD).write_text(public_api.write(), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
