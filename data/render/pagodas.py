"""Pagodas: tiers that shrink under eaves that curve up."""

import numpy as np

from render.finishes import (
    CHALK,
    GREEN_TILE,
    GREY,
    GREY_TILE,
    SLATE,
    WHITE,
    YELLOW_BRICK,
    YELLOW_TILE,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, around, box, copies, join, lathe
from render.openings import Opening, drum, four_walls, row
from render.orders import balustrade, cornice, stairs
from render.ornament import statue
from render.roofs import pagoda_roof

VERMILION = Finish("paint", "#b23a24", weather=0.35)

DARK_WOOD = Finish("wood", "#4a3020", weather=0.3)


def pagoda(variant: int, rng: np.random.Generator) -> Model:
    """Make a pagoda: tiers that shrink, eaves that curve up, a ringed finial."""
    sides, tiers, radius, storey, shrink, lift = [
        (4, 5, 9.0, 4.6, 0.88, 1.0),
        (8, 9, 8.0, 4.4, 0.93, 1.4),
        (4, 2, 20.0, 8.0, 0.72, 2.4),
        (6, 7, 8.5, 5.0, 0.9, 1.0),
        (4, 13, 6.0, 2.6, 0.965, 0.25),
    ][variant]
    parts = [_terrace(radius, variant)]
    z = 1.6 if variant != 2 else 3.5
    door = Opening(
        width=0.55,
        sill=0.08,
        spring=0.7,
        kind="flat" if variant != 1 else "round",
        depth=0.4,
        pane="accent",
        bars=(3, 1),
        frame=0.2,
    )
    for k in range(tiers):
        r = radius * shrink**k
        h = storey * shrink ** (0.6 * k) * (2.4 if variant == 4 and k == 0 else 1)
        body = drum(sides, r * 0.72, h, door)
        if sides == 4 and variant != 4:
            side = 2 * r * 0.72 * np.sin(np.pi / 4)
            body = four_walls(
                side, side, lambda n, s, h=h: row(n, h, 3 if variant == 0 else 5, door)
            )
            parts.append(
                _posts(side * (1.12 if variant == 0 else 1.25), h, 4 if variant == 0 else 6).moved(
                    z=z
                )
            )
        parts.append(body.moved(z=z))
        if k and variant in (0, 1, 3):
            rail = box(1.6 * r * np.sin(np.pi / sides), 0.12, 0.9, "second", y=0)
            parts.append(around(rail, sides, r * 0.8 * np.cos(np.pi / sides)).moved(z=z))
        z += h
        rise = r * {0: 0.3, 1: 0.32, 2: 0.34, 3: 0.3, 4: 0.14}[variant]
        top = 0.62 if k < tiers - 1 else 0.02
        eave = pagoda_roof(
            r * (1.28 if variant != 4 else 1.05),
            rise * (1.0 if k < tiers - 1 else 1.6),
            sides=sides,
            lift=lift * shrink**k,
            top=top,
        )
        parts.append(eave.moved(z=z - 0.2))
        z += rise * (0.75 if k < tiers - 1 else 1.5)
    spike = lathe(
        [(0.5, 0), (0.6, 0.5), (0.2, 0.8)]
        + [
            (r, 1 + 0.55 * j + d)
            for j in range(8)
            for r, d in ((0.18, 0), (0.62 - 0.05 * j, 0.15), (0.18, 0.3))
        ]
        + [(0.02, 7.5)],
        "gold",
        segments=14,
    )
    parts.append(spike.scaled(1.0 if variant != 2 else 0.5).moved(z=z - 0.4))
    colours = [
        palette(VERMILION, GREY_TILE, CHALK, second=VERMILION, accent=DARK_WOOD),
        palette(YELLOW_BRICK, GREEN_TILE, CHALK, second=WHITE, accent=VERMILION),
        palette(
            VERMILION,
            YELLOW_TILE,
            Finish("paint", "#2f6f62"),
            column=VERMILION,
            accent=Finish("paint", "#2d5d7c"),
        ),
        palette(DARK_WOOD, SLATE, CHALK, second=DARK_WOOD),
        palette(CHALK, GREY, WHITE, accent=DARK_WOOD),
    ][variant]
    return Model(join(parts), colours, ("park", "water", "square", "hill", "village")[variant])


def _posts(side: float, height: float, count: int) -> Shape:
    """Posts along four sides under the eaves."""
    post = lathe([(0.24, 0), (0.2, height)], "column", segments=10)
    spots = np.linspace(-side / 2, side / 2, count)
    places = [(x, y, 0) for x in spots for y in (-side / 2, side / 2)] + [
        (x, y, 0) for y in spots[1:-1] for x in (-side / 2, side / 2)
    ]
    return copies(post, places)


def _terrace(radius: float, variant: int) -> Shape:
    """A stone terrace with a stair and a balustrade."""
    high, w = (1.6, 2.6 * radius) if variant != 2 else (3.5, 2.4 * radius)
    rail = balustrade(w * 0.38, 1.0)
    return join(
        [
            box(w, w, high, "base"),
            cornice((w, w), 0.4).moved(z=high - 0.4),
            stairs(w * 0.2, high, 8).moved(y=-w / 2),
            *(rail.moved(x * w * 0.31, -w / 2 + 0.3, high) for x in (-1, 1)),
            *(
                statue(4.2, seed=k, plinth=0.5).moved(x * w * 0.16, -w / 2 - 4.5, 0)
                for k, x in enumerate((-1, 1))
            ),
        ]
    )
