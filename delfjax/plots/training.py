"""Figures of training: the curves of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from delfjax.plots.base import COLORS, NEUTRAL, Drawing, figure_of, show_title

Log = Sequence[Mapping[str, Any]]


def curves(logs: Mapping[str, Log], *, classes: int | None = None) -> Drawing:
    """Draw loss, accuracy on held-out photos, learning rate and gradient norm of runs.

    Args:
        logs: Records of each run, as `delfjax.training.loop.fit` logs them.
        classes: Number of landmarks: a dotted line marks the loss and accuracy of a blind guess.
    """
    figure, axes = figure_of(10.5, 3.0, 1, 4)
    loss, accuracy, rate, gradient = axes[0]
    for color, (name, log) in zip(COLORS, logs.items(), strict=False):
        style = {"color": color, "label": name, "linewidth": 1.4}
        _line(loss, log, "loss", **style | {"alpha": 0.45, "label": None})
        _line(loss, log, "validation_loss", **style, marker=".")
        head = next(k for record in log for k in record if k.endswith("_accuracy"))
        _line(accuracy, log, f"validation_{head.removeprefix('validation_')}", **style, marker=".")
        _line(rate, log, "rate", **style)
        _line(gradient, log, "gradient_norm", **style)
    titles = {
        loss: "loss (pale: in training)",
        accuracy: "accuracy on held-out photos",
        rate: "learning rate",
        gradient: "norm of the gradient",
    }
    for ax, title in titles.items():
        show_title(ax, title)
        ax.set_xlabel("step")
    gradient.set_yscale("log")
    if classes:
        blind = {"color": NEUTRAL, "linestyle": ":", "linewidth": 1}
        loss.axhline(np.log(classes), **blind)
        accuracy.axhline(1 / classes, label="blind guess", **blind)
    loss.set_ylim(0, 1.05 * max(loss.get_ylim()[1], np.log(classes or 1)))
    accuracy.set_ylim(0, 1)
    figure.legend(
        *accuracy.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
    )
    return figure


def _line(ax: Axes, log: Log, name: str, **style: object) -> None:
    points = [(record["step"], record[name]) for record in log if name in record]
    if points:
        ax.plot(*zip(*points, strict=True), **style)
