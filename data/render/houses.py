"""The stock's houses: terraces of two to five floors with plain rows of windows."""

import numpy as np

from render.finishes import BASE, Finish, Thing
from render.geometry import box, join
from render.openings import Opening, four_walls, row
from render.orders import cornice
from render.roofs import gable_roof, hip_roof

HOUSE_FINISHES = (
    (Finish("plaster", "#d9c7a3"), Finish("tile", "#9a4f38", scale=0.5)),
    (Finish("plaster", "#cdb8a0"), Finish("slate", "#565a60", scale=0.5)),
    (Finish("brick", "#8c4b38", scale=0.5), Finish("slate", "#4d5157", scale=0.5)),
    (Finish("plaster", "#e3ddd0"), Finish("tile", "#a55d42", scale=0.5)),
    (Finish("plaster", "#c79d7e"), Finish("tile", "#8d4a37", scale=0.5)),
    (Finish("ashlar", "#b8ab92"), Finish("slate", "#5b6066", scale=0.5)),
    (Finish("plaster", "#b9bfae"), Finish("tile", "#94553f", scale=0.5)),
    (Finish("plaster", "#dcc07e"), Finish("tile", "#a4563b", scale=0.5)),
    (Finish("plaster", "#a9a49c"), Finish("tile", "#7c4a3b", scale=0.5)),
    (Finish("brick", "#a4775a", scale=0.5), Finish("tile", "#7d4636", scale=0.5)),
)


def houses() -> list[Thing]:
    """Make terraced houses of two to five floors with plain rows of windows."""
    made = []
    for k, (wall, roof) in enumerate(HOUSE_FINISHES):
        rng = np.random.default_rng(1000 + k)
        floors, width, depth = 2 + (k * 3 + 1) % 4, 11.0 + 1.5 * (k % 3), 11.0
        kind = ("flat", "segmental", "flat", "round")[k % 4]
        glass = Opening(
            width=0.36,
            sill=0.28,
            spring=0.74,
            kind=kind,
            depth=0.22,
            bars=(1, 1),
            frame=0.12 if k % 2 else 0.0,
        )
        shop = Opening(
            width=0.66, sill=0.08, spring=0.72, kind=kind, depth=0.3, bars=(1, 0), frame=0.0
        )
        parts = [four_walls(width, depth, lambda n, s, o=shop: row(n, 3.8, 3, o, wall="shop"))]
        for f in range(floors - 1):
            parts.append(
                four_walls(
                    width, depth, lambda n, s, o=glass, c=3 + k % 3: row(n, 3.1, c, o)
                ).moved(z=3.8 + 3.1 * f)
            )
        top = 3.8 + 3.1 * (floors - 1)
        parts += [
            cornice((width, depth), 0.5, reach=0.4).moved(z=top - 0.3),
            cornice((width, depth), 0.25).moved(z=3.7),
        ]
        rise = rng.uniform(2.6, 4.2)
        if k % 3 == 0:
            cap = hip_roof(width, depth, rise, eave=0.3, ridge=0.05)
        else:
            cap = gable_roof(depth, width, rise, eave=0.3).turned(np.pi / 2)
        chimney = box(0.9, 0.9, rise + 1.5, "wall", x=width * 0.3, y=1.2)
        parts.append(join([cap, chimney]).moved(z=top + 0.1))
        colours = {
            **BASE,
            "wall": wall,
            "roof": roof,
            "shop": Finish("plaster", ("#6d5f52", "#8d8478", "#4d5a55")[k % 3]),
            "trim": Finish("plaster", "#d8d0c0"),
        }
        made.append(Thing(f"house {k}", join(parts), colours))
    return made
