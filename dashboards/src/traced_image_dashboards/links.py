"""The addresses that alerts and panels link to."""

from __future__ import annotations

RUNBOOKS = "https://github.com/traced-image/traced-image/blob/main/dashboards/runbooks.md"
"""The page of runbooks, unless another address is given to the generator."""


def runbook(alert: str, page: str = RUNBOOKS) -> str:
    """Return the address of an alert's section in the page of runbooks."""
    return f"{page}#{alert.lower()}"
