"""The builder of a dashboard from its parts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from . import links, marks, variables

if TYPE_CHECKING:
    from typing import Any

    from grafana_foundation_sdk.cog.builder import Builder


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        uid: Its id in links; it must never change.
        title: Its title.
        about: Its description.
        variables: The variables at its top, beside the data source.
        parts: Its rows and panels in order.
    """

    uid: str
    title: str
    about: str
    variables: tuple[Builder[model.VariableModel], ...]
    parts: tuple[Builder[Any], ...]

    def built(self, runbooks: str) -> model.Dashboard:
        """Build the dashboard in Grafana's model.

        Args:
            runbooks: The address of the page that panels link to.
        """
        whole = (
            Dashboard(self.title)
            .uid(self.uid)
            .description(self.about)
            .tags([links.TAG, "glance"])
            .readonly()
            .time("now-1h", "now")
            .refresh("1m")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .link(links.all_boards())
        )
        for each in (variables.datasource(), *self.variables, variables.runbooks(runbooks)):
            whole = whole.with_variable(each)
        for mark in (
            marks.servers_left(),
            marks.servers_rejoined(),
            marks.new_versions(),
        ):
            whole = whole.annotation(mark)
        for part in self.parts:
            whole = whole.with_row(part) if isinstance(part, Row) else whole.with_panel(part)
        return _numbered(whole.build())

    def titles(self) -> tuple[str, ...]:
        """Return the titles of its panels."""
        panels = [part.build() for part in self.parts if not isinstance(part, Row)]
        return tuple(panel.title for panel in panels)

    def text(self, runbooks: str) -> str:
        """Return the text of the file that Grafana reads."""
        whole = json.loads(json.dumps(self.built(runbooks), cls=JSONEncoder), object_hook=_in_sight)
        return json.dumps(whole, indent=2, sort_keys=True) + "\n"


def _in_sight(part: dict[str, object]) -> dict[str, object]:
    """Drop the place that the SDK gives to links and marks: a menu, which few readers open."""
    part.pop("placement", None)
    return part


def _numbered(built: model.Dashboard) -> model.Dashboard:
    """Number the panels, so that a link to one stays valid when Grafana loads the file again."""
    for number, panel in enumerate(built.panels or (), start=1):
        panel.id_val = number
    return built
