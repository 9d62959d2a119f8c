"""A triumphal arch."""

import numpy as np

from render.finishes import (
    CREAM,
    GREY,
    LIMESTONE,
    PINK,
    Finish,
    Model,
    palette,
)
from render.geometry import (
    blob,
    box,
    join,
    tube,
)
from render.openings import Opening, bay
from render.orders import (
    column,
    cornice,
    entablature,
    figure,
    line_of,
)
from render.ornament import relief


def triumphal_arch() -> Model:
    """A triumphal arch with three openings, reliefs, an attic and a chariot."""
    wide, deep, tall = 27.0, 9.0, 16.0
    main = Opening(width=0.78, sill=0, spring=0.58, kind="round", pane="", depth=deep, frame=0.5)
    side = Opening(width=0.55, sill=0, spring=0.42, kind="round", pane="", depth=deep, frame=0.35)
    front = join(
        [
            bay(12, tall, main),
            bay(7.5, tall, side).moved(x=-9.75),
            bay(7.5, tall, side).moved(x=9.75),
        ]
    )
    parts = [
        front.moved(y=-deep / 2),
        front.turned(np.pi).moved(y=deep / 2),
        *(box(0.2, deep, tall, "wall", x=s * wide / 2) for s in (-1, 1)),
        box(wide, deep, 0.5, "wall", z=tall),
    ]
    for s in (-1, 1):
        posts = join(
            [
                line_of(
                    join(
                        [
                            box(2, 1.8, 3, "base"),
                            column(tall - 4, "corinthian", slender=9).moved(z=3),
                        ]
                    ),
                    25,
                    2,
                ),
                line_of(
                    join(
                        [
                            box(2, 1.8, 3, "base"),
                            column(tall - 4, "corinthian", slender=9).moved(z=3),
                        ]
                    ),
                    12.2,
                    2,
                ),
            ]
        )
        panels = [
            relief(5.5, 2.6, seed=5 + k, count=6).moved(x, -0.3, 10.5)
            for k, x in enumerate((-9.6, 9.6))
        ]
        face = join(
            [
                posts.moved(y=-1.2),
                *panels,
                relief(15, 4, seed=9, count=15).moved(0, 0.5, tall + 3.8),
            ]
        ).moved(y=-deep / 2)
        parts.append(face if s < 0 else face.turned(np.pi))
    parts += [
        entablature(wide + 2.4, deep + 2.4, 3).moved(z=tall - 0.6),
        box(wide, deep, 6, "wall", z=tall + 2.4),
        cornice((wide, deep), 1).moved(z=tall + 8),
    ]
    horse = join(
        [
            blob(0.9, "statue", stretch=(0.6, 1.6, 0.8)).moved(z=2.0),
            *(
                tube(np.array([[x, y, 0], [x, y * 0.9, 2]]), 0.14, "statue")
                for x in (-0.35, 0.35)
                for y in (-1, 1)
            ),
            tube(np.array([[0, -1.0, 2.3], [0, -1.8, 3.3]]), 0.32, "statue"),
            blob(0.36, "statue", stretch=(0.6, 1.4, 0.8)).moved(0, -2.1, 3.4),
        ]
    )
    parts += [
        line_of(horse, 5.4, 4).moved(0, -2, tall + 9),
        box(2.6, 2, 1.8, "statue", y=1.5, z=tall + 9),
        figure(4.5, seed=6).moved(0, 1.5, tall + 10),
    ]
    return Model(
        join(parts),
        palette(LIMESTONE, GREY, CREAM, frieze=PINK, statue=Finish("copper", "#5d8f7d")),
        "square",
    )
