"""The kinds of panels: each with its data source, its texts and its links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from grafana_foundation_sdk.builders import (
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    statushistory,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders.dashboard import Row, ThresholdsConfig
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    ScaleDistribution,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from . import links
from .variables import DATASOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD, ODD, BAD = "green", "orange", "red"
PLAIN = "blue"

_Panel = TypeVar(
    "_Panel",
    heatmap.Panel,
    stat.Panel,
    statetimeline.Panel,
    statushistory.Panel,
    table.Panel,
    timeseries.Panel,
)


@dataclass(frozen=True, slots=True)
class About:
    """The texts of a panel.

    Attributes:
        title: What it shows.
        does: The description: what the values mean, and what to do.
        unit: The unit of its values, as Grafana names it.
        empty: The text if there is nothing to show.
        runbook: The section of the runbook that belongs to it.
        next_board: The uid of the dashboard to go on with if it shows a failure; empty if its rows
            or lines have links of their own.
    """

    title: str
    does: str
    unit: str
    empty: str
    runbook: str
    next_board: str = ""


def query(expr: str, legend: str = "", *, exemplars: bool = False) -> prometheus.Dataquery:
    """Build a query over the time range that is shown."""
    asked = prometheus.Dataquery().expr(expr).range().datasource(DATASOURCE)
    return asked.legend_format(legend or "__auto").exemplar(exemplar=exemplars)


def latest(expr: str, legend: str = "") -> prometheus.Dataquery:
    """Build a query for the end of the time range that is shown."""
    asked = prometheus.Dataquery().expr(expr).instant().datasource(DATASOURCE)
    return asked.legend_format(legend or "__auto")


def column(expr: str) -> prometheus.Dataquery:
    """Build a query for one column of a table."""
    return latest(expr).format(PromQueryFormat.TABLE)


def row(title: str) -> Row:
    """Build a row, the heading of the panels below it."""
    return Row(title)


def levels(*steps: tuple[float, str], base: str = GOOD) -> ThresholdsConfig:
    """Build the colours of values; `base` is the colour below the first step."""
    first = model.Threshold(None, base)
    above = [model.Threshold(value, colour) for value, colour in steps]
    return ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps([first, *above])


def number(about: About, *queries: prometheus.Dataquery, width: int = 4) -> stat.Panel:
    """Build a panel of one number, or of a few."""
    return (
        dressed(stat.Panel(), about, queries)
        .height(5)
        .span(width)
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def lines(about: About, *queries: prometheus.Dataquery, width: int = 12) -> timeseries.Panel:
    """Build a panel of values over time."""
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
        .calcs(["lastNotNull", "max"])
    )
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    return (
        dressed(timeseries.Panel(), about, queries)
        .height(9)
        .span(width)
        .legend(legend)
        .tooltip(tooltip)
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
    )


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Stack the lines of a panel, which add up to a whole."""
    return panel.fill_opacity(60).stacking(common.StackingConfig().mode(StackingMode.NORMAL))


def states(about: About, *queries: prometheus.Dataquery) -> statetimeline.Panel:
    """Build a timeline of states, with a row for each series."""
    return (
        dressed(statetimeline.Panel(), about, queries)
        .height(9)
        .span(24)
        .show_value(VisibilityMode.NEVER)
        .merge_values(merge_values=True)
        .row_height(0.8)
        .per_page(20)
    )


def history(about: About, *queries: prometheus.Dataquery) -> statushistory.Panel:
    """Build a history of values as colours, with a row for each series."""
    return (
        dressed(statushistory.Panel(), about, queries)
        .height(9)
        .span(24)
        .show_value(VisibilityMode.NEVER)
        .row_height(0.8)
        # The panel shows nothing if it has more points than its width has room for.
        .max_data_points(60)
        .per_page(20)
    )


def spread(about: About, *queries: prometheus.Dataquery) -> heatmap.Panel:
    """Build a heatmap of durations over time."""
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges")
    axis = heatmap.YAxisConfig().unit(about.unit)
    shown = [one.format(PromQueryFormat.HEATMAP).legend_format("{{le}}") for one in queries]
    return (
        dressed(heatmap.Panel(), about, shown)
        .height(9)
        .span(12)
        .calculate(calculate=False)
        .color(colours.steps(64).exponent(0.5))
        .y_axis(axis)
        .cell_gap(1)
        .tooltip(
            heatmap.HeatmapTooltip().mode(TooltipDisplayMode.SINGLE).y_histogram(y_histogram=True)
        )
        .scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LINEAR))
    )


def dressed(panel: _Panel, about: About, queries: Sequence[prometheus.Dataquery]) -> _Panel:
    """Add to a panel what each panel has: queries, texts, data source and links."""
    for letter, asked in zip("ABCDEFGHIJ", queries, strict=False):
        panel = panel.with_target(asked.ref_id(letter))
    return (
        panel.title(about.title)
        .description(about.does)
        .unit(about.unit)
        .no_value(about.empty)
        .datasource(DATASOURCE)
        .links(links.of_panel(about.runbook, about.next_board))
        .thresholds(levels(base=PLAIN))
    )
