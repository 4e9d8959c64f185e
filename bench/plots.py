"""Draws the plots of `docs/benchmarks.md` as SVG: the same figures give the same bytes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from report import Plot, Series

FOLDER = Path(__file__).parents[1] / "docs/images/benchmarks"

COLOURS = ("#0b5fa5", "#c2410c", "#15803d", "#7e22ce", "#475569", "#a16207", "#be123c", "#0e7490")
MARKERS = "osD^vPX*"
"""They differ by shape too, for readers who see no colours."""

_OURS = ("traced-image", "show,", "download,", "create,", "detail,")

_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "traced-image",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d4d4d8",
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def digest(plot: Plot) -> str:
    """What tells one plot's figures from another's; its file has it."""
    return hashlib.sha256(json.dumps(asdict(plot), sort_keys=True).encode()).hexdigest()[:16]


def drawn_digest(path: Path) -> str | None:
    """The digest of the plot that a file shows."""
    found = re.search(r"figures ([0-9a-f]{16})", path.read_text("utf-8"))
    return found[1] if found else None


def draw(plots: Iterable[Plot], folder: Path = FOLDER, suffix: str = "svg") -> None:
    """Draw all plots, each in a file of its own."""
    import matplotlib as mpl

    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_SETTINGS):
        for plot in plots:
            figure = _figure(plot)
            figure.savefig(
                folder / f"{plot.name}.{suffix}",
                **({"metadata": _metadata(plot)} if suffix == "svg" else {"dpi": 80}),
            )


def _metadata(plot: Plot) -> dict[str, Any]:
    said = f"figures {digest(plot)}"
    return {"Date": None, "Creator": None, "Title": plot.title, "Description": said}


def _figure(plot: Plot) -> Any:  # noqa: ANN401 - matplotlib is only of the benchmarks
    from matplotlib.figure import Figure

    height = 4.6
    if plot.kind == "bars":
        height = 1.4 + (0.22 * len(plot.series) + 0.14) * len(plot.series[0].x)
    figure = Figure(figsize=(8.4, height), layout="constrained")
    axes = figure.add_subplot()
    figure.suptitle(plot.title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    (_bars if plot.kind == "bars" else _lines)(axes, plot)
    return figure


def _bars(axes: Any, plot: Plot) -> None:  # noqa: ANN401
    from matplotlib.patches import Patch

    many = len(plot.series) > 1
    thick = 0.8 / len(plot.series)
    for number, series in enumerate(plot.series):
        places = [place + (number + 0.5) * thick - 0.4 for place in range(len(series.x))]
        colours = COLOURS[number % len(COLOURS)] if many else [_colour(str(x)) for x in series.x]
        found = axes.barh(
            places,
            series.y,
            height=0.85 * thick,
            color=colours,
            xerr=_errors(series),
            label=series.name,
        )
        axes.bar_label(found, fmt=_short, padding=4, fontsize=9 if many else 11)
    axes.set_yticks(range(len(plot.series[0].x)), labels=list(map(str, plot.series[0].x)))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    for label in axes.get_yticklabels():
        if label.get_text().startswith(_OURS):
            label.set(color=COLOURS[0], fontweight="bold")
    axes.margins(x=0.12, y=0.02)
    if "x" in plot.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_short)
    if many:  # there is no room between the bars
        axes.figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=10)
    else:
        own = Patch(color=_colour(_OURS[0]), label=_OURS[0])
        axes.legend(handles=[own], frameon=False, fontsize=10)


def _colour(name: str) -> str:
    """This package's bars differ from those of others."""
    return COLOURS[0] if name.startswith(_OURS) else "#94a3b8"


def _lines(axes: Any, plot: Plot) -> None:  # noqa: ANN401
    for number, series in enumerate(plot.series):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.plot(series.x, series.y, color=colour, marker=marker, label=series.name)
        if series.low:
            axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.12)
    if "x" in plot.logarithmic:
        axes.set_xscale("log")
    if "y" in plot.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_short)
    else:
        axes.set_ylim(bottom=0)
    marks = sorted({float(x) for series in plot.series for x in series.x})
    axes.set_xticks(marks, labels=[_short(mark) for mark in marks], minor=False)
    axes.minorticks_off()
    if plot.limit is not None:
        axes.axhline(plot.limit, color=COLOURS[6], linestyle="--", label=plot.limit_name)
    if len(plot.series) > 1 or plot.limit is not None:
        axes.legend(frameon=False, fontsize=10)


def _errors(series: Series) -> list[list[float]] | None:
    if not series.low:
        return None
    below = [max(0.0, y - low) for y, low in zip(series.y, series.low, strict=True)]
    above = [max(0.0, high - y) for y, high in zip(series.y, series.high, strict=True)]
    return [below, above]


def _short(value: float, _position: object = None) -> str:
    """A number of an axis."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004
