"""Lighthouses: a striped tower, an octagon, an iron skeleton, an antique pharos."""

import numpy as np

from render.craft import SASH, block, lamp_room, walkway
from render.finishes import CHALK, GREY, LIMESTONE, SLATE, WHITE, Finish, Model, palette
from render.geometry import Shape, around, box, circle, copies, join, lathe, tube
from render.openings import Opening, drum, four_walls, row
from render.orders import balustrade, cornice, figure, stairs, steps_around
from render.ornament import statue

LIT = Finish("light", "#ffe2a0")
SLIT = Opening(width=0.3, sill=0.35, spring=0.62, kind="round", depth=0.4, frame=0.2, bars=(1, 1))


def lighthouse(variant: int, rng: np.random.Generator) -> Model:
    """Make a lighthouse: striped, octagonal, an iron skeleton, or an antique pharos."""
    return (_striped, _octagon, _skeleton, _pharos)[variant](rng)


def _window(radius: float, angle: float, z: float) -> Shape:
    """A framed window on a round wall."""
    frame = join([box(1.2, 0.7, 2.0, "trim"), box(0.8, 0.8, 1.5, "dark", z=0.25)])
    return frame.moved(0, -radius, z).turned(angle)


def _striped(rng: np.random.Generator) -> Model:
    """A tapered tower in red and white bands over a keeper's house, walled in."""
    high, bands, low = rng.uniform(31, 38), int(rng.integers(5, 9)), rng.uniform(4.4, 5.4)
    t = np.linspace(0, 1, bands + 1)
    radii = low * (1 - 0.42 * t**0.8)
    parts = []
    for k in range(bands):
        steps = [(radii[k], high * t[k]), (radii[k + 1], high * t[k + 1])]
        parts.append(lathe(steps, ("second", "wall")[k % 2], segments=32))
        middle = (radii[k] + radii[k + 1]) / 2
        parts += [_window(middle, 1.1 * k + a, high * (t[k] + 0.4 / bands)) for a in (0, np.pi)]
    parts += [
        lathe([(radii[-1], high - 1), (radii[-1] + 0.9, high)], "trim"),
        walkway(radii[-1] + 1.4).moved(z=high),
        lamp_room(radii[-1] * 0.78, 3.6).moved(z=high + 0.1),
    ]
    house = block(13, 8, (3.6,), (4, 2), SASH, cap="cross", rise=3.6)
    chimney = box(1, 1, 7.5, "second", x=4)
    parts += [join([house, chimney]).moved(s * 12.0, 4, 0) for s in (-1, 1)]
    parts += [
        box(42, 0.7, 1.6, "base", y=-8),
        *(box(0.7, 18, 1.6, "base", x=s * 21, y=1) for s in (-1, 1)),
        copies(box(1.1, 1.1, 2.4, "second"), [(x, -8, 0) for x in np.linspace(-21, 21, 8)]),
    ]
    red = Finish("paint", "#b3291f", weather=0.4)
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#eeeae0"),
            Finish("tile", "#a24a34", scale=0.5),
            CHALK,
            second=red,
            dome=red,
            lamp=LIT,
            steel=Finish("paint", "#2a2d2f"),
        ),
        "water",
    )


def _octagon(rng: np.random.Generator) -> Model:
    """Stacked brick octagons with white quoins on a hip-roofed quadrangle."""
    parts = [
        block(24, 15, (4.4, 4.0), (7, 4), SASH, cap="hip", rise=4.2),
        stairs(5, 1, 4).moved(y=-7.5),
    ]
    z, radius = 8.0, rng.uniform(5.0, 5.8)
    for _ in range(int(rng.integers(4, 6))):
        high = rng.uniform(5.6, 6.4)
        parts += [
            drum(8, radius, high, SLIT).moved(z=z),
            around(box(0.9, 0.9, high, "trim"), 8, radius - 0.25, start=np.pi / 8).moved(z=z),
            cornice(circle(8, radius, start=np.pi / 8), 0.7).moved(z=z + high - 0.5),
        ]
        z, radius = z + high, radius * 0.9
    parts += [
        around(box(0.3, 1.4, 1.0, "trim", z=-1), 16, radius + 0.5).moved(z=z),
        walkway(radius + 1.3, posts=24, role="trim").moved(z=z),
        drum(8, radius * 0.8, 3.2, SLIT, wall="trim").moved(z=z),
        walkway(radius + 0.2, posts=16).moved(z=z + 3.2),
        lamp_room(radius * 0.62, 3.2).moved(z=z + 3.3),
    ]
    return Model(
        join(parts),
        palette(
            Finish("brick", "#b0774a", scale=0.45),
            SLATE,
            WHITE,
            lamp=LIT,
            dome=Finish("paint", "#22303a"),
            steel=Finish("paint", "#22303a"),
        ),
        "village",
    )


def _skeleton(rng: np.random.Generator) -> Model:
    """Eight iron legs with rings and crossed ties about a white tube, on a pile deck."""
    levels, foot, top = int(rng.integers(5, 7)), rng.uniform(9.5, 11.5), 3.0
    high = 5.6 * levels
    radii = foot + (top - foot) * np.linspace(0, 1, levels + 1) ** 0.85
    zs = np.linspace(1.2, high, levels + 1)
    angles = np.pi / 8 + np.arange(8) * np.pi / 4
    spots = [
        np.column_stack([r * np.cos(angles), r * np.sin(angles), 0 * angles + z])
        for r, z in zip(radii, zs, strict=True)
    ]
    parts = []
    for k in range(levels):
        for i in range(8):
            j = (i + 1) % 8
            a, b, c, d = spots[k][i], spots[k][j], spots[k + 1][i], spots[k + 1][j]
            parts.append(tube(np.array([a, c]), 0.28, "second", segments=6))
            parts += [tube(np.array(p), 0.1, "second", segments=4) for p in ((a, d), (b, c))]
            parts.append(tube(np.array([c, d]), 0.16, "second", segments=4))
    parts += [
        lathe([(1.6, 1), (1.5, high)], "wall", segments=20),
        *(_window(1.45, k * 0.9, 4 + 4.6 * k) for k in range(levels)),
        drum(8, 5.4, 4.0, SASH).moved(z=zs[1] - 0.2),
        cornice(circle(8, 5.4, start=np.pi / 8), 0.6, role="second").moved(z=zs[1] + 3.6),
        lathe([(6.4, 0), (1.7, 2.6)], "roof", segments=8, smooth=False).moved(z=zs[1] + 4.1),
        drum(8, 3.2, 3.0, SLIT, wall="second").moved(z=high - 0.2),
        walkway(4.4, posts=20).moved(z=high + 2.8),
        lamp_room(2.2, 3.4).moved(z=high + 2.9),
        around(box(1.6, 1.6, 1.5, "base"), 8, radii[0], start=np.pi / 8),
        steps_around(26, 26, 0.6, 2, tread=0.6),
    ]
    black = Finish("paint", "#7c2318", weather=0.5)
    return Model(
        join(parts),
        palette(
            CHALK,
            Finish("paint", "#7c2318"),
            CHALK,
            second=black,
            dome=black,
            lamp=LIT,
            steel=Finish("paint", "#e6e2d8"),
        ),
        "water",
    )


def _pharos(rng: np.random.Generator) -> Model:
    """A square, an octagonal and a round storey of stone on an arcaded platform."""
    arcade = Opening(
        width=0.6, sill=0.1, spring=0.55, kind="round", depth=0.8, frame=0.25, pane="dark"
    )
    wide, high = rng.uniform(34, 40), rng.uniform(20, 25)
    parts = [
        four_walls(wide, wide, lambda n, k: row(n, 6, 9, arcade)),
        cornice((wide, wide), 0.8).moved(z=5.6),
        four_walls(wide, wide, lambda n, k: balustrade(n, 1.2)).moved(z=6.4),
        stairs(7, 6, 18).moved(y=-wide / 2),
    ]
    z, side = 6.0, wide * 0.44
    floors = int(rng.integers(4, 6))
    for k in range(floors):
        w = side * (1 - 0.035 * k)
        parts.append(four_walls(w, w, lambda n, s: row(n, high / floors, 4, SLIT)).moved(z=z))
        z += high / floors
        parts.append(cornice((w, w), 0.45).moved(z=z - 0.4))
    parts += [
        cornice((side, side), 1.2).moved(z=z - 0.4),
        four_walls(side, side, lambda n, k: balustrade(n, 1.3)).moved(z=z + 0.8),
        copies(
            figure(3.6, seed=4),
            [(x * side / 2, y * side / 2, z + 0.8) for x in (-1, 1) for y in (-1, 1)],
        ),
    ]
    for sides, radius, tall in ((8, side * 0.36, 11.0), (16, side * 0.25, 7.0)):
        parts += [
            drum(sides, radius, tall, SLIT).moved(z=z + 0.6),
            cornice(circle(sides, radius, start=np.pi / sides), 0.8).moved(z=z + tall),
        ]
        z += tall + 0.8
    parts += [
        around(lathe([(0.35, 0), (0.3, 3.6)], "column", segments=10), 8, side * 0.2).moved(z=z),
        lathe([(1.0, 0), (1.5, 1.2), (0, 1.3)], "lamp", segments=10).moved(z=z),
        lathe([(side * 0.25, 3.6), (side * 0.24, 4.2), (0.2, 7)], "dome").moved(z=z),
        figure(5.5, seed=int(rng.integers(99)), role="gold").moved(z=z + 6.8),
        *(statue(6, seed=k).moved(s * 8, -wide / 2 - 5, 0) for k, s in enumerate((-1, 1))),
    ]
    return Model(
        join(parts),
        palette(
            Finish("ashlar", "#d9c6a0", scale=1.3, weather=0.5),
            GREY,
            LIMESTONE,
            lamp=LIT,
            dome=Finish("copper", "#77a08d"),
        ),
        "water",
    )
