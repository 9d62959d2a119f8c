"""Figures of attention: score maps over photos (Fig. 9), and the share of keypoints on the landmark."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.colors import Normalize

from delfjax.plots.base import (
    COLORS,
    HEATMAP_COLORS,
    NEUTRAL,
    STYLE,
    Figure,
    draw_photo,
    set_title,
    subplots,
)
from delfjax.types import Photo

LOW, HIGH = 1, 99.5  # percentiles: the highest scores would compress all others into one color


def heatmaps(
    photo: Photo, maps: Mapping[str, Float[np.ndarray, "h w"]], *, opacity: float = 0.72
) -> Figure:
    """Draw a photo and its score maps side by side; see `heatmap_grid`.

    Args:
        photo: The photo.
        maps: Score maps of the photo's size, by title.
        opacity: Opacity of the maps, 0 to 1.
    """
    return heatmap_grid([(photo, maps)], opacity=opacity)


def heatmap_grid(
    rows: Sequence[tuple[Photo, Mapping[str, Float[np.ndarray, "h w"]]]], *, opacity: float = 0.72
) -> Figure:
    """Draw one row for each photo: the photo, then each of its score maps over the gray photo (Fig. 9).

    Scores of different models have no common unit, so colors are relative: those of a map run from its
    1st to its 99.5th percentile.

    Args:
        rows: Photos, each with its score maps by title. Maps have the size of their photo, and all
            photos the same titles.
        opacity: Opacity of the maps, 0 to 1.
    """
    columns = 1 + len(rows[0][1])
    heights = [2.6 * photo.shape[0] / photo.shape[1] for photo, _ in rows]
    size = 2.6 * columns + 0.6, sum(heights) + 0.3
    figure, axes = subplots(*size, len(rows), columns, height_ratios=heights)
    for row, (photo, maps) in zip(axes, rows, strict=True):
        draw_photo(row[0], photo)
        gray = np.repeat(photo.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
        for ax, heat in zip(row[1:], maps.values(), strict=True):
            draw_photo(ax, gray)
            norm = Normalize(*np.percentile(heat, (LOW, HIGH)))
            ax.imshow(heat, cmap=HEATMAP_COLORS, norm=norm, alpha=opacity)
    for ax, title in zip(axes[0], ("photo", *rows[0][1]), strict=True):
        set_title(ax, title)
    bar = figure.colorbar(
        mpl.cm.ScalarMappable(Normalize(0, 1), HEATMAP_COLORS),
        ax=axes[:, 1:],
        fraction=0.012,
        pad=0.01,
        panchor=False,
    )
    bar.set_ticks([0, 1], labels=["low", "high"])
    bar.set_label("score", fontsize=STYLE["font.size"])
    return figure


def landmark_hits(
    counts: Sequence[int], shares: Mapping[str, Float[np.ndarray, "photos k"]], chance: float
) -> Figure:
    """Draw the share of the best keypoints that lie on the landmark, against the number of keypoints.

    Bands are 95% confidence intervals of the mean over photos.

    Args:
        counts: Numbers of best keypoints, the x-axis.
        shares: Shares (0 to 1) for each photo and number, by name of the score; NaN if a photo has too
            few keypoints.
        chance: Share that random points would reach: the mean area of the landmark masks, 0 to 1.
    """
    figure, axes = subplots(5.6, 3.4)
    ax = axes[0, 0]
    for color, (name, values) in zip(COLORS, shares.items(), strict=False):
        mean = np.nanmean(values, 0)
        error = 1.96 * np.nanstd(values, 0) / np.sqrt((~np.isnan(values)).sum(0))
        ax.plot(counts, mean, color=color, label=name, marker=".", linewidth=1.4)
        ax.fill_between(counts, mean - error, mean + error, color=color, alpha=0.15, linewidth=0)
    ax.axhline(chance, color=NEUTRAL, linestyle=":", label="chance: area of the landmark")
    ax.set(xscale="log", xlabel="number of best keypoints per photo", ylim=(0, 1))
    ax.set_ylabel("share of keypoints on the landmark")
    figure.legend(loc="outside right upper", title="mean and 95% interval")
    return figure
