"""Temples: peripteral, round, ruined, domed behind a portico, on a high podium."""

import numpy as np

from render.finishes import (
    BLUE_TILE,
    BRICK,
    CHALK,
    COPPER,
    CREAM,
    GILT,
    GOLD_STONE,
    GREY,
    LEAD,
    LIMESTONE,
    PINK,
    ROSE,
    TERRACOTTA,
    WHITE,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, around, box, circle, join, lathe, plate, profile
from render.openings import Opening, bay, drum, four_walls
from render.orders import (
    column,
    cornice,
    entablature,
    figure,
    line_of,
    pediment,
    peristyle,
    stairs,
    steps_around,
)
from render.ornament import statue
from render.roofs import dome, finial, gable_roof

DOOR = Opening(width=0.6, sill=0.0, spring=0.75, pane="door", bars=(1, 3), frame=0.5, hood=True)


def temple(variant: int, rng: np.random.Generator) -> Model:
    """Make a temple: peripteral, round, ruined, domed behind a portico, or on a high podium."""
    if variant == 1:
        return _tholos(rng)
    if variant == 3:
        return _pantheon(rng)
    front, side, order, wide, tall, slender = {
        0: (8, 15, "doric", 30.0, 11.0, 5.6),
        2: (6, 12, "doric", 25.0, 10.0, 4.6),
        4: (4, 7, "corinthian", 17.0, 13.0, 9.0),
    }[variant]
    long = wide * rng.uniform(1.75, 1.95) if variant != 4 else wide * 1.5
    base = {0: 2.4, 2: 1.5, 4: 7.0}[variant]
    shaft = column(tall, order, slender=slender)
    parts = [_podium(variant, wide, long, base)]
    body = [peristyle(shaft, wide - 2.4, long - 2.4, front, side)]
    if variant == 2:
        parts += _ruin(shaft, wide, long, front, side, tall, rng)
        colours = palette(GOLD_STONE, TERRACOTTA, GOLD_STONE, frieze=GOLD_STONE, base=GOLD_STONE)
        return Model(join(parts), colours, "hill")
    cella = four_walls(
        wide - 9,
        long - 12,
        lambda n, k: bay(n, tall, DOOR) if k == 0 else box(n, 0.5, tall, "second", y=0.25),
    )
    top = [entablature(wide, long, 3.4, triglyphs=2 * front - 1 if variant == 0 else 0)]
    gable = pediment(wide + 1.2, wide * 0.15, 1.2, seed=variant, relief=11)
    for turn in (0, np.pi):
        top.append(gable.moved(0, -long / 2 - 0.3, 3.4).turned(turn))
    top.append(gable_roof(wide + 1, long, wide * 0.15, eave=0.6).moved(z=3.4))
    acroter = figure(3.0, seed=5, role="gold" if variant == 4 else "statue")
    top += [
        acroter.moved(x, -long / 2, z)
        for x, z in ((0, 3.4 + wide * 0.16), (-wide / 2, 3.6), (wide / 2, 3.6))
    ]
    parts.append(join([*body, cella]).moved(z=base))
    parts.append(join(top).moved(z=base + tall))
    if variant == 4:
        colours = palette(
            CHALK, BLUE_TILE, WHITE, second=ROSE, frieze=Finish("paint", "#2d4f86"), statue=GILT
        )
    else:
        colours = palette(
            WHITE,
            TERRACOTTA,
            WHITE,
            second=Finish("plaster", "#a3553f"),
            frieze=Finish("paint", "#9a4034", weather=0.5),
        )
    return Model(join(parts), colours, "square" if variant else "hill")


def _podium(variant: int, wide: float, long: float, base: float) -> Shape:
    """The steps or the high podium that a temple stands on."""
    if variant != 4:
        return steps_around(wide, long, base, 4 if variant == 2 else 6, tread=0.55)
    body = join(
        [
            box(wide + 1, long + 1, base, "wall"),
            cornice((wide + 1, long + 1), 0.8).moved(z=base - 0.8),
        ]
    )
    flight = stairs(wide * 0.8, base, 18, tread=0.5).moved(y=-long / 2 - 0.4)
    cheeks = [
        statue(9.0, seed=k, plinth=0.65).moved(x, -long / 2 - 6, 0)
        for k, x in enumerate((-wide * 0.48, wide * 0.48))
    ]
    return join([body, flight, *cheeks])


def _ruin(
    shaft: Shape,
    wide: float,
    long: float,
    front: int,
    side: int,
    tall: float,
    rng: np.random.Generator,
) -> list[Shape]:
    """A ruined temple's columns, some broken or fallen, with half its entablature."""
    parts = []
    xs, ys = (
        np.linspace(-1, 1, front) * (wide / 2 - 1.2),
        np.linspace(-1, 1, side) * (long / 2 - 1.2),
    )
    spots = [(x, y) for x in xs for y in (ys[0], ys[-1])] + [
        (x, y) for y in ys[1:-1] for x in (xs[0], xs[-1])
    ]
    for x, y in spots:
        kept = (
            1.0
            if (y == ys[0] and x < wide * 0.22) or (x == xs[0] and y < 4)
            else rng.uniform(0, 1.1)
        )
        if kept > 0.75:
            parts.append(shaft.moved(x, y, 1.5))
        elif kept > 0.15:
            r = tall / 4.6 / 2
            stump = lathe(
                [(r, 0), (r * 0.92, tall * kept), (0, tall * kept + 0.4)], "column", segments=12
            )
            parts.append(stump.moved(x, y, 1.5))
    beam = box(wide * 0.62, 2.0, 1.7, "trim").moved(-wide * 0.19, ys[0], 1.5 + tall)
    parts += [beam, box(2.0, long * 0.5, 1.7, "trim").moved(xs[0], -long * 0.23, 1.5 + tall)]
    corner = plate(
        np.array([(0, 0), (wide * 0.45, 0), (wide * 0.45, 2.6), (wide * 0.38, 3.4), (0, 0.5)]),
        1.5,
        "trim",
    )
    parts.append(corner.moved(-wide / 2, ys[0] - 0.8, 3.2 + tall))
    for _ in range(26):
        block = box(*rng.uniform(0.7, 2.2, 2), rng.uniform(0.5, 1.3), "trim").turned(
            rng.uniform(0, 3)
        )
        parts.append(block.moved(rng.uniform(-0.6, 0.7) * wide, rng.uniform(-0.65, 0.5) * long, 0))
    return parts


def _tholos(rng: np.random.Generator) -> Model:
    """A round temple with a ring of columns and a dome."""
    r, tall = 11.0, 10.0
    parts = [
        lathe(
            [(r + 3 - 0.6 * k, s) for k in range(6) for s in (0.4 * k, 0.4 * k + 0.4)],
            "base",
            segments=48,
            smooth=False,
        )
    ]
    shaft = column(tall, "ionic", slender=8.5)
    parts.append(around(shaft, 16, r - 1.2).moved(z=2.4))
    wall = Opening(width=0.35, sill=0.0, spring=0.5, kind="flat", pane="dark", bars=(0, 0))
    parts.append(drum(16, r - 3.2, tall, wall).moved(z=2.4))
    ring = circle(48, r)
    parts.append(
        profile(ring, [(0.98, 0), (0.98, 1.2), (1.0, 1.3), (1.0, 2.0)], "frieze").moved(
            z=2.4 + tall
        )
    )
    parts.append(cornice(ring, 0.9, reach=1.0).moved(z=4.4 + tall))
    parts.append(around(figure(2.2, seed=3), 16, r).moved(z=5.3 + tall))
    parts.append(lathe([(r - 2.5, 0), (r - 2.5, 2.5)], "wall", segments=48).moved(z=5 + tall))
    parts.append(dome(r - 2.5, "saucer", ribs=16).moved(z=7.5 + tall))
    parts.append(finial(4, balls=1).moved(z=7.5 + tall + 0.55 * (r - 2.5)))
    colours = palette(
        PINK, COPPER, CREAM, dome=COPPER, frieze=Finish("paint", "#3b5f59", weather=0.4)
    )
    return Model(join(parts), colours, "park")


def _pantheon(rng: np.random.Generator) -> Model:
    """A portico before a great drum with a stepped saucer dome."""
    r, tall = 19.0, 12.0
    parts = [
        lathe([(r, 0), (r, 9)], "second", segments=64),
        cornice(circle(64, r), 1.0).moved(z=8.2),
    ]
    parts += [
        lathe([(r, 9), (r, 17)], "second", segments=64),
        cornice(circle(64, r), 1.4).moved(z=17),
    ]
    steps = [(r - 1.3 * k, 18.4 + h) for k in range(6) for h in (0.8 * k, 0.8 * k + 0.8)]
    parts.append(lathe(steps, "second", segments=64, smooth=False))
    parts.append(dome(r - 7, "saucer").moved(z=22.5))
    shaft = column(tall, "corinthian", slender=8.8)
    for y in (-r - 9, -r - 5):
        parts.append(line_of(shaft, 23, 8).moved(0, y, 1.2))
    parts.append(box(26, 14, 1.2, "base", y=-r - 4.5))
    parts.append(stairs(26, 1.2, 4).moved(y=-r - 11.5))
    parts.append(box(24, 8, 17, "wall", y=-r + 1.5))
    parts.append(entablature(26, 12, 2.6).moved(0, -r - 4.4, 1.2 + tall))
    parts.append(pediment(27, 5.5, 1, seed=8, relief=13).moved(0, -r - 10.6, 15.8))
    parts.append(gable_roof(26, 13, 5.4).moved(0, -r - 4, 15.8))
    parts.append(bay(6, 10, DOOR).moved(0, -r - 2.6, 1.2))
    colours = palette(LIMESTONE, TERRACOTTA, GREY, second=BRICK, dome=LEAD)
    return Model(join(parts), colours, "square")
