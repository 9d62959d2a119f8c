"""Figures of data sets: samples, classes, masks, and cameras seen from above (the paper's Figs. 2, 3).

As in `plots`, functions take arrays and records and return a figure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle

from delfjax.axes import Photo
from delfjax.datasets.rendered import PhotoTruth
from delfjax.photos import Box
from delfjax.plots import BAD, GOOD, NEUTRAL, Drawing, figure_of, show_photo

OKAY = "#e0a030"
GRADES = {"good": GOOD, "ok": OKAY, "junk": BAD}
VEIL = 0.25  # what is left of the light outside a mask


def grid(
    photos: Sequence[tuple[Photo, str, Box | None]], *, columns: int, width: float = 1.7
) -> Drawing:
    """Draw photos in rows, each under its caption, with the box that a query asks for.

    Args:
        photos: Photo, caption, and box or None.
        columns: Photos a row.
        width: Of a photo, in inches.
    """
    rows = -(-len(photos) // columns)
    titled = any(caption for _, caption, _ in photos)
    figure, axes = figure_of(columns * width, rows * (0.75 * width + 0.22 * titled), rows, columns)
    for ax in axes.ravel():
        ax.set_axis_off()
    for ax, (photo, caption, box) in zip(axes.ravel(), photos, strict=False):
        show_photo(ax, photo, caption)
        if box is not None:
            _frame(ax, box)
    return figure


def _frame(ax: Axes, box: Box) -> None:
    """Draw a box; its edges lie between pixels, whose centres are at integers."""
    corner = (box.left - 0.5, box.top - 0.5)
    size = (box.right - box.left, box.bottom - box.top)
    ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor="#ffd23f", linewidth=2))


def masked(photo: Photo, truth: PhotoTruth) -> Photo:
    """Darken all but the landmark."""
    light = np.where(truth.mask, 1.0, VEIL)[..., None]
    return (photo * light).astype(np.uint8)


def class_counts(counts: Mapping[str, Mapping[str, int]]) -> Drawing:
    """Draw how many photos of each class a landmark has, as stacked bars.

    Args:
        counts: By landmark: the number of good, ok and junk photos.
    """
    figure, axes = figure_of(7.5, 0.26 * len(counts) + 0.8)
    ax = axes[0, 0]
    rows, left = np.arange(len(counts)), np.zeros(len(counts))
    for grade, colour in GRADES.items():
        width = np.array([each[grade] for each in counts.values()])
        ax.barh(rows, width, left=left, color=colour, label=grade, height=0.72)
        for row, count, start in zip(rows, width, left, strict=True):
            if count:
                ax.text(start + count / 2, row, str(count), ha="center", va="center", fontsize=8)
        left = left + width
    ax.set_yticks(rows, [name.replace("_", " ") for name in counts])
    ax.invert_yaxis()
    ax.set_xlabel("photos")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=3)
    return figure


def grades(
    truths: Sequence[PhotoTruth], good: tuple[float, float], ok: tuple[float, float]
) -> Drawing:
    """Draw how photos become good, ok and junk: what each shows, how large, and where the bars lie.

    Args:
        truths: Photos with a landmark.
        good: Share shown, and share of the photo's pixels, from which a photo is good.
        ok: The same for ok.
    """
    figure, axes = figure_of(6.2, 3.6)
    ax = axes[0, 0]
    floor = 0.3 * ok[1]
    for grade, colour in GRADES.items():
        mine = [truth for truth in truths if truth.grade == grade]
        shown, area = [t.shown for t in mine], [max(t.area, floor) for t in mine]
        ax.scatter(shown, area, s=16, color=colour, alpha=0.8, linewidths=0, label=grade)
    for (shown, area), colour in ((good, GOOD), (ok, OKAY)):
        ax.plot([shown, shown, 1.02], [1, area, area], color=colour, linewidth=1)
    ax.set_yscale("log")
    ax.set(xlim=(0, 1.02), ylim=(floor, 1))
    ax.set_xlabel("share of the landmark that the photo shows")
    ax.set_ylabel("share of the photo's pixels")
    ax.legend(loc="lower left")
    return figure


def from_above(
    truths: Sequence[PhotoTruth],
    footprints: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    columns: int = 4,
) -> Drawing:
    """Draw every landmark from above, and the cameras around it with what they look at.

    Args:
        truths: Photos with a landmark.
        footprints: Lowest and highest corner of each landmark, in metres.
        columns: Maps a row.
    """
    rows = -(-len(footprints) // columns)
    figure, axes = figure_of(2.3 * columns, 2.35 * rows, rows, columns)
    for ax in axes.ravel():
        ax.set_axis_off()
    for ax, (name, (low, high)) in zip(axes.ravel(), footprints.items(), strict=False):
        _map(ax, [truth for truth in truths if truth.landmark == name], low, high)
        ax.set_title(name.replace("_", " "))
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in GRADES.values()]
    figure.legend(handles, GRADES, loc="outside lower center", ncols=3)
    return figure


def _map(ax: Axes, truths: Sequence[PhotoTruth], low: np.ndarray, high: np.ndarray) -> None:
    ax.add_patch(Rectangle(low[:2], *(high - low)[:2], facecolor="#30343b"))
    eyes = np.array([truth.eye[:2] for truth in truths])
    reach = 1.12 * np.abs(np.concatenate([eyes, [low[:2], high[:2]]])).max()
    for truth, eye in zip(truths, eyes, strict=True):
        wedge = np.concatenate([[eye], eye + 0.16 * reach * _rays(truth)])
        ax.add_patch(Polygon(wedge, color=GRADES[truth.grade], alpha=0.25, linewidth=0))
        ax.plot(*eye, ".", color=GRADES[truth.grade], markersize=5)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    length = 10.0 ** np.floor(np.log10(reach))
    ax.plot(
        [-0.95 * reach, -0.95 * reach + length], [-0.95 * reach] * 2, color=NEUTRAL, linewidth=2
    )
    ax.text(-0.95 * reach, -0.9 * reach, f"{length:.0f} m", fontsize=7, color=NEUTRAL)


def _rays(truth: PhotoTruth) -> np.ndarray:
    """Return the level directions `(2, 2)` of the photo's left and right edge, on the map."""
    focal, middle = truth.intrinsics[0, 0], truth.intrinsics[0, 2]
    edges = np.array([[-middle / focal, 0, 1], [middle / focal, 0, 1]]) @ truth.pose[:, :3]
    return edges[:, :2] / np.linalg.norm(edges[:, :2], axis=1, keepdims=True)
