"""Monuments of squares: obelisk, victory column, arch, rider, fountain."""

import numpy as np

from render.arches import triumphal_arch
from render.finishes import (
    COPPER,
    CREAM,
    GREY,
    LIMESTONE,
    WHITE,
    Finish,
    Model,
    palette,
)
from render.geometry import (
    blob,
    box,
    join,
    lathe,
    loft,
    tube,
)
from render.openings import Opening, row
from render.orders import (
    column,
    entablature,
    figure,
    line_of,
    steps_around,
)
from render.ornament import fountain, obelisk, pedestal, relief, statue


def monument(variant: int, rng: np.random.Generator) -> Model:
    """Make a square's monument: obelisk, victory column, arch, fountain, or colonnade with rider."""
    if variant == 0:
        parts = [pedestal(6.5, 8.0), obelisk(3.6, 30.0, marks=14, seed=3).moved(z=8)]
        lion = join(
            [
                box(1.4, 3.4, 1.6, "base"),
                blob(0.85, "statue", stretch=(0.7, 1.9, 0.8)).moved(z=2.2),
                blob(0.6, "statue", stretch=(1, 1, 1.1)).moved(0, -1.5, 2.9),
            ]
        )
        parts += [
            lion.turned(a).moved(7 * np.sin(a), -7 * np.cos(a), 0)
            for a in np.pi / 4 + np.arange(4) * np.pi / 2
        ]
        parts += [fountain(5, tiers=2).moved(x, -4, 0) for x in (-19, 19)]
        return Model(
            join(parts),
            palette(
                Finish("ashlar", "#b0705c", scale=2.0),
                GREY,
                CREAM,
                dark=Finish("paint", "#6e4438"),
                statue=Finish("paint", "#3a3f3c"),
            ),
            "square",
        )
    if variant == 1:
        spiral = np.array(
            [[2.55 * np.sin(t), -2.55 * np.cos(t), 9 + 1.15 * t] for t in np.linspace(0, 20.5, 160)]
        )
        carved = join(
            figure(1.5, seed=k).turned(t).moved(2.4 * np.sin(t), -2.4 * np.cos(t), 9.1 + 1.15 * t)
            for k, t in enumerate(np.linspace(0, 19.5, 70))
        )
        parts = [
            pedestal(8, 8.5),
            lathe([(2.7, 8), (2.4, 9), (2.2, 33)], "wall"),
            tube(spiral, 0.16, "trim"),
            carved,
            lathe(
                [(2.3, 33), (3.4, 34.5), (3.4, 35.5), (1.6, 35.6), (1.5, 38)], "trim", segments=20
            ),
            figure(8, seed=9, role="gold").moved(z=38),
            relief(7, 4, seed=3, count=9).moved(0, -4.0, 2.5),
        ]
        wing = blob(1.0, "gold", stretch=(0.35, 0.8, 2.6)).turned(0.5, "y")
        parts += [wing.moved(1.6, 0.6, 43.5), wing.scaled(-1, 1, 1).moved(-1.6, 0.6, 43.5)]
        parts += [
            statue(5, seed=k, plinth=0.5).moved(x, y, 0)
            for k, (x, y) in enumerate(((-8, -8), (8, -8), (8, 8), (-8, 8)))
        ]
        return Model(
            join(parts), palette(WHITE, GREY, LIMESTONE, statue=Finish("copper", "#547a68")), "city"
        )
    if variant == 2:
        return triumphal_arch()
    if variant == 3:
        shaft = column(14, "corinthian", slender=9.5)
        angles = np.linspace(-1.25, 1.25, 17)
        parts = [shaft.moved(22 * np.sin(a), 14 - 22 * (1 - np.cos(a)) * 0.9, 1.5) for a in angles]
        ring = np.array(
            [
                [
                    (r * np.sin(a), 14 - 22 + (22 * np.cos(a)) * 0.9 + (r - 22) * np.cos(a), z)
                    for a in np.linspace(-1.32, 1.32, 40)
                ]
                for r, z in ((20.6, 15.5), (23.6, 15.5), (23.8, 18.4), (20.4, 18.4), (20.6, 15.5))
            ]
        )
        parts += [
            loft(ring, "trim", closed=False),
            *(
                figure(3.0, seed=k, role="gold").moved(
                    22 * np.sin(a), 14 - 22 * (1 - np.cos(a)) * 0.9, 18.4
                )
                for k, a in enumerate(angles[::2])
            ),
        ]
        horse = join(
            [
                blob(1.0, "statue", stretch=(0.6, 1.7, 0.8)).moved(z=2.2),
                *(
                    tube(np.array([[x, y, 0], [x * 1.1, y * 0.9, 2]]), 0.16, "statue")
                    for x in (-0.4, 0.4)
                    for y in (-1.2, 1.2)
                ),
                tube(np.array([[0, -1.2, 2.5], [0, -2.1, 3.6]]), 0.38, "statue"),
                blob(0.42, "statue", stretch=(0.6, 1.5, 0.8)).moved(0, -2.4, 3.7),
                figure(2.6, seed=2).moved(0, 0, 2.5),
            ]
        )
        parts += [
            pedestal(6, 9),
            horse.scaled(1.7).moved(z=9),
            steps_around(16, 16, 1.5, 4, tread=0.6),
            fountain(4.5, tiers=1).moved(y=-15),
        ]
        return Model(join(parts), palette(LIMESTONE, GREY, WHITE, statue=COPPER), "park")
    parts = [
        fountain(13, tiers=0),
        lathe([(6, 0), (4.5, 1.5), (3.8, 2), (3.4, 4), (2.6, 6)], "trim", segments=12),
        fountain(7.0, tiers=3).moved(z=4.5),
    ]
    parts += [
        statue(5.5, seed=k, plinth=0.35).moved(9 * np.cos(a), 9 * np.sin(a), 0.4)
        for k, a in enumerate(np.arange(8) * np.pi / 4)
    ]
    back = join(
        [
            row(
                34,
                17,
                3,
                Opening(
                    width=0.62,
                    sill=0.05,
                    spring=0.52,
                    kind="round",
                    depth=1.6,
                    pane="second",
                    bars=(0, 0),
                    frame=0.5,
                ),
            ),
            line_of(column(15, "corinthian", slender=9.5), 24.5, 4).moved(y=-1.2),
            box(34, 4, 17, "wall", y=3.7),
            entablature(35, 6, 3).moved(0, 1, 16),
            relief(13, 3.6, seed=7, count=11).moved(0, -1.8, 19.6),
            box(14, 3, 4.6, "wall", y=0, z=19),
            line_of(figure(3.4, seed=4), 30, 4).moved(0, -0.6, 19),
        ]
    )
    return Model(
        join([*parts, back.moved(y=15)]),
        palette(CREAM, GREY, WHITE, second=Finish("plaster", "#6f8fa8")),
        "city",
    )
