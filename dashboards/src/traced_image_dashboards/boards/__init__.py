"""The Grafana dashboards: Overview, Servers, Callers and Pipeline."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

with warnings.catch_warnings():
    # The SDK asks for version 2 of the dashboard format, which Grafana before 12 does not read.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import dashboard as _dashboard  # noqa: F401
    from grafana_foundation_sdk.builders import heatmap as _heatmap  # noqa: F401

from ..links import RUNBOOKS
from . import callers, excluded, overview, pipeline, servers

if TYPE_CHECKING:
    from pathlib import Path

    from .board import Board

FILES: dict[str, Board] = {
    "overview.json": overview.board(),
    "servers.json": servers.board(),
    "callers.json": callers.board(),
    "pipeline.json": pipeline.board(),
}


def write(folder: Path, runbooks: str = RUNBOOKS) -> None:
    """Write the dashboards, and the list of exceptions for their linter.

    Args:
        folder: The folder to write to.
        runbooks: The address of the page that panels link to.
    """
    for name, board in FILES.items():
        (folder / name).write_text(board.text(runbooks))
    (folder / ".lint").write_text(excluded.text(FILES.values()))
