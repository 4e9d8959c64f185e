"""``python -m traced_image_dashboards``: write all that lies in ``dashboards/`` anew."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import rules
from .links import RUNBOOKS

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOME = Path(__file__).parents[2]


def main(folder: Path, page: str = RUNBOOKS) -> None:
    """Write the rules and the dashboards.

    Args:
        folder: What is ``dashboards`` in the repository.
        page: Where the runbooks are.
    """
    from . import boards  # needs Grafana's SDK, which rules don't

    rules.write(folder / "rules", page)
    boards.write(folder, page)


def run(arguments: Sequence[str] | None = None) -> None:
    """Do what a command line says."""
    parser = argparse.ArgumentParser(prog="traced_image_dashboards", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=_HOME, help="default: %(default)s")
    parser.add_argument("--runbooks", default=RUNBOOKS, help="where alerts send their reader")
    given = parser.parse_args(arguments)
    main(given.folder, given.runbooks)


run()
