"""Modern houses of culture: shells, stacked concrete, a white spiral, a coloured machine."""

import itertools

import numpy as np

from render.finishes import CHALK, GREY, LIMESTONE, Finish, Model, palette
from render.geometry import (
    Shape,
    around,
    box,
    copies,
    join,
    lathe,
    loft,
    plate,
    polygons,
    tube,
)
from render.openings import Opening, arch_curve, drum, four_walls, row
from render.orders import line_of, stairs, steps_around
from render.roofs import dome

STRIP = Opening(width=0.94, sill=0.3, spring=0.8, depth=0.8, frame=0.0, bars=(3, 0))
FIN = Opening(width=0.5, sill=0.06, spring=0.94, depth=1.1, frame=0.0, bars=(1, 3))


def museum(variant: int, rng: np.random.Generator) -> Model:
    """Make a modern house of culture: shells, concrete boxes, a spiral, or pipes."""
    return (_shells, _concrete, _spiral, _pipes)[variant](rng)


def _shell(width: float, height: float, length: float) -> Shape:
    """A pointed shell, open and glazed at y = 0, closing toward +y, its lip leaning to -y."""
    rings = []
    for t in np.linspace(0, 1, 12):
        half = width / 2 * np.sqrt(max(1 - t**2, 0.002))
        curve = arch_curve(half, "pointed", points=17)
        curve[:, 1] *= height * (1 - t**1.7) / max(curve[:, 1].max(), 1e-6)
        lean = -0.28 * height * (curve[:, 1] / height) ** 1.3 * (1 - t)
        rings.append(np.stack([curve[:, 0], t * length + lean, curve[:, 1]], 1))
    rings = np.array(rings)
    parts = [loft(rings, "wall", closed=False)]
    parts += [tube(rings[:, k] * [1.005, 1, 1.008], 0.13, "trim", segments=4) for k in range(1, 16)]
    parts += [tube(ring * [1.005, 1, 1.008], 0.1, "trim", segments=4) for ring in rings[1:-1:2]]
    parts.append(tube(rings[0], 0.45, "trim", segments=5))
    inner = rings[0] * [0.93, 0, 0.93] + [0, 1.2, 0] + rings[0] * [0, 0.55, 0]
    parts.append(polygons(inner, [range(len(inner))], "glass"))
    for k in range(2, 15):
        foot = np.array([inner[k][0], 1.2, 0.0])
        parts.append(tube(np.array([foot, inner[k]]), 0.13, "steel", segments=4))
    return join(parts)


def _shells(rng: np.random.Generator) -> Model:
    """Two rows of white tiled shells on a granite podium over the water."""
    parts = [box(78, 46, 4.5, "base", y=2), box(70, 38, 2, "base", y=3, z=4.5)]
    parts += [
        row(
            78, 4.2, 26, Opening(width=0.7, sill=0.2, spring=0.8, frame=0, depth=0.6), wall="base"
        ).moved(0, -21.2, 0)
    ]
    parts += [stairs(26, 4.5, 14, tread=0.5).moved(y=-21)]
    for side, scale in ((-1, 1.0), (1, rng.uniform(0.8, 0.92))):
        y = -13.0
        for k, (w, h, n) in enumerate(((21, 17, 14), (25, rng.uniform(24, 28), 18), (20, 18, 15))):
            one = _shell(w * scale, h * scale, n * scale)
            parts.append(
                one.turned(side * -0.12 + (np.pi if k == 2 else 0)).moved(
                    side * 17, y + (18 if k == 2 else 0), 6.5
                )
            )
            y += 11.5 * scale
    small = rng.uniform(9, 12)
    parts += [
        _shell(11, small, 9).moved(-33, -13, 5),
        _shell(9, small * 0.8, 8).turned(np.pi).moved(-33, 6, 5),
    ]
    return Model(
        join(parts),
        palette(
            Finish("slate", "#e9e5da", "#c9c2b2", scale=0.9, weather=0.15),
            GREY,
            Finish("paint", "#d8d2c4"),
            base=Finish("paving", "#b08f7c", scale=0.9),
            steel=Finish("paint", "#7a5a40"),
        ),
        "water",
    )


def _concrete(rng: np.random.Generator) -> Model:
    """Concrete floors that widen upward between stair towers, over raking columns."""
    floors, wide, deep = int(rng.integers(4, 6)), rng.uniform(25, 29), 22.0
    parts = [
        four_walls(
            wide * 0.8,
            deep * 0.8,
            lambda n, k: row(
                n, 5, 8, Opening(width=0.8, sill=0, spring=0.92, frame=0, bars=(1, 1))
            ),
        )
    ]
    z, h = 5.0, 4.2
    for k in range(floors):
        w, d = wide + 5.0 * k, deep + 4.2 * k
        parts += [
            box(w, d, 1.3, "wall", z=z),
            four_walls(w - 1.6, d - 1.6, lambda n, s, c=9 + k: row(n, h - 1.3, c, FIN)).moved(
                z=z + 1.3
            ),
            four_walls(
                w,
                d,
                lambda n, s, c=9 + k: line_of(
                    box(0.5, 1.1, h - 1.3, "trim", y=0.6), n - 0.6, c + 1
                ),
            ).moved(z=z + 1.3),
        ]
        z += h
    top_w, top_d = wide + 5 * floors, deep + 4.2 * floors
    parts += [box(top_w, top_d, 2.4, "wall", z=z)]
    parts += [
        box(1.4, 0.3, 1.4, "dark", x=x, y=-top_d / 2, z=z + 0.5)
        for x in np.linspace(-top_w * 0.46, top_w * 0.46, 17)
    ]
    for x, y, h in ((-0.36, -0.42, 7), (0.42, 0.1, 11), (-0.2, 0.44, 5)):
        tower = join(
            [
                box(5.5, 6, z + h, "second"),
                *(box(0.6, 0.3, z + h - 3, "dark", x=s, y=-3, z=2) for s in (-1.2, 1.2)),
                *(box(6, 6.4, 0.5, "trim", z=q) for q in np.arange(6, z + h, 5)),
            ]
        )
        parts.append(tower.moved(x * top_w, y * top_d, 0))
    for x in np.linspace(-wide * 0.42, wide * 0.42, 6):
        parts += [
            tube(np.array([[x, -deep * 0.4, 0], [x, -deep * 0.55, 5.1]]), 0.55, "trim", segments=8)
        ]
    parts += [
        box(7, 9, 2.2, "wall", y=-deep * 0.62, z=3.4),
        steps_around(40, 34, 0.9, 3, tread=0.8),
        stairs(9, 3.4, 9).moved(y=-deep * 0.62 - 4),
        copies(
            box(2.6, 2.0, 2.2, "second"), [(x, y, z + 2.4) for x in (-9, 0, 8) for y in (-6, 5)]
        ),
        plate(
            np.array([(-4, 0), (4, 0), (5, 1.2), (-5, 1.2)]), 0.3, "gold", y=-top_d / 2 - 0.2
        ).moved(z=z + 0.6),
    ]
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#a39c90", "#7f786c", weather=0.7),
            GREY,
            Finish("plaster", "#b4aea2", weather=0.6),
            second=Finish("ashlar", "#8d867a", scale=0.7, weather=0.8),
        ),
        "city",
    )


def _spiral(rng: np.random.Generator) -> Model:
    """White rings that widen upward beside a gridded slab, under a glass dome."""
    rings, r = int(rng.integers(4, 7)), rng.uniform(10, 11.5)
    parts, z = [], 3.6
    parts.append(
        drum(
            28,
            r * 0.8,
            3.8,
            Opening(width=0.84, sill=0.05, spring=0.9, frame=0, bars=(0, 1)),
            wall="trim",
        )
    )
    for k in range(rings):
        a = r + 0.85 * k
        parts += [
            lathe(
                [(a - 0.6, z), (a + 0.2, z), (a + 0.75, z + 2.8), (a - 0.9, z + 2.9)],
                "wall",
                segments=56,
            ),
            lathe([(a - 0.9, z + 2.9), (a - 0.6, z + 3.9)], "glass", segments=56),
            around(box(0.14, 0.3, 1.1, "steel", z=2.85), 44, a - 0.55).moved(z=z),
            lathe(
                [(a + 0.32, z + 0.55), (a + 0.42, z + 0.6), (a + 0.42, z + 0.75)],
                "second",
                segments=56,
            ),
        ]
        z += 3.9
    a = r + 0.85 * rings
    parts += [
        lathe([(a - 0.6, z), (a + 0.3, z), (a + 0.9, z + 3.6), (0, z + 3.7)], "wall", segments=56),
        dome(r * 0.6, "saucer", ribs=16, sides=32, role="glass", rib_role="wall").moved(z=z + 3.6),
        *(box(0.9, 0.25, 1.4, "dark", x=x, y=-r - 14.1, z=5.0) for x in np.arange(-14, 12, 1.5)),
        box(46, 24, 3.2, "wall", x=4, y=-2, z=4.2),
        box(48, 1.0, 1.2, "trim", x=4, y=-14.2, z=4.2),
        row(40, 4.2, 12, Opening(width=0.86, sill=0, spring=0.92, frame=0, bars=(1, 1))).moved(
            4, -12, 0
        ),
    ]
    tower = [box(15, 12, 34, "second")]
    grid = row(
        15,
        34,
        5,
        Opening(width=0.7, sill=0.06, spring=0.96, frame=0, depth=0.5, bars=(1, 11)),
        wall="second",
    )
    tower += [
        grid.moved(y=-6.1),
        *(
            row(
                12,
                34,
                4,
                Opening(width=0.7, sill=0.06, spring=0.96, frame=0, depth=0.3, bars=(1, 11)),
                wall="second",
            )
            .turned(s * np.pi / 2)
            .moved(s * 7.6, 0, 0)
            for s in (-1, 1)
        ),
    ]
    parts.append(join(tower).moved(20, 9, 0))
    small = float(rng.uniform(5.5, 7))
    parts += [
        lathe(
            [(small, 7.4), (small, 13), (small + 0.5, 13), (small + 0.5, 14.2), (0, 14.4)],
            "wall",
            segments=40,
        ).moved(22, -7, 0),
        around(box(1.2, 0.3, 2.4, "dark"), 12, small).moved(22, -7, 9.2),
    ]
    return Model(
        join(parts).moved(x=-6),
        palette(
            Finish("plaster", "#ece7dc", weather=0.3),
            GREY,
            CHALK,
            second=Finish("ashlar", "#cbbfa5", scale=0.7),
            steel=Finish("paint", "#54585a"),
        ),
        "city",
    )


def _pipes(rng: np.random.Generator) -> Model:
    """A steel frame with its ducts, pipes and moving stair on the outside, in bright paint."""
    floors, bays, high, deep = int(rng.integers(5, 7)), int(rng.integers(9, 12)), 5.6, 24.0
    wide = 5.6 * bays
    parts = []
    wall = Opening(width=0.96, sill=0.02, spring=0.95, frame=0, depth=0.3, bars=(3, 2))
    for k in range(floors):
        z = high * k
        parts += [
            four_walls(
                wide - 4, deep - 4, lambda n, s: row(n, high, bays if s % 2 == 0 else 4, wall)
            ).moved(z=z),
            box(wide - 2, deep - 2, 0.6, "trim", z=z + high - 0.6),
        ]
    xs = np.linspace(-wide / 2, wide / 2, bays + 1)
    for y in (-deep / 2, deep / 2):
        parts += [tube(np.array([[x, y, 0], [x, y, high * floors + 1]]), 0.38, "steel") for x in xs]
        for k in range(floors):
            z = high * (k + 1)
            parts.append(tube(np.array([[-wide / 2, y, z], [wide / 2, y, z]]), 0.28, "steel"))
            for j, (a, b) in enumerate(itertools.pairwise(xs)):
                ends = (z - high, z) if (j + k) % 2 else (z, z - high)
                parts.append(
                    tube(np.array([[a, y, ends[0]], [b, y, ends[1]]]), 0.12, "steel", segments=4)
                )
    roles = ("blue", "green", "red", "yellow", "blue")
    picks = np.sort(rng.choice(bays, 5, replace=False))
    for j, k in enumerate(picks):
        x = (xs[k] + xs[k + 1]) / 2
        for dx in (-1.1, 1.1):
            top = high * floors + rng.uniform(2, 6)
            parts.append(
                tube(
                    np.array([[x + dx, -deep / 2 + 0.9, 0.2], [x + dx, -deep / 2 + 0.9, top]]),
                    0.75,
                    roles[j],
                    segments=14,
                )
            )
            hood = tube(
                np.array([[x + dx, -deep / 2 + 1.2, top], [x + dx, -deep / 2 - 1.4, top + 0.6]]),
                1.0,
                roles[j],
                segments=14,
            )
            parts.append(hood)
        parts += [
            box(3.6, 1.4, 0.4, "trim", x=x, y=-deep / 2 + 0.6, z=high * f) for f in range(1, floors)
        ]
    path = [(-wide / 2, 0.6)]
    for k in range(floors):
        path += [
            (-wide / 2 + wide * (k + 0.78) / floors, high * (k + 0.9)),
            (-wide / 2 + wide * (k + 1) / floors, high * (k + 0.9)),
        ]
    line = np.array([(x, -deep / 2 - 2.4, z + 1.2) for x, z in path])
    for a, b in itertools.pairwise(line):
        parts.append(tube(np.array([a, b]), 1.45, "lens", segments=12))
        parts.append(tube(np.array([a, b]) - [0, 0, 1.3], 0.55, "red", segments=6))
        for t in np.linspace(0, 1, 8):
            p = a + t * (b - a)
            parts.append(
                lathe(
                    [(1.5, -0.12), (1.62, -0.12), (1.62, 0.12), (1.5, 0.12)], "steel", segments=14
                )
                .turned(np.pi / 2, "y")
                .moved(*p)
            )
    funnel = join(
        [
            lathe([(0.9, 0), (0.9, 3.2)], "trim", segments=14),
            lathe([(0.9, 0), (1.0, 0.9), (1.9, 2.2)], "trim", segments=14)
            .turned(np.pi / 2, "x")
            .moved(z=3.2),
        ]
    )
    parts += [funnel.moved(x, -deep / 2 - 7, 0) for x in (-wide * 0.36, -wide * 0.3, wide * 0.34)]
    parts += [
        box(6, 5, 3, roles[k], x=x, y=2, z=high * floors)
        for k, x in enumerate((-wide * 0.3, 0, wide * 0.28))
    ]
    return Model(
        join(parts),
        palette(
            Finish("paint", "#d3d5d4"),
            GREY,
            Finish("paint", "#e4e5e2", weather=0.3),
            steel=Finish("paint", "#eceeea", weather=0.3),
            blue=Finish("paint", "#2456a4"),
            green=Finish("paint", "#2f8a4f"),
            red=Finish("paint", "#c22a25"),
            yellow=Finish("paint", "#e0b028"),
            lens=Finish("glass", "#7d97a3"),
            second=LIMESTONE,
        ),
        "square",
    )
