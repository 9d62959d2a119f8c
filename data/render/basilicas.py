"""Domed churches: body, arms, drum, dome and lantern, a front and towers."""

import numpy as np

from render.finishes import (
    BLUE_TILE,
    CHALK,
    COPPER,
    CREAM,
    GILT,
    GREEN_TILE,
    LEAD,
    LIMESTONE,
    OCHRE,
    RED_STONE,
    SIENA,
    SLATE,
    TERRACOTTA,
    WHITE,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, around, box, circle, copies, join, plate
from render.openings import Opening, bay, drum, four_walls, rose_window, row
from render.orders import (
    balustrade,
    column,
    cornice,
    entablature,
    figure,
    line_of,
    pediment,
    stairs,
)
from render.ornament import roundel
from render.roofs import dome, finial, gable_roof, lantern
from render.temples import DOOR


def basilica(variant: int, rng: np.random.Generator) -> Model:
    """Make a domed church: cross plan, drum with columns, ribbed dome, lantern, towers."""
    kind, r, drum_h, sides, ribs, towers, front = [
        ("round", 10.0, 11.0, 24, 16, 2, "portico"),
        ("pointed", 13.0, 7.0, 8, 8, 0, "banded"),
        ("onion", 6.5, 10.0, 16, 0, 4, "plain"),
        ("saucer", 14.0, 4.0, 28, 28, 0, "arches"),
        ("round", 9.0, 15.0, 16, 8, 2, "baroque"),
    ][variant]
    wide, long, tall = 2.6 * r, 4.4 * r, 1.35 * r + 4
    light = Opening(width=0.32, sill=0.35, spring=0.72, kind="round", hood=variant in (0, 4))
    bays = {0: 5, 1: 3, 2: 5, 3: 5, 4: 3}[variant]
    body = four_walls(wide, long, lambda n, k: row(n, tall, bays if k % 2 == 0 else 7, light))
    arms = four_walls(
        wide * 1.75, wide * 0.8, lambda n, k: row(n, tall, 5 if k % 2 == 0 else 3, light)
    )
    cy = 0.4 * r
    parts = [
        body,
        arms.moved(y=cy),
        cornice((wide, long), 1.4).moved(z=tall),
        cornice((wide * 1.75, wide * 0.8), 1.4).moved(0, cy, tall),
    ]
    if variant in (1, 2):
        parts += [gable_roof(wide * 0.7, long, 4).moved(z=tall + 1.2)]
    else:
        parts += [
            balustrade(wide, 1.6).moved(0, -long / 2, tall + 1.4),
            box(wide * 0.8, long * 0.95, 1.6, "roof", z=tall + 1.3),
        ]
    parts.append(box(2.3 * r, 2.3 * r, 4, "wall", y=cy, z=tall + 1))
    z = tall + 4
    window = Opening(width=0.4, sill=0.2, spring=0.65, kind="round", frame=0.2)
    parts.append(drum(sides if sides < 20 else 16, r, drum_h, window).moved(0, cy, z))
    if variant in (0, 4):
        shaft = column(drum_h * 0.8, "corinthian", slender=9)
        parts.append(around(shaft, 16, r + 0.9, start=np.pi / 16).moved(0, cy, z + drum_h * 0.1))
    parts.append(cornice(circle(32, r + 0.3), 1.3, reach=1.3).moved(0, cy, z + drum_h - 0.5))
    z += drum_h + 0.7
    smooth_sides = 8 if variant == 1 else 36
    start = np.pi / 8 if variant == 1 else 0.0
    cap = dome(r, kind, ribs=ribs, sides=smooth_sides, stretch=1.1).turned(start)
    parts.append(cap.moved(0, cy, z))
    height = r * 1.1 * {"round": 1, "pointed": 1.35, "onion": 1.9, "saucer": 0.55}[kind]
    if variant != 2:
        parts.append(lantern(0.17 * r, 0.75 * r).moved(0, cy, z + height - 0.3))
    else:
        parts.append(finial(5, balls=1).moved(0, cy, z + height))
    parts.append(_front(front, wide, long, tall, variant))
    parts += _towers(variant, towers, wide, long, tall, r)
    colours = [
        palette(LIMESTONE, SLATE, CREAM, dome=LEAD),
        palette(
            SIENA, TERRACOTTA, WHITE, dome=TERRACOTTA, second=Finish("mosaic", "#7c4a3a", "#e0d0a0")
        ),
        palette(CHALK, GREEN_TILE, WHITE, dome=GILT, second=BLUE_TILE),
        palette(RED_STONE, SLATE, CREAM, dome=LEAD),
        palette(OCHRE, COPPER, CREAM, dome=COPPER),
    ][variant]
    return Model(join(parts), colours, ("square", "city", "park", "water", "city")[variant])


def _front(kind: str, wide: float, long: float, tall: float, seed: int) -> Shape:
    """A basilica's front, before the wall at y = -long / 2."""
    y = -long / 2
    door = bay(wide * 0.24, tall * 0.5, DOOR).moved(0, y - 0.3, 0)
    if kind == "portico":
        shaft = column(tall * 0.78, "corinthian", slender=9)
        flat_top = entablature(wide * 0.95, 6, tall * 0.16).moved(0, y - 3.5, tall * 0.78 + 1)
        return join(
            [
                line_of(shaft, wide * 0.84, 8).moved(0, y - 5.4, 1),
                flat_top,
                door,
                stairs(wide, 1, 4).moved(y=y - 6.5),
                box(wide, 6.8, 1, "base", y=y - 3.2),
                pediment(wide * 0.97, tall * 0.26, 6, seed=seed).moved(0, y - 6.6, tall * 0.94 + 1),
                line_of(figure(3, seed=4), wide * 0.8, 5).moved(0, y, tall + 2),
            ]
        )
    if kind == "banded":
        rose = rose_window(wide * 0.15, 12).moved(0, y - 0.4, tall * 0.78)
        gable = plate(
            np.array(
                [(-wide / 2, 0), (wide / 2, 0), (wide * 0.22, 5.5), (0, 9), (-wide * 0.22, 5.5)]
            ),
            1.5,
            "wall",
        ).moved(0, y - 0.4, tall + 1)
        doors = copies(
            bay(
                wide * 0.2,
                tall * 0.45,
                Opening(width=0.6, sill=0, spring=0.55, kind="round", pane="door", frame=0.6),
            ),
            [(x * wide, y - 0.5, 0) for x in (-0.33, 0, 0.33)],
        )
        return join([rose, gable, doors, box(wide, 0.8, 0.8, "second", y=y - 0.3, z=tall * 0.5)])
    if kind == "arches":
        arch = Opening(width=0.72, sill=0, spring=0.5, kind="round", pane="", depth=2.0, frame=0.4)
        return join(
            [
                row(wide * 1.1, tall * 0.55, 5, arch).moved(0, y - 7, 0),
                box(wide * 1.1, 7, 0.8, "trim", y=y - 3.5, z=tall * 0.55),
                door,
                balustrade(wide * 1.1, 1.4).moved(0, y - 6.8, tall * 0.55 + 0.8),
            ]
        )
    if kind == "baroque":
        shaft = column(tall * 0.55, "corinthian", slender=10)
        lower = line_of(shaft, wide * 0.8, 6).moved(0, y - 0.9, 0)
        upper = line_of(shaft.scaled(0.75), wide * 0.42, 4).moved(0, y - 0.6, tall * 0.72)
        return join(
            [
                lower,
                upper,
                entablature(wide, 3, tall * 0.13).moved(0, y, tall * 0.55),
                box(wide * 0.5, 1.6, tall * 0.5, "wall", y=y + 0.5, z=tall * 0.68),
                door,
                pediment(wide * 0.55, 4, 2, seed=2, kind="arc").moved(0, y - 1, tall * 1.17),
            ]
        )
    return join(
        [door, pediment(wide * 0.5, 4, 1, seed=1, kind="arc").moved(0, y - 0.5, tall + 1.2)]
    )


def _towers(
    variant: int, count: int, wide: float, long: float, tall: float, r: float
) -> list[Shape]:
    """A basilica's corner towers: two at the front, or four about the dome."""
    side = r * 0.85 if variant != 2 else r * 0.75
    high = {0: 0.9, 2: 0.55, 4: 1.5}.get(variant, 1.0) * tall
    bell = Opening(width=0.5, sill=0.15, spring=0.6, kind="round", pane="dark", bars=(0, 0))
    shaft = four_walls(
        side,
        side,
        lambda n, k: join(
            [
                row(n, tall, 1, Opening(width=0.3, sill=0.5, spring=0.7, kind="round")),
                bay(n, high, bell).moved(z=tall),
            ]
        ),
    )
    top = cornice((side, side), 1.0).moved(z=tall + high)
    ring = cornice((side, side), 0.9).moved(z=tall)
    kind = {0: "bell", 2: "onion", 4: "onion"}.get(variant, "round")
    cap = dome(side * 0.47, kind, sides=16, stretch=1.2).moved(z=tall + high + 1)
    tip = finial(3, balls=1).moved(z=tall + high + 1 + side * (1.1 if kind == "onion" else 0.8))
    tower = join([shaft, ring, top, cap, tip])
    if count == 4:
        return [
            copies(
                tower, [(x * r * 1.35, 0.4 * r + y * r * 1.35, 0) for x in (-1, 1) for y in (-1, 1)]
            )
        ]
    if count == 2:
        x = wide / 2 + side * 0.35
        clock = roundel(side * 0.22).moved(0, -side / 2 - 0.1, tall * 0.82)
        return [
            copies(
                join([tower, clock]),
                [(-x, -long / 2 + side / 2 - 0.5, 0), (x, -long / 2 + side / 2 - 0.5, 0)],
            )
        ]
    return []
