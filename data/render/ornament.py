"""Battlements, buttresses, towers, obelisks, reliefs, fountains, clocks, bells."""

import numpy as np

from render.geometry import (
    Shape,
    around,
    blob,
    box,
    circle,
    copies,
    join,
    lathe,
    plate,
    polygons,
    profile,
)
from render.openings import Opening, drum
from render.orders import figure, steps_around


def merlons(length: float, *, size: float = 1.1, kind: str = "square", role: str = "wall") -> Shape:
    """Make a battlement along x: square, swallow-tailed or pointed merlons."""
    count = max(2, round(length / (2 * size)))
    h = 1.3 * size
    s = size / 2
    if kind == "swallow":
        outline = [(-s, 0), (s, 0), (s, h), (0, 0.65 * h), (-s, h)]
    elif kind == "pointed":
        outline = [(-s, 0), (s, 0), (s, 0.6 * h), (0, 1.3 * h), (-s, 0.6 * h)]
    else:
        outline = [(-s, 0), (s, 0), (s, h), (-s, h)]
    one = plate(np.array(outline), 0.6 * size, role)
    pitch = length / count
    return copies(one, [((k - (count - 1) / 2) * pitch, 0, 0) for k in range(count)])


def merlon_ring(radius: float, *, count: int, size: float, role: str = "wall") -> Shape:
    """Make a battlement round a tower."""
    return around(box(size, 0.5 * size, 1.3 * size, role, y=0.25 * size), count, radius)


def buttress(width: float, depth: float, height: float, *, offsets: int = 3) -> Shape:
    """Make a stepped buttress that leans on the wall at y = 0."""
    parts = []
    for k in range(offsets):
        d = depth * (1 - k / offsets)
        top = height * (k + 1) / offsets
        low = height * k / offsets
        parts.append(box(width, d, top - low, "wall", y=-d / 2, z=low))
        slope = [
            (-width / 2, -d, top),
            (width / 2, -d, top),
            (width / 2, -d + depth / offsets, top + 0.8),
            (-width / 2, -d + depth / offsets, top + 0.8),
        ]
        parts.append(polygons(np.array(slope), [(0, 1, 2, 3)], "trim"))
    return join(parts)


def round_tower(
    radius: float,
    height: float,
    *,
    slits: int = 8,
    top: str = "battlement",
    roof: float = 1.6,
    sides: int = 24,
) -> Shape:
    """Make a castle tower: battered foot, corbelled head, battlement or cone."""
    body = [(radius * 1.18, 0), (radius, height * 0.18), (radius, height * 0.84)]
    head = [(radius, height * 0.84), (radius * 1.16, height * 0.88), (radius * 1.16, height)]
    parts = [lathe(body, "wall", segments=sides), lathe(head, "wall", segments=sides)]
    corbel = box(0.06 * radius + 0.2, 0.3, height * 0.03, "trim", z=height * 0.85)
    parts.append(around(corbel, sides, radius * 1.08))
    slit = box(0.35, 0.12, 1.8, "dark")
    for z in (0.3, 0.52, 0.7):
        parts.append(around(slit, max(3, slits // 2), radius, start=z * 3).moved(z=height * z))
    if top == "battlement":
        size = max(0.7, radius * 0.3)
        parts.append(
            merlon_ring(radius * 1.16, count=int(radius * 1.16 * np.pi / size), size=size).moved(
                z=height
            )
        )
    else:
        eaves = radius * 1.4
        cone = [(eaves, 0), (eaves * 0.5, roof * radius * 0.85), (0.05, roof * radius * 2)]
        light = around(box(0.6, 0.1, 1.0, "glass"), 8, radius * 1.17).moved(z=height * 0.92)
        parts += [lathe(cone, "roof", segments=sides).moved(z=height), light]
        flag = blob(0.25, "gold", segments=8).moved(z=height + roof * radius * 2)
        parts.append(flag)
    return join(parts)


def obelisk(width: float, height: float, *, marks: int = 12, seed: int = 0) -> Shape:
    """Make an obelisk with a gilded tip and columns of carved signs."""
    square = circle(4, 1 / np.sqrt(2), start=np.pi / 4)
    tip = height * 0.9
    parts = [profile(square, [(width, 0), (width * 0.68, tip)], "wall")]
    parts.append(profile(square, [(width * 0.68, tip), (0.02, height)], "gold"))
    rng = np.random.default_rng(seed)
    for side in range(4):
        for k in range(marks):
            z = tip * (0.08 + 0.86 * k / marks)
            half = width / 2 * (1 - 0.32 * z / tip)
            w, h = rng.uniform(0.15, 0.6) * half * 1.2, rng.uniform(0.3, 0.75) * tip * 0.86 / marks
            sign = box(w, 0.1, h, "dark", x=rng.uniform(-0.25, 0.25) * half, y=-half, z=z)
            parts.append(sign.turned(side * np.pi / 2))
    return join(parts)


def relief(width: float, height: float, *, seed: int, count: int = 10) -> Shape:
    """Make a panel of small figures in the xz plane, framed."""
    rng = np.random.default_rng(seed)
    parts = [box(width, 0.15, height, "frieze")]
    for k in range(count):
        x = width * ((k + 0.5) / count - 0.5)
        size = height * rng.uniform(0.65, 0.92)
        parts.append(figure(size, seed=int(rng.integers(1000))).moved(x, -0.15, 0.03 * height))
    for z in (0.0, height):
        parts.append(box(width + 0.3, 0.4, 0.18, "trim", z=z - 0.09))
    return join(parts)


def roundel(radius: float, role: str = "clock") -> Shape:
    """Make a clock face on the plane y = 0: rim, dial, hands, hours."""
    rim = lathe(
        [(radius * 1.18, 0), (radius * 1.18, 0.3), (radius, 0.3), (radius, 0.14)],
        "trim",
        segments=32,
    )
    dial = lathe([(radius, 0.15), (0.0, 0.16)], role, segments=32)
    face = join([rim, dial]).turned(np.pi / 2, "x")
    hands = [
        box(0.09 * radius, 0.06, 0.62 * radius, "dark", y=-0.22).turned(-0.9, "y"),
        box(0.07 * radius, 0.06, 0.85 * radius, "dark", y=-0.22).turned(0.5, "y"),
    ]
    hour = box(0.06 * radius, 0.06, 0.16 * radius, "dark", y=-0.22, z=0.78 * radius)
    hours = [hour.turned(2 * np.pi * k / 12, "y") for k in range(12)]
    return join([face, *hands, *hours])


def pedestal(size: float, height: float) -> Shape:
    """Make a statue's pedestal."""
    return join(
        [
            steps_around(size * 1.3, size * 1.3, height * 0.2, 2, tread=0.25),
            box(size, size, height * 0.75, "trim", z=height * 0.18),
            box(size * 1.2, size * 1.2, height * 0.1, "trim", z=height * 0.9),
        ]
    )


def statue(height: float, *, seed: int, plinth: float = 0.4) -> Shape:
    """Make a figure on a pedestal; `plinth` is the pedestal's share of the height."""
    low = height * plinth
    return join([pedestal(height * 0.3, low), figure(height - low, seed=seed).moved(z=low)])


def fountain(radius: float, *, tiers: int = 2) -> Shape:
    """Make a basin with bowls over it."""
    rim = [(radius, 0), (radius * 1.04, 0.7), (radius * 0.93, 0.75), (radius * 0.92, 0.4)]
    parts = [lathe(rim, "base", segments=32), lathe([(radius * 0.93, 0.5), (0, 0.5)], "water")]
    z, r = 0.4, radius * 0.5
    for _ in range(tiers):
        stem = [
            (r * 0.3, 0),
            (r * 0.15, r * 0.5),
            (r * 0.2, r * 0.7),
            (r * 0.95, r * 0.95),
            (r, r * 1.1),
            (r * 0.9, r * 1.05),
        ]
        parts.append(lathe(stem, "trim", segments=20).moved(z=z))
        parts.append(lathe([(r * 0.92, r * 1.06), (0, r * 1.06)], "water").moved(z=z))
        z, r = z + r * 1.0, r * 0.55
    return join(parts)


def minaret(radius: float, height: float, *, balconies: int = 2, cap: str = "cone") -> Shape:
    """Make a minaret: shafts that narrow, balconies, a cone or an onion."""
    from render.roofs import dome, finial

    parts = [
        lathe(
            [(radius * 1.3, 0), (radius * 1.3, height * 0.12), (radius, height * 0.15)],
            "base",
            segments=8,
            smooth=False,
        )
    ]
    low = height * 0.13
    span = (height * 0.82 - low) / (balconies + 1)
    r = radius
    for k in range(balconies + 1):
        top = low + span
        parts.append(lathe([(r, low), (r * 0.96, top)], "minaret", segments=14))
        if k < balconies:
            ring = [
                (r * 0.96, top - r * 0.9),
                (r * 1.35, top - 0.1 * r),
                (r * 1.38, top + 0.4 * r),
                (r * 1.3, top + 0.4 * r),
                (r * 1.3, top),
            ]
            parts.append(lathe(ring, "trim", segments=14))
        low, r = top, r * 0.88
    belfry = Opening(
        width=0.55,
        sill=0.05,
        spring=0.6,
        kind="round",
        depth=0.1,
        pane="dark",
        bars=(0, 0),
        frame=0,
    )
    parts.append(drum(8, r * 1.05, height * 0.06, belfry, wall="trim").moved(z=low))
    low += height * 0.06
    if cap == "cone":
        parts.append(lathe([(r * 1.4, 0), (0.05, height * 0.13)], "dome", segments=14).moved(z=low))
        low += height * 0.12
    else:
        parts.append(dome(r * 1.15, "onion", sides=16).moved(z=low))
        low += r * 2.0
    return join([*parts, finial(height * 0.05).moved(z=low)])
