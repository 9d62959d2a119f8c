"""Palaces: storeys of windows under a roof line of their own."""

import numpy as np

from render.finishes import (
    BRICK,
    CHALK,
    COPPER,
    CREAM,
    DARK_STONE,
    GILT,
    GREEN_TILE,
    OCHRE,
    SKY,
    SLATE,
    TERRACOTTA,
    WHITE,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, box, copies, join
from render.openings import Opening, bay, drum, four_walls, row
from render.orders import (
    balustrade,
    column,
    cornice,
    figure,
    line_of,
    pediment,
)
from render.ornament import fountain, merlons, roundel, statue
from render.roofs import dome, finial, hip_roof, lantern


def palace(variant: int, rng: np.random.Generator) -> Model:
    """Make a palace: long storeys of windows, a central pavilion, corner pavilions, its own roof."""
    length, depth, storeys, bays, kind = [
        (84.0, 18.0, (6.0, 7.5, 4.5), 19, "baroque"),
        (46.0, 16.0, (7.0, 6.5, 7.5), 9, "venetian"),
        (52.0, 30.0, (8.5, 8.0, 7.0), 9, "florentine"),
        (72.0, 16.0, (6.0, 6.0), 15, "chateau"),
        (58.0, 20.0, (7.0, 9.0), 11, "pavilion"),
    ][variant]
    kinds = {
        "baroque": ("segmental", "flat", "flat"),
        "venetian": ("pointed", "ogee", "flat"),
        "florentine": ("round", "round", "round"),
        "chateau": ("flat", "flat"),
        "pavilion": ("round", "round"),
    }[kind]
    parts, z = [], 0.0
    for k, (h, shape) in enumerate(zip(storeys, kinds, strict=True)):
        arcade = (kind == "venetian" and k < 2) or (kind == "pavilion" and k == 0)
        op = Opening(
            width=0.72 if arcade else 0.4,
            sill=0.0 if arcade else 0.2,
            spring=0.55 if arcade else 0.68,
            kind=shape,
            depth=2.0 if arcade else 0.4,
            frame=0.25,
            pane="dark" if arcade else "glass",
            bars=(0, 0) if arcade else (1, 2),
            hood=kind == "baroque" and k == 1,
        )
        many = bays * 2 if kind == "venetian" and k == 1 else bays
        wall = "second" if kind == "baroque" and k == 0 else "wall"
        parts.append(
            four_walls(
                length,
                depth,
                lambda n, s, h=h, op=op, many=many, wall=wall: row(
                    n,
                    h,
                    many if s % 2 == 0 else max(3, round(many * depth / length)),
                    op,
                    wall=wall,
                ),
            ).moved(z=z)
        )
        z += h
        parts.append(
            cornice((length, depth), 0.7 if k < len(storeys) - 1 else 1.6).moved(z=z - 0.5)
        )
    parts += _palace_top(kind, length, depth, z + 1.0, bays)
    colours = {
        "baroque": palette(OCHRE, SLATE, CREAM, second=Finish("ashlar", "#cdbb92"), dome=COPPER),
        "venetian": palette(Finish("mosaic", "#d99f8c", "#f0e3d0", scale=2.2), TERRACOTTA, WHITE),
        "florentine": palette(
            Finish("ashlar", "#a5845a", scale=1.6, weather=0.6), TERRACOTTA, DARK_STONE
        ),
        "chateau": palette(BRICK, SLATE, CREAM, dome=SLATE),
        "pavilion": palette(SKY, GREEN_TILE, CHALK, dome=GILT),
    }[kind]
    return Model(join(parts), colours, ("park", "water", "city", "park", "square")[variant])


def _palace_top(kind: str, length: float, depth: float, z: float, bays: int) -> list[Shape]:
    """A palace's roof, pavilions and crowning."""
    y = -depth / 2
    tall = Opening(width=0.5, sill=0.1, spring=0.7, kind="round", hood=True)
    if kind == "baroque":
        middle = join(
            [
                row(22, z, 3, tall).moved(y=y - 1.5),
                line_of(column(z * 0.6, "corinthian", slender=11), 20, 6).moved(
                    0, y - 2.3, z * 0.33
                ),
                box(22, 6, z, "wall", y=y + 1.8),
                pediment(24, 5, 2, seed=1).moved(0, y - 2.8, z),
            ]
        )
        cap = hip_roof(22, depth + 2, 10, curve=1.2, role="dome").moved(z=z)
        statues = line_of(figure(2.6, seed=2), length - 3, 14).moved(0, y, z + 1)
        return [
            middle,
            cap,
            hip_roof(length, depth, 4).moved(z=z),
            balustrade(length).moved(0, y, z),
            statues,
            lantern(2, 7).moved(z=z + 10),
            fountain(7).moved(y=y - 24),
        ]
    if kind == "venetian":
        ends = [merlons(length, size=1.2, kind="pointed", role="trim").moved(0, y, z)]
        window = bay(
            7,
            9,
            Opening(width=0.7, sill=0.1, spring=0.5, kind="ogee", frame=0.6, bars=(3, 1)),
            wall="trim",
        )
        ends.append(window.moved(0, y - 0.6, z - 9))
        return [
            *ends,
            hip_roof(length, depth, 3).moved(z=z - 0.3),
            statue(5, seed=3, plinth=0.2).moved(0, y, z),
        ]
    if kind == "florentine":
        tower = four_walls(
            8, 8, lambda n, k: bay(n, 22, Opening(width=0.25, sill=0.4, spring=0.6, kind="round"))
        )
        head = join(
            [
                box(10, 10, 5, "wall", z=22),
                four_walls(10, 10, lambda n, k: merlons(n, kind="swallow")).moved(z=27),
                *(box(0.7, 0.7, 2.2, "trim", x=x, y=-4.4, z=20) for x in np.linspace(-4, 4, 6)),
                *(column(6, "ionic").moved(x, w, 27) for x in (-3, 3) for w in (-3, 3)),
                hip_roof(7.5, 7.5, 5).moved(z=33),
                finial(4).moved(z=37),
            ]
        )
        clock = roundel(2.4).moved(0, -4.1, 15)
        crown = four_walls(
            length + 2.5,
            depth + 2.5,
            lambda n, k: join([box(n, 1, 3, "wall"), merlons(n).moved(z=3)]),
        )
        return [
            crown.moved(z=z - 0.8),
            join([tower, head, clock]).moved(-length * 0.17, -depth / 2 + 4, z),
        ]
    if kind == "chateau":
        pavilion = join(
            [
                box(13, depth + 5, z, "wall"),
                row(13, z, 3, tall).moved(y=y - 2.6),
                hip_roof(13, depth + 5, 13, curve=0.9, ridge=0.45).moved(z=z),
                cornice((13, depth + 5), 1).moved(z=z - 1),
            ]
        )
        chimneys = [
            box(2.2, 1.4, 7, "wall", x=x, z=z + 4) for x in np.linspace(-0.4, 0.4, 6) * length
        ]
        dormer = join(
            [
                bay(2.4, 3.4, Opening(width=0.6, sill=0.15, spring=0.7, kind="round")),
                box(2.4, 3, 3.4, "trim", y=1.6),
                pediment(2.8, 1.2, 2, relief=0).moved(z=3.4),
            ]
        )
        centre = join(
            [
                dome(7, "round", sides=4, stretch=1.5, role="roof").turned(np.pi / 4),
                lantern(1.6, 7).moved(z=10),
            ]
        )
        return [
            copies(pavilion, [(x * length / 2, 0, 0) for x in (-1, 0, 1)]),
            hip_roof(length, depth, 8, curve=0.3).moved(z=z),
            *chimneys,
            line_of(dormer, length * 0.8, 9).moved(0, y, z),
            centre.moved(z=z + 12),
        ]
    tops = [
        join(
            [
                drum(8, 4, 4, tall).moved(z=0),
                dome(4.4, "onion", sides=20).moved(z=4),
                finial(3).moved(z=12),
            ]
        ).moved(x, y + 3, z)
        for x in (-length / 2 + 3, length / 2 - 3)
    ]
    middle = join(
        [
            box(16, 8, 10, "wall", y=y + 3),
            row(16, 10, 3, tall).moved(y=y - 1.1),
            dome(8, "round", ribs=12).moved(0, y + 3, 10),
            finial(6).moved(0, y + 3, 18),
            roundel(1.6).moved(0, y - 1.2, 9),
        ]
    )
    return [
        *tops,
        middle.moved(z=z - 0.4),
        balustrade(length, 1.5).moved(0, y, z),
        hip_roof(length, depth, 4).moved(z=z),
    ]
