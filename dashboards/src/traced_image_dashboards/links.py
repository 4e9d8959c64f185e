"""Where an alert or a panel sends its reader."""

from __future__ import annotations

RUNBOOKS = "https://github.com/traced-image/traced-image/blob/main/dashboards/runbooks.md"
"""The page of runbooks, unless another address is given to the generator."""


def runbook(alert: str, page: str = RUNBOOKS) -> str:
    """The address of an alert's section in the page of runbooks."""
    return f"{page}#{alert.lower()}"
