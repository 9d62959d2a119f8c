"""What stands on top: gables, hips, domes, onions, spires with crockets, pagoda eaves."""

import numpy as np

from render.geometry import (
    Shape,
    around,
    blob,
    box,
    circle,
    flat,
    join,
    lathe,
    loft,
    polygons,
    profile,
    tube,
)
from render.openings import Opening, drum


def gable_roof(width: float, length: float, rise: float, *, eave: float = 0.5) -> Shape:
    """Make a saddle roof whose ridge runs along y; gable ends closed in the wall's role."""
    w, d = width / 2 + eave, length / 2 + eave
    drop = -rise * eave / (width / 2)
    section = np.array(
        [(-w, drop), (0, rise), (w, drop), (w, drop + 0.35), (0, rise + 0.4), (-w, drop + 0.35)]
    )
    rings = np.array([np.stack([section[:, 0], np.full(6, y), section[:, 1]], 1) for y in (-d, d)])
    tops = loft(rings, "roof", caps=(True, True))
    ends = []
    for y in (-length / 2, length / 2):
        ends.append(
            polygons([(-width / 2, y, 0), (width / 2, y, 0), (0, y, rise)], [(0, 1, 2)], "wall")
        )
    return join([tops, *ends])


def hip_roof(
    width: float,
    depth: float,
    rise: float,
    *,
    eave: float = 0.5,
    ridge: float = 0.4,
    role: str = "roof",
    curve: float = 0.0,
) -> Shape:
    """Make a hipped roof; `ridge` is the share of the plan that is flat; curve > 0 is a mansard."""
    w, d = width / 2 + eave, depth / 2 + eave
    in_x = max(min(w, d) * (1 - ridge), 0.1)
    steps = []
    for t in np.linspace(0, 1, 5 if curve else 2):
        pull = t ** (1 + curve)
        corner = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * [
            max(w - in_x * pull, 0.02),
            max(d - in_x * pull, 0.02),
        ]
        steps.append(flat(corner, rise * t))
    return loft(np.array(steps), role, caps=(True, True))


def dome_profile(kind: str, points: int = 14) -> np.ndarray:
    """Return `(points, 2)` (radius, height) of a dome of base radius 1."""
    t = np.linspace(0, 1, points)
    if kind == "onion":
        key = np.array(
            [
                (1, 0),
                (1.12, 0.16),
                (1.2, 0.38),
                (1.12, 0.62),
                (0.85, 0.92),
                (0.5, 1.2),
                (0.25, 1.42),
                (0.1, 1.65),
                (0.03, 1.95),
            ]
        )
        s = np.linspace(0, 1, len(key))
        return np.stack([np.interp(t, s, key[:, 0]), np.interp(t, s, key[:, 1])], 1)
    if kind == "pointed":
        return np.stack([np.cos(t * np.pi / 2) ** 0.9, 1.35 * np.sin(t * np.pi / 2) ** 1.05], 1)
    if kind == "saucer":
        return np.stack([np.cos(t * np.pi / 2), 0.55 * np.sin(t * np.pi / 2)], 1)
    if kind == "bell":
        return np.stack([(1 - t) ** 0.55 * (1 - 0.35 * np.sin(t * np.pi)), 1.5 * t], 1)
    return np.stack([np.cos(t * np.pi / 2), np.sin(t * np.pi / 2)], 1)


def dome(
    radius: float,
    kind: str = "round",
    *,
    ribs: int = 0,
    sides: int = 32,
    role: str = "dome",
    rib_role: str = "trim",
    stretch: float = 1.0,
) -> Shape:
    """Make a dome of base radius `radius` on the origin; ribs are round bars along its skin."""
    steps = dome_profile(kind) * [radius, radius * stretch]
    parts = [lathe([tuple(s) for s in steps], role, segments=sides, smooth=sides > 12)]
    if ribs:
        path = np.stack([np.zeros(len(steps)), -steps[:, 0] * 1.005, steps[:, 1]], 1)[:-1]
        parts.append(around(tube(path, radius * 0.025 + 0.06, rib_role, segments=5), ribs, 0.0))
    return join(parts)


def finial(height: float, *, role: str = "gold", balls: int = 2) -> Shape:
    """Make a pole with balls, as on a dome."""
    parts = [lathe([(0.06, 0), (0.03, 1), (0.0, 1.02)], role, segments=6).scaled(height)]
    for k in range(balls):
        parts.append(
            blob((0.14 - 0.035 * k) * height, role, segments=10).moved(z=(0.2 + 0.28 * k) * height)
        )
    return join(parts)


def lantern(radius: float, height: float, *, sides: int = 8, kind: str = "round") -> Shape:
    """Make a lantern: a little arcaded drum under a little dome under a finial."""
    light = Opening(width=0.5, sill=0.1, spring=0.65, kind="round", depth=0.1, bars=(0, 0), frame=0)
    body = drum(sides, radius, height * 0.5, light)
    ring = lathe([(1.25 * radius, 0), (1.3 * radius, 0.3), (0, 0.35)], "trim", segments=sides * 2)
    top = dome(radius * 1.05, kind, sides=16).moved(z=height * 0.5 + 0.3)
    tip = finial(height * 0.45).moved(z=height * 0.5 + radius * (1.9 if kind == "onion" else 0.95))
    return join([ring, body, ring.moved(z=height * 0.5), top, tip])


def spire(
    radius: float,
    height: float,
    *,
    sides: int = 8,
    crockets: int = 0,
    role: str = "roof",
    bands: int = 0,
) -> Shape:
    """Make a polygonal spire with crockets along its edges."""
    turn = np.pi / sides if sides == 4 else np.pi / 2 - np.pi / sides
    base = circle(sides, 1.0, start=turn)
    parts = [profile(base, [(radius, 0), (radius * 0.03, height)], role)]
    hook = blob(0.035 * radius + 0.12, "trim", stretch=(1, 1.3, 1.3), segments=6)
    for k in range(crockets):
        t = (k + 0.5) / crockets
        for corner in base:
            parts.append(hook.moved(*(corner * radius * (1 - t) * 1.02), t * height))
    for k in range(bands):
        t = (k + 1) / (bands + 1)
        r = radius * (1 - t)
        steps = [(r + 0.05, t * height - 0.2), (r + 0.2, t * height), (r, t * height + 0.35)]
        parts.append(profile(base, steps, "trim"))
    parts.append(finial(0.12 * height + 0.8, balls=1).moved(z=height * 0.97))
    return join(parts)


def pinnacle(size: float, height: float) -> Shape:
    """Make a little gothic tower: a shaft, gablets and a crocketed spirelet."""
    shaft = box(size, size, height * 0.45, "wall")
    collar = box(size * 1.25, size * 1.25, height * 0.05, "trim", z=height * 0.43)
    top = spire(size * 0.62, height * 0.55, sides=4, crockets=4, role="trim").moved(z=height * 0.46)
    return join([shaft, collar, top])


def pagoda_roof(
    radius: float,
    rise: float,
    *,
    sides: int = 4,
    lift: float = 0.6,
    top: float = 0.4,
    role: str = "roof",
) -> Shape:
    """Make a roof whose eaves curve up at the corners; `top` is the inner radius's share."""
    per_side = 10
    angles, corner = [], []
    for k in range(sides):
        for j in range(per_side):
            t = j / per_side
            a = 2 * np.pi * (k + 0.5) / sides + np.pi / 2
            b = 2 * np.pi * (k + 1.5) / sides + np.pi / 2
            p = (1 - t) * np.array([np.cos(a), np.sin(a)]) + t * np.array([np.cos(b), np.sin(b)])
            angles.append(p)
            corner.append(abs(2 * t - 1) ** 3)
    plan, lifted = np.array(angles), np.array(corner)
    rings = []
    for t in np.linspace(0, 1, 7):
        r = radius * (1 - (1 - top) * t)
        z = rise * t**1.7 + lift * lifted * (1 - t) ** 2
        rings.append(np.column_stack([plan * r * (1 + 0.06 * lifted[:, None] * (1 - t)), z]))
    under = np.column_stack([plan * radius * (1 + 0.06 * lifted[:, None]), lift * lifted - 0.18])
    inner = np.column_stack([plan * radius * top * 0.9, np.full(len(plan), -0.1)])
    skin = loft(np.array(rings), role, caps=(False, True))
    eave = loft(np.array([inner, under, rings[0]]), "accent")
    parts = [skin, eave]
    for k in range(sides):
        path = np.array([ring[k * per_side] for ring in rings]) + [0, 0, 0.1]
        parts.append(tube(path, 0.03 * radius + 0.05, "ridge", segments=5))
    return join(parts)
