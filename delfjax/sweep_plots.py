"""mAP against what can be had cheaper, such as features or bits; and against where keypoints lie. Not in the paper."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from delfjax.plots import COLOURS, NEUTRAL, Drawing, figure_of

Result = Mapping[str, Any]
WIDE = 4  # where the largest number is this many times the smallest, the axis is logarithmic


def sweeps(found: Mapping[str, Mapping[float, Result]]) -> Drawing:
    """Draw mAP with its interval against a number, a panel for each sweep.

    Args:
        found: By what is counted, such as "features of a photo": results by its number.

    Raises:
        ValueError: If a sweep has no result.
    """
    if not found or not all(found.values()):
        raise ValueError(f"sweeps {[*found]}: one at least, with a result each; run them first")
    figure, axes = figure_of(3.3 * len(found), 3.0, 1, len(found), sharey=True)
    for ax, (words, by_number) in zip(axes[0], found.items(), strict=True):
        numbers = sorted(by_number)
        value, low, high = np.transpose([_interval(by_number[number]) for number in numbers])
        ax.fill_between(numbers, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
        ax.plot(numbers, value, color=COLOURS[0], marker="o", markersize=4)
        ax.set(xlabel=words)
        if numbers[-1] >= WIDE * numbers[0]:
            ax.set_xscale("log")
            ax.set_xticks(numbers, labels=map(str, numbers))
            ax.minorticks_off()
        ax.grid(alpha=0.25, linewidth=0.6)
    axes[0, 0].set_ylabel("mAP, %, and 95% over queries")
    return figure


def landmarks(runs: Mapping[str, Result]) -> Drawing:
    """Draw a point a landmark: how many of the best 100 keypoints lie on it, and its average precision.

    Args:
        runs: Results on the rendered landmarks, by name.
    """
    figure, axes = figure_of(6.2, 3.6)
    ax = axes[0, 0]
    for (name, run), colour in zip(runs.items(), (*COLOURS, NEUTRAL), strict=False):
        shares, precisions = (
            run["on_landmark"][key] for key in ("by_landmark", "average_precision")
        )
        points = np.transpose([(shares[landmark], precisions[landmark]) for landmark in precisions])
        ax.scatter(*points, s=22, color=colour, label=name, alpha=0.85)
    ax.set(xlabel="best 100 keypoints on the landmark, %", ylabel="average precision, %")
    ax.set(xlim=(0, 100), ylim=(0, 102))
    ax.grid(alpha=0.25, linewidth=0.6)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _interval(result: Result) -> tuple[float, float, float]:
    return (result["value"], *result["interval"])
