"""Mills: white tower mills, a thatched smock mill, a water mill, a post mill."""

import numpy as np

from render.craft import SASH, block, sails, strut, timber, walkway
from render.finishes import CHALK, GREY, LIMESTONE, Finish, Model, palette
from render.geometry import (
    Shape,
    around,
    box,
    circle,
    copies,
    join,
    lathe,
    plate,
    profile,
    tube,
)
from render.openings import Opening, drum
from render.orders import stairs
from render.roofs import finial, gable_roof

THATCH = Finish("foliage", "#8a744c", "#66532f")
HATCH = Opening(width=0.34, sill=0.3, spring=0.62, kind="segmental", depth=0.3, frame=0.18)


def mill(variant: int, rng: np.random.Generator) -> Model:
    """Make a mill: three white towers, a smock mill, a water mill, or a post mill."""
    return (_towers, _smock, _water, _post)[variant](rng)


def _white(rng: np.random.Generator, high: float) -> Shape:
    """One round white mill with a conical cap, blue foot, and bare sails."""
    r = 0.34 * high
    parts = [
        lathe([(r, 0), (r * 0.99, 1.2)], "second", segments=28),
        lathe([(r * 0.99, 1.2), (r * 0.9, high)], "wall", segments=28),
        lathe([(r * 1.08, high - 0.2), (r * 0.6, high * 1.2), (0.05, high * 1.42)], "roof"),
        lathe([(r * 1.1, high - 0.3), (r * 1.1, high)], "accent"),
        box(1.5, 0.5, 2.6, "door", y=-r),
        box(2.0, 0.3, 3.0, "trim", y=-r + 0.05),
        tube(np.array([[0, r * 0.8, high], [0, r * 2.2, 0.6]]), 0.16, "accent"),
    ]
    pane = join([box(0.8, 0.4, 0.9, "trim"), box(0.5, 0.5, 0.6, "dark", z=0.15)])
    parts.append(around(pane, 9, r * 0.93).moved(z=high * 0.82))
    parts.append(around(pane, 4, r * 0.96, start=0.8).moved(z=high * 0.45))
    wings = sails(high * 0.82, 1.5, angle=rng.uniform(0, 1.5))
    return join([*parts, wings.moved(0, -r - 1.0, high * 1.1)])


def _towers(rng: np.random.Generator) -> Model:
    """Three white mills on a ridge, the middle one the largest."""
    high = rng.uniform(10.5, 12.5)
    parts = [
        _white(rng, high),
        _white(rng, high * 0.78).turned(0.3).moved(-15.5, 7, 0),
        _white(rng, high * rng.uniform(0.7, 0.86)).turned(-0.35).moved(15, 5, 0),
        box(44, 0.8, 1.0, "base", y=-7.5),
        copies(box(1.6, 1.2, 1.5, "base"), [(x, -7.5, 0) for x in np.linspace(-21, 21, 7)]),
    ]
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#efece4"),
            Finish("slate", "#3c3a38", scale=0.4),
            GREY,
            second=Finish("paint", "#2f5aa0"),
            cloth=Finish("paint", "#e8dcc0"),
            door=Finish("paint", "#2f5aa0"),
        ),
        "hill",
    )


def _smock(rng: np.random.Generator) -> Model:
    """A thatched octagon on a brick base with a stage, between two low barns."""
    base, high, r = rng.uniform(7.5, 9.5), rng.uniform(12, 14), rng.uniform(5.6, 6.4)
    ring = circle(8, 1.0, start=np.pi / 8)
    parts = [
        drum(8, r, base / 2, HATCH),
        drum(8, r, base / 2, HATCH).moved(z=base / 2),
        walkway(r + 2.6, posts=24, role="second").moved(z=base),
        around(strut((0, 0), (1.9, 2.6), 0.3, "second").turned(-np.pi / 2), 8, r).moved(z=base - 3),
        profile(
            ring, [(r * 1.02, base), (r * 0.8, base + high * 0.45), (r * 0.58, base + high)], "roof"
        ),
    ]
    for t in (0.06, 0.5, 0.93):
        w = r * (1.04 - 0.46 * t)
        parts.append(profile(ring, [(w, base + high * t), (w, base + high * t + 0.7)], "second"))
    edge = np.array(
        [[0, -r * 1.02, base], [0, -r * 0.8, base + high * 0.45], [0, -r * 0.58, base + high]]
    )
    parts.append(join(tube(edge, 0.2, "trim", segments=4).turned(k * np.pi / 4) for k in range(8)))
    pane = join([box(1.2, 0.6, 1.6, "trim"), box(0.9, 0.7, 1.2, "glass", z=0.2)])
    parts.append(around(pane, 8, r * 0.86, start=np.pi / 8).moved(z=base + high * 0.28))
    cap = profile(circle(16), [(r * 0.66, 0), (r * 0.6, 1.6), (r * 0.34, 3.4), (0.1, 4.2)], "roof")
    top = base + high
    parts += [
        cap.scaled(0.9, 1.3, 1).moved(z=top),
        profile(circle(16), [(r * 0.7, top - 0.4), (r * 0.7, top + 0.2)], "second"),
        sails(rng.uniform(12.5, 14), 1.9, angle=rng.uniform(0.1, 1.4)).moved(
            0, -r * 0.95 - 0.8, top + 1.8
        ),
        finial(1.5).moved(z=top + 4),
        *(
            tube(np.array([[s, r, top + 1], [0, r * 2.4, base + 1.4]]), 0.16, "trim")
            for s in (-1.5, 1.5)
        ),
    ]
    barn = block(9, 12, (3.2,), (3, 4), HATCH, cap="gable", rise=4.6)
    parts += [barn.moved(s * (r + 8.5), 3, 0) for s in (-1, 1)]
    return Model(
        join(parts),
        palette(
            Finish("brick", "#8e4a35", scale=0.4),
            THATCH,
            Finish("paint", "#e9e4d4"),
            second=Finish("paint", "#1f5a3c"),
            cloth=Finish("paint", "#b9482e"),
        ),
        "village",
    )


def _wheel(radius: float, width: float) -> Shape:
    """A water wheel about the x axis: two rims, spokes, paddles."""
    parts = []
    for x in (-width / 2, width / 2):
        hoop = lathe([(radius * 0.9, 0), (radius, 0), (radius, 0.2), (radius * 0.9, 0.2)], "accent")
        parts.append(hoop.turned(np.pi / 2, "y").moved(x=x))
        parts += [
            box(0.22, 0.22, radius * 0.95, "accent", x=x).turned(a, "x")
            for a in np.arange(10) * np.pi / 5
        ]
    paddle = box(width, 0.1, 1.1, "accent", z=radius * 0.88)
    parts += [paddle.turned(a, "x") for a in np.arange(24) * np.pi / 12]
    axle = lathe([(0.35, -width), (0.35, width)], "accent", segments=10).turned(np.pi / 2, "y")
    return join([*parts, axle])


def _water(rng: np.random.Generator) -> Model:
    """A stone and timber mill house with a great wheel under a flume."""
    wide, deep, r = rng.uniform(15, 18), 12.0, rng.uniform(4.8, 5.8)
    upper = int(rng.integers(1, 3))
    parts = [block(wide, deep, (4.2,), (5, 4), HATCH)]
    z = 4.2
    for _ in range(upper):
        wall = [(wide + 1, deep + 1), (deep + 1, wide + 1)]
        for k in range(4):
            n, off = wall[k % 2]
            parts.append(
                timber(n, 3.4, 5 - k % 2, brace="x").moved(0, -off / 2, z).turned(k * np.pi / 2)
            )
        z += 3.4
    parts += [
        gable_roof(deep + 1, wide + 1, 7.0, eave=0.9).turned(np.pi / 2).moved(z=z),
        box(1.5, 1.5, z + 8, "base", x=-wide * 0.3, y=1),
        block(9, 9, (4.0,), (3, 3), HATCH, cap="gable", rise=4.4).moved(-wide / 2 - 4.4, 2, 0),
    ]
    x = wide / 2 + 2.2
    parts += [
        _wheel(r, 2.2).moved(x, -1, r - 0.9),
        box(3.2, 22, 0.12, "water", x=x, y=-1, z=0.1),
        *(box(0.7, 22, 0.9, "base", x=x + s * 1.9, y=-1) for s in (-1, 1)),
        *(box(1.2, 1.6, r - 0.4, "base", x=x + s * 1.9, y=-1) for s in (-1, 1)),
        box(2.0, 14, 0.2, "accent", x=x, y=7.5, z=2 * r - 0.6),
        *(box(0.2, 14, 0.9, "accent", x=x + s, y=7.5, z=2 * r - 0.6) for s in (-1, 1)),
        *(
            strut((s * 1.6, 0), (s * 0.7, 2 * r - 0.6), 0.35, "accent", depth=0.35).moved(x, y, 0)
            for s in (-1, 1)
            for y in (3, 8, 13)
        ),
    ]
    for k in range(3):
        hood = join([box(1.5, 2.5, 1.6, "second"), box(1.0, 0.1, 1.0, "glass", y=-1.27, z=0.3)])
        parts.append(hood.moved((k - 1) * wide / 3.4, -deep * 0.28, z + 2.2))
    return Model(
        join(parts),
        palette(
            Finish("ashlar", "#9d9484", scale=0.5, weather=0.6),
            Finish("tile", "#7a4030", scale=0.5),
            LIMESTONE,
            beam=Finish("wood", "#3b291c"),
            second=Finish("plaster", "#e2d6ba"),
            accent=Finish("wood", "#5a3f28"),
        ),
        "village",
    )


def _post(rng: np.random.Generator) -> Model:
    """A boarded mill body that turns on a trestle of crossed beams, with a granary."""
    w, d, h = rng.uniform(6.4, 7.4), 7.6, rng.uniform(9.5, 11)
    foot = 5.2
    boards = [
        box(0.16, 0.1, h, "accent", x=x, y=-d / 2 - 0.04) for x in np.linspace(-w / 2, w / 2, 17)
    ]
    sides = [
        box(0.1, 0.16, h, "accent", x=s * (w / 2 + 0.04), y=y)
        for s in (-1, 1)
        for y in np.linspace(-d / 2, d / 2, 17)
    ]
    pane = join([box(1.3, 0.3, 1.5, "trim"), box(1.0, 0.4, 1.2, "glass", z=0.15)])
    body = [
        box(w, d, h, "wall"),
        *boards,
        *sides,
        *(pane.moved(x, -d / 2 - 0.1, z) for x in (-1.9, 1.9) for z in (1.4, 4.6)),
        *(pane.turned(s * np.pi / 2).moved(s * (w / 2 + 0.1), 0, 3.4) for s in (-1, 1)),
        box(w + 0.5, d + 0.5, 0.5, "second", z=-0.3),
    ]
    curve = np.array(
        [
            (-w / 2 - 0.5, 0),
            (-w / 2, 1.2),
            (-w / 4, 3.1),
            (0, 4.0),
            (w / 4, 3.1),
            (w / 2, 1.2),
            (w / 2 + 0.5, 0),
        ]
    )
    body.append(plate(curve, d + 1.4, "roof", y=-d / 2 - 0.7).moved(z=h))
    body.append(plate(curve * 0.93, d + 1.6, "second", y=-d / 2 - 0.8).moved(z=h))
    wings = sails(rng.uniform(10, 11.5), 2.0, angle=rng.uniform(0, 1.5)).moved(
        0, -d / 2 - 1.2, h * 0.84
    )
    ladder = [
        box(0.2, 0.3, 11, "accent", x=s * 1.0).turned(-0.95, "x").moved(0, d / 2 + 8.6, -foot)
        for s in (-1, 1)
    ]
    rungs = [
        box(2.0, 0.5, 0.12, "accent", y=d / 2 + 8.4 * (1 - t), z=-foot + 6.2 * t)
        for t in np.linspace(0.05, 0.9, 14)
    ]
    parts = [join([*body, wings, *ladder, *rungs]).moved(z=foot)]
    parts.append(lathe([(0.6, 0), (0.6, foot)], "accent", segments=10))
    for k in range(4):
        beam = strut((0.4, foot - 0.6), (4.6, 1.6), 0.5, "accent", y=-0.25, depth=0.5)
        parts.append(
            join(
                [beam, box(1.6, 1.6, 1.7, "base", x=4.6), box(5, 0.5, 0.5, "accent", x=2.4, z=1.7)]
            ).turned(k * np.pi / 2)
        )
    store = [
        timber(13, 3.2, 4, brace="v").moved(y=-4),
        block(13, 7.9, (3.2,), (4, 3), SASH),
        gable_roof(8, 13, 5.2, eave=0.8).turned(np.pi / 2).moved(z=3.2),
    ]
    parts.append(join(store).moved(float(rng.choice([-1, 1])) * 15.5, 5, 0))
    parts.append(stairs(2, 0.6, 2).moved(y=-6))
    return Model(
        join(parts),
        palette(
            Finish("wood", "#7b5b3a"),
            Finish("slate", "#5a4634", scale=0.35),
            CHALK,
            second=Finish("paint", "#d9d2bf"),
            accent=Finish("wood", "#4b3726"),
            beam=Finish("wood", "#33241a"),
            cloth=Finish("paint", "#d8c9a2"),
        ),
        "hill",
    )
