"""Precision against recall with distractor queries: Fig. 5, of our results, and the paper's behind them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from delfjax.diagrams import QUIET
from delfjax.paper_values import PaperFigure
from delfjax.plots import COLOURS, NEUTRAL, Drawing, figure_of
from delfjax.pooled import Pooled, precisions_at

Points = tuple[Real[np.ndarray, " k"], Float[np.ndarray, " k"]]  # recalls and precisions
Line = tuple[str, str | tuple[int, tuple[float, ...]], str]  # colour, dashes, marker

BLUE, ORANGE, GREEN, PURPLE = COLOURS
# Attention is blue, the norm orange with rings; fine-tuned is solid, not fine-tuned is dashed: each line can
# be told by its colour and, in grey, by its dashes and rings.
LONG, MIXED, DOTS = (0, (5, 1.6)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1.3))
MANY = (0, (6, 1.5, 1, 1.5, 1, 1.5))
LINES: dict[str, Line] = {
    "DELF+FT+ATT": (BLUE, "-", ""),
    "DELF-noFT+ATT": (BLUE, LONG, ""),
    "DELF+FT": (ORANGE, "-", "o"),
    "DELF-noFT": (ORANGE, LONG, "o"),
    "CONGAS": (PURPLE, MANY, ""),
    "RootSIFT": (PURPLE, MANY, ""),
    "DIR": (GREEN, MIXED, ""),
    "DIR+QE": (GREEN, DOTS, ""),
}
AXIS, TICKS = (10, 1000), (10, 30, 100, 300, 1000)  # of the paper's figure
OTHERS = ("#23272f", NEUTRAL, "#a3423e")  # colours of runs of other names


def fig5(
    runs: Mapping[str, Pooled | Mapping[str, Any]],
    paper: PaperFigure | None = None,
    *,
    where: str = "here",
) -> Drawing:
    """Draw precision against the number of right results, distractor queries among the queries (Fig. 5).

    Args:
        runs: By name: pooled results, or a result with a ``curve``. Names of the paper's methods, and
            RootSIFT in the place of CONGAS, have lines of their own.
        paper: Its digitised curves, drawn pale behind ours.
        where: Over our names in the legend, such as the benchmark's.
    """
    figure, axes = figure_of(8.2, 4.2)
    ax = axes[0, 0]
    others = [name for name in runs if name not in LINES]
    styles = LINES | {name: (OTHERS[n % len(OTHERS)], "-", "s") for n, name in enumerate(others)}
    lines = [Line2D([], [], linestyle="none", label=where)]
    for name, run in runs.items():
        lines += _draw(ax, _points(run), styles[name], label=name, linewidth=1.9)
    if paper:
        said = f"the paper, Google-Landmarks\n({paper.status}, \N{PLUS-MINUS SIGN}{paper.error})"
        lines += [Line2D([], [], linestyle="none", label=said)]
        for name, curve in paper.curves.items():
            pale = {"label": name, "linewidth": 1.0, "alpha": 0.42, "zorder": 1}
            lines += _draw(ax, (curve.recall, curve.precision), LINES[name], **pale)
    ax.set(xscale="log", xlim=AXIS, ylim=(0, 1.02))
    ax.set(xlabel="right results of all queries", ylabel="precision")
    ax.set_xticks(TICKS, labels=map(str, TICKS))
    ax.minorticks_off()
    ax.grid(alpha=0.25, linewidth=0.6)
    legend = figure.legend(
        handles=lines, loc="outside right upper", frameon=False, handlelength=3.2, fontsize=8
    )
    for line, words in zip(lines, legend.get_texts(), strict=True):
        if line.get_linestyle() == "None":
            words.set(color=QUIET, position=(-28, 0))
    return figure


def _draw(ax: Axes, points: Points, line: Line, **style: object) -> list[Line2D]:
    colour, dashes, marker = line
    rings = {"marker": marker, "markersize": 4, "markerfacecolor": "white", "markevery": 0.11}
    return ax.plot(*points, color=colour, linestyle=dashes, **rings, **style)


def _points(run: Pooled | Mapping[str, Any]) -> Points:
    """Return recalls, and the precision at each, 0 to 1."""
    if isinstance(run, Pooled):
        recalls = np.arange(1, run.correct.sum() + 1)
        return recalls, precisions_at(run, recalls)
    curve = run["curve"]
    return np.array(curve["recalls"]), np.array(curve["precisions"]) / 100
