"""The classical vocabulary: columns of several orders, entablatures, pediments, balustrades."""

from collections.abc import Sequence

import numpy as np

from render.geometry import (
    Shape,
    around,
    blob,
    box,
    circle,
    copies,
    flat,
    join,
    lathe,
    loft,
    plate,
    rectangle,
)


def column(height: float, order: str = "doric", *, slender: float = 8.0, flutes: int = 12) -> Shape:
    """Make a column on the origin; `slender` is its height over its diameter."""
    radius = height / slender / 2
    base = 0.0 if order == "doric" else 0.06 * height
    head = {"doric": 0.06, "ionic": 0.07, "corinthian": 0.13}[order] * height
    points = circle(2 * flutes)
    points[1::2] *= 0.9
    heights = np.linspace(base, height - head, 5)
    bulge = 1 - 0.16 * np.linspace(0, 1, 5) ** 1.6
    rings = np.array([flat(points * radius * b, z) for b, z in zip(bulge, heights, strict=True)])
    parts = [loft(rings, "column")]
    if base:
        parts.append(box(2.9 * radius, 2.9 * radius, base * 0.4, "trim"))
        torus = [(1.4, 0.4), (1.45, 0.55), (1.15, 0.7), (1.3, 0.85), (1.02, 1.0)]
        parts.append(lathe([(radius * r, base * z) for r, z in torus], "trim", segments=16))
    parts.append(_capital(radius * 0.84, head, order).moved(z=height - head))
    return join(parts)


def _capital(radius: float, height: float, order: str) -> Shape:
    """The head of a column of neck radius `radius`."""
    slab = box(3.0 * radius, 3.0 * radius, 0.3 * height, "trim", z=0.7 * height)
    if order == "doric":
        bell = [(radius, 0), (1.05 * radius, 0.2 * height), (1.45 * radius, 0.7 * height)]
        return join([lathe(bell, "trim", segments=16), slab])
    if order == "ionic":
        scroll = lathe([(0.0, 0), (0.55, 0), (0.55, 2.6), (0, 2.6)], "trim", segments=12)
        scroll = scroll.scaled(radius).turned(np.pi / 2, "x").moved(0, 1.3 * radius, 0.45 * height)
        return join([scroll.moved(x=1.15 * radius), scroll.moved(x=-1.15 * radius), slab])
    leaf = blob(0.34 * radius, "trim", stretch=(1, 0.6, 2.2), segments=6)
    bell = lathe([(radius, 0), (1.1 * radius, 0.5 * height), (1.5 * radius, 0.72 * height)], "trim")
    low = around(leaf, 8, 1.15 * radius).moved(z=0.22 * height)
    high = around(leaf, 8, 1.35 * radius, start=0.39).moved(z=0.52 * height)
    return join([bell, low, high, slab])


def line_of(part: Shape, length: float, count: int) -> Shape:
    """Set `count` copies evenly along x, the outermost at the ends of `length`."""
    if count == 1:
        return part
    return copies(part, [(length * (k / (count - 1) - 0.5), 0, 0) for k in range(count)])


def peristyle(part: Shape, width: float, depth: float, front: int, side: int) -> Shape:
    """Set copies around a rectangle, `front` along x and `side` along y, corners shared."""
    xs = np.linspace(-width / 2, width / 2, front)
    ys = np.linspace(-depth / 2, depth / 2, side)
    places = [(x, y, 0) for x in xs for y in (-depth / 2, depth / 2)]
    places += [(x, y, 0) for y in ys[1:-1] for x in (-width / 2, width / 2)]
    return copies(part, places)


CORNICE = ((0.0, 0.0), (0.12, 0.1), (0.12, 0.3), (0.45, 0.5), (0.8, 0.62), (1.0, 0.7), (1.0, 1.0))


def cornice(
    outline: np.ndarray | Sequence[float],
    height: float,
    *,
    reach: float | None = None,
    role: str = "trim",
    capped: bool = True,
) -> Shape:
    """Run a moulding round a convex plan `(N, 2)` (or a (width, depth)) and close its top."""
    plan = np.asarray(outline, float)
    if plan.ndim == 1:
        plan = rectangle(plan[0], plan[1])
    reach = 0.7 * height if reach is None else reach
    rings = [flat(_grown(plan, out * reach), z * height) for out, z in CORNICE]
    return loft(np.array(rings), role, caps=(False, capped))


def _grown(plan: np.ndarray, by: float) -> np.ndarray:
    """Push every edge of a counter-clockwise convex plan outward by a distance."""
    before, after = np.roll(plan, 1, 0), np.roll(plan, -1, 0)
    d1 = (plan - before) / np.linalg.norm(plan - before, axis=1, keepdims=True)
    d2 = (after - plan) / np.linalg.norm(after - plan, axis=1, keepdims=True)
    n1, n2 = np.stack([d1[:, 1], -d1[:, 0]], 1), np.stack([d2[:, 1], -d2[:, 0]], 1)
    return plan + by * (n1 + n2) / (1 + (n1 * n2).sum(1, keepdims=True))


def entablature(width: float, depth: float, height: float, *, triglyphs: int = 0) -> Shape:
    """Make architrave, frieze and cornice over a rectangle; triglyphs along the front."""
    parts = [
        box(width, depth, 0.42 * height, "trim"),
        box(width - 0.1, depth - 0.1, 0.36 * height, "frieze", z=0.42 * height),
        cornice((width, depth), 0.24 * height, reach=0.3 * height).moved(z=0.76 * height),
    ]
    if triglyphs:
        glyph = box(0.3 * height, 0.12, 0.36 * height, "trim", z=0.42 * height)
        for y in (-depth / 2, depth / 2):
            parts.append(line_of(glyph, width - 0.35 * height, triglyphs).moved(y=y))
        sides = max(2, round(triglyphs * depth / width))
        glyph = glyph.turned(np.pi / 2)
        ys = np.linspace(-depth / 2 + 0.2 * height, depth / 2 - 0.2 * height, sides)
        parts += [glyph.moved(x, y, 0) for x in (-width / 2, width / 2) for y in ys]
    return join(parts)


def pediment(
    width: float, rise: float, depth: float, *, seed: int = 0, relief: int = 9, kind: str = "gable"
) -> Shape:
    """Make a gable (or "arc") with mouldings, filled with figures; front face at y = 0."""
    if kind == "gable":
        top = np.array([(-width / 2, 0), (0, rise), (width / 2, 0)])
    else:
        x = np.linspace(-width / 2, width / 2, 13)
        top = np.stack([x, rise * (1 - (2 * x / width) ** 2)], 1)
    rim = 0.1 * rise + 0.25
    outer = top * [1.03, 1.0] + [0, rim * 0.9]
    band = np.concatenate([top, outer[::-1]])
    parts = [plate(top, depth, "frieze"), plate(band, depth + 0.8, "trim", y=-0.8)]
    parts.append(box(width * 1.03, 0.8, rim * 0.7, "trim", y=-0.4, z=-rim * 0.4))
    rng = np.random.default_rng(seed)
    for x in np.linspace(-0.36, 0.36, relief):
        room = np.interp(x * width, top[:, 0], top[:, 1]) * 0.8
        parts.append(
            figure(room * rng.uniform(0.75, 1.0), seed=int(rng.integers(99))).moved(
                x * width, -0.25, 0.1
            )
        )
    return join(parts)


def figure(height: float, *, seed: int = 0, role: str = "statue") -> Shape:
    """Make a draped standing figure: what a statue is from across the square."""
    rng = np.random.default_rng(seed)
    robe = [(0.2, 0), (0.17, 0.25), (0.13, 0.5), (0.17, 0.72), (0.15, 0.8), (0.05, 0.85)]
    parts = [lathe(robe, role, segments=9).scaled(1, 0.8, 1)]
    parts.append(blob(0.075, role, stretch=(1, 1, 1.2), segments=8).moved(z=0.92))
    lift = rng.uniform(-0.4, 1.2)
    arm = blob(0.045, role, stretch=(3.6, 1, 1), segments=6).moved(x=0.15).turned(-lift, "y")
    other = blob(0.045, role, stretch=(3.2, 1, 1), segments=6).moved(x=-0.13).turned(-0.9, "y")
    parts += [arm.moved(0.12, -0.03, 0.72), other.moved(-0.1, -0.03, 0.7)]
    return join(parts).turned(rng.uniform(-0.4, 0.4)).scaled(height)


def balustrade(length: float, height: float = 1.1) -> Shape:
    """Make a row of balusters under a rail, along x."""
    count = max(2, int(length / (0.45 * height)))
    shape = [(0.09, 0), (0.09, 0.1), (0.05, 0.2), (0.13, 0.45), (0.05, 0.75), (0.09, 0.85)]
    one = lathe([(r * height, z * height) for r, z in shape], "trim", segments=6)
    rail = box(length + 0.1, 0.32 * height, 0.16 * height, "trim", z=0.84 * height)
    foot = box(length + 0.1, 0.32 * height, 0.1 * height, "trim")
    return join([line_of(one, length - 0.3, count), rail, foot])


def stairs(width: float, rise: float, count: int, *, tread: float = 0.4) -> Shape:
    """Make steps that climb toward +y, their top edge at y = 0 and height `rise`."""
    step = rise / count
    return join(
        box(width, tread * (count - k), step * (k + 1), "base", y=-tread * (count - k) / 2)
        for k in range(count)
    )


def steps_around(width: float, depth: float, rise: float, count: int, *, tread: float) -> Shape:
    """Make a stepped platform whose top is width x depth at height `rise`."""
    step = rise / count
    return join(
        box(width + 2 * tread * k, depth + 2 * tread * k, step, "base", z=rise - step * (k + 1))
        for k in range(count)
    )
