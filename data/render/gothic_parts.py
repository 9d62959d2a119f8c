"""What gothic churches share: lancets, belfry openings, portals, towers with spires."""

import numpy as np

from render.geometry import Shape, copies, join, plate
from render.openings import Opening, bay, drum, four_walls, row
from render.orders import balustrade, cornice, figure
from render.ornament import buttress
from render.roofs import finial, hip_roof, pinnacle, spire

LANCET = Opening(
    width=0.34,
    sill=0.22,
    spring=0.62,
    kind="pointed",
    depth=0.6,
    bars=(2, 2),
    frame=0.3,
    pane="stained",
)

BELFRY = Opening(
    width=0.46,
    sill=0.12,
    spring=0.66,
    kind="pointed",
    depth=0.9,
    bars=(1, 4),
    frame=0.3,
    pane="dark",
)


def portal(width: float, height: float, *, orders: int = 4) -> Shape:
    """Make a gothic portal: receding pointed arches under a steep gable."""
    parts = []
    for k in range(orders):
        grow = 1 - 0.13 * k
        op = Opening(
            width=0.74 * grow,
            sill=0.0,
            spring=0.45,
            kind="pointed",
            depth=0.5,
            bars=(1, 2),
            pane="door" if k == orders - 1 else "",
            frame=0.18,
        )
        parts.append(bay(width, height, op).moved(y=0.5 * k))
    gable = plate(
        np.array([(-width * 0.52, 0), (width * 0.52, 0), (0, height * 0.55)]), 0.5, "trim", y=-0.25
    )
    saints = [
        figure(height * 0.2, seed=k).moved(x * width, -0.3, height * 0.2)
        for k, x in enumerate((-0.46, 0.46))
    ]
    return join(
        [
            *parts,
            gable.moved(z=height * 0.92),
            *saints,
            finial(height * 0.12, role="trim").moved(z=height * 1.44),
        ]
    )


def gothic_tower(
    side: float, levels: tuple[float, ...], top: str, spire_height: float, *, openwork: int = 2
) -> Shape:
    """Make a tower: a wall of lancets a level, corner buttresses, then a spire, a crown or a roof."""
    parts, z = [], 0.0
    for k, h in enumerate(levels):
        op = BELFRY if k == len(levels) - 1 else LANCET
        count = 1 if k == 0 else openwork
        parts.append(
            four_walls(side, side, lambda n, s, h=h, op=op, c=count: row(n, h, c, op)).moved(z=z)
        )
        z += h
        parts.append(cornice((side, side), 0.8, reach=0.5).moved(z=z - 0.4))
    prop = buttress(1.5, 1.7, z * 0.94, offsets=4).moved(y=-side / 2)
    pair = join([prop.moved(x=-side * 0.42), prop.moved(x=side * 0.42)])
    parts += [pair.turned(turn * np.pi / 2) for turn in range(4)]
    spots = [(x * side * 0.48, y * side * 0.48, z) for x in (-1, 1) for y in (-1, 1)]
    if top == "spire":
        parts += [
            spire(side * 0.5, spire_height, crockets=12, bands=3).moved(z=z),
            copies(pinnacle(side * 0.15, side * 1.0), spots),
        ]
    elif top == "crown":
        parts += [
            copies(pinnacle(side * 0.14, side * 0.7), spots),
            four_walls(side, side, lambda n, k: balustrade(n, 2.0)).moved(z=z + 0.3),
        ]
    elif top == "helm":
        parts += [
            hip_roof(side, side, spire_height, ridge=0.0, eave=0.4).moved(z=z),
            finial(4).moved(z=z + spire_height),
        ]
    elif top == "octagon":
        parts += [
            drum(8, side * 0.46, side * 0.9, BELFRY).moved(z=z),
            copies(pinnacle(side * 0.15, side * 1.1), spots),
            spire(side * 0.47, spire_height, crockets=14, bands=5, role="trim").moved(
                z=z + side * 0.9
            ),
        ]
    return join(parts)
