"""Walls with windows: arches, bays, rows of bays, rose windows.

A bay is a rectangle of wall in the xz plane (its outer face at y = 0, its base on z = 0, centred on
x = 0) with one opening: reveals run inward (+y) to a pane. Rows of bays make every façade.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from render.geometry import Shape, box, circle, copies, join, loft, plate, polygons


def arch_curve(half: float, kind: str, *, points: int = 9) -> np.ndarray:
    """Return `(points, 2)` of an arch over [-half, half], springing at z = 0, left to right."""
    x = -half * np.cos(np.linspace(0, np.pi, points))
    if kind == "round":
        return np.stack([x, np.sqrt(np.maximum(half**2 - x**2, 0))], 1)
    if kind == "pointed":
        radius = 2.2 * half
        centre = radius - half
        return np.stack([x, np.sqrt(np.maximum(radius**2 - (np.abs(x) + centre) ** 2, 0))], 1)
    if kind == "ogee":
        t = np.abs(x) / half
        return np.stack([x, half * (1.05 * np.sqrt(1 - t**1.6) + 0.55 * np.exp(-7 * t))], 1) - [
            0,
            0.55 * half * np.exp(-7),
        ]
    if kind == "segmental":
        radius = 1.6 * half
        drop = np.sqrt(radius**2 - half**2)
        return np.stack([x, np.sqrt(radius**2 - x**2) - drop], 1)
    return np.stack([x, np.zeros_like(x)], 1)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """One opening in a bay.

    Attributes:
        width: Share of the bay's width.
        sill: Height of the sill, share of the bay's height.
        spring: Height where the arch springs, share of the bay's height.
        kind: "round", "pointed", "ogee", "segmental" or "flat".
        depth: Depth of the reveal in metres.
        pane: Role of the pane; empty: the opening is a hole.
        bars: Upright and level glazing bars.
        frame: Width of the raised frame in metres; 0: none.
        hood: A small cornice over the opening.
    """

    width: float = 0.45
    sill: float = 0.25
    spring: float = 0.7
    kind: str = "flat"
    depth: float = 0.35
    pane: str = "glass"
    bars: tuple[int, int] = (1, 1)
    frame: float = 0.15
    hood: bool = False


def bay(width: float, height: float, opening: Opening, *, wall: str = "wall") -> Shape:
    """Make one bay of wall with its opening."""
    half = width * opening.width / 2
    low, spring = height * opening.sill, height * opening.spring
    curve = arch_curve(half, opening.kind) + [0, spring]
    curve[:, 1] = np.minimum(curve[:, 1], height * 0.985)
    shapes = [_face(width, height, half, low, curve, wall)]
    outline = np.concatenate([[(-half, low)], curve, [(half, low)]])
    ring = np.stack([outline[:, 0], np.zeros(len(outline)), outline[:, 1]], 1)
    shapes.append(loft(np.array([ring, ring + [0, opening.depth, 0]]), "trim"))
    if opening.pane:
        back = ring + [0, opening.depth, 0]
        shapes.append(polygons(back, [range(len(back))], opening.pane))
        shapes.append(_bars(half, low, curve, opening))
    if opening.frame:
        shapes.append(_frame(outline, opening.frame))
    if opening.hood:
        top = curve[:, 1].max() + opening.frame + 0.1
        shapes.append(box(2 * half + 0.9, 0.45, 0.22, "trim", y=-0.12, z=top))
        shapes.append(box(2 * half + 0.7, 0.4, 0.2, "trim", y=-0.1, z=low - 0.2))
    return join(shapes)


def _face(
    width: float, height: float, half: float, low: float, curve: np.ndarray, wall: str
) -> Shape:
    """Wall about an opening: two piers, the breast under the sill, strips over the arch."""
    w = width / 2
    quads = [
        [(-w, 0), (-half, 0), (-half, height), (-w, height)],
        [(half, 0), (w, 0), (w, height), (half, height)],
    ]
    if low > 0:
        quads.append([(-half, 0), (half, 0), (half, low), (-half, low)])
    for a, b in pairwise(curve):
        quads.append([tuple(a), tuple(b), (b[0], height), (a[0], height)])
    flat_points = np.array(quads).reshape(-1, 2)
    points = np.stack([flat_points[:, 0], np.zeros(len(flat_points)), flat_points[:, 1]], 1)
    return polygons(points, [range(4 * k, 4 * k + 4) for k in range(len(quads))], wall)


def _bars(half: float, low: float, curve: np.ndarray, opening: Opening) -> Shape:
    """Glazing bars before the pane."""
    upright, level = opening.bars
    y = opening.depth - 0.08
    shapes = []
    for k in range(upright):
        x = -half + 2 * half * (k + 1) / (upright + 1)
        top = np.interp(x, curve[:, 0], curve[:, 1])
        shapes.append(box(0.1, 0.08, top - low, "trim", x=x, y=y, z=low))
    for k in range(level):
        z = low + (curve[0, 1] - low) * (k + 1) / (level + 0.6)
        shapes.append(box(2 * half, 0.08, 0.1, "trim", y=y, z=z))
    return join(shapes)


def _frame(outline: np.ndarray, width: float) -> Shape:
    """A raised moulding along the opening's edge, open at the sill."""
    middle = outline.mean(0)
    away = outline - middle
    away = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    outer = outline + away * width * 1.3
    rings = []
    for points, y in ((outer, 0.0), (outer, -0.12), (outline, -0.12), (outline, 0.02)):
        rings.append(np.stack([points[:, 0], np.full(len(points), y), points[:, 1]], 1))
    return loft(np.array(rings), "trim", closed=False)


def row(length: float, height: float, count: int, opening: Opening, *, wall: str = "wall") -> Shape:
    """Set `count` equal bays side by side over a length."""
    width = length / count
    one = bay(width, height, opening, wall=wall)
    return copies(one, [((k - (count - 1) / 2) * width, 0, 0) for k in range(count)])


def four_walls(
    width: float,
    depth: float,
    face: Callable[[float, int], Shape],
) -> Shape:
    """Close a rectangle with `face(length, side)` for side 0 (front), 1 (right), 2, 3."""
    lengths = (width, depth, width, depth)
    offsets = (depth / 2, width / 2, depth / 2, width / 2)
    return join(
        face(lengths[k], k).moved(0, -offsets[k], 0).turned(k * np.pi / 2) for k in range(4)
    )


def drum(
    sides: int, radius: float, height: float, opening: Opening, *, wall: str = "wall"
) -> Shape:
    """Close a regular polygon of circumradius `radius` with one bay a side."""
    side = 2 * radius * np.sin(np.pi / sides)
    inner = radius * np.cos(np.pi / sides)
    one = bay(side, height, opening, wall=wall)
    return join(one.moved(0, -inner, 0).turned(2 * np.pi * k / sides) for k in range(sides))


def rose_window(radius: float, petals: int, *, rings: int = 2) -> Shape:
    """Make a rose window: glass disc, rim, spokes, and rings of foils; centred on the origin."""
    disc = circle(40, radius)
    shapes = [plate(disc, 0.1, "glass", y=-0.05)]
    for r, thick in ((radius, 0.45), (radius * 0.3, 0.25)):
        shapes.append(_hoop(r, thick * radius / 4 + 0.12))
    for k in range(petals):
        angle = 2 * np.pi * k / petals
        c, s = np.cos(angle), np.sin(angle)
        bar = box(0.16 + radius * 0.03, 0.25, radius * 0.7, "trim", y=-0.2, z=radius * 0.28)
        shapes.append(bar.turned(angle, "y"))
        foil = _hoop(radius * 0.7 * np.sin(np.pi / petals) + 0.1, 0.12 + radius * 0.02)
        shapes.append(foil.moved(radius * 0.8 * s, 0, radius * 0.8 * c))
        if rings > 1:
            half = angle + np.pi / petals
            small = foil.scaled(0.62).moved(
                radius * 0.5 * np.sin(half), 0, radius * 0.5 * np.cos(half)
            )
            shapes.append(small)
    return join(shapes)


def _hoop(radius: float, thick: float) -> Shape:
    """A flat ring in the xz plane about the origin, proud of y = 0."""
    points = circle(28)
    rings = []
    for r, y in ((radius + thick, 0.0), (radius + thick, -0.4), (radius, -0.4), (radius, 0.0)):
        rings.append(np.stack([points[:, 0] * r, np.full(28, y), points[:, 1] * r], 1))
    return loft(np.array(rings), "trim")
