"""Figures of local features and their attention scores on photos."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from delfjax.features.pyramid import PAPER_SCALES
from delfjax.plots.base import (
    COLORS,
    HEATMAP_COLORS,
    HEATMAP_RANGE,
    STYLE,
    Figure,
    draw_photo,
    set_title,
    subplots,
)
from delfjax.types import Features, Photo

BRIGHTNESS = 0.75  # factor that darkens the photo under keypoints
RING_AREA = 10  # area of the ring of a keypoint of the largest scale, in square points
OPACITY = 0.72  # opacity of score maps


def keypoints(
    photo: Photo, features: Features, *, max_keypoints: int = 300, title: str | None = None
) -> Figure:
    """Draw the best keypoints as rings. A larger and darker ring means a larger receptive field.

    Args:
        photo: The photo.
        features: Features of the photo, best first.
        max_keypoints: Maximum number of keypoints to draw.
        title: Title of the figure. None writes the number of keypoints.
    """
    best = features[:max_keypoints]
    figure, ax = _darkened(photo, f"the {len(best)} best keypoints" if title is None else title)
    low, high = best.scales.min(initial=np.inf), best.scales.max(initial=0)
    if not low < high:  # one scale or no keypoint
        low, high = (high or 1.0) / 2, 2 * (high or 1.0)
    norm, colors = LogNorm(low, high), mpl.colormaps["plasma"]
    ax.scatter(
        best.positions[:, 1],
        best.positions[:, 0],
        s=RING_AREA * high / best.scales,
        facecolors="none",
        edgecolors=colors(norm(best.scales)),
        linewidths=1.3,
        path_effects=[Stroke(linewidth=2.6, foreground="black", alpha=0.5), Normal()],
    )
    bar = figure.colorbar(ScalarMappable(norm, colors), ax=ax, fraction=0.03, pad=0.02)
    bar.set_label("scale (the photo was resized by this factor)")
    ticks = np.geomspace(low, high, len(PAPER_SCALES)).tolist()
    bar.set_ticks(ticks, labels=[f"{scale:.2f}" for scale in ticks])
    bar.minorticks_off()
    return figure


def receptive_fields(
    photo: Photo, features: Features, boxes: Float[np.ndarray, "n 4"], *, title: str = ""
) -> Figure:
    """Draw the four best keypoints as dots, and their receptive fields as boxes.

    A receptive field (the pixels that influence a feature) may extend beyond the photo.

    Args:
        photo: The photo.
        features: Features of the photo, best first.
        boxes: ``(y_min, x_min, y_max, x_max)`` of the receptive field of each feature, in pixels,
            from `delfjax.features.extraction.Extractor.receptive_field_boxes`.
        title: Title of the figure.
    """
    figure, ax = _darkened(photo, title)
    boxes = boxes[: len(COLORS)]
    for number, (top, left, bottom, right) in enumerate(boxes):
        color = COLORS[number]
        edge = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=color)
        edge.set(linewidth=2.2, path_effects=[Stroke(linewidth=4, foreground="white"), Normal()])
        ax.add_patch(edge)
        label = f"{number + 1}: scale {features.scales[number]:.2f}"
        y, x = features.positions[number]
        ax.plot(x, y, "o", color=color, markeredgecolor="white", label=label)
    size = np.array(photo.shape[:2])
    corners = np.vstack([boxes, [-0.5, -0.5, *size - 0.5]])
    margin = 0.5 * size  # limit, because the largest receptive fields leave no room for the photo
    top, left = np.maximum(corners[:, :2].min(0) - 2, -margin)
    bottom, right = np.minimum(corners[:, 2:].max(0) + 2, size + margin)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    figure.legend(loc="outside right upper", title="keypoint, best first")
    return figure


def heatmaps(photo: Photo, maps: Mapping[str, Float[np.ndarray, "h w"]]) -> Figure:
    """Draw a photo and score maps (one score per pixel) in a row. Keys of ``maps`` are titles."""
    return heatmap_grid([(photo, maps)])


def heatmap_grid(
    rows: Sequence[tuple[Photo, Mapping[str, Float[np.ndarray, "h w"]]]],
) -> Figure:
    """Draw a row for each photo. The row shows the photo and its score maps (Fig. 9).

    Score maps are drawn over the gray photo. Scores of different models are not comparable, so each
    map has its own color range, from the 1st to the 99.5th percentile of its scores.

    Args:
        rows: Pairs of a photo and a mapping from titles to score maps. A score map has one score
            per pixel. All rows have the same titles.
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
            norm = Normalize(*np.percentile(heat, HEATMAP_RANGE))
            ax.imshow(heat, cmap=HEATMAP_COLORS, norm=norm, alpha=OPACITY)
    for ax, title in zip(axes[0], ("photo", *rows[0][1]), strict=True):
        set_title(ax, title)
    colors = ScalarMappable(Normalize(0, 1), HEATMAP_COLORS)
    bar = figure.colorbar(colors, ax=axes[:, 1:], fraction=0.012, pad=0.01, panchor=False)
    bar.set_ticks([0, 1], labels=["low", "high"])
    bar.set_label("score", fontsize=STYLE["font.size"])
    return figure


def _darkened(photo: Photo, title: str) -> tuple[Figure, Axes]:
    height, width = photo.shape[:2]
    figure, axes = subplots(6.2, 6.2 * height / width + 0.3)
    draw_photo(axes[0, 0], (photo * BRIGHTNESS).astype(np.uint8), title)
    return figure, axes[0, 0]
