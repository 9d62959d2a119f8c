"""Figures of data sets: samples, classes, masks, and cameras seen from above (the paper's Figs. 2, 3).

As in `plots`, functions take arrays and records and return a figure.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Polygon, Rectangle

from delfjax.datasets.rendered import PhotoAnnotation
from delfjax.images.reading import Box
from delfjax.plots.base import NEUTRAL, Figure, subplots, draw_photo, set_title
from delfjax.types import Photo

GRADES = {"good": "#1f8a85", "ok": "#e0a030", "junk": "#8c4a86"}  # apart without green and red, too
RINGS = (50, 200, 500)  # metres
VEIL = 0.25  # what is left of the light outside a mask


def grid(
    photos: Sequence[tuple[Photo, str, Box | None]], *, columns: int, width: float = 1.7
) -> Figure:
    """Draw photos in rows, each under its caption, with the box that a query asks for.

    Args:
        photos: Photo, caption, and box or None.
        columns: Photos a row.
        width: Of a photo, in inches.
    """
    rows = -(-len(photos) // columns)
    titled = any(caption for _, caption, _ in photos)
    figure, axes = subplots(columns * width, rows * (0.75 * width + 0.22 * titled), rows, columns)
    for ax in axes.ravel():
        ax.set_axis_off()
    for ax, (photo, caption, box) in zip(axes.ravel(), photos, strict=False):
        draw_photo(ax, photo, caption)
        if box is not None:
            _frame(ax, box)
    return figure


def _frame(ax: Axes, box: Box) -> None:
    """Draw a box; its edges lie between pixels, whose centers are at integers."""
    corner = (box.left - 0.5, box.top - 0.5)
    size = (box.right - box.left, box.bottom - box.top)
    ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor="#ffd23f", linewidth=2))


def masked(photo: Photo, truth: PhotoAnnotation) -> Photo:
    """Darken all but the landmark."""
    light = np.where(truth.mask, 1.0, VEIL)[..., None]
    return (photo * light).astype(np.uint8)


def class_counts(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw how many photos of each class a landmark has, as stacked bars.

    Args:
        counts: By landmark: the number of good, ok and junk photos.
    """
    figure, axes = subplots(7.5, 0.26 * len(counts) + 0.8)
    ax = axes[0, 0]
    rows, left = np.arange(len(counts)), np.zeros(len(counts))
    for grade, color in GRADES.items():
        width = np.array([each[grade] for each in counts.values()])
        ax.barh(rows, width, left=left, color=color, label=grade, height=0.72)
        for row, count, start in zip(rows, width, left, strict=True):
            if count:
                ax.text(start + count / 2, row, str(count), ha="center", va="center", fontsize=8)
        left = left + width
    ax.set_yticks(rows, [name.replace("_", " ") for name in counts])
    ax.invert_yaxis()
    ax.set_xlabel("photos")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=3, frameon=False)
    return figure


def grades(
    truths: Sequence[PhotoAnnotation], good: tuple[float, float], ok: tuple[float, float]
) -> Figure:
    """Draw how photos become good, ok and junk: what each shows, how large, and where the bars lie.

    Args:
        truths: Photos with a landmark.
        good: Share shown, and share of the photo's pixels, from which a photo is good.
        ok: The same for ok.
    """
    figure, axes = subplots(6.2, 3.6)
    ax = axes[0, 0]
    floor = 0.3 * ok[1]
    for grade, color in GRADES.items():
        mine = [truth for truth in truths if truth.grade == grade]
        shown, area = [t.visible_fraction for t in mine], [max(t.area_fraction, floor) for t in mine]
        ax.scatter(shown, area, s=16, color=color, alpha=0.8, linewidths=0, label=grade)
    for (shown, area), color in ((good, GRADES["good"]), (ok, GRADES["ok"])):
        ax.plot([shown, shown, 1.02], [1, area, area], color=color, linewidth=1)
    ax.set_yscale("log")
    ax.set(xlim=(0, 1.02), ylim=(floor, 1))
    ax.set_xlabel("share of the landmark that the photo shows")
    ax.set_ylabel("share of the photo's pixels")
    ax.legend(loc="lower left", frameon=False)
    return figure


def from_above(
    truths: Sequence[PhotoAnnotation],
    footprints: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    columns: int = 4,
) -> Figure:
    """Draw every landmark from above, and the cameras around it with what they look at.

    Distances from the middle are drawn as their square roots, as the nearest camera would otherwise
    lie on the landmark where the farthest is still in the picture: rings tell how far it is.

    Args:
        truths: Photos with a landmark.
        footprints: Lowest and highest corner of each landmark, in metres.
        columns: Maps a row.
    """
    rows = -(-len(footprints) // columns)
    figure, axes = subplots(2.4 * columns, 2.55 * rows + 0.3, rows, columns)
    for ax in axes.ravel():
        ax.set_axis_off()
    for ax, name in zip(axes.ravel(), sorted(footprints), strict=False):
        low, high = footprints[name]
        _map(ax, [truth for truth in truths if truth.landmark == name], low[:2], high[:2])
        set_title(ax, name.replace("_", " "))
    handles = [Rectangle((0, 0), 1, 1, color=color) for color in GRADES.values()]
    figure.legend(handles, GRADES, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _map(ax: Axes, truths: Sequence[PhotoAnnotation], low: np.ndarray, high: np.ndarray) -> None:
    middle = (low + high) / 2
    for radius in RINGS:
        ring = Circle((0, 0), np.sqrt(radius), fill=False, edgecolor="#d5d8dd", linewidth=0.8)
        ax.add_patch(ring)
        at = {"ha": "center", "va": "bottom", "fontsize": 6.5, "color": NEUTRAL}
        ax.text(0, np.sqrt(radius), f"{radius} m", **at)
    ax.add_patch(Polygon(_rooted(_outline(low - middle, high - middle)), color="#30343b"))
    for truth in truths:
        color, eye = GRADES[truth.grade], truth.camera_center[:2] - middle
        wedge = _rooted(np.array([eye]))[0] + 3.2 * np.array([[0, 0], *_rays(truth, eye)])
        ax.add_patch(Polygon(wedge, color=color, alpha=0.25, linewidth=0))
        ax.plot(*wedge[0], ".", color=color, markersize=5)
    reach = 1.12 * np.sqrt(RINGS[-1])
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


def _rooted(points: np.ndarray) -> np.ndarray:
    """Draw points `(N, 2)` nearer: ``p / sqrt(|p|)``."""
    radius = np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    return points / np.sqrt(radius)


def _outline(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return points `(N, 2)` along a rectangle, as its straight sides will be bent."""
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]], low])
    steps = np.linspace(0, 1, 12)[:, None]
    return np.concatenate([a + steps * (b - a) for a, b in pairwise(corners)])


def _rays(truth: PhotoAnnotation, eye: np.ndarray) -> np.ndarray:
    """Return the directions `(2, 2)` of the photo's left and right edge, on the map of roots.

    A direction at ``p`` is turned as the map's derivative there does: ``I - p p^T / (2 |p|^2)``.
    """
    focal, middle = truth.intrinsics[0, 0], truth.intrinsics[0, 2]
    edges = np.array([[-middle / focal, 0, 1], [middle / focal, 0, 1]]) @ truth.pose[:, :3]
    turned = edges[:, :2] @ (np.eye(2) - np.outer(eye, eye) / (2 * eye @ eye))
    return turned / np.linalg.norm(turned, axis=1, keepdims=True)
