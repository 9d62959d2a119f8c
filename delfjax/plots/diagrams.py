"""Drawing primitives of network diagrams: boxes, feature maps, image pyramids and arrows.

The axes of a diagram are in inches: ``(x, y)`` from the lower left corner. Every primitive returns the
`Extent` that it covers, so that arrows can start and end at its sides.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from delfjax.plots.base import MUTED, NEUTRAL, TEXT, Figure, subplots

LABEL_SIZE, NOTE_SIZE = 8.5, 7.2  # points
CORNER_RADIUS = 0.06  # inches, of a step
DEPTH_SLOPE = 0.5  # rise of a feature map's side edges per inch to the right
Point = tuple[float, float]


class Extent(NamedTuple):
    """The rectangle that a part of a diagram covers, in inches."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, center: Point, size: Point) -> "Extent":
        """Return the rectangle of a given center and ``(width, height)``."""
        (x, y), (width, height) = center, size
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def west(self) -> Point:
        """Middle of the left side."""
        return self.left, (self.bottom + self.top) / 2

    @property
    def east(self) -> Point:
        """Middle of the right side."""
        return self.right, (self.bottom + self.top) / 2

    @property
    def north(self) -> Point:
        """Middle of the upper side."""
        return (self.left + self.right) / 2, self.top

    @property
    def south(self) -> Point:
        """Middle of the lower side."""
        return (self.left + self.right) / 2, self.bottom


def create_canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Create a figure for a diagram, with axes in inches."""
    figure, axes = subplots(width, height)
    figure.get_layout_engine().set(w_pad=0, h_pad=0)
    ax = axes[0, 0]
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.set_axis_off()
    return figure, ax


def tint(color: str, share: float) -> Float[np.ndarray, " 3"]:
    """Mix a share of a color (0 to 1) with white."""
    return share * np.array(to_rgb(color)) + (1 - share)


def draw_step(
    ax: Axes, center: Point, size: Point, label: str, note: str = "", *, color: str = NEUTRAL
) -> Extent:
    """Draw a processing step: a rounded box with a label, and a note below it."""
    extent = Extent.around(center, size)
    patch = FancyBboxPatch(
        (extent.left + CORNER_RADIUS, extent.bottom + CORNER_RADIUS),
        size[0] - 2 * CORNER_RADIUS,
        size[1] - 2 * CORNER_RADIUS,
        boxstyle=f"round,pad={CORNER_RADIUS}",
        facecolor=tint(color, 0.16),
        edgecolor=color,
        linewidth=1.1,
    )
    ax.add_patch(patch)
    rise = 0.068 * (note.count("\n") + 1) if note else 0
    draw_label(ax, (center[0], center[1] + rise), label)
    if note:
        draw_note(ax, (center[0], center[1] - 0.078), note)
    return extent


def draw_feature_map(ax: Axes, center: Point, side: float, depth: float, *, color: str) -> Extent:
    """Draw a feature map as a cuboid: its spatial size as the front, its channels as the depth."""
    extent = Extent.around(center, (side, side))
    back = np.array([depth, depth * DEPTH_SLOPE])
    (left, bottom, right, top) = extent
    front = np.array([(left, bottom), (right, bottom), (right, top), (left, top)])
    right_edge, top_edge = front[1:3], front[2:]
    faces = [front, *([*edge, *(edge + back)[::-1]] for edge in (right_edge, top_edge))]
    for points, share in zip(faces, (0.32, 0.72, 0.5), strict=True):
        ax.add_patch(Polygon(points, facecolor=tint(color, share), edgecolor=color, linewidth=0.7))
    return Extent(left, bottom, right + depth, top + depth * DEPTH_SLOPE)


def draw_pyramid(
    ax: Axes, center: Point, widths: Sequence[float], *, gap: float, color: str
) -> Extent:
    """Draw an image pyramid in perspective.

    Args:
        ax: Axes of the diagram.
        center: Center of the lowest level.
        widths: Widths of the levels, from the lowest (largest) up.
        gap: Vertical distance between levels.
        color: Color of the levels.
    """
    square = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    level = square @ [(1, 0), (0.22, 0.32)]  # sheared and flattened
    for number, width in enumerate(widths):
        corners = center + width * level + [0, gap * number]
        shade = tint(color, 0.22 + 0.06 * number)
        ax.add_patch(
            Polygon(corners, facecolor=shade, edgecolor=color, linewidth=0.8, zorder=2 + number)
        )
    (left, bottom), (right, _) = center + widths[0] * np.array([level.min(0), level.max(0)])
    return Extent(left, bottom, right, center[1] + gap * len(widths))


def draw_cells(
    ax: Axes, center: Point, values: Float[np.ndarray, "y x"], cell: float, *, cmap: str
) -> Extent:
    """Draw a small map of values from 0 to 1, with square cells of a given side in inches."""
    rows, columns = values.shape
    extent = Extent.around(center, (columns * cell, rows * cell))
    x, y = extent.left + cell * np.arange(columns + 1), extent.bottom + cell * np.arange(rows + 1)
    ax.pcolormesh(x, y, values[::-1], cmap=cmap, vmin=0, vmax=1, edgecolor="white", linewidth=0.4)
    return extent


def draw_photo_icon(ax: Axes, center: Point, size: Point, *, color: str = NEUTRAL) -> Extent:
    """Draw the icon of a photo: a frame with a landmark in it."""
    extent = Extent.around(center, size)
    corner = extent.left, extent.bottom
    ax.add_patch(Rectangle(corner, *size, facecolor="white", edgecolor=color, linewidth=0.9))
    house = np.array([(0.28, 0.12), (0.28, 0.52), (0.5, 0.82), (0.72, 0.52), (0.72, 0.12)])
    ax.add_patch(Polygon(house * size + corner, facecolor=tint(color, 0.45), edgecolor="none"))
    ground = np.array([(0.1, 0.1), (0.9, 0.1), (0.9, 0.13), (0.1, 0.13)])
    ax.add_patch(Polygon(ground * size + corner, facecolor=color, edgecolor="none"))
    return extent


def draw_arrow(ax: Axes, start: Point, end: Point, note: str = "", *, bent: bool = False) -> None:
    """Draw an arrow: straight, or vertical first and then horizontal."""
    arrow = FancyArrowPatch(
        start,
        end,
        connectionstyle="angle,angleA=90,angleB=0,rad=4" if bent else "arc3",
        arrowstyle="-|>,head_length=4,head_width=2.2",
        shrinkA=2.5,
        shrinkB=2.5,
        color=MUTED,
        linewidth=1.1,
    )
    ax.add_patch(arrow)
    if note:
        draw_note(ax, ((start[0] + end[0]) / 2, max(start[1], end[1]) + 0.09), note)


def draw_label(ax: Axes, position: Point, text: str, *, ha: str = "center") -> None:
    """Write a bold label."""
    style = {"fontsize": LABEL_SIZE, "color": TEXT, "weight": "bold"}
    ax.text(*position, text, ha=ha, va="center", zorder=5, **style)


def draw_note(ax: Axes, position: Point, text: str, *, ha: str = "center") -> None:
    """Write a small note of one or several lines."""
    style = {"fontsize": NOTE_SIZE, "color": MUTED, "linespacing": 1.25}
    ax.text(*position, text, ha=ha, va="center", zorder=5, **style)
