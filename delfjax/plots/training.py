"""Figures of training runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from delfjax.plots.base import COLORS, NEUTRAL, Figure, set_title, subplots

Log = Sequence[Mapping[str, Any]]


def training_curves(logs: Mapping[str, Log], *, classes: int | None = None) -> Figure:
    """Draw loss, validation accuracy, learning rate and gradient norm of up to four runs.

    Args:
        logs: Mapping from names of runs to the ``log`` of `delfjax.training.loop.TrainedModel`.
        classes: Number of landmarks, to draw the loss and the accuracy of random guesses. None
            omits both.
    """
    figure, axes = subplots(10.5, 3.0, 1, 4)
    loss, accuracy, learning_rate, gradient = axes[0]
    for color, (name, log) in zip(COLORS, logs.items(), strict=False):
        style = {"color": color, "label": name, "linewidth": 1.4}
        _plot(loss, log, "loss", **style | {"alpha": 0.45, "label": None})
        _plot(loss, log, "validation_loss", **style, marker=".")
        heads = (key for record in log for key in record if key.endswith("_accuracy"))
        head = next(heads, "").removeprefix("validation_")
        _plot(accuracy, log, f"validation_{head}", **style, marker=".")
        _plot(learning_rate, log, "learning_rate", **style)
        _plot(gradient, log, "gradient_norm", **style)
    titles = {
        loss: "loss (pale: training)",
        accuracy: "accuracy on held-out photos",
        learning_rate: "learning rate",
        gradient: "gradient norm",
    }
    for ax, title in titles.items():
        set_title(ax, title)
        ax.set_xlabel("step")
    gradient.set_yscale("log")
    if classes:
        style = {"color": NEUTRAL, "linestyle": ":", "linewidth": 1}
        loss.axhline(np.log(classes), **style)
        accuracy.axhline(1 / classes, label="random guess", **style)
    loss.set_ylim(0, 1.05 * max(loss.get_ylim()[1], np.log(classes or 1)))
    accuracy.set_ylim(0, 1)
    handles, labels = accuracy.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _plot(ax: Axes, log: Log, key: str, **style: Any) -> None:
    points = [(record["step"], record[key]) for record in log if key in record]
    if points:
        ax.plot(*zip(*points, strict=True), **style)
