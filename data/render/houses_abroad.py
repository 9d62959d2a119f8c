"""The second stock's houses: timber, brick and concrete fronts that training never shows."""

import numpy as np

from render.craft import gable_plate, strut, timber
from render.finishes import BASE, Finish, Thing
from render.geometry import Shape, box, copies, join, lathe
from render.openings import Opening, four_walls, row
from render.orders import balustrade, cornice, line_of
from render.roofs import gable_roof, hip_roof

FRONTS = (
    ("timber", Finish("plaster", "#e4ddcc"), Finish("slate", "#4a3c36", scale=0.4)),
    ("gable", Finish("brick", "#7a3b2e", scale=0.4), Finish("tile", "#5f4a44", scale=0.4)),
    ("balcony", Finish("plaster", "#d2dbe0"), Finish("paving", "#9a958c", scale=1.2)),
    (
        "clapboard",
        Finish("banded", "#8fa6a8", "#7d9496", scale=0.5),
        Finish("slate", "#3f4446", scale=0.5),
    ),
    ("timber", Finish("plaster", "#cfa98c"), Finish("tile", "#6b3a2c", scale=0.4)),
    ("bays", Finish("sandstone", "#9b7a62"), Finish("slate", "#5a5c60", scale=0.4)),
    ("balcony", Finish("plaster", "#e7e6e2"), Finish("paving", "#8a8782", scale=1.2)),
    ("gable", Finish("plaster", "#7f9a78"), Finish("slate", "#41464e", scale=0.4)),
    (
        "clapboard",
        Finish("banded", "#b9483c", "#a23c32", scale=0.5),
        Finish("slate", "#4f4f4f", scale=0.5),
    ),
    ("bays", Finish("brick", "#c2a276", scale=0.45), Finish("slate", "#50545a", scale=0.4)),
)
CASEMENT = Opening(width=0.44, sill=0.3, spring=0.8, frame=0.1, bars=(1, 0), depth=0.18)
SHOP = Opening(width=0.84, sill=0.06, spring=0.78, frame=0.0, bars=(2, 0), depth=0.5)
WIDE = Opening(width=0.8, sill=0.05, spring=0.86, frame=0.0, bars=(1, 0), depth=0.3)


def houses_abroad() -> list[Thing]:
    """Make ten houses: half-timbered, gabled, boarded, with bay windows, with balconies."""
    made = []
    for k, (kind, wall, roof) in enumerate(FRONTS):
        rng = np.random.default_rng(6000 + k)
        width, depth = 10.0 + 1.2 * (k % 3), 11.0
        build = {"timber": _timber, "gable": _gable, "balcony": _balcony, "bays": _bays}.get(
            kind, _boards
        )
        colours = {
            **BASE,
            "wall": wall,
            "roof": roof,
            "shop": Finish("plaster", ("#3d4a52", "#a7a197", "#6b3f35")[k % 3]),
            "trim": Finish("paint", ("#efeae0", "#c9c4b8", "#5b4636")[k % 3]),
            "beam": Finish("wood", "#3a291d"),
            "rail": Finish("paint", "#3b4146"),
        }
        made.append(Thing(f"house {k}", build(width, depth, 2 + (k * 2 + 1) % 4, rng), colours))
    return made


def _ground_floor(width: float, depth: float) -> Shape:
    walls = four_walls(width, depth, lambda n, k: row(n, 3.6, 2 + k % 2, SHOP, wall="shop"))
    return join([walls, box(width + 0.3, depth + 0.3, 0.25, "trim", z=3.5)])


def _timber(width: float, depth: float, floors: int, rng: np.random.Generator) -> Shape:
    """A jettied half-timbered house with a steep gable to the street."""
    parts, z = [_ground_floor(width, depth)], 3.7
    for k in range(min(floors, 3)):
        grow = 0.35 * (k + 1)
        parts.append(
            four_walls(width, depth, lambda n, s: timber(n, 2.9, 4, CASEMENT, brace="v"))
            .scaled(1, 1 + grow / depth, 1)
            .moved(z=z)
        )
        z += 2.9
    rise = width * rng.uniform(0.6, 0.75)
    front = [strut((s * width / 2, 0), (0, rise), 0.3, "beam", y=-0.3) for s in (-1, 1)]
    front.append(strut((-width * 0.25, rise / 2), (width * 0.25, rise / 2), 0.25, "beam", y=-0.3))
    parts += [
        gable_roof(width, depth + 0.8, rise, eave=0.5).moved(z=z),
        join(front).moved(0, -depth / 2 - 0.4, z),
    ]
    return join(parts)


def _gable(width: float, depth: float, floors: int, rng: np.random.Generator) -> Shape:
    """A narrow-windowed house whose stepped or curved gable hides the roof."""
    parts, z = [_ground_floor(width, depth)], 3.7
    for _ in range(min(floors, 3)):
        parts.append(four_walls(width, depth, lambda n, k: row(n, 3.0, 4, CASEMENT)).moved(z=z))
        z += 3.0
    kind = str(rng.choice(["stepped", "bell"]))
    rise = width * 0.62
    face = gable_plate(width, rise, kind, steps=5, depth=0.5)
    parts += [
        face.moved(0, -depth / 2, z),
        face.turned(np.pi).moved(0, depth / 2, z),
        gable_roof(width, depth - 1, rise * 0.82, eave=0.0).moved(z=z),
        box(width, 0.3, 0.3, "trim", y=-depth / 2 - 0.1, z=z - 0.2),
    ]
    return join(parts)


def _balcony(width: float, depth: float, floors: int, rng: np.random.Generator) -> Shape:
    """A modern flat-roofed block with balconies along every floor."""
    parts, z = [_ground_floor(width, depth)], 3.7
    for _ in range(floors + 1):
        parts += [
            four_walls(width, depth, lambda n, k: row(n, 3.0, 3, WIDE)).moved(z=z),
            *(box(width * 0.9, 1.5, 0.18, "trim", y=s * (depth / 2 + 0.6), z=z) for s in (-1, 1)),
            *(
                line_of(box(0.06, 0.06, 1.0, "rail"), width * 0.88, 22).moved(
                    0, s * (depth / 2 + 1.3), z
                )
                for s in (-1, 1)
            ),
            *(
                box(width * 0.9, 0.08, 0.08, "rail", y=s * (depth / 2 + 1.3), z=z + 1.0)
                for s in (-1, 1)
            ),
        ]
        z += 3.0
    parts += [
        box(width + 0.4, depth + 0.4, 0.9, "wall", z=z),
        box(3, 3, 2.4, "shop", x=rng.uniform(-2, 2), z=z + 0.9),
    ]
    return join(parts)


def _bays(width: float, depth: float, floors: int, rng: np.random.Generator) -> Shape:
    """A tenement with canted bay windows and a parapet."""
    parts, z = [_ground_floor(width, depth)], 3.7
    floors = max(floors, 2)
    for _ in range(floors):
        parts.append(four_walls(width, depth, lambda n, k: row(n, 3.2, 4, CASEMENT)).moved(z=z))
        z += 3.2
    bow = row(1.9, 3.2, 1, WIDE)
    sides = [bow.turned(s * np.pi / 4).moved(s * 1.55, 0.6, 0) for s in (-1, 1)]
    stack = join(
        join([bow.moved(y=-0.1), *sides, box(4.2, 0.4, 0.25, "trim", y=0.4, z=3.0)]).moved(
            z=3.7 + 3.2 * k
        )
        for k in range(floors)
    )
    for s in (-1, 1):
        front = copies(stack, [(x * width * 0.27, -depth / 2 - 1.25, 0) for x in (-1, 1)])
        parts.append(front if s < 0 else front.turned(np.pi))
    parts += [
        cornice((width, depth), 0.7).moved(z=z - 0.3),
        balustrade(width, 0.9).moved(0, -depth / 2, z + 0.4),
        hip_roof(width - 0.8, depth - 0.8, rng.uniform(1.5, 2.6), ridge=0.2, eave=0).moved(z=z),
        *(box(0.8, 2.4, 3.4, "wall", x=s * width * 0.46, z=z) for s in (-1, 1)),
    ]
    return join(parts)


def _boards(width: float, depth: float, floors: int, rng: np.random.Generator) -> Shape:
    """A boarded house with a veranda, a gambrel-steep roof and a cross gable."""
    floors, parts, z = min(floors, 2), [], 0.5
    parts.append(box(width + 0.4, depth + 2.6, 0.5, "shop", y=-0.8))
    for _ in range(floors):
        parts.append(four_walls(width, depth, lambda n, k: row(n, 3.1, 3, CASEMENT)).moved(z=z))
        z += 3.1
    rise = rng.uniform(4.2, 5.4)
    posts = line_of(lathe([(0.14, 0), (0.12, 2.7)], "trim", segments=8), width - 0.6, 5)
    parts += [
        gable_roof(depth, width, rise, eave=0.7).turned(np.pi / 2).moved(z=z),
        gable_roof(width * 0.45, depth * 0.6, rise * 0.8, eave=0.4).moved(0, -depth * 0.25, z),
        posts.moved(0, -depth / 2 - 1.8, 0.5),
        box(width + 0.4, 2.3, 0.2, "roof", y=-depth / 2 - 1.0, z=3.2),
        line_of(box(0.07, 0.07, 0.9, "trim"), width - 0.6, 26).moved(0, -depth / 2 - 1.8, 0.5),
        box(width - 0.6, 0.1, 0.1, "trim", y=-depth / 2 - 1.8, z=1.4),
        box(0.8, 0.8, rise + 1.2, "shop", x=-width * 0.3, y=1, z=z),
    ]
    return join(parts)
