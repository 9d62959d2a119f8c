"""Figures of attention: score maps side by side (the paper's Fig. 9), and how often they are right."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from delfjax.plots.base import (
    COLORS,
    HEAT,
    NEUTRAL,
    STYLE,
    Drawing,
    dimmed,
    figure_of,
    show_heat,
    show_photo,
    show_title,
)
from delfjax.types import Features, Photo


def heat_grid(
    rows: Sequence[tuple[Photo, Mapping[str, Float[np.ndarray, "h w"]]]], *, opacity: float = 0.72
) -> Drawing:
    """Draw a photo a row, and beside it each score map over the photo in gray (Fig. 9).

    Scores of two models have no common unit: each map's colors run from its 1st to its 99.5th
    percentile.

    Args:
        rows: Photos, and score maps of their size by title; the titles of all rows are the first's.
        opacity: Of the heat, 0 to 1.
    """
    columns = 1 + len(rows[0][1])
    figure, axes = figure_of(2.6 * columns, 1.95 * len(rows) + 0.3, len(rows), columns)
    for number, (line, (photo, maps)) in enumerate(zip(axes, rows, strict=True)):
        show_photo(line[0], photo, "photo" if number == 0 else "")
        for ax, (title, heat) in zip(line[1:], maps.items(), strict=True):
            show_heat(ax, photo, heat, title if number == 0 else "", opacity)
    scale = figure.colorbar(
        mpl.cm.ScalarMappable(Normalize(0, 1), HEAT),
        ax=axes[:, 1:],
        fraction=0.012,
        pad=0.01,
        panchor=False,
    )
    scale.set_ticks([0, 1], labels=["1st", "99.5th"])
    scale.set_label("percentile of the map's scores", fontsize=STYLE["font.size"])
    return figure


def receptive_fields(
    photo: Photo,
    features: Features,
    boxes: Float[np.ndarray, "n 4"],
    *,
    most: int = 4,
    title: str = "",
) -> Drawing:
    """Draw the best keypoints as dots, each with the box of all that its descriptor has seen.

    Args:
        photo: The photo.
        features: Its features, best first.
        boxes: What each sees, as `Extractor.boxes` tells; beyond the photo, the network saw zeros.
        most: How many to draw.
        title: What the figure says.
    """
    figure, ax = dimmed(photo, title)
    for number, (box, place) in enumerate(zip(boxes[:most], features.positions, strict=False)):
        color, (top, left, bottom, right) = COLORS[number % len(COLORS)], box
        edge = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=color)
        edge.set(linewidth=2.2, path_effects=[Stroke(linewidth=4, foreground="white"), Normal()])
        ax.add_patch(edge)
        label = f"{number + 1}: scale {features.scales[number]:.2f}"
        ax.plot(*place[::-1], "o", color=color, markeredgecolor="white", label=label)
    size = np.array(photo.shape[:2])
    reach = np.vstack([boxes[:most], [-0.5, -0.5, *size - 0.5]])
    margin = 0.5 * size  # the largest fields would leave no room for the photo
    top, left = np.maximum(reach[:, :2].min(0) - 2, -margin)
    bottom, right = np.minimum(reach[:, 2:].max(0) + 2, size + margin)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def hits(
    counts: Sequence[int], shares: Mapping[str, Float[np.ndarray, "photos k"]], chance: float
) -> Drawing:
    """Draw the share of the best keypoints on the landmark against their number, with 95% intervals.

    Args:
        counts: Numbers of keypoints.
        shares: By name of the score: the share for each photo and number.
        chance: What points thrown at random would give: the mean area of the masks.
    """
    figure, axes = figure_of(5.6, 3.4)
    ax = axes[0, 0]
    for color, (name, values) in zip(COLORS, shares.items(), strict=False):
        mean = np.nanmean(values, 0)
        spread = 1.96 * np.nanstd(values, 0) / np.sqrt((~np.isnan(values)).sum(0))
        ax.plot(counts, mean, color=color, label=name, marker=".", linewidth=1.4)
        ax.fill_between(counts, mean - spread, mean + spread, color=color, alpha=0.15, linewidth=0)
    ax.axhline(chance, color=NEUTRAL, linestyle=":", label="chance: the landmark's area")
    ax.fill_between([], [], color=NEUTRAL, alpha=0.3, linewidth=0, label="95%, over photos")
    ax.set_xscale("log")
    ax.set(xlabel="best keypoints of a photo", ylabel="share on the landmark", ylim=(0, 1))
    ax.legend(frameon=False)
    return figure


def leaning(lean: Mapping[str, Float[np.ndarray, " 2"]]) -> Drawing:
    """Draw to which side the kernels of each layer lean, as `centers.lean` tells: 0 is an even kernel.

    Args:
        lean: Taps down and to the right, by layer, in their order.
    """
    figure, axes = figure_of(6.6, 2.8)
    ax, places = axes[0, 0], np.arange(len(lean))
    ax.axhline(0, color=NEUTRAL, linestyle=":", label="an even kernel")
    for values, color, label in zip(
        np.array([*lean.values()]).T, COLORS, ("down", "to the right"), strict=False
    ):
        ax.plot(places, values, color=color, marker="o", linestyle="none", label=label)
    ax.set_xticks(places, labels=list(lean), rotation=60)
    ax.set(ylabel="taps from the middle")
    ax.legend(frameon=False)
    return figure


def score_histograms(
    scores: Mapping[str, tuple[Float[np.ndarray, " on"], Float[np.ndarray, " off"]]],
) -> Drawing:
    """Draw how scores are distributed over pixels on the landmark and off it.

    Args:
        scores: By name of the score: its values on the landmark, and elsewhere.
    """
    figure, axes = figure_of(3.4 * len(scores), 2.6, 1, len(scores))
    for ax, (name, (on, off)) in zip(axes[0], scores.items(), strict=True):
        bins = np.linspace(*np.percentile(np.concatenate([on, off]), (0, 99.5)), 50)
        for values, color, label in ((off, NEUTRAL, "elsewhere"), (on, COLORS[1], "landmark")):
            ax.hist(values, bins, density=True, color=color, alpha=0.6, label=label)
        show_title(ax, name)
        ax.set_xlabel("score")
        ax.set_yticks([])
    axes[0, 0].set_ylabel("density of pixels")
    axes[0, -1].legend(frameon=False)
    return figure
