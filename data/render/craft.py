"""Parts that the later families share: timber frames, gables, vaults, galleries, sails, blocks."""

import itertools
from collections.abc import Sequence

import numpy as np

from render.geometry import (
    Shape,
    around,
    blob,
    box,
    join,
    lathe,
    loft,
    plate,
    polygons,
    tube,
)
from render.openings import Opening, arch_curve, bay, four_walls, row
from render.orders import cornice
from render.roofs import dome, finial, gable_roof, hip_roof

SASH = Opening(width=0.42, sill=0.26, spring=0.74, frame=0.16, bars=(1, 2), depth=0.3)
ARCADE = Opening(width=0.72, sill=0.0, spring=0.6, kind="round", depth=0.9, frame=0.2, pane="dark")


def strut(
    a: Sequence[float],
    b: Sequence[float],
    thick: float,
    role: str,
    *,
    y: float = -0.1,
    depth: float = 0.16,
) -> Shape:
    """Make a flat beam from (x, z) a to b in the xz plane."""
    start, end = np.array(a, float), np.array(b, float)
    away = (end - start)[::-1] * [-1, 1]
    away *= thick / 2 / np.linalg.norm(away)
    return plate(np.array([start - away, end - away, end + away, start + away]), depth, role, y=y)


def timber(
    length: float, height: float, count: int, opening: Opening = SASH, *, brace: str = "k"
) -> Shape:
    """Make a half-timbered wall along x: windows and infill behind beams; brace "k", "x" or "v"."""
    parts = [row(length, height, count, opening)]
    edges = np.linspace(-length / 2, length / 2, count + 1)
    parts += [box(0.32, 0.16, height, "beam", x=x, y=-0.04) for x in edges]
    parts += [
        box(length + 0.2, 0.18, 0.3, "beam", y=-0.05, z=height * f) for f in (0.0, 0.21, 0.78)
    ]
    low, top = 0.21 * height, 0.78 * height
    for k, (a, b) in enumerate(itertools.pairwise(edges)):
        if brace == "x":
            parts += [strut((a, 0), (b, low), 0.2, "beam"), strut((a, low), (b, 0), 0.2, "beam")]
        elif brace == "v":
            middle = (a + b) / 2
            parts += [strut((s, low), (middle, 0), 0.2, "beam") for s in (a, b)]
        wide = 0.26 * (b - a)
        side = (a, a + wide) if k % 2 == 0 else (b, b - wide)
        parts.append(strut((side[0], top), (side[1], low), 0.2, "beam"))
    return join(parts)


def gable_plate(
    width: float,
    rise: float,
    kind: str,
    *,
    steps: int = 6,
    depth: float = 0.7,
    role: str = "wall",
) -> Shape:
    """Make a free gable on z = 0, its face at y = 0: "stepped", "bell", "neck" or "plain"."""
    half = width / 2
    if kind == "stepped":
        right = [
            (half * (1 - k / (steps + 0.5)), rise * f / steps)
            for k in range(steps)
            for f in (k, k + 1)
        ]
    elif kind == "bell":
        t = np.linspace(0, 1, 14)
        x = half * (1 - t) + half * 0.16 * np.sin(2 * np.pi * t)
        right = list(zip(np.maximum(x, 0.05 * half), rise * t, strict=True))
    elif kind == "neck":
        right = [
            (half, 0),
            (0.9 * half, 0.12 * rise),
            (0.55 * half, 0.32 * rise),
            (0.45 * half, 0.5 * rise),
            (0.45 * half, 0.78 * rise),
            (0.55 * half, 0.8 * rise),
            (0.01, rise),
        ]
    else:
        right = [(half, 0), (0.01, rise)]
    outline = np.array(right + [(-x, z) for x, z in right[::-1]])
    rim = plate(outline * 1.03, depth * 0.5, "trim", y=depth * 0.35)
    return join([plate(outline, depth, role), rim])


def barrel(
    width: float, length: float, rise: float, role: str, *, ribs: int = 8, rib: str = "steel"
) -> Shape:
    """Make a barrel vault that springs from z = 0 and runs from y = 0 to `length`, with ribs."""
    angles = np.linspace(0, np.pi, 19)
    arc = np.stack([-width / 2 * np.cos(angles), 0 * angles, rise * np.sin(angles)], 1)
    skin = loft(np.array([arc, arc + [0, length, 0]]), role, closed=False)
    hoops = [
        tube(arc * 1.01 + [0, y, 0], 0.14, rib, segments=4) for y in np.linspace(0, length, ribs)
    ]
    lines = [
        tube(np.array([arc[k], arc[k] + [0, length, 0]]) * [1.01, 1, 1.01], 0.09, rib, segments=4)
        for k in range(1, 18, 2)
    ]
    return join([skin, *hoops, *lines])


def fan(radius: float, spokes: int, *, rise: float = 0.0, pane: str = "glass") -> Shape:
    """Make a half-round window in the xz plane on z = 0: pane, spokes and two arcs of bars."""
    rise = rise or radius
    angles = np.linspace(0, np.pi, 25)
    arc = np.stack([-radius * np.cos(angles), rise * np.sin(angles)], 1)
    ring = np.stack([arc[:, 0], np.full(25, 0.1), arc[:, 1]], 1)
    parts = [polygons(ring, [range(25)], pane)]
    for scale, thick in ((1.0, 0.35), (0.66, 0.16), (0.33, 0.2)):
        parts.append(tube(ring * [scale, 0, scale], thick, "trim", segments=4))
    for a in np.linspace(0, np.pi, spokes):
        tip = (-radius * np.cos(a), rise * np.sin(a))
        parts.append(strut((0.3 * tip[0], 0.3 * tip[1]), tip, 0.22, "trim"))
    return join(parts)


def walkway(radius: float, *, posts: int = 18, role: str = "steel", high: float = 1.2) -> Shape:
    """Make a round gallery at z = 0: a floor on brackets under a railing."""
    floor = lathe([(radius * 0.6, -0.9), (radius, -0.25), (radius, 0.05), (0, 0.06)], role)
    rails = [
        lathe([(radius - 0.1, z), (radius, z), (radius, z + 0.1), (radius - 0.1, z + 0.1)], role)
        for z in (high * 0.5, high)
    ]
    return join([floor, *rails, around(box(0.1, 0.1, high, role), posts, radius - 0.06)])


def lamp_room(radius: float, height: float, *, role: str = "dome") -> Shape:
    """Make a lighthouse's lantern: glass with diagonal bars, a cupola, a ball and a vane."""
    lens = lathe(
        [(radius * 0.5, 0.3), (radius * 0.62, height * 0.5), (radius * 0.5, height)], "lamp"
    )
    glass = lathe([(radius, 0), (radius, height)], "glass", segments=12, smooth=False)
    bars = around(box(0.12, 0.12, height, "steel"), 12, radius)
    sill = lathe([(radius * 1.08, 0), (radius * 1.08, 0.5), (radius, 0.5)], "steel", segments=12)
    top = dome(radius * 1.25, "round", ribs=12, sides=24, role=role, rib_role=role, stretch=0.75)
    return join(
        [lens, glass, bars, sill, top.moved(z=height), finial(1.6).moved(z=height + radius * 0.9)]
    )


def sails(length: float, width: float, *, cloth: str = "cloth", angle: float = 0.5) -> Shape:
    """Make a windmill's four sails in the xz plane about the origin, facing -y."""
    parts = [box(0.42, 0.3, length, "accent", y=0.1)]
    parts.append(
        plate(
            np.array([(0.2, 1.6), (width, 1.6), (width, length), (0.2, length)]),
            0.05,
            cloth,
            y=0.12,
        )
    )
    for z in np.arange(1.6, length + 0.1, 0.9):
        parts.append(box(width + 0.5, 0.12, 0.12, "accent", x=width / 2 - 0.15, z=z))
    for x in (0.35 * width, 0.7 * width, width):
        parts.append(box(0.1, 0.12, length - 1.6, "accent", x=x, z=1.6))
    arm = join(parts)
    hub = blob(0.6, "accent", stretch=(1, 1.6, 1))
    return join([hub, *(arm.turned(angle + k * np.pi / 2, "y") for k in range(4))])


def block(
    width: float,
    depth: float,
    storeys: Sequence[float],
    bays: tuple[int, int],
    opening: Opening = SASH,
    *,
    wall: str = "wall",
    ledge: float = 0.4,
    cap: str = "none",
    rise: float = 4.0,
) -> Shape:
    """Make a building of equal bays: storeys with ledges; cap "none", "hip", "gable" or "cross".

    A "gable" has its ridge along y, so that the front shows the gable; a "cross" along x.
    """
    parts, z = [], 0.0
    for height in storeys:
        walls = four_walls(
            width, depth, lambda n, k, h=height: row(n, h, bays[k % 2], opening, wall=wall)
        )
        parts.append(walls.moved(z=z))
        z += height
        parts.append(cornice((width, depth), ledge).moved(z=z - 0.8 * ledge))
    if cap == "hip":
        parts.append(hip_roof(width, depth, rise, ridge=0.1).moved(z=z + 0.1))
    elif cap == "gable":
        parts.append(gable_roof(width, depth, rise).moved(z=z + 0.1))
    elif cap == "cross":
        parts.append(gable_roof(depth, width, rise).turned(np.pi / 2).moved(z=z + 0.1))
    return join(parts)


def dormer(width: float, height: float, depth: float = 3.0) -> Shape:
    """Make a dormer: a small gabled window house, its face at y = 0."""
    front = bay(width, height, Opening(width=0.6, sill=0.1, spring=0.9, frame=0.12))
    body = box(width * 0.98, depth, height, "wall", y=depth / 2 + 0.4)
    roof = gable_roof(width, depth, width * 0.6, eave=0.25).moved(0, depth / 2, height)
    return join([front, body, roof])


def bay_ring(
    half_width: float,
    half_depth: float,
    count: int,
    height: float,
    opening: Opening,
    *,
    wall: str = "wall",
    keep: range | None = None,
) -> Shape:
    """Set bays on an ellipse, each facing outward; `keep` picks bays, counter-clockwise from -y."""
    angles = -np.pi / 2 + 2 * np.pi * np.arange(count + 1) / count
    corners = np.stack([half_width * np.cos(angles), half_depth * np.sin(angles)], 1)
    parts = []
    for k in keep or range(count):
        a, b = corners[k % count], corners[(k + 1) % count]
        one = bay(float(np.hypot(*(b - a))), height, opening, wall=wall)
        middle = (a + b) / 2
        parts.append(one.turned(float(np.arctan2(*(b - a)[::-1]))).moved(*middle))
    return join(parts)


def ellipse(half_width: float, half_depth: float, count: int = 48) -> np.ndarray:
    """Return `(count, 2)` points of an ellipse, counter-clockwise from +x."""
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([half_width * np.cos(angles), half_depth * np.sin(angles)], 1)


def arch_plate(
    width: float, height: float, spring: float, kind: str, depth: float, role: str
) -> Shape:
    """Make a solid arched slab on z = 0: what fills or frames an arch."""
    curve = arch_curve(width / 2, kind, points=15) + [0, spring]
    curve[:, 1] *= height / curve[:, 1].max()
    outline = np.concatenate([[(-width / 2, 0)], curve, [(width / 2, 0)]])
    return plate(outline, depth, role)
