"""Halls of iron and glass: a station, a palm house, a market, a crystal palace."""

import numpy as np

from render.craft import ARCADE, SASH, barrel, block, fan, strut
from render.finishes import CREAM, GREY, LIMESTONE, SLATE, WHITE, Finish, Model, palette
from render.geometry import around, box, circle, copies, join, lathe, plate
from render.openings import Opening, bay, drum, four_walls, row
from render.orders import balustrade, cornice, figure, line_of, stairs, steps_around
from render.ornament import roundel
from render.roofs import dome, finial, gable_roof, hip_roof

IRON = Opening(width=0.88, sill=0.04, spring=0.72, kind="round", depth=0.25, frame=0.1, bars=(3, 3))
GLAZED = Opening(width=0.9, sill=0.12, spring=0.92, depth=0.2, frame=0.0, bars=(4, 3))


def iron_hall(variant: int, rng: np.random.Generator) -> Model:
    """Make a hall of iron and glass: station, palm house, market, or crystal palace."""
    return (_station, _palms, _market, _crystal)[variant](rng)


def _station(rng: np.random.Generator) -> Model:
    """Two brick clock towers beside three great fan windows before glazed sheds."""
    span, tall = rng.uniform(15, 17), rng.uniform(26, 31)
    parts = []
    arches = int(rng.integers(2, 4))
    xs = (np.arange(arches) - (arches - 1) / 2) * (span + 2)
    for x in xs:
        parts += [
            row(span, 5.2, 5, ARCADE).moved(x, -0.4, 0),
            plate(
                np.array(
                    [(-span / 2 - 1, 5), (span / 2 + 1, 5), (span / 2 + 1, 17), (-span / 2 - 1, 17)]
                ),
                0.1,
                "wall",
                y=0.35,
            ).moved(x=x),
            fan(span / 2 - 0.8, 11).moved(x, 0.0, 6.4),
            *(
                strut(
                    (span * 0.49 * np.cos(a), 6.4 + span * 0.49 * np.sin(a)),
                    (span * 0.49 * np.cos(a + 0.2), 6.4 + span * 0.49 * np.sin(a + 0.2)),
                    1.0,
                    ("trim", "second")[k % 2],
                    y=-0.25,
                    depth=0.5,
                ).moved(x=x)
                for k, a in enumerate(np.arange(16) * 0.196)
            ),
            cornice((span + 2, 1.5), 0.6).moved(x, 0, 5.2),
            barrel(span + 1, 28, span * 0.42, "glass", ribs=12).moved(x, 1.5, 10),
            box(0.6, 28, 10, "wall", x=x - span / 2 - 0.7, y=15),
            box(0.6, 28, 10, "wall", x=x + span / 2 + 0.7, y=15),
            figure(3.4, seed=int(rng.integers(99))).moved(x, 0, 18.2),
        ]
    wide = (span + 2) * arches
    parts += [cornice((wide, 2), 1.2).moved(0, 0.4, 16.8), balustrade(wide, 1.2).moved(z=18)]
    for s in (-1, 1):
        tower, z = [], 0.0
        for h, op, n in ((9.0, SASH, 2), (8.0, ARCADE, 3), (tall - 23, SASH, 2), (6.0, ARCADE, 3)):
            tower += [
                four_walls(7, 7, lambda m, k, h=h, op=op, n=n: row(m, h, n, op)).moved(z=z),
                *(
                    box(0.9, 0.9, h, "trim", x=x * 3.4, y=y * 3.4, z=z)
                    for x in (-1, 1)
                    for y in (-1, 1)
                ),
            ]
            z += h
            tower.append(cornice((7, 7), 0.7).moved(z=z - 0.5))
        tower += [
            four_walls(7, 7, lambda m, k: roundel(1.7).moved(y=-0.1)).moved(z=z - 8.2),
            hip_roof(7, 7, 6.5, ridge=0.0, curve=0.6).moved(z=z),
            finial(3).moved(z=z + 6),
        ]
        parts.append(join(tower).moved(s * (wide / 2 + 3.4), 0, 0))
        parts.append(
            block(15, 14, (5.2, 4.4, 4.0), (5, 4), SASH, cap="hip", rise=5).moved(
                s * (wide / 2 + 14), 3, 0
            )
        )
    canopy = [
        box(wide * 0.9, 4.2, 0.25, "steel", y=-2.6, z=4.6),
        line_of(lathe([(0.2, 0), (0.14, 4.6)], "steel", segments=8), wide * 0.86, 7).moved(y=-4.4),
    ]
    parts += canopy
    return Model(
        join(parts),
        palette(
            Finish("brick", "#a8533a", scale=0.4),
            SLATE,
            CREAM,
            second=Finish("brick", "#d3b27a", scale=0.4),
            steel=Finish("paint", "#3a5145"),
        ),
        "square",
    )


def _palms(rng: np.random.Generator) -> Model:
    """A white palm house: a tall glass dome over barrel-vaulted wings and round ends."""
    r, wing, low = rng.uniform(10.5, 12.5), rng.uniform(15, 19), rng.uniform(6.8, 8.2)
    frame = Opening(width=0.94, sill=0.16, spring=0.95, depth=0.12, frame=0.08, bars=(2, 3))
    parts = [steps_around(2 * (r + wing + 9), 2.2 * r, 0.9, 2, tread=1.2)]
    body = [
        drum(20, r, low, frame),
        cornice(circle(20, r, start=np.pi / 20), 0.5).moved(z=low - 0.3),
        dome(r, "round", ribs=24, sides=40, role="pane", stretch=0.5).moved(z=low),
    ]
    body += [
        lathe(
            [(r * s + 0.05, low + h), (r * s + 0.2, low + h + 0.12), (r * s, low + h + 0.25)],
            "trim",
        )
        for s, h in ((0.93, 1.9), (0.8, 3.0), (0.62, 3.9))
    ]
    z = low + r * 0.42
    body += [
        drum(16, r * 0.58, 3.6, IRON).moved(z=z),
        cornice(circle(16, r * 0.58, start=np.pi / 16), 0.4).moved(z=z + 3.4),
        dome(r * 0.58, "pointed", ribs=16, sides=32, role="pane", stretch=0.72).moved(z=z + 3.8),
        drum(8, 1.3, 1.8, IRON).moved(z=z + 3.4 + r * 0.55),
        dome(1.4, "onion", sides=12).moved(z=z + 5.2 + r * 0.55),
        finial(2).moved(z=z + 7.6 + r * 0.55),
    ]
    for s in (-1, 1):
        hall = [
            row(wing, low * 0.72, 7, frame).moved(y=-4.5),
            row(wing, low * 0.72, 7, frame).turned(np.pi).moved(y=4.5),
        ]
        vault = (
            barrel(9, wing, 4.2, "pane", ribs=9, rib="trim")
            .turned(np.pi / 2)
            .moved(wing / 2, 0, low * 0.72)
        )
        end = join(
            [
                drum(14, 6.4, low * 0.85, frame),
                dome(6.4, "round", ribs=14, sides=28, role="pane", stretch=0.7).moved(z=low * 0.85),
                finial(2).moved(z=low * 0.85 + 4.4),
            ]
        )
        body += [
            join([*hall, vault]).moved(s * (r + wing / 2 - 1), 0, 0),
            end.moved(s * (r + wing + 2), 0, 0),
        ]
    porch = join(
        [
            bay(5.5, 6.5, IRON),
            box(5.4, 4, 0.4, "trim", y=2, z=6.4),
            gable_roof(5.5, 4.5, 2.4).moved(0, 2, 6.5),
            *(
                lathe([(0.3, 0), (0.25, 5.4)], "trim", segments=8).moved(x, -0.6, 0)
                for x in (-2.6, 2.6)
            ),
        ]
    )
    body.append(porch.moved(y=-r - 2.6))
    parts.append(join(body).moved(z=0.9))
    parts += [
        stairs(6, 0.9, 3).moved(y=-1.1 * r - 2),
        *(
            join(
                [
                    box(1.4, 1.4, 1.2, "base"),
                    lathe([(0.35, 1.2), (0.8, 2.4), (0.5, 2.5)], "base", segments=12),
                ]
            ).moved(x, -1.1 * r - 3, 0)
            for x in np.linspace(-26, 26, 8)
        ),
    ]
    return Model(
        join(parts),
        palette(
            Finish("paint", "#e9ebe6", weather=0.3),
            GREY,
            Finish("paint", "#eef0ea", weather=0.25),
            pane=Finish("glass", "#7fa39a"),
            glass=Finish("glass", "#5f8078"),
            dome=Finish("paint", "#dfe6de"),
        ),
        "park",
    )


def _market(rng: np.random.Generator) -> Model:
    """Three gabled market halls: green iron, striped brick, coloured glass, a clock lantern."""
    n, span, deep = 3, rng.uniform(14, 16), 34.0
    parts = [steps_around(n * span + 2, deep + 2, 0.6, 2, tread=0.5)]
    for k in range(n):
        x, high = (k - 1) * span, 8.0 + (2.5 if k == 1 else 0.0)
        rise = span * 0.42
        front = [
            row(span, high * 0.5, 4, IRON),
            *(
                box(span, 0.2, 0.35, ("second", "wall")[j % 2], y=-0.06, z=high * 0.5 + 0.35 * j)
                for j in range(4)
            ),
            row(span, high * 0.5 - 1.4, 7, GLAZED).moved(z=high * 0.5 + 1.4),
            plate(np.array([(-span / 2, 0), (span / 2, 0), (0, rise)]), 0.3, "iron").moved(z=high),
        ]
        cells = int(rng.integers(7, 11))
        for j in range(cells):
            a, b = (
                -span * 0.44 + span * 0.88 * j / cells,
                -span * 0.44 + span * 0.88 * (j + 0.82) / cells,
            )
            tops = [rise * (1 - 2 * abs(v) / span) - 0.4 for v in (a, b)]
            tops = [max(t, 0.5) for t in tops]
            for f, g in ((0.0, 0.45), (0.52, 1.0)):
                pane = np.array(
                    [
                        (a, 0.4 + tops[0] * f),
                        (b, 0.4 + tops[1] * f),
                        (b, 0.3 + tops[1] * g),
                        (a, 0.3 + tops[0] * g),
                    ]
                )
                front.append(
                    plate(pane, 0.06, ("red", "blue", "yellow")[(j + (f > 0)) % 3], y=-0.05).moved(
                        z=high
                    )
                )
        front += [
            strut(
                (s * (span / 2 + 0.4), high - 0.2),
                (0, high + rise + 0.5),
                0.6,
                "iron",
                y=-0.5,
                depth=0.6,
            )
            for s in (-1, 1)
        ]
        front += [finial(2.4).moved(z=high + rise + 0.3), fan(1.5, 7).moved(0, -0.3, high + 1.4)]
        hall = [
            join(front).moved(y=-deep / 2),
            join(front).turned(np.pi).moved(y=deep / 2),
            gable_roof(span, deep, rise, eave=0.3).moved(z=high),
            box(3, deep - 4, 1.6, "glass", z=high + rise - 0.5),
            gable_roof(3, deep - 4, 1, eave=0.4).moved(z=high + rise + 1.1),
        ]
        for s in (-1, 1):
            hall.append(row(deep, high, 10, IRON).turned(s * np.pi / 2).moved(s * span / 2, 0, 0))
        parts.append(join(hall).moved(x, 0, 0.6))
    posts = copies(
        lathe([(0.32, 0), (0.2, 0.5), (0.16, 4.2), (0.4, 4.6)], "iron", segments=8),
        [(x, -deep / 2 - 3.4, 0.2) for x in np.linspace(-1.46 * span, 1.46 * span, 13)],
    )
    parts += [
        posts,
        box(3 * span, 4, 0.2, "roof", y=-deep / 2 - 2, z=4.8),
        line_of(
            plate(np.array([(-0.5, 0), (0.5, 0), (0, -0.8)]), 0.1, "iron"), 3 * span - 1, 44
        ).moved(0, -deep / 2 - 4.0, 4.8),
    ]
    z = 0.6 + 10.5 + span * 0.42
    parts += [
        drum(8, 2.6, 4, IRON).moved(z=z - 1),
        roundel(1.2).moved(0, -2.6, z + 1),
        dome(2.8, "pointed", ribs=8, sides=16).moved(z=z + 3),
        finial(3).moved(z=z + 6.6),
    ]
    return Model(
        join(parts),
        palette(
            Finish("brick", "#b8643f", scale=0.4),
            Finish("slate", "#5b6a63", scale=0.4),
            Finish("paint", "#2f6b50", weather=0.2),
            second=Finish("brick", "#e0c48c", scale=0.4),
            iron=Finish("paint", "#2a6149", weather=0.3),
            dome=Finish("copper", "#74a892"),
            red=Finish("paint", "#b23a33"),
            blue=Finish("paint", "#35618f"),
            yellow=Finish("paint", "#dcae3e"),
        ),
        "city",
    )


def _crystal(rng: np.random.Generator) -> Model:
    """Stepped glass storeys under barrel vaults, a high transept with a fan across the middle."""
    wide, deep, floors = rng.uniform(72, 82), 26.0, 3
    pane = Opening(
        width=0.9, sill=0.1, spring=0.66, kind="round", depth=0.2, frame=0.16, bars=(1, 1)
    )
    parts, z = [steps_around(wide + 2, deep + 2, 0.8, 2, tread=0.6)], 0.8
    bays = int(rng.integers(19, 25))
    for k in range(floors):
        w, d, h = wide * (1 - 0.0 * k), deep - 5.5 * k, 5.4 - 0.5 * k
        parts += [
            four_walls(
                w, d, lambda n, s, h=h, k=k: row(n, h, bays if s % 2 == 0 else 8 - k, pane)
            ).moved(z=z),
            cornice((w, d), 0.45, role="second").moved(z=z + h - 0.4),
            *(
                line_of(box(0.5, 0.3, 1.0, "second"), w, bays + 1).moved(0, s * d / 2, z + h)
                for s in (-1, 1)
            ),
            *(box(w, 0.08, 0.12, "second", y=s * d / 2, z=z + h + 0.7) for s in (-1, 1)),
        ]
        z += h
    half = deep / 2 - 5.5
    parts.append(
        barrel(2 * half, wide, half * 0.9, "pane", ribs=bays, rib="trim")
        .turned(np.pi / 2)
        .moved(wide / 2, 0, z)
    )
    span = rng.uniform(17, 20)
    y = deep / 2 + 2
    parts += [
        barrel(span, 2 * y, span * 0.5, "pane", ribs=9, rib="second").moved(0, -y, z + 1),
        *(
            join([fan(span / 2 - 0.2, 17), fan(span / 4, 9).moved(y=-0.15)]).moved(
                0, -y - 0.1, z + 1
            )
            if s < 0
            else fan(span / 2 - 0.2, 17).turned(np.pi).moved(0, y, z + 1)
            for s in (-1, 1)
        ),
        *(
            row(span, (z - 0.2) / 3, 7, pane).moved(0, -y, 0.8 + k * (z - 0.2) / 3)
            for k in range(3)
        ),
        *(box(span, 0.4, 0.5, "second", y=-y - 0.05, z=0.6 + k * (z - 0.2) / 3) for k in (1, 2, 3)),
        *(box(0.3, 2 * y, z, "trim", x=s * span / 2) for s in (-1, 1)),
        stairs(span, 0.8, 3).moved(y=-y),
    ]
    for s in (-1, 1):
        tower = join(
            [drum(8, 3.4, 6, pane).moved(z=6 * k) for k in range(4)]
            + [
                cornice(circle(8, 3.4, start=np.pi / 8), 0.6, role="second").moved(z=6 * k + 5.6)
                for k in range(4)
            ]
        )
        cap = join([dome(3.7, "pointed", ribs=8, sides=16), finial(4).moved(z=4.8)])
        parts.append(join([tower, cap.moved(z=24)]).moved(s * (wide / 2 + 2), 0, 0))
        parts.append(around(figure(3.0, seed=4), 1, 0).moved(s * span * 0.62, -y - 4, 0))
    return Model(
        join(parts),
        palette(
            Finish("paint", "#b9c8d4", weather=0.2),
            GREY,
            WHITE,
            second=Finish("paint", "#2f5c93", weather=0.2),
            pane=Finish("glass", "#8fb0bd"),
            glass=Finish("glass", "#5d7f8e"),
            dome=Finish("paint", "#2f5c93"),
            base=LIMESTONE,
        ),
        "park",
    )
