"""Arenas: a broken amphitheatre, a masted stadium, a bullring, a timber playhouse."""

import itertools

import numpy as np

from render.craft import ARCADE, SASH, bay_ring, block, ellipse, strut, timber
from render.finishes import CHALK, GREY, LIMESTONE, SLATE, TERRACOTTA, Finish, Model, palette
from render.geometry import (
    Shape,
    around,
    box,
    circle,
    flat,
    join,
    lathe,
    loft,
    plate,
    profile,
    tube,
)
from render.openings import Opening, bay, drum
from render.orders import column, cornice, figure, stairs
from render.ornament import merlon_ring, roundel
from render.roofs import dome, finial, gable_roof

ARCH = Opening(
    width=0.58, sill=0.0, spring=0.52, kind="round", depth=1.6, frame=0.28, pane="dark", bars=(0, 0)
)


def arena(variant: int, rng: np.random.Generator) -> Model:
    """Make an arena: an amphitheatre, a stadium, a bullring, or a playhouse."""
    return (_amphitheatre, _stadium, _bullring, _playhouse)[variant](rng)


def _bands(half_w: float, half_d: float, z: float, height: float, role: str = "trim") -> Shape:
    """A moulding round an ellipse at height z."""
    return cornice(ellipse(half_w, half_d, 64), height, role=role, capped=False).moved(z=z)


def _amphitheatre(rng: np.random.Generator) -> Model:
    """Three storeys of arches with half columns and an attic, a third of the outer ring fallen."""
    count, hw, hd = int(rng.integers(40, 49)), rng.uniform(36, 40), rng.uniform(30, 33)
    kept = int(count * rng.uniform(0.58, 0.68))
    start = int(count * 0.36)
    outer = range(start, start + kept)
    parts, z = [], 0.0
    attic = Opening(
        width=0.22, sill=0.35, spring=0.62, depth=0.5, frame=0.2, pane="dark", bars=(0, 0)
    )
    angles = -np.pi / 2 + 2 * np.pi * np.arange(count) / count
    for k, h in enumerate((8.0, 8.0, 8.0, 7.0)):
        parts.append(bay_ring(hw, hd, count, h, attic if k == 3 else ARCH, keep=outer).moved(z=z))
        post = column(h - 1.2, ("doric", "ionic", "corinthian", "doric")[k], slender=7)
        ledge = box(2 * np.pi * hw / count * 1.04, 1.4, 0.9, "trim", z=h - 0.9)
        for j in outer:
            a = angles[j % count]
            turn = a + np.pi / 2
            parts.append(
                post.scaled(1, 0.7, 1)
                .turned(turn)
                .moved(hw * 1.005 * np.cos(a), hd * 1.005 * np.sin(a), z)
            )
            parts.append(
                ledge.turned(turn + np.pi / count).moved(
                    hw * np.cos(a + np.pi / count), hd * np.sin(a + np.pi / count), z
                )
            )
            if k == 1 or k == 2:
                statue = figure(3.2, seed=j).moved(y=0.5).turned(turn + np.pi / count)
                parts.append(
                    statue.moved(
                        hw * 0.985 * np.cos(a + np.pi / count),
                        hd * 0.985 * np.sin(a + np.pi / count),
                        z,
                    )
                )
        z += h
    for k in range(2):
        parts.append(bay_ring(hw - 6, hd - 6, count, 8, ARCH).moved(z=8 * k))
        parts.append(_bands(hw - 6, hd - 6, 8 * k + 7.2, 0.8))
    steps = [(1.0 - 0.05 * k, 17 - 1.7 * k) for k in range(9)]
    rings = [
        flat(ellipse((hw - 6) * s, (hd - 6) * s, 64), h) for s, h in steps for h in (h, h - 1.7)
    ]
    parts.append(loft(np.array(rings), "base"))
    ends = [outer.start, outer.stop]
    for j, s in zip(ends, (1, -1), strict=True):
        a = angles[j % count]
        ramp = plate(
            np.array([(-4, 0), (s * 12 if s > 0 else -12, 0), (0, 30), (-4, 30)]),
            4.5,
            "second",
            y=-1,
        )
        ramp = plate(
            np.array([(0, 0), (7.5, 0), (4.5, 14), (1.5, 24), (0, 30)]) * [-s, 1],
            4.5,
            "second",
            y=-0.2,
        )
        parts.append(ramp.turned(a + np.pi / 2).moved(hw * np.cos(a), hd * np.sin(a), 0))
    return Model(
        join(parts),
        palette(
            Finish("sandstone", "#cbb28a", weather=0.6),
            GREY,
            Finish("ashlar", "#c9b592", scale=0.8, weather=0.5),
            second=Finish("brick", "#b0805c", scale=0.5),
            base=Finish("ashlar", "#a99878", scale=0.6, weather=0.7),
        ),
        "park",
    )


def _stadium(rng: np.random.Generator) -> Model:
    """An oval of raking coloured fins under a ring roof hung from leaning masts."""
    fins, masts = int(rng.integers(60, 84)), int(rng.choice([8, 10, 12]))
    hw, hd, high = rng.uniform(36, 40), rng.uniform(29, 32), rng.uniform(21, 25)
    parts = [
        bay_ring(
            hw * 0.94,
            hd * 0.94,
            44,
            5.5,
            Opening(width=0.8, sill=0, spring=0.9, frame=0, bars=(1, 1), depth=0.6),
        )
    ]
    rings = [
        flat(ellipse(hw * s, hd * s, 64), z)
        for s, z in (
            (0.94, 5.5),
            (1.0, 6.0),
            (1.07, high),
            (1.0, high + 0.8),
            (0.72, 7),
            (0.62, 2.5),
        )
    ]
    parts.append(loft(np.array(rings), "wall"))
    for k in range(fins):
        a = 2 * np.pi * k / fins
        base = np.array([hw * np.cos(a), hd * np.sin(a), 5.6])
        tip = np.array([hw * 1.09 * np.cos(a + 0.05), hd * 1.09 * np.sin(a + 0.05), high + 0.5])
        back = np.array([hw * 1.09 * np.cos(a - 0.05), hd * 1.09 * np.sin(a - 0.05), high + 0.5])
        role = ("second", "third", "trim")[(k // 3) % 3]
        parts += [tube(np.array([base, end]), 0.3, role, segments=4) for end in (tip, back)]
    for f in (0.3, 0.62):
        s = 1.0 + 0.08 * f
        parts.append(_bands(hw * s, hd * s, 6 + (high - 6) * f, 0.6))
    roof = [
        flat(ellipse(hw * s, hd * s, 64), z)
        for s, z in (
            (1.13, high + 1.6),
            (1.14, high + 2.4),
            (0.66, high + 5.5),
            (0.66, high + 4.7),
            (1.13, high + 1.6),
        )
    ]
    parts.append(loft(np.array(roof), "roof"))
    for k in range(masts):
        a = 2 * np.pi * (k + 0.5) / masts
        c, s = np.cos(a), np.sin(a)
        foot, top = (
            np.array([hw * 1.1 * c, hd * 1.1 * s, 0]),
            np.array([hw * 1.2 * c, hd * 1.2 * s, high + 19]),
        )
        parts.append(tube(np.array([foot, top]), 0.7, "trim", segments=8))
        for t in (0.68, 0.86, 1.1):
            parts.append(
                tube(
                    np.array([top, [hw * t * c, hd * t * s, high + 3.5]]), 0.14, "trim", segments=4
                )
            )
        for d in (-0.2, 0.2):
            parts.append(
                tube(
                    np.array(
                        [top, [hw * 1.12 * np.cos(a + d), hd * 1.12 * np.sin(a + d), high + 2]]
                    ),
                    0.12,
                    "trim",
                    segments=4,
                )
            )
        parts.append(
            tube(np.array([top, [hw * 1.3 * c, hd * 1.3 * s, 0]]), 0.14, "trim", segments=4)
        )
    parts += [
        stairs(16, 5.5, 14, tread=0.5).moved(y=-hd * 0.95),
        box(18, 5, 1, "second", y=-hd - 2, z=9.5),
        *(
            box(1.6, 0.3, 1.5, "light", x=x, y=-hd * 1.06 - 2.4, z=9.0)
            for x in np.linspace(-8, 8, 6)
        ),
    ]
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#b9b6ae"),
            Finish("paint", "#dfe4e6", weather=0.3),
            Finish("paint", "#e8ebec", weather=0.2),
            second=Finish("paint", "#c33a2c"),
            third=Finish("paint", "#2d5ba0"),
            light=Finish("light", "#fff2d8"),
        ),
        "city",
    )


def _horseshoe(width: float, height: float, *, banded: bool = True) -> Shape:
    """A horseshoe arch of striped voussoirs over a dark opening, its face at y = 0."""
    half = width * 0.3
    turns = np.linspace(-0.5, np.pi + 0.5, 15)
    centre = height * 0.6
    parts = [
        plate(
            np.concatenate(
                [
                    [(-half * 0.86, 0)],
                    np.stack([-half * np.cos(turns), centre + half * np.sin(turns)], 1),
                    [(half * 0.86, 0)],
                ]
            ),
            0.1,
            "dark",
            y=-0.06,
        )
    ]
    for k, (a, b) in enumerate(itertools.pairwise(turns)):
        quad = [
            (-r * np.cos(t), centre + r * np.sin(t))
            for r, t in ((half, a), (half, b), (half * 1.42, b), (half * 1.42, a))
        ]
        parts.append(plate(np.array(quad), 0.22, ("trim", "second")[k % 2], y=-0.18))
    return join(parts)


def _bullring(rng: np.random.Generator) -> Model:
    """A round brick bullring of horseshoe arches with domed gate towers and glazed tiles."""
    r, sides = rng.uniform(27, 31), int(rng.choice([28, 32, 36]))
    plain = Opening(width=0.1, sill=0.4, spring=0.6, frame=0, pane="dark", depth=0.1, bars=(0, 0))
    side = 2 * r * np.sin(np.pi / sides)
    inner = r * np.cos(np.pi / sides)
    parts, z = [], 0.0
    for k, h in enumerate((6.5, 6.0, 4.0)):
        parts.append(drum(sides, r, h, plain).moved(z=z))
        arch = _horseshoe(side * (1.0 if k < 2 else 0.7), h * 0.86)
        parts += [
            join(
                arch.moved(0, -inner - 0.05, z).turned(2 * np.pi * j / sides) for j in range(sides)
            )
        ]
        band = lathe(
            [(r, z + h - 0.5), (r + 0.35, z + h - 0.35), (r + 0.35, z + h), (r - 0.5, z + h)],
            "third" if k < 2 else "trim",
            segments=sides * 2,
        )
        parts.append(band)
        parts.append(
            around(box(0.7, 0.5, h, "trim"), sides, r - 0.05, start=np.pi / sides).moved(z=z)
        )
        z += h
    parts += [
        merlon_ring(r, count=sides * 2, size=0.9, role="second").moved(z=z),
        lathe([(r - 0.6, z), (r - 8, z - 4), (r - 8, z - 8)], "roof", segments=64),
    ]
    gates = int(rng.choice([4, 4, 6]))
    for k in range(gates):
        gate = [
            box(9, 5, 19, "wall"),
            _horseshoe(13, 11).moved(0, -2.5, 0),
            box(9.4, 5.4, 0.7, "third", z=11.4),
            *(_horseshoe(3.2, 4.4).moved(x, -2.5, 12.8) for x in (-2.9, 0, 2.9)),
            cornice((9, 5), 0.8).moved(z=18.4),
        ]
        for s in (-1, 1):
            pier = [
                box(3.2, 3.2, 22, "wall"),
                *(box(3.5, 3.5, 0.5, ("second", "third")[q % 2], z=4 + 4.4 * q) for q in range(4)),
                _horseshoe(3.2, 3.8).moved(0, -1.65, 17.6),
                cornice((3.2, 3.2), 0.6).moved(z=21.6),
                drum(8, 1.5, 2.2, ARCH).moved(z=22),
                dome(1.8, "onion", sides=14).moved(z=24.2),
                finial(2).moved(z=27.4),
            ]
            gate.append(join(pier).moved(s * 6, 0, 0))
        gate.append(roundel(1.0, "third").moved(0, -2.7, 9.4))
        parts.append(join(gate).moved(0, -r - 0.6, 0).turned(2 * np.pi * k / gates))
    return Model(
        join(parts),
        palette(
            Finish("brick", "#b0603c", scale=0.4),
            TERRACOTTA,
            Finish("brick", "#c98a55", scale=0.4),
            second=Finish("plaster", "#ead9ac"),
            third=Finish("mosaic", "#2d6aa0", "#e8dca0", scale=1.0),
            dome=Finish("mosaic", "#3577ab", "#e6d9a0", scale=0.8),
        ),
        "square",
    )


def _playhouse(rng: np.random.Generator) -> Model:
    """A round half-timbered playhouse with a ring of thatch and a gabled stage house."""
    sides, r, floors = int(rng.choice([16, 18, 20])), rng.uniform(15, 17), 3
    side = 2 * r * np.sin(np.pi / sides)
    inner = r * np.cos(np.pi / sides)
    small = Opening(width=0.3, sill=0.36, spring=0.72, frame=0.1, bars=(1, 2), depth=0.2)
    parts, z = (
        [
            drum(
                sides,
                r * 1.005,
                1.0,
                Opening(width=0.05, sill=0.4, spring=0.5, frame=0),
                wall="base",
            )
        ],
        1.0,
    )
    for k in range(floors):
        panel = timber(side, 3.7, 2, small, brace="xvx"[k])
        parts += [
            join(
                panel.moved(0, -inner - 0.15 * k, 0).turned(2 * np.pi * j / sides)
                for j in range(sides)
            ).moved(z=z)
        ]
        z += 3.7
    ring = circle(sides, 1.0, start=np.pi / 2 - np.pi / sides)
    parts += [
        profile(
            ring,
            [
                (r + 1.1, z - 0.4),
                (r + 1.0, z),
                (r - 2.2, z + 3.8),
                (r - 2.9, z + 3.8),
                (r - 5.6, z + 0.2),
                (r - 5.6, z - 0.4),
            ],
            "roof",
            caps=(False, False),
        ),
        profile(ring, [(r - 5.4, 0), (r - 5.4, z)], "wall", caps=(False, False)),
    ]
    house = [
        block(11, 9, (z + 2,), (3, 3), small),
        gable_roof(9, 11, 5, eave=0.9).turned(np.pi / 2).moved(z=z + 2),
    ]
    for s in (-1, 1):
        house += [
            join(
                [
                    timber(4.6, 3, 2, small),
                    plate(np.array([(-2.5, 0), (2.5, 0), (0, 3.6)]), 5, "wall", y=0.05).moved(z=3),
                    *(strut((q * 2.4, 3), (0, 6.5), 0.3, "beam") for q in (-1, 1)),
                    gable_roof(4.6, 6, 3.7, eave=0.6).moved(0, 3, 3),
                ]
            ).moved(s * 2.9, -4.8, z + 1.6)
        ]
    house += [
        drum(6, 1.2, 2.2, ARCADE).moved(z=z + 6),
        lathe([(1.8, 0), (0.8, 1.5), (0.05, 3.4)], "roof", segments=12).moved(z=z + 8.2),
        box(0.1, 0.1, 6, "accent", z=z + 11),
        plate(
            np.array([(0, 0), (2.6, -0.2), (2.4, -0.9), (2.6, -1.5), (0, -1.4)]), 0.05, "flag"
        ).moved(z=z + 16.6),
    ]
    parts.append(join(house).moved(y=r * 0.42))
    for a in (0.0, float(rng.choice([-1, 1])) * 2 * np.pi / sides * 4):
        tower = [
            timber(5.5, 3.6, 2, SASH, brace="x").moved(z=3.6),
            bay(
                5.5,
                3.6,
                Opening(width=0.5, sill=0, spring=0.8, pane="door", frame=0.3, bars=(3, 2)),
            ),
            box(5.4, 5, 7.2, "wall", y=2.6),
            gable_roof(5.5, 6, 4, eave=0.7).moved(0, 2.5, 7.2),
            strut((-2.7, 7.2), (0, 11.2), 0.3, "beam"),
            strut((2.7, 7.2), (0, 11.2), 0.3, "beam"),
        ]
        parts.append(join(tower).moved(0, -r - 2.4, 0).turned(a))
    parts += [
        around(box(0.18, 0.18, 1.2, "accent"), 60, r + 9),
        lathe(
            [(r + 8.95, 0.9), (r + 9.05, 0.9), (r + 9.05, 1.05), (r + 8.95, 1.05)],
            "accent",
            segments=60,
        ),
    ]
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#e9e2d0"),
            Finish("foliage", "#8d7a50", "#6e5c38"),
            LIMESTONE,
            beam=Finish("wood", "#33251a", weather=0.2),
            base=Finish("brick", "#8d4c38", scale=0.4),
            flag=Finish("paint", "#b3252a"),
            second=CHALK,
            dome=SLATE,
        ),
        "water",
    )
