"""Mosques: domes and half domes, portals, minarets."""

import numpy as np

from render.finishes import (
    BLUE_TILE,
    CHALK,
    COBALT,
    GREEN_TILE,
    LEAD,
    PINK,
    SIENA,
    TURQUOISE,
    WHITE,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, around, box, circle, copies, join, lathe
from render.openings import Opening, bay, drum, four_walls, row
from render.orders import cornice
from render.ornament import merlons, minaret
from render.roofs import dome, finial


def mosque(variant: int, rng: np.random.Generator) -> Model:
    """Make a mosque: a great dome, half domes, a portal, and one to six minarets."""
    r, kind, minarets, tall_min, cap = [
        (12.0, "round", 4, 52.0, "cone"),
        (10.0, "onion", 4, 36.0, "onion"),
        (8.5, "pointed", 2, 38.0, "onion"),
        (11.0, "round", 6, 50.0, "cone"),
        (7.0, "round", 1, 46.0, "onion"),
    ][variant]
    width, wall_h = 2.9 * r, 1.1 * r
    op = Opening(
        width=0.42,
        sill=0.2,
        spring=0.6,
        kind="pointed" if variant in (1, 2, 4) else "round",
        depth=0.5,
        frame=0.25,
        bars=(2, 2),
    )
    parts = [
        four_walls(
            width,
            width,
            lambda n, k: join(
                [row(n, wall_h * 0.5, 7, op), row(n, wall_h * 0.5, 7, op).moved(z=wall_h * 0.5)]
            ),
        ),
        cornice((width, width), 1.0).moved(z=wall_h - 0.5),
        box(width * 0.8, width * 0.8, r * 0.35, "wall", z=wall_h),
    ]
    z = wall_h + 0.35 * r
    neck = r * (0.35 if variant in (0, 3) else 0.7)
    parts += [
        drum(
            24,
            r,
            neck,
            Opening(width=0.5, sill=0.15, spring=0.55, kind="round", frame=0.0, bars=(0, 0)),
        ).moved(z=z),
        cornice(circle(32, r), 0.8).moved(z=z + neck - 0.4),
        dome(r * 0.98, kind, ribs=24 if variant == 4 else 0, sides=40).moved(z=z + neck + 0.3),
    ]
    crown = z + neck + r * {"round": 1, "pointed": 1.35, "onion": 1.95}[kind]
    parts.append(finial(5, balls=2).moved(z=crown - 0.2))
    if variant in (0, 3):
        half = dome(r * 0.82, "round", sides=28)
        small = join(
            [
                drum(12, r * 0.3, 2.5, op),
                dome(r * 0.3, "round", sides=16).moved(z=2.5),
                finial(2).moved(z=2.4 + r * 0.3),
            ]
        )
        spots = [(0, -r * 0.75), (0, r * 0.75), (-r * 0.75, 0), (r * 0.75, 0)]
        parts += [half.moved(*p, wall_h - 0.5) for p in (spots if variant == 3 else spots[:2])]
        parts.append(
            copies(
                small,
                [(x * width * 0.42, y * width * 0.42, wall_h) for x in (-1, 1) for y in (-1, 1)],
            )
        )
        arcade = Opening(
            width=0.74, sill=0, spring=0.5, kind="pointed", pane="dark", depth=1.5, bars=(0, 0)
        )
        front = join(
            [
                row(width * 1.1, r * 0.6, 9, arcade),
                copies(
                    dome(r * 0.16, sides=12),
                    [((k - 4) * width * 1.1 / 9, 3, r * 0.6) for k in range(9)],
                ),
                box(width * 1.1, 5, 0.5, "trim", y=2.6, z=r * 0.6),
            ]
        )
        parts.append(front.moved(y=-width / 2 - 6))
    else:
        parts.append(
            _iwan(
                width * (0.42 if variant != 2 else 0.62), wall_h * (1.35 if variant != 2 else 1.9)
            ).moved(y=-width / 2 - 1.5)
        )
        chatri = join(
            [
                around(lathe([(0.25, 0), (0.25, 3)], "trim", segments=8), 8, r * 0.2),
                dome(r * 0.25, kind if variant != 4 else "round", sides=16).moved(z=3),
                finial(2).moved(z=3 + 0.4 * r),
            ]
        )
        parts.append(
            copies(
                chatri,
                [
                    (x * width * 0.36, y * width * 0.36, wall_h + 0.4)
                    for x in (-1, 1)
                    for y in (-1, 1)
                ],
            )
        )
        parts.append(
            four_walls(
                width, width, lambda n, k: merlons(n, size=0.9, kind="pointed", role="trim")
            ).moved(z=wall_h + 0.4)
        )
    tower = minaret(r * 0.15 + 0.4, tall_min, balconies=3 if variant in (0, 3) else 2, cap=cap)
    if variant == 4:
        tower = _square_minaret(7.0, 40.0)
    far = width * (0.56 if variant in (0, 3) else 0.95 if variant == 1 else 0.62)
    spots = [(-far, -far), (far, -far), (-far, far), (far, far), (-far, 0), (far, 0)][:minarets]
    parts += [tower.moved(*p, 0) for p in spots]
    if variant == 1:
        parts.append(box(width * 2.3, width * 2.3, 2.2, "base"))
    colours = [
        palette(Finish("ashlar", "#a9a7a0"), LEAD, WHITE, dome=LEAD),
        palette(WHITE, WHITE, WHITE, dome=WHITE, second=PINK),
        palette(
            Finish("brick", "#c2a06c", scale=0.5),
            TURQUOISE,
            COBALT,
            dome=TURQUOISE,
            second=COBALT,
            minaret=COBALT,
        ),
        palette(Finish("sandstone", "#c8a584"), BLUE_TILE, CHALK, dome=Finish("copper", "#4f7d92")),
        palette(Finish("plaster", "#c9825c"), GREEN_TILE, CHALK, dome=GREEN_TILE, second=SIENA),
    ][variant]
    return Model(join(parts), colours, ("water", "park", "square", "hill", "city")[variant])


def _iwan(width: float, height: float) -> Shape:
    """A high portal: a pointed niche in a framed screen."""
    niche = Opening(
        width=0.66,
        sill=0.0,
        spring=0.5,
        kind="pointed",
        depth=2.6,
        pane="second",
        bars=(0, 0),
        frame=0.35,
    )
    door = Opening(
        width=0.6, sill=0.0, spring=0.55, kind="pointed", depth=0.4, pane="door", frame=0.2
    )
    parts = [
        bay(width, height, niche),
        bay(width * 0.4, height * 0.42, door, wall="trim").moved(y=2.5),
        box(width, 3.5, 0.6, "trim", y=1.75, z=height),
        *(box(0.3, 3.5, height, "wall", x=s * width / 2, y=1.75) for s in (-1, 1)),
        merlons(width, size=0.8, kind="pointed", role="trim").moved(z=height + 0.6),
    ]
    for s in (-1, 1):
        parts.append(box(width * 0.055, 0.4, height, "second", x=s * width * 0.44, y=-0.1))
        parts.append(
            lathe(
                [(0.6, 0), (0.5, height + 3), (0.8, height + 3.2), (0.1, height + 5)],
                "trim",
                segments=12,
            ).moved(s * width / 2, 0, 0)
        )
    return join([*parts, box(width, 0.4, height * 0.07, "second", y=-0.1, z=height * 0.9)])


def _square_minaret(side: float, height: float) -> Shape:
    """A square minaret with blind lattice, battlement and a lantern."""
    op = Opening(
        width=0.5,
        sill=0.25,
        spring=0.6,
        kind="pointed",
        depth=0.3,
        pane="dark",
        bars=(1, 2),
        frame=0.3,
    )
    parts = [
        four_walls(
            side,
            side,
            lambda n, k: join(
                [
                    row(n, height / 4, c, op).moved(z=height / 4 * j)
                    for j, c in enumerate((1, 2, 2, 3))
                ]
            ),
        )
    ]
    parts += [
        box(side + 0.3, side + 0.3, 1.6, "second", z=height * 0.93),
        four_walls(side, side, lambda n, k: merlons(n, size=0.8, kind="pointed")).moved(z=height),
    ]
    parts += [
        box(side * 0.5, side * 0.5, 7, "wall", z=height),
        dome(side * 0.27, "round", sides=16).moved(z=height + 7),
        finial(5, balls=3).moved(z=height + 8.5),
    ]
    return join(parts)
