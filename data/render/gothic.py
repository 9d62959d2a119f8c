"""Gothic churches: west fronts; nave, aisles, buttresses and flyers."""

import numpy as np

from render.finishes import (
    BRICK,
    CHALK,
    COPPER,
    CREAM,
    DARK_STONE,
    GREY,
    LEAD,
    LIMESTONE,
    ROSE,
    SLATE,
    TERRACOTTA,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, box, copies, join, lathe, plate
from render.gothic_parts import BELFRY, LANCET, gothic_tower, portal
from render.openings import Opening, four_walls, rose_window, row
from render.orders import figure, line_of
from render.ornament import buttress, round_tower, roundel
from render.roofs import gable_roof, pinnacle, spire


def gothic(variant: int, rng: np.random.Generator) -> Model:
    """Make a gothic church by its west front: towers, rose, portals; nave, aisles and buttresses."""
    wide, long, tall, side = [
        (15.0, 46.0, 24.0, 9.5),
        (14.0, 44.0, 20.0, 12.0),
        (17.0, 48.0, 23.0, 12.0),
        (13.0, 40.0, 22.0, 9.0),
        (19.0, 44.0, 23.0, 6.0),
    ][variant]
    parts = [_nave(wide, long, tall, variant)]
    y = -long / 2
    if variant == 0:
        tower = gothic_tower(side, (11, 12, 14), "spire", 30.0)
        parts.append(copies(tower, [(x * (wide + side) / 2, y + side / 2 - 1, 0) for x in (-1, 1)]))
    elif variant == 1:
        parts.append(gothic_tower(side, (13, 11, 14), "octagon", 36.0).moved(y=y + 1))
        parts.append(portal(8, 11).moved(y=y - side / 2 + 0.2))
        parts.append(roundel(2.3).moved(0, y + 1 - side / 2 - 0.3, 25.5))
    elif variant == 2:
        tower = gothic_tower(side, (12, 12, 17), "crown", 0)
        parts.append(copies(tower, [(x * (wide + side) / 2, y + side / 2 - 1, 0) for x in (-1, 1)]))
        kings = row(
            wide + 2 * side,
            3.6,
            26,
            Opening(
                width=0.6,
                sill=0.05,
                spring=0.55,
                kind="pointed",
                depth=0.3,
                pane="dark",
                bars=(0, 0),
                frame=0,
            ),
        )
        parts += [
            kings.moved(0, y - 1.4, 11.5),
            line_of(figure(2.6, seed=1), wide + 2 * side - 1.4, 26).moved(0, y - 1.5, 11.6),
        ]
    elif variant == 3:
        parts.append(
            gothic_tower(side, (12, 12, 12), "spire", 24.0).moved(
                (wide + side) / 2, y + side / 2 - 1, 0
            )
        )
        parts.append(
            gothic_tower(side, (12, 9), "helm", 9.0).moved(-(wide + side) / 2, y + side / 2 - 1, 0)
        )
    else:
        parts.append(_stepped_front(wide, tall, y))
    if variant in (0, 2, 3):
        rose = rose_window(wide * (0.3, 0, 0.36, 0.27)[variant], (12, 0, 16, 8)[variant])
        parts.append(rose.moved(0, y - 0.5, tall * (0.64 if variant != 2 else 0.8)))
        doors = [portal(wide * 0.6, 10).moved(y=y - 1.8)]
        doors += [portal(side * 0.75, 8).moved(x * (wide + side) / 2, y - 2.2, 0) for x in (-1, 1)]
        parts += [*doors, box(wide + 1, 1.0, tall, "wall", y=y + 0.4)]
        gable = plate(
            np.array([(-wide / 2, 0), (wide / 2, 0), (0, wide * 0.62)]), 1.0, "wall", y=y - 0.4
        )
        if variant != 2:
            parts.append(gable.moved(z=tall))
        else:
            parts.append(row(wide + 0.4, 8, 7, BELFRY).moved(0, y - 0.5, tall + 4))
    if variant == 2:
        parts.append(spire(1.6, 26, crockets=8).moved(0, y + long * 0.62, tall + wide * 0.6))
    colours = [
        palette(LIMESTONE, SLATE, CREAM),
        palette(Finish("sandstone", "#9b5a48", weather=0.5), COPPER, ROSE),
        palette(Finish("ashlar", "#c6bba2", weather=0.6), LEAD, LIMESTONE),
        palette(DARK_STONE, Finish("tile", "#b58b34", "#3d5a3c"), GREY),
        palette(BRICK, TERRACOTTA, CHALK),
    ][variant]
    return Model(join(parts), colours, ("square", "city", "water", "village", "square")[variant])


def _nave(wide: float, long: float, tall: float, variant: int) -> Shape:
    """Nave, lower aisles, transept, buttresses and flyers."""
    aisle = 6.0
    low = tall * 0.52
    walls = four_walls(
        wide, long, lambda n, k: row(n, tall, 7, LANCET) if k % 2 else row(n, tall, 1, LANCET)
    )
    outer = four_walls(
        wide + 2 * aisle,
        long - 6,
        lambda n, k: row(n, low, 7, LANCET) if k % 2 else box(n, 0.6, low, "wall", y=0.3),
    )
    parts = [walls, outer.moved(y=2), gable_roof(wide, long, wide * 0.6).moved(z=tall)]
    for x in (-1, 1):
        lean = plate(
            np.array([(0, 0), (aisle + 0.4, 0), (0, 3.2)]), long - 5.6, "roof", y=-long / 2 + 4.8
        )
        parts.append(lean.scaled(x, 1, 1).moved(x * wide / 2, 0, low))
    cross = four_walls(
        wide + 4 * aisle, wide * 0.8, lambda n, k: row(n, tall, 1 if k % 2 else 4, LANCET)
    )
    parts += [
        cross.moved(y=long * 0.18),
        gable_roof(wide * 0.8, wide + 4 * aisle, wide * 0.55)
        .turned(np.pi / 2)
        .moved(0, long * 0.18, tall),
    ]
    prop = join([buttress(1.2, 2.6, low * 1.05), pinnacle(1.3, low * 0.75).moved(0, -1.3, low)])
    flyer = plate(
        np.array(
            [
                (0, low * 1.25),
                (aisle + 1.3, low * 1.0),
                (aisle + 1.3, low * 0.88),
                (aisle * 0.6, low * 1.0),
                (0, low * 1.12),
            ]
        ),
        0.7,
        "trim",
        y=-0.35,
    )
    for k in range(6):
        y = -long / 2 + 7 + k * (long - 10) / 6
        for x in (-1, 1):
            parts.append(prop.turned(x * np.pi / 2).moved(x * (wide / 2 + aisle), y, 0))
            parts.append(flyer.scaled(x, 1, 1).moved(x * wide / 2, y, 0))
    return join(parts)


def _stepped_front(wide: float, tall: float, y: float) -> Shape:
    """A brick front with a stepped gable, blind lancets and white roundels."""
    parts, steps = [], 7
    outer = wide + 12
    parts.append(box(outer, 1.2, tall * 0.55, "wall", y=y - 0.4))
    for k in range(steps):
        w = wide * (1 - k / steps) + 1.5
        h = 2.6
        parts.append(box(w, 1.4, h, "wall", y=y - 0.4, z=tall + h * k - 1))
        cap = pinnacle(0.9, 4.0)
        parts += [cap.moved(x * (w / 2 - 0.4), y - 0.4, tall + h * (k + 1) - 1) for x in (-1, 1)]
    blind = Opening(
        width=0.5,
        sill=0.05,
        spring=0.75,
        kind="pointed",
        depth=0.25,
        pane="trim",
        bars=(1, 0),
        frame=0.15,
    )
    for k, (n, z, h) in enumerate(
        ((7, tall * 0.9, 7), (5, tall * 0.9 + 7, 6), (3, tall * 0.9 + 12.5, 4.5))
    ):
        parts.append(row(wide * (0.9 - 0.26 * k), h, n, blind).moved(0, y - 1.2, z))
    high = Opening(
        width=0.55,
        sill=0.06,
        spring=0.72,
        kind="pointed",
        depth=0.6,
        bars=(3, 3),
        frame=0.4,
        pane="stained",
    )
    parts += [
        row(wide, tall * 0.52, 3, high).moved(0, y - 1.15, tall * 0.37),
        portal(9, 9.5).moved(y=y - 2.6),
    ]
    ring = lathe(
        [(1.5, 0), (1.5, 0.3), (1.1, 0.3), (1.1, 0.1), (0, 0.1)], "trim", segments=20
    ).turned(np.pi / 2, "x")
    parts += [ring.moved(x * wide * 0.63, y - 1.1, tall * 0.42) for x in (-1, 1)]
    parts += [
        round_tower(2.2, tall * 0.9, top="cone", roof=2.4, slits=4).moved(x * (wide / 2 + 6), y, 0)
        for x in (-1, 1)
    ]
    return join(parts)
