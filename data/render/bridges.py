"""Arch bridges: statues and gates, houses, one high arch, an aqueduct, chains."""

import numpy as np

from render.finishes import (
    CREAM,
    GOLD_STONE,
    GREY,
    LIMESTONE,
    SLATE,
    TERRACOTTA,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, box, join, lathe, plate, profile, tube
from render.openings import Opening, bay, four_walls, row
from render.orders import cornice, pediment
from render.ornament import merlons, statue
from render.roofs import finial, gable_roof, hip_roof, spire


def span(
    width: float, rise: float, deck: float, depth: float, kind: str, *, closed: bool = False
) -> Shape:
    """Make one arch of a bridge: both faces with voussoirs, and the vault between."""
    op = Opening(
        width=0.84,
        sill=0.0,
        spring=max(0.02, (deck - rise) / deck),
        kind=kind,
        pane="",
        depth=depth,
        frame=0.55,
    )
    face = bay(width, deck, op)
    back = face.turned(np.pi).moved(y=depth)
    if closed:
        ends = [
            box(0.1, depth, deck, "wall", x=s * (width / 2 - 0.05), y=depth / 2) for s in (-1, 1)
        ]
        back = join([back, *ends])
    return join([face, back]).moved(y=-depth / 2)


def bridge(variant: int, rng: np.random.Generator) -> Model:
    """Make a bridge: statues and gate towers, houses, a single high arch, two tiers, or iron."""
    return (_old_bridge, _house_bridge, _high_arch, _aqueduct, _tower_bridge)[variant]()


def _deck(arches: list[tuple[float, float, str]], deck: float, depth: float) -> Shape:
    """A row of arches (width, rise, kind) with cutwaters, a cornice and piers between."""
    total = sum(a[0] for a in arches)
    x, parts = -total / 2, []
    for k, (w, rise, kind) in enumerate(arches):
        parts.append(span(w, rise, deck, depth, kind).moved(x=x + w / 2))
        x += w
        if k < len(arches) - 1:
            nose = np.array(
                [(-1.6, 0), (0, -2.6), (1.6, 0), (1.6, depth), (0, depth + 2.6), (-1.6, depth)]
            )
            cut = profile(nose, [(1, 0), (1, deck * 0.62), (0.2, deck * 0.8)], "trim")
            parts.append(cut.moved(x, -depth / 2, 0))
    return join([*parts, cornice((total, depth), 0.6).moved(z=deck - 0.3)])


def _old_bridge() -> Model:
    """Seven round arches, statues on the parapet, a gate tower at each end."""
    deck, depth = 9.0, 9.0
    parts = [_deck([(10.5, 6.0, "round")] * 7, deck, depth)]
    parts += [box(74, 0.5, 1.2, "wall", y=y, z=deck) for y in (-depth / 2, depth / 2)]
    parts += [
        statue(5.5, seed=k, plinth=0.45).moved(
            (k % 6 - 2.5) * 10.5, (-1 if k < 6 else 1) * depth / 2, deck
        )
        for k in range(12)
    ]
    gate = join(
        [
            span(11, 6, 9, 9, "pointed", closed=True),
            four_walls(
                11,
                9,
                lambda n, k: row(
                    n, 13, 2, Opening(width=0.3, sill=0.3, spring=0.7, kind="pointed", hood=False)
                ),
            ).moved(z=9),
            four_walls(12, 10, lambda n, k: merlons(n)).moved(z=22),
            hip_roof(10, 8, 13, ridge=0.3).moved(z=22),
            *(
                join([box(2, 2, 6, "wall"), spire(1.6, 8, sides=4).moved(z=6)]).moved(
                    x * 5, y * 4, 19
                )
                for x in (-1, 1)
                for y in (-1, 1)
            ),
            finial(3).moved(z=35),
        ]
    )
    parts += [gate.turned(np.pi / 2).moved(x * 40, 0, deck - 1) for x in (-1, 1)]
    parts += [box(11, 9, deck, "wall", x=x * 40) for x in (-1, 1)]
    return Model(
        join(parts),
        palette(Finish("ashlar", "#8f7c5f", scale=1.1, weather=0.7), SLATE, GREY),
        "river",
    )


def _house_bridge() -> Model:
    """Three wide arches that carry crooked coloured houses and a middle loggia."""
    deck, depth = 9.5, 11.0
    parts = [
        _deck([(19, 7.0, "segmental"), (23, 7.6, "segmental"), (19, 7.0, "segmental")], deck, depth)
    ]
    rng = np.random.default_rng(5)
    x = -30.0
    for k in range(13):
        w, h = 4.6, rng.uniform(6.0, 9.5)
        if k != 6:
            op = Opening(width=0.4, sill=0.3, spring=0.7, kind="flat", depth=0.25, hood=False)
            house = join(
                [
                    four_walls(
                        w,
                        depth + rng.uniform(0.3, 2.0),
                        lambda n, s, h=h, op=op, k=k: join(
                            [
                                row(n, h / 2, 2, op, wall=f"house{k % 4}").moved(z=j * h / 2)
                                for j in range(2)
                            ]
                        ),
                    ),
                    gable_roof(depth + 1, w, 2.0).turned(np.pi / 2).moved(z=h),
                ]
            )
            parts.append(house.moved(x + w / 2, 0, deck))
        else:
            arch = Opening(
                width=0.76, sill=0, spring=0.55, kind="round", pane="", depth=1, frame=0.3
            )
            parts += [row(w, 8, 1, arch).moved(x + w / 2, y, deck) for y in (-depth / 2, depth / 2)]
            parts += [pediment(w + 1, 2.4, depth, relief=0).moved(x + w / 2, -depth / 2, deck + 8)]
        x += w
    colours = {
        f"house{k}": Finish("plaster", c)
        for k, c in enumerate(("#d79a45", "#b9573f", "#e2cfa0", "#7f9a86"))
    }
    return Model(
        join(parts),
        palette(Finish("sandstone", "#b59268"), TERRACOTTA, LIMESTONE, **colours),
        "river",
    )


def _high_arch() -> Model:
    """One high white arch, its parapet humped, a chapel tower on each bank."""
    depth, half = 6.0, 34.0
    x = np.linspace(-half, half, 41)
    top = 5 + 13.5 * np.cos(x / half * np.pi / 2) ** 1.15
    under = np.stack([x[3:-3], 16.0 * np.sqrt(np.maximum(1 - (x[3:-3] / 29.5) ** 2, 0))], 1)
    side = np.concatenate([np.stack([x, top], 1), [(half, 0)], under[::-1], [(-half, 0)]])
    parts = [plate(side, depth, "wall", y=-depth / 2)]
    rail = np.concatenate([np.stack([x, top + 1.3], 1), np.stack([x, top], 1)[::-1]])
    parts += [plate(rail, 0.5, "trim", y=y) for y in (-depth / 2 - 0.1, depth / 2 - 0.4)]
    rib = np.concatenate([under * [1.03, 1.05], under[::-1]])
    parts.append(plate(rib, depth + 0.6, "trim", y=-depth / 2 - 0.3))
    turret = join(
        [
            four_walls(
                9,
                9,
                lambda n, k: row(n, 18, 2, Opening(width=0.35, sill=0.4, spring=0.6, kind="round")),
            ),
            cornice((9, 9), 0.8).moved(z=17.6),
            hip_roof(9, 9, 6, ridge=0.0).moved(z=18.3),
        ]
    )
    parts += [turret.moved(x=s * 39) for s in (-1, 1)]
    return Model(
        join(parts),
        palette(
            Finish("ashlar", "#d9d2c2", scale=1.0, weather=0.5), Finish("slate", "#6a5b50"), CREAM
        ),
        "river",
    )


def _aqueduct() -> Model:
    """Three tiers of golden arches."""
    parts, z = [], 0.0
    for count, h, depth, w in ((6, 14.0, 7.0, 13.0), (6, 12.0, 5.5, 13.0), (24, 5.0, 3.5, 3.25)):
        parts += [
            span(w, h * 0.9 if count < 9 else h * 0.7, h, depth, "round").moved(
                x=(k - (count - 1) / 2) * w, z=z
            )
            for k in range(count)
        ]
        parts.append(box(w * count + 0.6, depth + 0.8, 0.7, "trim", z=z + h))
        z += h + 0.6
    return Model(join(parts), palette(GOLD_STONE, GREY, Finish("sandstone", "#b88a50")), "river")


def _tower_bridge() -> Model:
    """Two gothic towers with an upper walk and blue suspension chains."""
    parts = []
    op = Opening(
        width=0.4, sill=0.25, spring=0.65, kind="pointed", depth=0.5, bars=(1, 2), frame=0.25
    )
    for s in (-1, 1):
        base = join(
            [
                span(11, 8, 10, 11, "pointed", closed=True).turned(np.pi / 2).moved(z=7),
                box(14, 16, 7, "base"),
                four_walls(
                    11, 11, lambda n, k: join([row(n, 8, 3, op), row(n, 8, 3, op).moved(z=8)])
                ).moved(z=17),
                cornice((11, 11), 0.8).moved(z=32.6),
                hip_roof(9, 9, 12, ridge=0.2).moved(z=33),
                finial(4).moved(z=44),
                *(
                    join(
                        [
                            lathe([(1.5, 0), (1.5, 28)], "trim", segments=8),
                            spire(1.7, 9).moved(z=28),
                        ]
                    ).moved(x * 5.5, y * 5.5, 7)
                    for x in (-1, 1)
                    for y in (-1, 1)
                ),
            ]
        )
        parts.append(base.moved(x=s * 17))
        for y in (-4, 4):
            t = np.linspace(0, 1, 14)
            chain = np.stack(
                [s * (22.5 + 20 * t), np.full(14, y), 31 * (1 - t) ** 2 + 12 * (1 - (1 - t) ** 2)],
                1,
            )
            parts += [
                tube(chain, 0.45, "steel"),
                *(
                    tube(np.array([p, [p[0], y, 9.5]]), 0.12, "steel", segments=4)
                    for p in chain[1:-1:2]
                ),
            ]
        parts.append(four_walls(7, 8, lambda n, k: row(n, 17, 2, op)).moved(x=s * 44))
        parts.append(hip_roof(7, 8, 5, ridge=0.2).moved(s * 44, 0, 17))
    parts += [
        box(90, 8, 1.4, "steel", z=8.3),
        *(box(90, 0.25, 1.3, "rail", y=y, z=9.7) for y in (-4, 4)),
        *(box(24, 2.2, 3, "steel", y=y, z=27) for y in (-3, 3)),
    ]
    return Model(
        join(parts),
        palette(
            LIMESTONE,
            SLATE,
            CREAM,
            steel=Finish("paint", "#3f7fa6"),
            rail=Finish("paint", "#e8e4da"),
        ),
        "river",
    )
