"""Shrines of Asia's south: lotus towers, a shikhara, a gopuram, a stupa with eyes."""

import numpy as np

from render.craft import ARCADE
from render.finishes import CHALK, GREY, Finish, Model, palette
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
    tube,
)
from render.openings import Opening, bay, four_walls, row
from render.orders import cornice, figure, line_of, stairs
from render.ornament import relief, statue
from render.roofs import finial, gable_roof

COLUMNED = Opening(
    width=0.66, sill=0.22, spring=0.76, depth=0.5, frame=0.14, bars=(5, 0), pane="dark"
)


def shrine(variant: int, rng: np.random.Generator) -> Model:
    """Make a shrine: five lotus towers, a shikhara, a gopuram, or a stupa with eyes."""
    return (_lotus, _shikhara, _gopuram, _eyes)[variant](rng)


def _star(points: int = 5) -> np.ndarray:
    """A square plan with stepped corners, of half-width 1."""
    quarter = [
        (1.0, -0.42),
        (1.0, 0.42),
        (0.86, 0.42),
        (0.86, 0.66),
        (0.66, 0.66),
        (0.66, 0.86),
        (0.42, 0.86),
        (0.42, 1.0),
    ]
    plan = []
    for k in range(4):
        c, s = np.cos(k * np.pi / 2), np.sin(k * np.pi / 2)
        plan += [(c * x - s * y, s * x + c * y) for x, y in quarter[1:]]
    return np.array(plan)


def _prasat(radius: float, height: float, tiers: int) -> Shape:
    """A lotus-bud tower of stepped tiers with pointed antefixes."""
    plan, parts, z = _star(), [], 0.0
    leaf = plate(np.array([(-0.5, 0), (0.5, 0), (0.55, 0.5), (0, 1.5), (-0.55, 0.5)]), 0.35, "trim")
    for k in range(tiers):
        t = k / tiers
        r = radius * (1 - t**1.9) * (1 + 0.1 * np.sin(np.pi * t))
        h = height / tiers * (1.25 - 0.5 * t)
        parts.append(
            profile(
                plan,
                [(r, z), (r * 0.95, z + h * 0.7), (r * 1.04, z + h * 0.8), (r * 1.04, z + h)],
                "wall",
            )
        )
        size = 0.26 * r
        parts += [around(leaf.scaled(size, 1, size * 1.2), 4, r * 1.0).moved(z=z + h)]
        parts += [
            around(leaf.scaled(size * 0.6, 1, size * 0.9), 4, r * 1.08, start=np.pi / 4).moved(
                z=z + h
            )
        ]
        z += h
    parts.append(
        lathe(
            [(radius * 0.3, z), (radius * 0.34, z + 0.5), (0.1, z + radius * 0.6)],
            "wall",
            segments=12,
        )
    )
    return join(parts)


def _gallery(length: float) -> Shape:
    """A vaulted gallery along x with column windows and a ribbed roof, its face at y = 0."""
    vault = plate(
        np.array([(-2.2, 0), (-2.0, 1.0), (-1.0, 2.0), (0, 2.4), (1.0, 2.0), (2.0, 1.0), (2.2, 0)]),
        length,
        "roof",
        y=-length / 2,
    )
    ridge = line_of(box(0.25, 0.3, 0.7, "trim", z=2.3), length, int(length))
    return join(
        [
            row(length, 3.6, max(3, int(length / 2.4)), COLUMNED),
            vault.turned(np.pi / 2).moved(0, 2, 3.5),
            ridge.moved(0, 2, 3.4),
        ]
    )


def _lotus(rng: np.random.Generator) -> Model:
    """Five lotus towers on terraces ringed by galleries, behind a causeway."""
    wide, tiers = rng.uniform(50, 58), int(rng.integers(7, 10))
    parts, z = [], 0.0
    for k, w in enumerate((wide, wide * 0.66, wide * 0.4)):
        high = (2.6, 4.6, 6.0)[k]
        parts += [
            profile(
                circle(4, 0.707, start=np.pi / 4),
                [(w + 2, z), (w + 1, z + high * 0.4), (w + 1.6, z + high * 0.5), (w, z + high)],
                "base",
            )
        ]
        z += high
        parts += [_gallery(w - 1).moved(0, -w / 2 + 0.4, z).turned(t * np.pi / 2) for t in range(4)]
        parts += [
            stairs(4.5, high, 10, tread=0.32).moved(0, -w / 2 - 0.4, z - high).turned(t * np.pi / 2)
            for t in range(4)
        ]
        if k < 2:
            r = (2.6, 3.4)[k]
            spots = [(x * w / 2 * 0.95, y * w / 2 * 0.95, z) for x in (-1, 1) for y in (-1, 1)]
            parts += [copies(_prasat(r, (7, 14)[k], tiers - 2), spots)]
            door = join(
                [
                    bay(4.4, 5.4, ARCADE),
                    plate(
                        np.array([(-2.6, 0), (2.6, 0), (1.6, 1.8), (0, 3.2), (-1.6, 1.8)]),
                        0.6,
                        "frieze",
                    ).moved(z=5),
                ]
            )
            parts += [door.moved(0, -w / 2 - 0.3, z).turned(t * np.pi / 2) for t in range(4)]
    parts += [
        _prasat(5.6, rng.uniform(21, 24), tiers).moved(z=z),
        box(7, 12, 0.9, "base", y=-wide / 2 - 8),
        *(
            tube(
                np.array(
                    [
                        [s * 3.5, -wide / 2 - 3, 1.5],
                        [s * 3.5, -wide / 2 - 12, 1.5],
                        [s * 3.5, -wide / 2 - 14, 3.2],
                    ]
                ),
                0.4,
                "trim",
            )
            for s in (-1, 1)
        ),
        *(statue(3.6, seed=k).moved(s * 6, -wide / 2 - 12, 0) for k, s in enumerate((-1, 1))),
    ]
    return Model(
        join(parts),
        palette(
            Finish("sandstone", "#8d8471", weather=0.8),
            Finish("sandstone", "#6f6a5f", weather=0.8),
            Finish("sandstone", "#a19680", weather=0.6),
            base=Finish("ashlar", "#8f7f66", scale=0.8, weather=0.8),
            frieze=Finish("sandstone", "#b09c7c"),
        ),
        "park",
    )


def _spire(radius: float, height: float, rolls: int) -> Shape:
    """A curved shikhara: ribbed courses, a ribbed disc, a pot."""
    plan, parts = _star(), []
    steps = []
    for k in range(rolls):
        for f, out in ((0.0, 1.0), (0.55, 1.0), (0.6, 0.93), (0.98, 0.93)):
            t = (k + f) / rolls
            steps.append((radius * out * (1 - t**2.3 * 0.62), height * t))
    parts.append(profile(plan, steps, "wall"))
    spine = [(radius * 1.02 * (1 - t**2.3 * 0.62), height * t) for t in np.linspace(0, 1, 12)]
    path = np.array([(0, -r, z) for r, z in spine])
    parts += [
        join(
            tube(path + [x * radius, 0, 0], 0.09 * radius, "trim", segments=5)
            for x in (-0.2, 0, 0.2)
        ).turned(a)
        for a in np.arange(4) * np.pi / 2
    ]
    disc = join(
        [
            lathe([(0.3, 0), (0.5, 0.1), (0.5, 0.3), (0.3, 0.4)], "trim", segments=20),
            around(blob(0.13, "trim", stretch=(0.6, 1, 1.5)).moved(z=0.2), 20, 0.48),
        ]
    )
    pot = lathe(
        [(0.1, 0.4), (0.24, 0.55), (0.2, 0.75), (0.08, 0.85), (0.02, 1.2)], "gold", segments=12
    )
    return join([*parts, join([disc, pot]).scaled(radius).moved(z=height)])


def _shikhara(rng: np.random.Generator) -> Model:
    """A pink curved tower with lesser ones leaning on it, behind two pyramid-roofed halls."""
    r, high, rolls = rng.uniform(6.6, 7.6), rng.uniform(27, 32), int(rng.integers(11, 15))
    parts = [
        box(26, 50, 3, "base", y=-9),
        cornice((26, 50), 0.6).moved(y=-9, z=2.6),
        stairs(6, 3, 9).moved(y=-34),
    ]
    body = [
        profile(
            _star(),
            [(r * 1.06, 0), (r * 1.06, 2), (r, 2.4), (r, 7.5), (r * 1.08, 8), (r, 8.6)],
            "wall",
        )
    ]
    body += [
        relief(r * 0.78, 4, seed=k, count=7).moved(0, -r - 0.1, 2.8).turned(k * np.pi / 2)
        for k in range(4)
    ]
    body.append(_spire(r, high, rolls).moved(z=8.4))
    for share, up, out in ((0.5, 5.5, 0.72), (0.36, 0.0, 1.04)):
        body.append(around(_spire(r * share, high * share * 1.1, 8), 4, r * out).moved(z=8.4 + up))
    body.append(around(_spire(r * 0.26, high * 0.27, 6), 4, r * 1.12, start=np.pi / 4).moved(z=8.4))
    parts.append(join(body).moved(y=6, z=3))
    for y, side, tall in ((-8, 14.0, 7.0), (-24, 11.0, 6.0)):
        hall = [four_walls(side, side, lambda n, k, h=tall: row(n, h, 5, COLUMNED))]
        for k in range(int(rng.integers(6, 9))):
            w = side * (1.1 - 0.12 * k)
            hall.append(box(w, w, 0.5, "trim", z=tall + 0.85 * k))
            hall.append(box(w * 0.92, w * 0.92, 0.4, "wall", z=tall + 0.85 * k + 0.5))
            hall.append(
                around(blob(0.32, "trim"), 4, w * 0.7, start=np.pi / 4).moved(
                    z=tall + 0.85 * k + 0.6
                )
            )
        hall += [
            relief(side * 0.8, 1.2, seed=3, count=14)
            .moved(0, -side / 2 - 0.1, 0.3)
            .turned(t * np.pi / 2)
            for t in range(4)
        ]
        hall.append(finial(3).moved(z=tall + 6))
        parts.append(join(hall).moved(0, y, 3))
    return Model(
        join(parts),
        palette(
            Finish("sandstone", "#c48a66", weather=0.4),
            GREY,
            Finish("sandstone", "#d6a37e"),
            base=Finish("ashlar", "#b08a6a", scale=0.8),
            frieze=Finish("sandstone", "#9e6a4c"),
            statue=Finish("sandstone", "#d9ad88"),
        ),
        "park",
    )


def _gopuram(rng: np.random.Generator) -> Model:
    """A gate tower crowded with painted figures, under a barrel crest of pots."""
    tiers, wide, deep = int(rng.integers(7, 10)), rng.uniform(23, 26), 15.0
    gate = Opening(width=0.5, sill=0, spring=0.75, depth=3, frame=0.5, pane="door", bars=(3, 4))
    parts = [
        box(wide, deep, 9, "base"),
        *(bay(6, 8, gate).moved(y=s * (deep / 2 + 0.2)) for s in (-1,)),
        *(
            line_of(box(0.8, 0.6, 8, "trim"), wide - 2, 9).moved(y=s * (deep / 2 + 0.1))
            for s in (-1, 1)
        ),
        cornice((wide, deep), 1).moved(z=8.6),
        row(19, 5, 9, ARCADE, wall="base").moved(wide / 2 + 9.5, -3, 0),
        row(19, 5, 9, ARCADE, wall="base").moved(-wide / 2 - 9.5, -3, 0),
        *(box(19, 4, 5, "base", x=s * (wide / 2 + 9.5), y=0) for s in (-1, 1)),
        *(
            box(
                19,
                0.5,
                0.9,
                ("second", "third")[k % 2],
                x=s * (wide / 2 + 9.5),
                y=-3.1,
                z=5 + 0.9 * k,
            )
            for s in (-1, 1)
            for k in range(2)
        ),
    ]
    paints = ("second", "third", "fourth", "fifth", "gold")
    z = 9.6
    for k in range(tiers):
        t = k / tiers
        w, d, h = wide * (0.97 - 0.52 * t), deep * (0.97 - 0.5 * t), 4.0 - 1.2 * t
        parts += [
            box(w, d, h, ("wall", "sixth")[k % 2], z=z),
            cornice((w, d), 0.5, role=paints[k % 4]).moved(z=z + h - 0.5),
        ]
        door = join([box(1.6, 0.8, h * 0.72, "trim"), box(1.0, 0.9, h * 0.55, "dark")])
        for s in (-1, 1):
            side = [door.scaled(1, 1, 1).moved(0, -d / 2, z)]
            count = 14 - k
            for j in range(count):
                x = w * ((j + 0.5) / count - 0.5)
                if abs(x) > 1.2:
                    role = paints[int(rng.integers(5))]
                    side.append(
                        figure(h * rng.uniform(0.6, 0.85), seed=j, role=role).moved(
                            x, -d / 2 - 0.35, z
                        )
                    )
                niche = box(
                    w / count * 0.55,
                    0.5,
                    h * 0.3,
                    paints[(j + k) % 5],
                    x=x,
                    y=-d / 2 + 0.3,
                    z=z + h,
                )
                side.append(niche)
            parts.append(join(side).turned(0 if s < 0 else np.pi))
            ends = [
                figure(h * 0.7, seed=j, role=paints[(j + k) % 5]).moved(
                    (j - 1.5) * d / 5, -w / 2 - 0.35, z
                )
                for j in range(4)
            ]
            parts.append(join(ends).turned(s * np.pi / 2))
        z += h
    w, d = wide * 0.46, deep * 0.46
    arc = np.array(
        [
            (-d / 2, 0),
            (-d * 0.56, d * 0.3),
            (-d * 0.3, d * 0.62),
            (0, d * 0.74),
            (d * 0.3, d * 0.62),
            (d * 0.56, d * 0.3),
            (d / 2, 0),
        ]
    )
    parts += [plate(arc, w, "third", y=-w / 2).turned(np.pi / 2).moved(z=z)]
    parts += [
        plate(arc * 1.15, 0.6, "gold", y=-0.3).turned(np.pi / 2).moved(x, 0, z - 0.2)
        for x in (-w / 2, w / 2)
    ]
    pot = lathe([(0.3, 0), (0.75, 0.6), (0.4, 1.1), (0.15, 1.3), (0.03, 2.4)], "gold", segments=12)
    parts.append(line_of(pot, w * 0.9, tiers).moved(z=z + d * 0.72))
    return Model(
        join(parts),
        palette(
            Finish("paint", "#c9b58c"),
            GREY,
            Finish("plaster", "#e0cfa6"),
            base=Finish("ashlar", "#a08c70", scale=0.8),
            second=Finish("paint", "#2d7fa0"),
            third=Finish("paint", "#c2453a"),
            fourth=Finish("paint", "#3f8a55"),
            fifth=Finish("paint", "#e3d6c4"),
            sixth=Finish("paint", "#b98f7c"),
        ),
        "city",
    )


def _eyes(rng: np.random.Generator) -> Model:
    """A white dome with a gilded, eyed cube and thirteen steps, hung with prayer flags."""
    r, sag = rng.uniform(14, 16), rng.uniform(0.62, 0.72)
    parts, z = [], 0.0
    for w, h in ((58, 2.6), (49, 2.6), (40, 2.6)):
        parts += [
            prof.moved(z=z)
            for prof in (
                profile(_star(), [(w / 2, 0), (w / 2, h)], "wall"),
                cornice((w * 0.8, w * 0.8), 0.4).moved(z=h - 0.3),
            )
        ]
        niche = join([box(1.3, 0.5, 1.7, "second"), box(0.8, 0.6, 1.2, "dark", z=0.2)])
        parts += [
            line_of(niche, w * 0.4, 7).moved(0, -w / 2, z + 0.3).turned(k * np.pi / 2)
            for k in range(4)
        ]
        z += h
    arc = np.linspace(0, np.pi / 2, 14)
    parts.append(
        lathe(
            [
                (r * 1.02, 0),
                (r * 1.02, 1.2),
                *((r * np.cos(a), 1.2 + r * sag * np.sin(a)) for a in arc),
            ],
            "wall",
            segments=40,
        ).moved(z=z)
    )
    for k in range(24):
        a = 2 * np.pi * k / 24
        stain = plate(np.array([(-1.2, 0), (0, 2.4), (1.2, 0), (0, -0.4)]), 0.1, "second")
        parts.append(stain.moved(0, -r * 1.03, z + 0.4).turned(a))
    z += 1.0 + r * sag
    side = r * 0.46
    cube = [box(side, side, side * 0.8, "gold")]
    for k in range(4):
        eyes = [
            plate(
                np.array(
                    [(-1.3, 0.1), (-0.6, 0.55), (0.5, 0.5), (1.2, 0.0), (0.2, -0.25), (-0.7, -0.15)]
                )
                * [s, 1],
                0.08,
                "eye",
            ).moved(s * side * 0.22, -side / 2 - 0.05, side * 0.42)
            for s in (-1, 1)
        ]
        pupils = [
            plate(circle(12, 0.33), 0.1, "dark").moved(
                s * side * 0.22, -side / 2 - 0.1, side * 0.45
            )
            for s in (-1, 1)
        ]
        brows = [
            plate(
                np.array([(-1.4, 0.7), (-0.5, 1.15), (0.9, 0.9), (-0.4, 0.95)]) * [s, 1],
                0.1,
                "third",
            ).moved(s * side * 0.22, -side / 2 - 0.06, side * 0.42)
            for s in (-1, 1)
        ]
        nose = plate(
            np.array(
                [(-0.2, 0.5), (0.3, 0.5), (0.35, 0.0), (0.0, -0.3), (-0.35, -0.05), (0.05, 0.1)]
            ),
            0.1,
            "third",
        ).moved(0, -side / 2 - 0.06, side * 0.22)
        cube.append(join([*eyes, *pupils, *brows, nose]).turned(k * np.pi / 2))
    parts.append(join(cube).moved(z=z))
    z += side * 0.8
    parts.append(cornice((side, side), 0.6, role="gold").moved(z=z - 0.3))
    steps = int(rng.integers(11, 15))
    for k in range(steps):
        w = side * (1.02 - 0.7 * k / steps)
        parts.append(box(w, w, 0.5, "gold", z=z + 0.66 * k))
        parts.append(box(w * 0.9, w * 0.9, 0.2, "third", z=z + 0.66 * k + 0.48))
    z += 0.66 * steps
    parts += [
        lathe([(1.9, 0.6), (2.0, 1.0), (0.4, 2.0), (0.3, 3.0), (0.02, 5.0)], "gold").moved(z=z),
        lathe([(0.4, 0), (0.4, 1)], "gold").moved(z=z),
    ]
    colours = ("blue", "eye", "third", "green", "second")
    for a in np.arange(8) * np.pi / 4 + np.pi / 8:
        top, end = np.array([0, 0, z + 1]), np.array([25 * np.cos(a), 25 * np.sin(a), 9.0])
        t = np.linspace(0, 1, 26)
        rope = top + t[:, None] * (end - top) - np.array([0, 0, 5.0]) * np.sin(np.pi * t)[:, None]
        parts.append(tube(rope, 0.05, "dark", segments=3))
        along = (end - top) / np.linalg.norm(end - top) * 0.4
        for k in range(1, 25):
            p = rope[k]
            flag = np.array(
                [p - along, p + along, p + along - [0, 0, 0.9], p - along - [0, 0, 0.9]]
            )
            parts.append(polygons(flag, [(0, 1, 2, 3)], colours[k % 5]))
    gate = join(
        [
            bay(7, 6, ARCADE, wall="third"),
            box(7, 4, 6, "third", y=2.7),
            gable_roof(4.6, 7.6, 2.4).turned(np.pi / 2).moved(0, 2, 6),
        ]
    )
    parts += [gate.moved(y=-34), finial(2).moved(0, -32, 8.6), stairs(6, 2.6, 8).moved(y=-29)]
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#efece4", weather=0.5),
            Finish("copper", "#b08a3c"),
            CHALK,
            second=Finish("paint", "#d7a83c"),
            third=Finish("paint", "#a8322a"),
            eye=Finish("paint", "#f2efe6"),
            blue=Finish("paint", "#2f5fa8"),
            green=Finish("paint", "#3d8a4e"),
        ),
        "square",
    )
