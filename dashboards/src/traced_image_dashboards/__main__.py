"""``python -m traced_image_dashboards``: write the generated files of ``dashboards/`` again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import fleet, prometheusrule, rules
from .links import RUNBOOKS

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOME = Path(__file__).parents[2]


def main(folder: Path, page: str = RUNBOOKS, grafana: str = "") -> None:
    """Write the rules, the files of a fleet and the dashboards.

    Args:
        folder: The folder to write to; in the repository, ``dashboards``.
        page: The address of the runbooks.
        grafana: The address of Grafana; without it, alerts have the path of a dashboard only.
    """
    from . import boards  # needs Grafana's SDK, which the rules do not need

    rules.write(folder / "rules", page, grafana)
    prometheusrule.write(folder / "rules", folder / "prometheusrule")
    fleet.write(folder / "fleet", grafana)
    boards.write(folder, page)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the generator with the arguments of a command line; None for `sys.argv`."""
    parser = argparse.ArgumentParser(prog="traced_image_dashboards", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=_HOME, help="default: %(default)s")
    parser.add_argument(
        "--runbooks", default=RUNBOOKS, help="the page that alerts link to; default: %(default)s"
    )
    parser.add_argument(
        "--grafana", default="", help="the address of Grafana, for the links of alerts"
    )
    given = parser.parse_args(arguments)
    main(given.folder, given.runbooks, given.grafana.rstrip("/"))


run()
