"""Bell towers: square, leaning, banded, clocked, onion-topped."""

import numpy as np

from render.finishes import (
    BRICK,
    CHALK,
    COPPER,
    CREAM,
    GOLD_STONE,
    LEAD,
    OCHRE,
    PISAN,
    TERRACOTTA,
    WHITE,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, around, box, circle, copies, join, lathe
from render.gothic_parts import BELFRY
from render.openings import Opening, drum, four_walls, row
from render.orders import balustrade, column, cornice, figure, line_of, pediment
from render.ornament import merlons, roundel
from render.roofs import dome, finial, hip_roof, lantern, pinnacle, spire


def campanile(variant: int, rng: np.random.Generator) -> Model:
    """Make a bell tower: square and pyramidal, leaning and round, clocked, octagonal, or onion-topped."""
    if variant == 1:
        return _leaning()
    side, storeys, height, top = [
        (10.0, 4, 13.0, "pyramid"),
        (0, 0, 0, ""),
        (9.0, 6, 8.2, "swallow"),
        (12.0, 3, 14.0, "clock"),
        (8.0, 4, 10.0, "onion"),
    ][variant]
    parts, z = [], 0.0
    kind = {0: "round", 2: "round", 3: "pointed", 4: "segmental"}[variant]
    for k in range(storeys):
        op = Opening(
            width=0.5,
            sill=0.3,
            spring=0.66,
            kind=kind,
            depth=0.8,
            pane="dark" if k else "glass",
            bars=(1, 0),
            frame=0.25,
        )
        count = 1 + k if variant == 2 else (3 if k == storeys - 1 else 1)
        if k < storeys - 1 and variant != 2:
            op = Opening(width=0.14, sill=0.5, spring=0.66, kind=kind, pane="dark", bars=(0, 0))
        parts.append(
            four_walls(side, side, lambda n, s, op=op, c=count: row(n, height, c, op)).moved(z=z)
        )
        if variant == 0 and k < storeys - 1:
            rib = box(1.0, 0.5, height, "wall")
            ribs = line_of(rib, side - 1.2, 4).moved(y=-side / 2 - 0.1)
            parts += [ribs.turned(t * np.pi / 2).moved(z=z) for t in range(4)]
        z += height
        parts.append(cornice((side, side), 0.9).moved(z=z - 0.5))
    parts += _campanile_top(top, side, z)
    hall = four_walls(
        18,
        11,
        lambda n, k: row(
            n,
            7.5,
            5 if k % 2 == 0 else 3,
            Opening(
                width=0.7, sill=0.0, spring=0.5, kind="round", pane="dark", bars=(0, 0), depth=1.2
            ),
        ),
    )
    if variant in (0, 4):
        parts += [
            hall.moved(0, -side / 2 - 6, 0) if variant == 0 else hall.moved(13, 3, 0),
            hip_roof(18, 11, 3, eave=0.6).moved(
                *((0, -side / 2 - 6) if variant == 0 else (13, 3)), 7.5
            ),
        ]
    colours = [
        palette(BRICK, COPPER, WHITE),
        {},
        palette(PISAN, TERRACOTTA, WHITE),
        palette(GOLD_STONE, LEAD, CREAM),
        palette(CHALK, Finish("tile", "#8a2f2a", scale=0.5), OCHRE, dome=COPPER),
    ][variant]
    return Model(join(parts), colours, ("square", "", "city", "water", "village")[variant])


def _campanile_top(top: str, side: float, z: float) -> list[Shape]:
    """The head of a bell tower above its last cornice at z."""
    if top == "pyramid":
        block = four_walls(
            side * 0.9,
            side * 0.9,
            lambda n, k: join(
                [box(n, 0.5, 6, "trim", y=0.25), figure(4, seed=k, role="gold").moved(0, -0.3, 1)]
            ),
        )
        return [
            block.moved(z=z),
            spire(side * 0.62, 16, sides=4).moved(z=z + 6),
            finial(4).moved(z=z + 21.5),
            four_walls(side, side, lambda n, k: balustrade(n, 1.3)).moved(z=z + 0.4),
        ]
    if top == "swallow":
        return [
            box(side + 1.6, side + 1.6, 2.4, "wall", z=z),
            four_walls(side + 1.6, side + 1.6, lambda n, k: merlons(n, kind="swallow")).moved(
                z=z + 2.4
            ),
            spire(side * 0.34, 9, sides=8).moved(z=z + 2.4),
        ]
    if top == "clock":
        faces = four_walls(
            side + 1,
            side + 1,
            lambda n, k: join(
                [
                    box(n, 0.8, side, "wall", y=0.4),
                    roundel(side * 0.36).moved(0, -0.1, side / 2),
                    pediment(n, 3, 1, relief=0).moved(0, -0.2, side),
                ]
            ),
        )
        corners = copies(
            pinnacle(1.8, 9),
            [(x * side * 0.52, y * side * 0.52, z + side - 1) for x in (-1, 1) for y in (-1, 1)],
        )
        return [
            faces.moved(z=z),
            corners,
            hip_roof(side, side, 7, ridge=0.45, curve=0.5).moved(z=z + side),
            lantern(2.6, 9).moved(z=z + side + 7),
        ]
    return [
        drum(8, side * 0.5, 6, BELFRY).moved(z=z),
        cornice(circle(16, side * 0.5), 0.8).moved(z=z + 5.6),
        dome(side * 0.52, "onion", sides=20, stretch=1.0).moved(z=z + 6.2),
        finial(5).moved(z=z + 6 + side * 0.98),
        roundel(1.9).moved(0, -side / 2 - 0.1, z - 11.5),
    ]


def _leaning() -> Model:
    """A round leaning tower of arcaded galleries beside its baptistery."""
    parts, r = [], 8.5
    parts.append(
        drum(
            18,
            r,
            9,
            Opening(
                width=0.7, sill=0, spring=0.7, kind="round", pane="wall", depth=0.3, bars=(0, 0)
            ),
        )
    )
    gallery = Opening(
        width=0.72, sill=0.0, spring=0.62, kind="round", depth=0.3, pane="", frame=0.0
    )
    z = 9.0
    for _ in range(5):
        parts += [
            lathe([(r - 1.8, 0), (r - 1.8, 6.2)], "wall", segments=28).moved(z=z),
            drum(22, r, 5.4, gallery, wall="trim").moved(z=z + 0.5),
            cornice(circle(32, r), 0.7).moved(z=z - 0.1),
            around(column(3.6, "ionic", slender=8), 22, r + 0.1, start=np.pi / 22).moved(z=z + 0.6),
        ]
        z += 6.1
    parts += [
        cornice(circle(32, r), 0.8).moved(z=z),
        drum(
            12,
            r * 0.68,
            7,
            Opening(width=0.5, sill=0.1, spring=0.6, kind="round", pane="dark", bars=(0, 0)),
        ).moved(z=z + 0.8),
        cornice(circle(24, r * 0.68), 0.7).moved(z=z + 7.4),
    ]
    lean = join(parts).turned(0.075, "y").moved(6, 0, -0.6)
    low = join(
        [
            drum(16, 6.5, 9, Opening(width=0.5, sill=0.1, spring=0.6, kind="round")),
            cornice(circle(24, 6.5), 0.8).moved(z=8.6),
            dome(6.4, "pointed", ribs=8).moved(z=9.4),
            finial(3).moved(z=18),
        ]
    ).moved(-16, 3, 0)
    return Model(
        join([lean, low]),
        palette(WHITE, TERRACOTTA, Finish("marble", "#cfc9ba"), dome=TERRACOTTA),
        "park",
    )
