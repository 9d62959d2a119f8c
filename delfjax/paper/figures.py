"""Plot results: precision-recall curves (Fig. 5), mAP by setting, and keypoints on landmarks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from delfjax.evaluation.significance import Result
from delfjax.paper.values import PaperFigure
from delfjax.plots.base import COLORS, MUTED, NEUTRAL, Figure, subplots

Line = tuple[str, str | tuple[int, tuple[float, ...]], str]  # color, dashes, marker

BLUE, ORANGE, GREEN, PURPLE = COLORS
# Attention is blue, the norm is orange with rings. Lines of fine-tuned models are solid, those of
# other models are dashed. Without color, dashes and rings distinguish the lines.
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
AXIS, TICKS = (10, 1000), (10, 30, 100, 300, 1000)  # as in the paper's figure
LOG_RANGE = 4  # the x axis is logarithmic if the largest value is at least 4 times the smallest
OTHERS = ("#23272f", NEUTRAL, "#a3423e")  # colors of runs that are not in LINES


def fig5(
    runs: Mapping[str, Result], paper: PaperFigure | None = None, *, heading: str = "here"
) -> Figure:
    """Plot precision-recall curves of all queries together (Fig. 5).

    Recall is the number of correct results. Distractor queries (no photo is correct) are included.

    Args:
        runs: Dict from method to a result that has a ``"curve"``. Methods of the paper have fixed
            line styles. RootSIFT has the style of CONGAS, the method that it replaces.
        paper: Curves of the paper, drawn pale behind ours. None: only our curves.
        heading: Legend title of our curves, such as the name of the benchmark.
    """
    figure, axes = subplots(8.2, 4.2)
    ax = axes[0, 0]
    others = [name for name in runs if name not in LINES]
    styles = LINES | {name: (OTHERS[n % len(OTHERS)], "-", "s") for n, name in enumerate(others)}
    lines = [Line2D([], [], linestyle="none", label=heading)]
    for name, run in runs.items():
        curve = run["curve"]
        points = np.array([curve["recalls"], np.array(curve["precisions"]) / 100])
        lines += _draw(ax, points, styles[name], label=name, linewidth=1.9)
    if paper:
        source = f"the paper, Google-Landmarks\n({paper.status}, \N{PLUS-MINUS SIGN}{paper.error})"
        lines += [Line2D([], [], linestyle="none", label=source)]
        for name, curve in paper.curves.items():
            pale = {"label": name, "linewidth": 1.0, "alpha": 0.42, "zorder": 1}
            lines += _draw(ax, curve, LINES[name], **pale)
    ax.set(xscale="log", xlim=AXIS, ylim=(0, 1.02))
    ax.set(xlabel="correct results of all queries", ylabel="precision")
    ax.set_xticks(TICKS, labels=map(str, TICKS))
    ax.minorticks_off()
    ax.grid(alpha=0.25, linewidth=0.6)
    legend = figure.legend(handles=lines, loc="outside right upper", handlelength=3.2, fontsize=8)
    for line, text in zip(lines, legend.get_texts(), strict=True):
        if line.get_linestyle() == "None":
            text.set(color=MUTED, position=(-28, 0))
    return figure


def _draw(ax: Axes, points: Float[np.ndarray, "2 k"], line: Line, **style: Any) -> list[Line2D]:
    color, dashes, marker = line
    style |= {"marker": marker, "markersize": 4, "markerfacecolor": "white", "markevery": 0.11}
    return ax.plot(*points, color=color, linestyle=dashes, **style)


def sweeps(found: Mapping[str, Mapping[float, Result]]) -> Figure:
    """Plot mAP against a setting, in one panel per setting. Bands: 95% intervals over landmarks.

    Args:
        found: Dict from the x axis label of a panel, such as "features per photo", to a dict from
            values of the setting to results. No dict may be empty.
    """
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure, axes = subplots(3.3 * columns, 2.8 * rows, rows, columns, sharey=True)
    for unused in axes.flat[len(found) :]:
        unused.remove()
    for ax, (label, by_number) in zip(axes.flat, found.items(), strict=False):
        numbers = sorted(by_number)
        results = [by_number[number] for number in numbers]
        value, low, high = np.transpose([(each["value"], *each["interval"]) for each in results])
        ax.fill_between(numbers, low, high, color=COLORS[0], alpha=0.15, linewidth=0)
        ax.plot(numbers, value, color=COLORS[0], marker="o", markersize=4)
        ax.set(xlabel=label)
        if numbers[-1] >= LOG_RANGE * numbers[0]:
            ax.set_xscale("log")
            ax.set_xticks(numbers, labels=map(str, numbers))
            ax.minorticks_off()
        ax.grid(alpha=0.25, linewidth=0.6)
    for ax in axes[:, 0]:
        ax.set_ylabel("mAP (%), 95% interval")
    return figure
