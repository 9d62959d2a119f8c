"""Draw maps of the cameras around the rendered landmarks for `01_data`, in place of Fig. 3."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Polygon, Rectangle

from delfjax.datasets.rendered import PhotoAnnotation
from delfjax.plots.base import NEUTRAL, Figure, set_title, subplots

GRADE_COLORS = {"good": "#1f8a85", "ok": "#e0a030", "junk": "#8c4a86"}  # safe for color blindness
COLUMNS = 4  # maps per row
RADII = (50, 200, 500)  # of the distance rings, in meters
VIEW_LENGTH = 3.2  # of a field of view on the map, in square roots of meters


def camera_maps(
    annotations: Sequence[PhotoAnnotation],
    bounds: Mapping[str, tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]],
) -> Figure:
    """Draw a map of each landmark, with the cameras of the photos and their fields of view.

    The distance on the map is the square root of the true distance from the landmark, so that near and
    far cameras fit. Labeled rings mark true distances.

    Args:
        annotations: Annotations of photos that show a landmark.
        bounds: Lowest and highest ``(x, y, z)`` of each landmark in meters, by the name of the landmark.
    """
    rows = -(-len(bounds) // COLUMNS)
    figure, axes = subplots(2.4 * COLUMNS, 2.55 * rows + 0.3, rows, COLUMNS)
    for ax in axes.ravel():
        ax.set_axis_off()
    for ax, name in zip(axes.ravel(), sorted(bounds), strict=False):
        low, high = bounds[name]
        shown = [photo for photo in annotations if photo.landmark == name]
        _draw_map(ax, shown, low[:2], high[:2])
        set_title(ax, name.replace("_", " "))
    handles = [Rectangle((0, 0), 1, 1, color=color) for color in GRADE_COLORS.values()]
    labels = [f"{grade} photo" for grade in GRADE_COLORS]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw_map(
    ax: Axes,
    annotations: Sequence[PhotoAnnotation],
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
) -> None:
    center = (low + high) / 2
    for radius in RADII:
        ring = Circle((0, 0), np.sqrt(radius), fill=False, edgecolor="#d5d8dd", linewidth=0.8)
        ax.add_patch(ring)
        style = {"ha": "center", "va": "bottom", "fontsize": 6.5, "color": NEUTRAL}
        ax.text(0, np.sqrt(radius), f"{radius} m", **style)
    left, bottom, right, top = *(low - center), *(high - center)
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    sides = [np.linspace(*ends, 12) for ends in pairwise(corners)]  # `_compress` bends the sides
    ax.add_patch(Polygon(_compress(np.concatenate(sides)), color="#30343b"))
    for photo in annotations:
        color, camera = GRADE_COLORS[photo.grade], photo.camera_center[:2] - center
        edges = VIEW_LENGTH * _view_directions(photo, camera)
        view = _compress(camera[None]) + np.array([[0, 0], *edges])
        ax.add_patch(Polygon(view, color=color, alpha=0.25, linewidth=0))
        ax.plot(*view[0], ".", color=color, markersize=5)
    limit = 1.12 * np.sqrt(RADII[-1])
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")


def _compress(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Replace the distance of each point from the origin by its square root: ``p / sqrt(|p|)``."""
    distance = np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    return points / np.sqrt(distance)


def _view_directions(
    photo: PhotoAnnotation, camera: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "2 2"]:
    """Return the map directions, as unit vectors, of the left and the right edge of the field of view.

    `_compress` changes directions by its derivative at the camera position ``p``, which is
    ``I - p p^T / (2 |p|^2)`` up to a factor.
    """
    focal, middle = photo.intrinsics[0, 0], photo.intrinsics[0, 2]
    edges = np.array([[-middle / focal, 0, 1], [middle / focal, 0, 1]]) @ photo.pose[:, :3]
    derivative = np.eye(2) - np.outer(camera, camera) / (2 * camera @ camera)
    directions = edges[:, :2] @ derivative
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)
