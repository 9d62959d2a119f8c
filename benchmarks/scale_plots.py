"""Costs against the size of a collection, and the bytes of an image: in no figure of the paper."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from benchmarks import scale_costs
from delfjax.plots.base import COLORS, NEUTRAL, Figure, subplots, set_title

BILLION = 1e9
PALETTE = (*COLORS, NEUTRAL)
POINTS = 60  # of a curve that is computed
FEWEST = 4  # sizes: the band of a law through three is as wide as the figure

Row = Mapping[str, Any]


def cost_curves(
    rows: Sequence[Row], columns: Mapping[str, str], *, least: float = 0, until: float = BILLION
) -> Figure:
    """Draw costs against size, a panel each: measured ones solid, the power law beyond them dashed in its band.

    Args:
        rows: What was measured: ``index``, ``descriptors`` and a number by each column; None: not measured.
        columns: What each panel shows, and its words.
        least: Sizes from which on the law is fitted; with fewer than `FEWEST` of them it is not drawn.
        until: Size to which it is drawn.
    """
    figure, axes = subplots(4.3 * len(columns), 3.6, 1, len(columns))
    names = list(dict.fromkeys(row["index"] for row in rows))
    for ax, (column, words) in zip(axes[0], columns.items(), strict=True):
        for name, color in zip(names, PALETTE, strict=False):
            found = [row for row in rows if row["index"] == name and row[column] is not None]
            sizes = np.array([row["descriptors"] for row in found], float)
            values = np.array([row[column] for row in found], float)
            ax.plot(sizes, values, color=color, marker="o", markersize=4, label=name)
            _beyond(ax, sizes[sizes >= least], values[sizes >= least], until, color)
        ax.set(xscale="log", yscale="log", xlabel="descriptors")
        drawn = np.concatenate([line.get_ydata() for line in ax.lines])
        ax.set_ylim(drawn.min() / 2, drawn.max() * 2)  # a wide band is not to flatten all lines
        set_title(ax, words)
        ax.grid(alpha=0.25, linewidth=0.6)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(names), frameon=False)
    return figure


def _beyond(ax: Axes, sizes: np.ndarray, values: np.ndarray, until: float, color: str) -> None:
    if len(sizes) < FEWEST:
        return
    law = scale_costs.fit(sizes.tolist(), values.tolist())
    further = np.geomspace(sizes.max(), until, POINTS)
    ax.plot(further, law.at(further), color=color, linestyle="--", linewidth=1)
    ax.fill_between(further, *law.band(further), color=color, alpha=0.12, linewidth=0)


def bytes_bars(
    stacks: Mapping[str, Mapping[str, float]], *, yardstick: tuple[str, float] | None = None
) -> Figure:
    """Draw the bytes of an image as bars of stacked parts.

    Args:
        stacks: Bytes by part, by what they are of; the first is drawn on top.
        yardstick: Words and bytes of a line across all bars.
    """
    figure, axes = subplots(7.2, 0.5 * len(stacks) + 1.3)
    ax = axes[0, 0]
    parts = list(dict.fromkeys(part for stack in stacks.values() for part in stack))
    places, ends = np.arange(len(stacks)), np.zeros(len(stacks))
    for part, color in zip(parts, PALETTE, strict=False):
        widths = np.array([stack.get(part, 0) / 1000 for stack in stacks.values()])
        ax.barh(places, widths, left=ends, color=color, label=part, height=0.6)
        ends = ends + widths
    for place, end in zip(places, ends, strict=True):
        label = ax.annotate(f"{end:.4g}", (end, place), (4, 0), textcoords="offset points")
        label.set(
            va="center", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}
        )
    if yardstick:
        ax.axvline(
            yardstick[1] / 1000, color="black", linewidth=0.8, linestyle=":", label=yardstick[0]
        )
    ax.set(xlabel="kB of an image", xlim=(0, 1.12 * ends.max()))
    ax.set_yticks(places, labels=list(stacks))
    ax.set_ylim(len(stacks) - 0.5, -0.5)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure
