"""Figures: photos under heatmaps, keypoints, matches and rankings.

Every function takes arrays and records and returns a `Figure`, made without pyplot's global state,
so that a notebook, a script and a widget can each show or save it. ``(y, x)`` becomes ``(x, y)`` here.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from delfjax.features.pyramid import PAPER_SCALES
from delfjax.types import Features, Matches, Photo

STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 110,
    "savefig.bbox": "tight",
    "legend.frameon": False,
}
HEAT = "magma"
GOOD, BAD, NEUTRAL = "#3fbf7f", "#d9534f", "#8a8f98"
COLORS = ("#3b6fb6", "#d98032", "#4a9d6f", "#a05fa8")  # of curves, in their order


class Drawing(Figure):
    """A figure that a notebook shows by itself, whatever backend pyplot has, if it has one.

    With photos in it, it is shown as JPEG: a notebook of PNG photos has ten times the size.

    Attributes:
        quality: Of the JPEG, 1 to 95.
    """

    quality: int = 75

    def save(self, path: Path) -> None:
        """Write the figure to a file, in the format that its ending names; make its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.encoded(path.suffix.removeprefix(".").replace("jpg", "jpeg")))

    def _repr_png_(self) -> bytes | None:
        return None if self._has_photos() else self.encoded("png")

    def _repr_jpeg_(self) -> bytes | None:
        return self.encoded("jpeg") if self._has_photos() else None

    def _has_photos(self) -> bool:
        return any(ax.images for ax in self.axes)

    def encoded(self, format: str) -> bytes:
        """Return the figure as a file of a format: ``"png"``, ``"jpeg"``, ``"pdf"``, ``"svg"``."""
        stream = io.BytesIO()
        options = {"pil_kwargs": {"quality": self.quality}} if format == "jpeg" else {}
        with mpl.rc_context(STYLE):
            self.savefig(stream, format=format, **options)
        return stream.getvalue()


def figure_of(
    width: float, height: float, rows: int = 1, columns: int = 1, **grid: object
) -> tuple[Drawing, np.ndarray]:
    """Make a figure of a size in inches in the project's style, and its axes, rows x columns."""
    with mpl.rc_context(STYLE):
        figure = Drawing(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, axes


def show_photo(ax: Axes, photo: Photo, title: str = "") -> None:
    """Draw a photo alone, under its title."""
    ax.imshow(photo)
    show_title(ax, title)
    ax.set_axis_off()


def show_title(ax: Axes, title: str) -> None:
    """Put a title where all titles are."""
    ax.set_title(title, loc="left", fontsize=STYLE["axes.titlesize"])


def show_heat(
    ax: Axes, photo: Photo, heat: Float[np.ndarray, "h w"], title: str, opacity: float
) -> AxesImage:
    """Draw heat over a photo in gray; its colors run from its 1st to its 99.5th percentile."""
    show_photo(ax, np.repeat(photo.mean(-1, keepdims=True), 3, -1).astype(np.uint8), title)
    # The top percent would otherwise squeeze all other scores into one color.
    span = Normalize(*np.percentile(heat, (1, 99.5)))
    return ax.imshow(heat, cmap=HEAT, norm=span, alpha=opacity)


def dimmed(photo: Photo, title: str) -> tuple[Drawing, Axes]:
    """Make a figure of one photo, darker than it is, to draw on."""
    height, width = photo.shape[:2]
    figure, axes = figure_of(6.2, 6.2 * height / width + 0.3)
    show_photo(axes[0, 0], (photo * 0.75).astype(np.uint8), title)
    return figure, axes[0, 0]


def photos(shown: Mapping[str, Photo], *, height: float = 3.2) -> Drawing:
    """Draw photos side by side, one height all, each under its caption.

    Args:
        shown: Photos by caption.
        height: In inches.
    """
    ratios = [photo.shape[1] / photo.shape[0] for photo in shown.values()]
    width = height * sum(ratios)
    figure, axes = figure_of(width, height + 0.25, 1, len(shown), width_ratios=ratios)
    for ax, (caption, photo) in zip(axes[0], shown.items(), strict=True):
        show_photo(ax, photo, caption)
    return figure


def heatmaps(
    photo: Photo, maps: Mapping[str, Float[np.ndarray, "h w"]], *, opacity: float = 0.6
) -> Drawing:
    """Draw a photo, and beside it each map over the photo with its own color bar.

    Args:
        photo: The photo.
        maps: Score maps of the photo's size, by title.
        opacity: Of the heat, 0 to 1.
    """
    height, width = photo.shape[:2]
    columns = 1 + len(maps)
    figure, axes = figure_of(4.2 * columns, 4.2 * height / width + 0.3, 1, columns)
    show_photo(axes[0, 0], photo, "photo")
    for ax, (title, heat) in zip(axes[0, 1:], maps.items(), strict=True):
        drawn = show_heat(ax, photo, heat, title, opacity)
        bar = figure.colorbar(drawn, ax=ax, fraction=0.035, pad=0.02)
        bar.solids.set_alpha(1)
        bar.set_label("score")
    return figure


def keypoints(photo: Photo, features: Features, *, most: int = 300, title: str = "") -> Drawing:
    """Draw the best features: a ring a keypoint, larger and lighter the coarser its level.

    Args:
        photo: The photo.
        features: Its features, best first.
        most: How many to draw.
        title: What the figure says.
    """
    figure, ax = dimmed(photo, title)
    best = features[:most]
    norm, colors = LogNorm(min(PAPER_SCALES), max(PAPER_SCALES)), mpl.colormaps["viridis_r"]
    ax.scatter(
        *best.positions.T[::-1],
        s=14 / best.scales,
        facecolors="none",
        edgecolors=colors(norm(best.scales)),
        linewidths=1.1,
        alpha=0.9,
    )
    bar = figure.colorbar(ScalarMappable(norm, colors), ax=ax, fraction=0.03, pad=0.02)
    bar.set_label("pyramid scale")
    bar.set_ticks(PAPER_SCALES, labels=[f"{scale:.2f}" for scale in PAPER_SCALES])
    bar.minorticks_off()
    return figure


def matches(
    left: Photo,
    right: Photo,
    putative: Matches,
    inliers: Bool[np.ndarray, " m"] | None = None,
    *,
    title: str = "",
    most: int = 200,
) -> Drawing:
    """Draw matches as lines between two photos: all of them, or only the inliers.

    Args:
        left: The query photo.
        right: The database photo.
        putative: The matches.
        inliers: Which of them to draw; all where None.
        title: What the figure says.
        most: How many lines at most, evenly chosen: more hide the photos.
    """
    chosen = np.arange(len(putative)) if inliers is None else np.flatnonzero(inliers)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(int)]
    gap = 12
    height = max(len(left), len(right))
    canvas = np.full((height, left.shape[1] + gap + right.shape[1], 3), 255, np.uint8)
    canvas[: len(left), : left.shape[1]] = left
    canvas[: len(right), left.shape[1] + gap :] = right
    figure, axes = figure_of(9.5, 9.5 * height / canvas.shape[1] + 0.3)
    ax = axes[0, 0]
    show_photo(ax, canvas, title)
    ends = putative.database[chosen, ::-1] + [left.shape[1] + gap, 0]
    lines = np.stack([putative.query[chosen, ::-1], ends], axis=1)
    color = NEUTRAL if inliers is None else GOOD
    ax.add_collection(LineCollection(lines, colors=color, linewidths=0.7, alpha=0.7))
    ax.scatter(*lines.reshape(-1, 2).T, s=5, color=color, linewidths=0)
    ax.set_xlim(0, canvas.shape[1])
    ax.set_ylim(height, 0)
    return figure


def ranking(
    query: Photo,
    results: Sequence[tuple[Photo, str, bool | None]],
    *,
    title: str = "query",
    columns: int = 6,
) -> Drawing:
    """Draw a query and the photos ranked for it, framed by whether they are right.

    Args:
        query: The query photo.
        results: Photo, caption and whether it is a true result (None: not known), best first.
        title: Caption of the query.
        columns: Photos a row, the query included.
    """
    rows = -(-(1 + len(results)) // columns)
    figure, axes = figure_of(1.9 * columns, 1.75 * rows, rows, columns)
    for ax in axes.ravel():
        ax.set_axis_off()
    cells = [(query, title, None), *results]
    for ax, (photo, caption, right) in zip(axes.ravel(), cells, strict=False):
        show_photo(ax, photo, caption)
        if right is not None:
            ax.set_axis_on()
            ax.set(xticks=[], yticks=[])
            for spine in ax.spines.values():
                spine.set(visible=True, color=GOOD if right else BAD, linewidth=2.5)
    return figure


def inlier_histogram(
    true_pairs: Sequence[int], false_pairs: Sequence[int], threshold: float
) -> Drawing:
    """Draw inlier counts of pairs of one place and of two, and the count that parts them."""
    figure, axes = figure_of(6, 3)
    ax = axes[0, 0]
    top = max([*true_pairs, *false_pairs, 1])
    bins = np.unique(np.round(np.geomspace(1, top + 1, 24)) - 1)
    for counts, color, label in (
        (false_pairs, BAD, "two places"),
        (true_pairs, GOOD, "one place"),
    ):
        ax.hist(counts, bins=bins, color=color, alpha=0.7, density=True, label=label)
    ax.axvline(
        threshold, color="black", linestyle="--", linewidth=1, label=f"{threshold:g} inliers"
    )
    ax.set_xscale("symlog", linthresh=10)
    ax.set(xlabel="RANSAC inliers", ylabel="density of pairs", title="")
    ax.legend()
    return figure


DIM = 0.5  # of the light goes where a cell does not see


LIGHT, DARK = (255, 255, 255), (20, 20, 30)  # a line and its casing: seen on any color


def encode(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Return an image as JPEG: ten times as fast as PNG, and a tenth of its size."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=90, subsampling=0)
    return stream.getvalue()
