"""Tables: queries of one moment, joined by their common labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models.common import TableCellHeight
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
)

from ..promql import ROUTES
from .panels import column, dressed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana_foundation_sdk.builders.dashboard import DashboardLink, ThresholdsConfig
    from grafana_foundation_sdk.models.dashboard import ValueMap

    from .panels import About


ROUTE_HEADINGS = {label: label.title() for label in ROUTES}
"""The headings of the labels that one routes by; Grafana leaves out those that no series has."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its heading; empty for a query that only adds labels.
        expr: The query of its values.
        unit: The unit of its values.
        levels: The colours of its values, if any.
        decimals: How many digits of its values are shown; Grafana decides if it is None.
        words: What is shown for its values, if they stand for words.
    """

    name: str
    expr: str
    unit: str = "short"
    levels: ThresholdsConfig | None = None
    decimals: int | None = None
    words: Sequence[ValueMap] = ()


def table_of(
    about: About,
    labels: Mapping[str, str],
    *columns: Column,
    link: tuple[str, DashboardLink] | None = None,
    width: int = 24,
    least_first: bool = False,
) -> table.Panel:
    """Build a table.

    Args:
        about: Its texts.
        labels: The labels that join its queries, and their headings.
        columns: The other columns; the second of them sorts the rows.
        link: The label that has a link, and the link.
        width: Its width; 24 is a whole row.
        least_first: Whether the least value is the first, and not the greatest.
    """
    panel = dressed(table.Panel(), about, [column(each.expr) for each in columns])
    panel = panel.height(9).span(width).cell_height(TableCellHeight.SM)
    for step in _joined(labels, columns):
        panel = panel.with_transformation(step)
    for label, heading in labels.items():
        panel = panel.override_by_name(label, _label(label, heading, link))
    for each in filter(lambda each: each.name, columns):
        panel = panel.override_by_name(each.name, _looks(each))
    worst = columns[min(1, len(columns) - 1)].name
    first = common.TableSortByFieldState().display_name(worst).desc(desc=not least_first)
    return panel.sort_by([first])


def _joined(labels: Mapping[str, str], columns: Sequence[Column]) -> list[DataTransformerConfig]:
    letters = "ABCDEFGHIJ"[: len(columns)]
    # Grafana names the value of a single query "Value"; of several, each has its letter.
    values = [f"Value #{letter}" for letter in letters] if len(columns) > 1 else ["Value"]
    names = {value: each.name for value, each in zip(values, columns, strict=True) if each.name}
    order = {name: index for index, name in enumerate([*labels, *names])}
    kept = {"include": {"names": [*order]}}
    return [
        DataTransformerConfig("merge", options={}),
        DataTransformerConfig("filterFieldsByName", options=kept),
        DataTransformerConfig("organize", options={"indexByName": order, "renameByName": names}),
    ]


def _label(
    label: str, heading: str, link: tuple[str, DashboardLink] | None
) -> list[DynamicConfigValue]:
    # The field keeps its name, because links use it.
    named = [DynamicConfigValue("displayName", heading)]
    if link and link[0] == label:
        named.append(DynamicConfigValue("links", [link[1].build()]))
    return named


def _looks(column: Column) -> list[DynamicConfigValue]:
    looks = [DynamicConfigValue("unit", column.unit)]
    if column.levels:
        looks.append(DynamicConfigValue("thresholds", column.levels.build()))
        looks.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    if column.decimals is not None:
        looks.append(DynamicConfigValue("decimals", column.decimals))
    if column.words:
        looks.append(DynamicConfigValue("mappings", [*column.words]))
    return looks
