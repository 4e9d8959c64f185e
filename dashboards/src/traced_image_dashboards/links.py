"""The addresses that alerts and panels link to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .promql import ROUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNBOOKS = "https://github.com/traced-image/traced-image/blob/main/dashboards/runbooks.md"
"""The page of runbooks, unless another address is given to the generator."""

OVERVIEW = "traced-image-overview"
SERVERS = "traced-image-servers"
CALLERS = "traced-image-callers"
PIPELINE = "traced-image-pipeline"


def runbook(alert: str, page: str = RUNBOOKS) -> str:
    """Return the address of an alert's section in the page of runbooks."""
    return f"{page}#{alert.lower()}"


_OF_EACH = {label: label for label in ("job", *ROUTES)}


@dataclass(frozen=True, slots=True)
class BoardOfAlert:
    """The dashboard that an alert links to.

    Attributes:
        uid: The dashboard's uid.
        variables: Its variables beside the job and the routes, each with the label of the alert
            that is its value.
    """

    uid: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def url(self, grafana: str) -> str:
        """Return the template of the address: Prometheus fills in the alert's labels.

        It shows three hours, so that the time before the failure is there to compare with.

        Args:
            grafana: The address of Grafana; empty if it is unknown. Then the result is a path.
        """
        chosen = (
            f"{{{{with $labels.{label}}}}}&var-{variable}={{{{.|urlquery}}}}{{{{end}}}}"
            for variable, label in {**_OF_EACH, **self.variables}.items()
        )
        return f"{grafana}/d/{self.uid}?from=now-3h&to=now{''.join(chosen)}"


OF_JOB = BoardOfAlert(OVERVIEW)
OF_SERVER = BoardOfAlert(SERVERS, {"server": "server_address", "port": "server_port"})
OF_CALLER = BoardOfAlert(CALLERS, {"caller": "instance"})
OF_TELEMETRY = BoardOfAlert(PIPELINE, {"instance": "instance"})
