"""Works of industry and science: a power station, a gasholder, a water tower, an observatory."""

import numpy as np

from render.craft import ARCADE, SASH, block, walkway
from render.finishes import CHALK, CREAM, GREY, LIMESTONE, SLATE, Finish, Model, palette
from render.geometry import Shape, around, box, circle, copies, join, lathe, loft, plate, tube
from render.openings import Opening, bay, drum, four_walls, row
from render.orders import balustrade, column, cornice, line_of, pediment, stairs
from render.ornament import roundel
from render.roofs import dome, finial

TALL = Opening(width=0.5, sill=0.06, spring=0.86, depth=0.8, frame=0.0, bars=(2, 7))
ROUND = Opening(width=0.5, sill=0.2, spring=0.62, kind="round", depth=0.4, frame=0.22, bars=(1, 2))


def works(variant: int, rng: np.random.Generator) -> Model:
    """Make a work of industry or science: power station, gasholder, water tower, observatory."""
    return (_power, _gasholder, _water_tower, _observatory)[variant](rng)


def _power(rng: np.random.Generator) -> Model:
    """A stepped brick hall of tall fluted piers with white fluted chimneys at its corners."""
    wide, deep, high = rng.uniform(44, 50), 26.0, rng.uniform(21, 25)
    bays = int(rng.integers(7, 10))
    parts = [
        four_walls(wide - 12, deep, lambda n, k: row(n, high, bays if k % 2 == 0 else 4, TALL)),
        four_walls(wide - 14, deep - 3, lambda n, k: row(n, 6, bays * 2, SASH)).moved(z=high),
        *(
            cornice((w, d), 0.9).moved(z=z)
            for w, d, z in ((wide - 12, deep, high - 0.6), (wide - 14, deep - 3, high + 5.4))
        ),
        *(
            line_of(box(0.8, 0.7, high + 1.5, "second"), wide - 12, bays + 1).moved(y=s * deep / 2)
            for s in (-1, 1)
        ),
        *(
            box(wide - 12, 0.5, 0.6, "trim", y=-deep / 2 - 0.1, z=z)
            for z in (high * 0.3, high * 0.9)
        ),
    ]
    stack = rng.uniform(26, 32)
    flutes = circle(32, 1.0)
    flutes[1::2] *= 0.92
    for x in (-1, 1):
        for y in (-1, 1):
            base = [
                four_walls(
                    9 - 1.3 * k,
                    9 - 1.3 * k,
                    lambda n, s, k=k: row(
                        n, (high, 7, 4)[k], 4, TALL if k == 0 else SASH, wall="second"
                    ),
                ).moved(z=(0, high, high + 7)[k])
                for k in range(3)
            ]
            base += [
                cornice((9 - 1.3 * k, 9 - 1.3 * k), 0.8).moved(
                    z=(high, high + 7, high + 11)[k] - 0.5
                )
                for k in range(3)
            ]
            z0 = high + 11.5
            shaft = loft(
                np.array(
                    [
                        np.column_stack([flutes * r, np.full(32, z)])
                        for r, z in ((2.5, z0), (2.0, z0 + stack))
                    ]
                ),
                "chimney",
            )
            rims = [
                lathe([(2.6, 0), (2.9, 0.4), (2.9, 1.2), (2.4, 1.4)], "trim").moved(z=z0),
                lathe([(2.1, 0), (2.5, 0.5), (2.5, 1.8), (1.9, 1.8), (1.8, 0.5)], "trim").moved(
                    z=z0 + stack - 1
                ),
            ]
            parts.append(
                join([*base, shaft, *rims]).moved(x * (wide / 2 - 5), y * (deep / 2 - 2), 0)
            )
    parts += [
        bay(
            9,
            10,
            Opening(width=0.6, sill=0, spring=0.8, frame=0.7, pane="door", bars=(4, 4), depth=1),
        ).moved(y=-deep / 2 - 0.9),
        row(wide * 0.5, 5, 7, ARCADE).moved(0, -deep / 2 - 5, 0),
        box(wide * 0.5, 4.6, 5, "wall", y=-deep / 2 - 2.5),
        box(wide * 0.52, 5.2, 0.4, "trim", y=-deep / 2 - 2.6, z=5),
        *(
            tube(
                np.array(
                    [[s * wide * 0.52, -deep / 2 - 12, 0], [s * wide * 0.52, -deep / 2 - 12, 13]]
                ),
                0.5,
                "steel",
            )
            for s in (-1, 1)
        ),
        *(
            tube(
                np.array(
                    [
                        [s * wide * 0.52 - 6, -deep / 2 - 12, 15],
                        [s * wide * 0.52 + 9, -deep / 2 - 14, 20],
                    ]
                ),
                0.35,
                "steel",
            )
            for s in (-1, 1)
        ),
        *(box(2.4, 2.4, 2.6, "steel", x=s * wide * 0.52, y=-deep / 2 - 12, z=13) for s in (-1, 1)),
    ]
    return Model(
        join(parts),
        palette(
            Finish("brick", "#8f5139", scale=0.5, weather=0.5),
            SLATE,
            LIMESTONE,
            second=Finish("brick", "#a1603f", scale=0.5),
            chimney=Finish("plaster", "#ddd5c2"),
            steel=Finish("paint", "#3f5560"),
        ),
        "water",
    )


def _gasholder(rng: np.random.Generator) -> Model:
    """A ring of iron columns in three orders with lattice girders about a half-risen drum."""
    count, tiers, r = int(rng.integers(16, 23)), int(rng.integers(2, 4)), rng.uniform(16, 19)
    parts = [lathe([(r + 1.8, 0), (r + 1.8, 1.2), (r - 3, 1.3)], "base", segments=48)]
    high = 8.0
    angles = 2 * np.pi * np.arange(count) / count
    spots = np.stack([r * np.sin(angles), -r * np.cos(angles)], 1)
    for k in range(tiers):
        z = 1.2 + high * k
        parts.append(
            around(
                column(high - 0.6, ("doric", "ionic", "corinthian")[k], slender=9.5), count, r
            ).moved(z=z)
        )
        for j in range(count):
            a, b = (np.array([*spots[i % count], 0]) for i in (j, j + 1))
            top = [np.array([0, 0, z + high - q]) for q in (0.1, 1.5)]
            parts += [tube(np.array([a + t, b + t]), 0.16, "column", segments=4) for t in top]
            for f in range(4):
                p, q = a + (b - a) * f / 4, a + (b - a) * (f + 1) / 4
                parts += [
                    tube(np.array([p + top[0], q + top[1]]), 0.09, "column", segments=4),
                    tube(np.array([p + top[1], q + top[0]]), 0.09, "column", segments=4),
                ]
            c, d = (np.array([0, 0, z + q]) for q in (0.6, high - 1.6))
            parts += [
                tube(np.array([a + c, b + d]), 0.05, "steel", segments=4),
                tube(np.array([b + c, a + d]), 0.05, "steel", segments=4),
            ]
        parts.append(
            around(lathe([(0.5, 0), (0.7, 0.4), (0.2, 1.2)], "gold", segments=8), count, r).moved(
                z=z + high
            )
            if k == tiers - 1
            else around(box(1.2, 1.2, 0.5, "column"), count, r).moved(z=z + high - 0.4)
        )
    fill = high * tiers * rng.uniform(0.45, 0.75)
    parts += [
        lathe(
            [
                (r - 1.6, 1),
                (r - 1.6, fill),
                (r - 2.2, fill + 0.5),
                (r * 0.5, fill + 2.6),
                (0, fill + 3.2),
            ],
            "tank",
            segments=48,
        )
    ]
    parts += [
        lathe([(r - 1.5, z), (r - 1.3, z + 0.15), (r - 1.5, z + 0.3)], "steel", segments=48)
        for z in np.arange(2, fill, 2.2)
    ]
    parts.append(around(box(0.25, 0.25, fill - 1, "steel", z=1), 2 * count, r - 1.5))
    parts.append(walkway(r - 1.4, posts=40).moved(z=fill + 0.4))
    yard = [
        block(12, 9, (4.6, 3.8), (4, 3), ROUND, cap="gable", rise=4.6),
        box(2.2, 2.2, 24, "wall", x=8.4),
        lathe([(1.5, 24), (1.7, 25), (1.7, 26), (1.2, 26)], "trim", segments=8, smooth=False).moved(
            x=8.4
        ),
        *(box(2.5, 2.5, 0.5, "second", x=8.4, z=z) for z in (6, 12, 18, 22)),
    ]
    parts += [
        join(yard).moved(float(rng.choice([-1, 1])) * (r + 10), -6, 0),
        line_of(box(0.14, 0.14, 2.2, "steel"), 60, 80).moved(y=-r - 7),
        *(box(60, 0.1, 0.14, "steel", y=-r - 7, z=z) for z in (0.4, 1.8)),
    ]
    return Model(
        join(parts),
        palette(
            Finish("brick", "#a3704a", scale=0.4),
            SLATE,
            Finish("paint", "#a5382c", weather=0.4),
            column=Finish("paint", "#a5382c", weather=0.4),
            tank=Finish("copper", "#6e7f7c", weather=0.6),
            steel=Finish("paint", "#4c5657", weather=0.4),
            second=CREAM,
        ),
        "city",
    )


def _water_tower(rng: np.random.Generator) -> Model:
    """A brick mushroom: a buttressed shaft of arches, corbels, a wide tank under a lantern."""
    r, tall, n = rng.uniform(5.2, 6.2), rng.uniform(18, 22), int(rng.choice([10, 12]))
    parts = [lathe([(r * 1.35, 0), (r * 1.3, 1.6), (r * 1.1, 2)], "base", segments=n, smooth=False)]
    for k in range(3):
        z, h = 2 + k * tall / 3, tall / 3
        parts += [
            drum(n, r, h, ROUND).moved(z=z),
            lathe(
                [(r, 0), (r + 0.35, 0.25), (r + 0.35, 0.6), (r, 0.8)], "trim", segments=n * 2
            ).moved(z=z + h - 0.8),
        ]
    buttress = plate(
        np.array([(0, 0), (-2.2, 0), (-0.9, tall * 0.6), (-0.6, tall + 1), (0, tall + 1)]),
        0.9,
        "second",
        y=-0.45,
    ).turned(np.pi / 2)
    parts.append(
        join(buttress.moved(y=-r * 0.98).turned(2 * np.pi * (k + 0.5) / n) for k in range(n)).moved(
            z=1
        )
    )
    z = tall + 2
    wide = r * rng.uniform(1.5, 1.7)
    parts += [
        lathe([(r, z - 2.5), (r * 1.1, z - 1.2), (wide, z)], "wall", segments=40),
        around(
            plate(np.array([(0, 0), (-(wide - r), 2.6), (0, 2.6)]), 0.6, "trim", y=-0.3).turned(
                np.pi / 2
            ),
            2 * n,
            r,
        ).moved(z=z - 2.6),
        drum(2 * n, wide, 3.2, ARCADE).moved(z=z),
        drum(2 * n, wide, 4.2, ROUND, wall="second").moved(z=z + 3.2),
        cornice(circle(2 * n, wide, start=np.pi / 2 / n), 0.9).moved(z=z + 7),
        lathe([(wide * 1.1, 0), (wide * 0.62, 3.4), (r * 0.42, 4.6)], "roof", segments=40).moved(
            z=z + 7.8
        ),
        around(
            join([box(1.4, 1.6, 1.6, "trim"), box(0.9, 1.7, 1.0, "dark", z=0.3)]),
            n // 2,
            wide * 0.82,
        ).moved(z=z + 8.6),
        drum(n, r * 0.44, 3.4, ARCADE).moved(z=z + 12),
        lathe([(r * 0.6, 0), (r * 0.3, 2), (0.05, 4.6)], "roof").moved(z=z + 15.4),
        finial(2.6).moved(z=z + 19.6),
    ]
    parts += (
        [around(box(0.12, 0.4, 3.0, "gold"), 1, wide * 0.0).moved(z=z + 20)]
        if rng.random() < 0.0
        else []
    )
    parts += [
        block(13, 8, (4.2,), (5, 3), ROUND, cap="gable", rise=3.6).moved(s * (r + 8), 2, 0)
        for s in (-1, 1)
    ]
    parts += [
        bay(
            4.4,
            5.6,
            Opening(
                width=0.5,
                sill=0,
                spring=0.55,
                kind="round",
                pane="door",
                frame=0.5,
                bars=(3, 2),
                depth=0.6,
            ),
        ).moved(y=-r * 1.16),
        roundel(1.2).moved(0, -r * 1.02, tall - 1),
    ]
    return Model(
        join(parts),
        palette(
            Finish("brick", "#9c4a33", scale=0.4),
            Finish("copper", "#74a590"),
            Finish("brick", "#dcc08a", scale=0.4),
            second=Finish("brick", "#6f3428", scale=0.4),
            base=GREY,
        ),
        "park",
    )


def _opening_dome(radius: float, turn: float) -> Shape:
    """An observatory dome with an open slit, shutters and a telescope."""
    shell = dome(radius, "round", ribs=24, sides=48, role="dome", rib_role="seam")
    slit = []
    for t in np.linspace(0.15, 1.35, 12):
        slit.append(
            box(radius * 0.3, radius * 0.13, 0.2, "dark")
            .turned(t - np.pi / 2, "x")
            .moved(0, -radius * 1.012 * np.cos(t), radius * 1.012 * np.sin(t))
        )
    rails = [
        tube(
            np.array(
                [
                    [x, -radius * 1.04 * np.cos(t), radius * 1.04 * np.sin(t)]
                    for t in np.linspace(0.05, 1.5, 12)
                ]
            ),
            0.16,
            "steel",
        )
        for x in (-radius * 0.19, radius * 0.19)
    ]
    scope = tube(
        np.array([[0, -radius * 0.5, radius * 0.55], [0, -radius * 1.12, radius * 0.98]]),
        radius * 0.08,
        "gold",
        segments=12,
    )
    ring = lathe(
        [(radius * 1.03, -0.5), (radius * 1.06, -0.1), (radius * 1.0, 0.25)], "steel", segments=48
    )
    return join([shell, *slit, *rails, scope, ring]).turned(turn)


def _observatory(rng: np.random.Generator) -> Model:
    """A long white front with a portico, a great slit dome between two lesser ones."""
    wide, r = rng.uniform(40, 46), rng.uniform(7.5, 8.8)
    parts = [
        block(wide, 12, (5.4, 4.8), (11, 3), ROUND),
        four_walls(wide, 12, lambda n, k: balustrade(n, 1.1)).moved(z=10.4),
    ]
    parts += [
        drum(20, r, 16, ROUND).moved(y=-1),
        cornice(circle(20, r, start=np.pi / 20), 0.9).moved(y=-1, z=15.4),
        walkway(r + 0.8, posts=36, role="trim").moved(0, -1, 16.2),
        _opening_dome(r * 0.98, rng.uniform(-0.9, 0.9)).moved(0, -1, 17),
    ]
    parts += [around(box(0.7, 0.5, 5, "trim"), 20, r, start=np.pi / 20).moved(0, -1, 10.6)]
    for s in (-1, 1):
        small = [
            drum(12, 5.2, 12.5, ROUND),
            cornice(circle(12, 5.2, start=np.pi / 12), 0.7).moved(z=12),
            _opening_dome(5.1, rng.uniform(-1.4, 1.4)).moved(z=13),
        ]
        parts.append(join(small).moved(s * wide * 0.5, 0, 0))
    n = int(rng.choice([4, 6]))
    parts += [
        line_of(column(7.5, "ionic", slender=8.5), 11, n).moved(0, -r - 4.6, 1.4),
        box(13, 6.5, 0.8, "trim", y=-r - 2.6, z=8.9),
        pediment(13, 2.8, 5, seed=4).moved(0, -r - 5.4, 9.7),
        box(13.4, 7.4, 1.4, "base", y=-r - 2.8),
        stairs(11, 1.4, 5).moved(y=-r - 6.5),
    ]
    parts += [
        copies(
            join(
                [
                    box(1.4, 1.4, 2.2, "base"),
                    lathe([(0.9, 2.6), (1.0, 3.2), (0.6, 3.9), (0.3, 4.1)], "gold", segments=14),
                ]
            ),
            [(x, -r - 11, 0) for x in (-9, 9)],
        ),
        around(tube(np.array([[0, 0, 2.2], [0.9, 0, 3.2], [0, 0, 4.4]]), 0.08, "gold"), 4, 0).moved(
            y=-r - 12
        ),
    ]
    parts += [finial(2).moved(0, -1, 17 + r)]
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#ded3ba"),
            SLATE,
            CHALK,
            dome=Finish("copper", "#7fae9c", weather=0.3),
            seam=Finish("copper", "#658f80"),
            gable=GREY,
        ),
        "hill",
    )
