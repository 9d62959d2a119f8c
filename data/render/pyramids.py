"""Stepped pyramids, a ziggurat, terraces of bells, and smooth pyramids."""

import numpy as np

from render.finishes import (
    COBALT,
    DARK_STONE,
    GOLD_STONE,
    GREY,
    LIMESTONE,
    RED_STONE,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, around, blob, box, circle, copies, join, lathe, plate, profile
from render.openings import Opening, bay, four_walls, row
from render.orders import balustrade, cornice, stairs
from render.ornament import obelisk, relief, statue


def pyramid(variant: int, rng: np.random.Generator) -> Model:
    """Make a stepped pyramid: temple-topped, ziggurat, round with bells, steep-roofed, or smooth."""
    if variant == 2:
        return _stupa()
    if variant == 4:
        return _smooth()
    steps, base, high = [(9, 52.0, 3.0), (4, 58.0, 6.5), (0, 0, 0), (12, 40.0, 3.4)][variant]
    shrink = (base * 0.72 if variant != 3 else base * 0.62) / steps
    parts = []
    for k in range(steps):
        w = base - shrink * k
        parts.append(
            profile(
                circle(4, 0.5**0.5, start=np.pi / 4),
                [(w, 0), (w - 0.25 * shrink, high * 0.86), (w + 0.2, high * 0.86), (w + 0.2, high)],
                "wall",
            ).moved(z=high * k)
        )
        if variant == 1:
            pier = box(1.4, 0.5, high * 0.8, "trim")
            count = int(w / 4.5)
            parts += [
                copies(
                    pier,
                    [((j - (count - 1) / 2) * 4.5, -w / 2 + 0.3, high * k) for j in range(count)],
                ).turned(t * np.pi / 2)
                for t in range(4)
            ]
    z = steps * high
    top = base - shrink * (steps - 1)
    run = (base - top) / 2 / steps
    flight = join(
        [
            box(
                base * 0.2,
                run * (steps * 4 - j) / 4 + 1.5,
                high / 4,
                "base",
                y=-top / 2 - (run * (steps * 4 - j) / 4 + 1.5) / 2 + 1.0,
                z=high / 4 * j,
            )
            for j in range(steps * 4)
        ]
    )
    cheek = (
        plate(np.array([(0, z), (-(run * steps + 2.2), 0), (0, 0)]), 1.2, "trim", y=-0.6)
        .turned(np.pi / 2)
        .moved(y=-top / 2 + 0.6)
    )
    for t in range(4 if variant == 0 else 1):
        parts += [
            flight.turned(t * np.pi / 2),
            *(cheek.moved(x=s * base * 0.105).turned(t * np.pi / 2) for s in (-1, 1)),
        ]
    door = Opening(
        width=0.5, sill=0.0, spring=0.6, kind="flat", pane="dark", bars=(0, 0), depth=0.6
    )
    house = four_walls(
        top * 0.75, top * 0.6, lambda n, k: row(n, 6.0, 3 if k % 2 == 0 else 1, door)
    ).moved(z=z)
    parts += [house, cornice((top * 0.75, top * 0.6), 1.2).moved(z=z + 5.6)]
    if variant == 3:
        comb = plate(
            np.array([(-6, 0), (6, 0), (5, 9), (3.4, 13), (-3.4, 13), (-5, 9)]), 2.5, "second", y=1
        )
        parts += [
            comb.moved(z=z + 6.5),
            relief(9, 7, seed=4, count=5).moved(0, 0.9, z + 7.5),
            box(top * 0.65, top * 0.5, 3, "second", z=z + 6),
        ]
    if variant == 1:
        parts += [
            relief(top * 0.7, 3.5, seed=2, count=9).moved(0, -top * 0.3 - 0.1, z + 6.4),
            box(top * 0.6, top * 0.45, 5, "second", z=z + 6.6),
        ]
    parts += [
        statue(6, seed=k, plinth=0.5).moved(s * base * 0.16, -base / 2 - 5, 0)
        for k, s in enumerate((-1, 1))
    ]
    colours = [
        palette(GREY, GREY, LIMESTONE, base=Finish("ashlar", "#b5ad9c")),
        palette(
            Finish("brick", "#b98e5c", scale=0.7),
            GREY,
            Finish("brick", "#a2743f", scale=0.6),
            second=COBALT,
            frieze=COBALT,
        ),
        {},
        palette(
            Finish("sandstone", "#a8604a"),
            RED_STONE,
            Finish("plaster", "#c8b08e"),
            second=Finish("plaster", "#8e3a2c"),
        ),
    ][variant]
    return Model(join(parts), colours, ("park", "hill", "", "hill")[variant])


def _stupa() -> Model:
    """Terraces with rings of bell stupas about a great one."""
    parts, z = [], 0.0
    for w in (56.0, 49.0, 43.0):
        parts += [
            box(w, w, 3.2, "wall", z=z),
            cornice((w, w), 0.7).moved(z=z + 2.8),
            four_walls(w, w, lambda n, k: balustrade(n, 1.3)).moved(z=z + 3.4),
        ]
        niche = bay(
            2.6,
            3.4,
            Opening(width=0.55, sill=0.1, spring=0.5, kind="pointed", pane="dark", bars=(0, 0)),
        )
        parts += [
            around(join([niche, pyramid_cap(2.6)]), 1, 0).moved(
                (j - 4) * w / 9.5, -w / 2 - 0.2, z + 3.2
            )
            for j in range(9)
        ]
        z += 3.4
    bell = join(
        [
            lathe(
                [(1.9, 0), (2.0, 0.5), (1.7, 0.7), (1.65, 1.4), (1.2, 2.4), (0.6, 2.8)],
                "second",
                segments=18,
            ),
            box(0.9, 0.9, 0.7, "second", z=2.7),
            lathe([(0.3, 3.3), (0.02, 5.2)], "second", segments=8),
        ]
    )
    for radius, count in ((19.5, 24), (15.0, 18), (10.5, 12)):
        parts += [
            lathe([(radius + 2.4, z), (radius + 2.4, z + 1.6)], "wall", segments=48),
            around(bell, count, radius).moved(z=z + 1.6),
        ]
        z += 1.6
    great = lathe(
        [(7.0, 0), (7.3, 1.2), (6.4, 1.6), (6.2, 4), (4.6, 8), (2.5, 9.4)], "second", segments=32
    )
    parts += [
        great.moved(z=z),
        box(3.4, 3.4, 2.2, "second", z=z + 9.2),
        lathe([(1.3, 0), (0.05, 9)], "gold", segments=12).moved(z=z + 11.4),
        stairs(7, z - 5, 30, tread=0.42).moved(y=-19),
    ]
    return Model(
        join(parts),
        palette(DARK_STONE, GREY, GREY, second=Finish("ashlar", "#8d8578", scale=0.6, weather=0.5)),
        "park",
    )


def pyramid_cap(width: float) -> Shape:
    """A small stepped cap over a niche."""
    return join(
        box(width * (1 - 0.25 * k), 1.2, 0.5, "trim", y=0.5, z=3.4 + 0.5 * k) for k in range(4)
    )


def _smooth() -> Model:
    """Three smooth pyramids with courses, an avenue of sphinxes and two obelisks."""
    square = circle(4, 0.5**0.5, start=np.pi / 4)

    def courses(w: float, h: float, n: int = 30) -> Shape:
        return join(
            [
                profile(
                    square,
                    [(w * (1 - k / n), h * k / n), (w * (1 - k / n), h * (k + 1) / n)],
                    "wall",
                )
                for k in range(n)
            ]
        )

    sphinx = join(
        [
            box(1.8, 4.5, 1.2, "base"),
            blob(1.0, "statue", stretch=(0.8, 2.0, 0.8)).moved(z=1.9),
            blob(0.62, "statue").moved(0, -1.7, 3.0),
            box(0.4, 1.6, 0.4, "statue", x=0.4, y=-2.3, z=1.2),
            box(0.4, 1.6, 0.4, "statue", x=-0.4, y=-2.3, z=1.2),
        ]
    )
    parts = [
        courses(50, 33),
        courses(24, 17, 18).moved(44, 12, 0),
        courses(14, 10, 12).moved(-38, -10, 0),
    ]
    tip = profile(square, [(50 * 0.22, 33 * 0.8), (0.02, 33.3)], "second")
    parts += [
        tip,
        *(
            sphinx.turned(np.pi / 2 * -s).moved(s * 7, -32 - 7 * k, 0)
            for s in (-1, 1)
            for k in range(3)
        ),
        *(obelisk(2.2, 17, seed=k).moved(s * 9, -28, 0) for k, s in enumerate((-1, 1))),
    ]
    return Model(
        join(parts),
        palette(GOLD_STONE, GREY, LIMESTONE, statue=GOLD_STONE, second=Finish("marble", "#e6dcc0")),
        "hill",
    )
