"""Castles: walls, towers, gatehouses and keeps."""

import numpy as np

from render.finishes import (
    CHALK,
    CREAM,
    DARK_STONE,
    GREY,
    LIMESTONE,
    SLATE,
    Finish,
    Model,
    palette,
)
from render.geometry import Shape, box, copies, join, profile
from render.openings import Opening, bay, four_walls, row
from render.orders import cornice
from render.ornament import merlons, round_tower
from render.roofs import dome, finial, gable_roof, hip_roof, spire


def castle(variant: int, rng: np.random.Generator) -> Model:
    """Make a castle: round-towered walls, a square keep, a fairy-tale residence, red walls, or ruins."""
    if variant == 2:
        return _fairy(rng)
    wide, deep, wall_h, radius, tower_h, top, kind = [
        (58.0, 44.0, 12.0, 5.0, 20.0, "battlement", "square"),
        (40.0, 36.0, 9.0, 3.0, 13.0, "battlement", "square"),
        (0,) * 7,
        (66.0, 36.0, 13.0, 4.2, 21.0, "cone", "swallow"),
        (46.0, 46.0, 14.0, 6.5, 24.0, "cone", "square"),
    ][variant]
    gate_w = 15.0
    slit = Opening(width=0.06, sill=0.4, spring=0.6, kind="flat", pane="dark", bars=(0, 0), frame=0)
    parts = [
        four_walls(
            wide,
            deep,
            lambda n, k: join(
                [
                    row(n, wall_h, 9, slit),
                    merlons(n, kind=kind, size=1.2).moved(z=wall_h),
                    box(n, 1.8, 0.5, "trim", y=0.9, z=wall_h - 0.4),
                ]
            ),
        )
    ]
    post = round_tower(
        radius, tower_h, top=top, roof=1.3 if variant == 4 else 1.0 + 0.6 * (variant == 3)
    )
    spots = [(x * wide / 2, y * deep / 2, 0) for x in (-1, 1) for y in (-1, 1)]
    spots += [(s * wide / 4, -deep / 2, 0) for s in (-1, 1)] if variant == 3 else []
    parts.append(copies(post, spots))
    door = Opening(
        width=0.5,
        sill=0.0,
        spring=0.35,
        kind="pointed" if variant != 3 else "round",
        depth=1.5,
        pane="door",
        bars=(3, 4),
        frame=0.6,
    )
    gate = join(
        [
            bay(gate_w * 0.5, wall_h * 1.4, door),
            box(gate_w * 0.5, 6, wall_h * 1.4, "wall", y=3.1 + 0.6),
            *(
                round_tower(3.0, wall_h * 1.8, top=top, roof=1.6, slits=6).moved(
                    s * gate_w * 0.38, 2, 0
                )
                for s in (-1, 1)
            ),
            merlons(gate_w * 0.5, kind=kind).moved(z=wall_h * 1.4),
        ]
    )
    parts.append(gate.moved(y=-deep / 2 - 3))
    parts += _keep(variant, wide, deep)
    colours = [
        palette(Finish("ashlar", "#a79b84", scale=1.1, weather=0.6), SLATE, LIMESTONE),
        palette(GREY, SLATE, LIMESTONE),
        {},
        palette(
            Finish("brick", "#8f3327", scale=0.6),
            Finish("tile", "#3f6d4e", scale=0.5),
            CHALK,
            second=CHALK,
        ),
        palette(DARK_STONE, Finish("slate", "#39414f"), GREY),
    ][variant]
    return Model(join(parts), colours, ("hill", "village", "", "city", "hill")[variant])


def _keep(variant: int, wide: float, deep: float) -> list[Shape]:
    """What rises within a castle's walls."""
    op = Opening(width=0.25, sill=0.35, spring=0.6, kind="round", depth=0.6, frame=0.25)
    if variant == 0:
        hall = join(
            [
                four_walls(24, 12, lambda n, k: row(n, 19, 5 if k % 2 == 0 else 3, op)),
                gable_roof(12, 24, 8).turned(np.pi / 2).moved(z=19),
            ]
        )
        return [hall.moved(-6, 6, 0), round_tower(6.5, 36, top="battlement").moved(16, 8, 0)]
    if variant == 1:
        side, high = 21.0, 27.0
        keep = join(
            [
                four_walls(
                    side,
                    side,
                    lambda n, k: join(
                        [row(n, high / 3, 4, op).moved(z=j * high / 3) for j in range(3)]
                    ),
                ),
                four_walls(side + 1, side + 1, lambda n, k: merlons(n, size=1.3)).moved(z=high),
                *(
                    join(
                        [
                            box(4.6, 4.6, high + 5, "trim"),
                            dome(2.6, "onion", sides=14, role="roof").moved(z=high + 5),
                            finial(2.5).moved(z=high + 9.6),
                        ]
                    ).moved(x * side / 2, y * side / 2, 0)
                    for x in (-1, 1)
                    for y in (-1, 1)
                ),
            ]
        )
        return [keep]
    if variant == 3:
        z, parts = 0.0, []
        for side, h in ((12, 24), (9, 9), (6.5, 7)):
            parts += [
                four_walls(side, side, lambda n, k, h=h: row(n, h, 3, op)).moved(z=z),
                cornice((side, side), 0.8, role="second").moved(z=z + h - 0.4),
            ]
            z += h
        return [
            join(
                [*parts, spire(4.2, 17, sides=8).moved(z=z), finial(5, balls=1).moved(z=z + 16)]
            ).moved(y=-deep / 2 + 2)
        ]
    spots = ((-9, 5, 30), (9, 8, 40), (0, 14, 26), (12, -6, 24))
    return [
        four_walls(26, 20, lambda n, k: row(n, 20, 5, op)).moved(y=8),
        hip_roof(26, 20, 9, ridge=0.3).moved(0, 8, 20),
        *(round_tower(3.4, h, top="cone", roof=2.2).moved(x, y, 0) for x, y, h in spots),
    ]


def _fairy(rng: np.random.Generator) -> Model:
    """A white residence of slim blue-roofed towers on a rock."""
    op = Opening(
        width=0.35, sill=0.3, spring=0.62, kind="round", depth=0.4, frame=0.25, bars=(1, 1)
    )
    rock = profile(
        np.array(
            [
                (np.cos(a) * (1 + 0.1 * np.sin(5 * a)), np.sin(a) * (1 + 0.12 * np.cos(3 * a)))
                for a in np.linspace(0, 6.283, 28, endpoint=False)
            ]
        ),
        [(31, 0), (29, 4), (27, 5), (25, 9), (22, 10)],
        "rock",
    )

    def block(w: float, d: float, h: float, n: int, roof: float) -> Shape:
        return join(
            [
                four_walls(
                    w,
                    d,
                    lambda m, k: join([row(m, h / 3, n, op).moved(z=j * h / 3) for j in range(3)]),
                ),
                cornice((w, d), 0.7).moved(z=h - 0.4),
                gable_roof(w, d, roof).moved(z=h),
            ]
        )

    parts = [
        rock,
        block(13, 24, 26, 3, 9).moved(-3, 2, 9),
        block(11, 14, 18, 3, 7).moved(10, 2, 9),
        block(9, 9, 14, 2, 6).moved(-14, -3, 8),
    ]
    for x, y, r, h, roof in (
        (6, -6, 3.2, 46, 2.4),
        (-10, -9, 2.6, 36, 2.4),
        (16, -5, 3.4, 28, 1.8),
        (-19, -2, 2.6, 26, 2.2),
        (-3, 14, 3.8, 56, 2.2),
        (3, -11, 1.8, 30, 2.8),
    ):
        parts.append(round_tower(r, h, top="cone", roof=roof).moved(x, y, 6))
    gate = join(
        [round_tower(2.4, 14, top="cone", roof=2).moved(x=s * 5) for s in (-1, 1)]
        + [
            bay(8, 11, Opening(width=0.5, sill=0, spring=0.4, kind="round", pane="door", depth=1)),
            box(8, 6, 11, "second", y=4),
            merlons(8, role="second").moved(z=11),
        ]
    )
    parts.append(gate.moved(6, -25, 0))
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#e8e4da", weather=0.4),
            Finish("slate", "#3e5a7d"),
            CREAM,
            second=Finish("brick", "#a8543c", scale=0.5),
            rock=Finish("sandstone", "#7d7468", weather=0.6),
        ),
        "hill",
    )
