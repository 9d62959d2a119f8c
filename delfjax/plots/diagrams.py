"""Boxes, slabs and arrows: what diagrams are made of, in the project's colors.

The axes of a diagram are in inches, ``(x, y)`` from the lower left corner; every part returns the `Box` that it
takes up, so that arrows can start and end at its sides.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from delfjax.plots.base import NEUTRAL, Drawing, figure_of

INK, QUIET = "#23272f", "#626974"  # of what is said first, and of what is said beside it
TITLE, NOTE = 8.5, 7.2  # points
ROUND = 0.06  # inches: of a box's corners
SLANT = 0.5  # of a slab's sides: how far up they go for each inch to the right
Point = tuple[float, float]


class Box(NamedTuple):
    """A part's place, in inches."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def west(self) -> Point:
        """The middle of the left side."""
        return self.left, (self.bottom + self.top) / 2

    @property
    def east(self) -> Point:
        """The middle of the right side."""
        return self.right, (self.bottom + self.top) / 2

    @property
    def north(self) -> Point:
        """The middle of the upper side."""
        return (self.left + self.right) / 2, self.top

    @property
    def south(self) -> Point:
        """The middle of the lower side."""
        return (self.left + self.right) / 2, self.bottom


def canvas(width: float, height: float) -> tuple[Drawing, Axes]:
    """Make a figure of a size in inches to draw a diagram on."""
    figure, axes = figure_of(width, height)
    figure.get_layout_engine().set(w_pad=0, h_pad=0)
    ax = axes[0, 0]
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.set_axis_off()
    return figure, ax


def tint(color: str, share: float) -> Float[np.ndarray, " 3"]:
    """Mix a share of a color with white."""
    return share * np.array(to_rgb(color)) + (1 - share)


def box(
    ax: Axes, center: Point, size: Point, title: str, note: str = "", *, color: str = NEUTRAL
) -> Box:
    """Draw a step: a rounded box with its name, and below it what it does."""
    place = _around(center, size)
    patch = FancyBboxPatch(
        (place.left + ROUND, place.bottom + ROUND),
        size[0] - 2 * ROUND,
        size[1] - 2 * ROUND,
        boxstyle=f"round,pad={ROUND}",
        facecolor=tint(color, 0.16),
        edgecolor=color,
        linewidth=1.1,
    )
    ax.add_patch(patch)
    lines = note.count("\n") + 1
    up = 0.068 * lines if note else 0
    name(ax, (center[0], center[1] + up), title)
    if note:
        aside(ax, (center[0], center[1] - 0.078), note)
    return place


def slab(ax: Axes, center: Point, size: Point, depth: float, *, color: str) -> Box:
    """Draw a feature map: a front of a size, drawn out to the right by a depth."""
    place = _around(center, size)
    back = np.array([depth, depth * SLANT])
    x, y = [place.left, place.right], [place.bottom, place.top]
    front = np.array([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])])
    right, top = front[1:3], front[2:]
    faces = [front, [*right, *(right + back)[::-1]], [*top, *(top + back)[::-1]]]
    for points, share in zip(faces, (0.32, 0.72, 0.5), strict=True):
        ax.add_patch(Polygon(points, facecolor=tint(color, share), edgecolor=color, linewidth=0.7))
    return Box(place.left, place.bottom, place.right + depth, place.top + depth * SLANT)


def pyramid(
    ax: Axes, center: Point, widths: Sequence[float], aspect: float, *, gap: float, color: str
) -> Box:
    """Draw an image pyramid: cards in perspective, one over the other, the widest at the bottom.

    Args:
        ax: Where.
        center: Of the lowest card.
        widths: Of the cards, from the bottom up.
        aspect: Height over width of a photo.
        gap: Between two cards.
        color: Of the cards.
    """
    flat = 0.42 * aspect  # as seen from the side
    for level, width in enumerate(widths):
        x, y = center[0], center[1] + gap * level
        rise, shift = width * flat / 2, width * flat * 0.35
        card = [
            (x - width / 2 - shift, y - rise),
            (x + width / 2 - shift, y - rise),
            (x + width / 2 + shift, y + rise),
            (x - width / 2 + shift, y + rise),
        ]
        shade = tint(color, 0.22 + 0.06 * level)
        ax.add_patch(
            Polygon(card, facecolor=shade, edgecolor=color, linewidth=0.8, zorder=2 + level)
        )
    reach, rise = widths[0] / 2 * (1 + 0.35 * flat), widths[0] * flat / 2
    return Box(
        center[0] - reach, center[1] - rise, center[0] + reach, center[1] + gap * len(widths)
    )


def grid(
    ax: Axes, center: Point, values: Float[np.ndarray, "y x"], cell: float, *, cmap: str
) -> Box:
    """Draw a small map, a square a cell, of values from 0 to 1."""
    rows, columns = values.shape
    place = _around(center, (columns * cell, rows * cell))
    x, y = place.left + cell * np.arange(columns + 1), place.bottom + cell * np.arange(rows + 1)
    ax.pcolormesh(x, y, values[::-1], cmap=cmap, vmin=0, vmax=1, edgecolor="white", linewidth=0.4)
    return place


def bars(ax: Axes, center: Point, lengths: Sequence[float], *, color: str) -> Box:
    """Draw some counts: bars that lie one under the other, of lengths in inches."""
    pitch = 0.15
    place = _around(center, (max(lengths), pitch * len(lengths)))
    for number, length in enumerate(lengths):
        corner = place.left, place.top - pitch * (number + 0.85)
        shape = Rectangle(corner, length, 0.7 * pitch, facecolor=tint(color, 0.6), edgecolor="none")
        ax.add_patch(shape)
    return place


def photo(ax: Axes, center: Point, size: Point, *, color: str = NEUTRAL) -> Box:
    """Draw the sign of a photo: a frame with a landmark in it."""
    place = _around(center, size)
    (width, height), (x, y) = size, (place.left, place.bottom)
    ax.add_patch(
        Rectangle((x, y), width, height, facecolor="white", edgecolor=color, linewidth=0.9)
    )
    house = [(0.28, 0.12), (0.28, 0.52), (0.5, 0.82), (0.72, 0.52), (0.72, 0.12)]
    points = [(x + width * u, y + height * v) for u, v in house]
    ax.add_patch(Polygon(points, facecolor=tint(color, 0.45), edgecolor="none"))
    ground = (x + 0.1 * width, y + 0.1 * height), 0.8 * width, 0.03 * height
    ax.add_patch(Rectangle(*ground, facecolor=color, edgecolor="none"))
    return place


def arrow(ax: Axes, start: Point, end: Point, label: str = "", *, bent: bool = False) -> None:
    """Draw an arrow: straight, or first up or down and then across."""
    style = "angle,angleA=90,angleB=0,rad=4" if bent else "arc3"
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            connectionstyle=style,
            arrowstyle="-|>,head_length=4,head_width=2.2",
            shrinkA=2.5,
            shrinkB=2.5,
            color=QUIET,
            linewidth=1.1,
        )
    )
    if label:
        middle = (start[0] + end[0]) / 2, max(start[1], end[1]) + 0.09
        aside(ax, middle, label)


def name(ax: Axes, place: Point, words: str, *, ha: str = "center") -> None:
    """Write what is said first."""
    ax.text(*place, words, ha=ha, va="center", fontsize=TITLE, color=INK, weight="bold", zorder=5)


def aside(ax: Axes, place: Point, words: str, *, ha: str = "center") -> None:
    """Write what is said beside it, smaller, maybe in several lines."""
    ax.text(
        *place, words, ha=ha, va="center", fontsize=NOTE, color=QUIET, linespacing=1.25, zorder=5
    )


def _around(center: Point, size: Point) -> Box:
    (x, y), (width, height) = center, size
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
