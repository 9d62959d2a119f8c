"""Wooden churches: staves, many onions, three shingled towers, a needle."""

import numpy as np

from render.craft import block, strut
from render.finishes import CHALK, GREY, Finish, Model, palette
from render.geometry import (
    Shape,
    around,
    box,
    circle,
    copies,
    join,
    lathe,
    plate,
    profile,
    rectangle,
)
from render.openings import Opening, drum, four_walls, row
from render.orders import line_of, stairs, steps_around
from render.roofs import dome, finial, gable_roof, hip_roof

LOOKOUT = Opening(
    width=0.6, sill=0.3, spring=0.62, kind="round", depth=0.3, frame=0.12, pane="dark", bars=(0, 0)
)
PANE = Opening(width=0.34, sill=0.3, spring=0.66, depth=0.2, frame=0.22, bars=(1, 2))


def wood_church(variant: int, rng: np.random.Generator) -> Model:
    """Make a wooden church: of staves, of many onions, with three shingled towers, or a needle."""
    return (_stave, _onions, _shingles, _needle)[variant](rng)


def _skirt(width: float, depth: float, rise: float, inner: float, role: str = "roof") -> Shape:
    """A pent roof round a rectangle whose inner edge is `inner` of the outer one."""
    plan = rectangle(width, depth)
    return profile(
        plan, [(1.0, -0.25), (1.0, 0), ((1 + inner) / 2 - 0.03, rise * 0.42), (inner, rise)], role
    )


def _logs(width: float, depth: float, height: float, bays: tuple[int, int]) -> Shape:
    """Log walls with crossed corners and windows."""
    walls = four_walls(width, depth, lambda n, k: row(n, height, bays[k % 2], PANE))
    ends = []
    for z in np.arange(0.0, height - 0.2, 0.55):
        ends.append(box(width + 0.9, 0.3, 0.34, "wall", y=-depth / 2 + 0.1, z=z))
        ends.append(box(width + 0.9, 0.3, 0.34, "wall", y=depth / 2 - 0.1, z=z))
        ends.append(box(0.3, depth + 0.9, 0.34, "wall", x=-width / 2 + 0.1, z=z + 0.27))
        ends.append(box(0.3, depth + 0.9, 0.34, "wall", x=width / 2 - 0.1, z=z + 0.27))
    kept = [e for k, e in enumerate(ends) if k % 4 > 1 or bays[0] == 0]
    return join([walls, *kept])


def _dragon(size: float) -> Shape:
    """A carved head that leans out of a ridge, toward -y."""
    neck = np.array(
        [(0, 0), (-0.5, 0.7), (-0.6, 1.3), (-1.1, 1.5), (-0.5, 1.75), (-0.2, 1.3), (0.3, 0.2)]
    )
    return plate(neck * size, 0.18 * size, "accent", y=-0.09 * size).turned(np.pi / 2)


def _stave(rng: np.random.Generator) -> Model:
    """Tiers of steep tarred roofs with dragon heads over an arcaded porch."""
    wide, deep = rng.uniform(15, 17), rng.uniform(18, 21)
    parts = [
        four_walls(wide, deep, lambda n, k: row(n, 3.0, 9, LOOKOUT)),
        steps_around(wide, deep, 0.3, 1, tread=0.5),
    ]
    z = 3.0
    boards = [
        Opening(
            width=0.3,
            sill=0.4,
            spring=0.7,
            kind="round",
            depth=0.2,
            frame=0.1,
            pane="dark",
            bars=(0, 0),
        )
    ]
    for k, (share, height, rise) in enumerate(
        ((0.72, 4.2, 3.4), (0.46, 5.0, 3.6), (0.3, 3.2, 2.4))
    ):
        inner = share * 0.98
        outer = 1.12 if k == 0 else (0.86, 0.6)[k - 1]
        parts.append(_skirt(wide * outer, deep * outer, rise, inner / outer).moved(z=z))
        w, d = wide * share, deep * share
        parts.append(
            four_walls(w, d, lambda n, s, h=height + rise, c=5 - k: row(n, h, c, boards[0])).moved(
                z=z
            )
        )
        for side in (-1, 1):
            cross = gable_roof(w * 0.7, 3.2, w * 0.62, eave=0.35).moved(
                0, side * (d / 2 + 0.6), z + rise * 0.55
            )
            parts.append(cross)
        z += rise + height * (0.5 if k < 2 else 0.9)
        top = _dragon(1.6 + 0.3 * (2 - k)).moved(0, -d / 2 - 1.8, z - 0.9)
        parts += [top, top.turned(np.pi)]
    parts += [
        gable_roof(wide * 0.36, deep * 0.36, 4.2, eave=0.5).moved(z=z),
        _dragon(2.2).moved(0, -deep * 0.2, z + 3.2),
        _dragon(2.2).turned(np.pi).moved(0, deep * 0.2, z + 3.2),
        box(2.2, 2.2, 5, "wall", z=z + 1.5),
        lathe(
            [(2.0, 0), (1.2, 1.4), (0.6, 4), (0.03, rng.uniform(8, 10))],
            "roof",
            segments=4,
            smooth=False,
        )
        .turned(np.pi / 4)
        .moved(z=z + 6.4),
        lathe([(3.6, 0), (3.6, 3.2)], "wall", segments=14).moved(y=deep / 2 + 2),
        lathe([(4.3, 3.0), (2.2, 5.0), (0.05, 8.5)], "roof", segments=14).moved(y=deep / 2 + 2),
        box(1.6, 0.5, 2.6, "door", y=-deep / 2 - 0.1),
        gable_roof(3.2, 3.4, 3.4, eave=0.4).moved(0, -deep / 2 - 1.2, 2.7),
        *(box(0.3, 0.3, 2.9, "accent", x=s * 1.5, y=-deep / 2 - 2.6) for s in (-1, 1)),
        *(
            strut((-wide / 2 + w, 0.3), (-wide / 2 + w + 1.2, 1.4), 0.15, "accent").moved(
                y=-deep / 2
            )
            for w in np.linspace(0.5, wide - 2, 8)
        ),
    ]
    tar = Finish("slate", "#3f2b1c", scale=0.3, weather=0.2)
    return Model(
        join(parts),
        palette(
            Finish("wood", "#5d3d25"),
            tar,
            Finish("wood", "#7d5734"),
            accent=Finish("wood", "#8a6038"),
        ),
        "hill",
    )


def _onion(radius: float) -> Shape:
    """A shingled onion on a drum with a cross."""
    bar = box(0.12, 0.12, radius * 2.2, "gold")
    arms = [box(radius * w, 0.12, 0.12, "gold", z=radius * z) for w, z in ((0.9, 1.5), (0.5, 1.85))]
    return join(
        [
            lathe([(radius * 0.72, -radius * 1.6), (radius * 0.66, 0)], "second", segments=12),
            lathe([(radius * 0.95, -0.25), (radius * 0.95, 0)], "second", segments=12),
            dome(radius, "onion", sides=16),
            join([bar, *arms]).moved(z=radius * 1.9),
        ]
    )


def _kokoshnik(width: float, depth: float) -> Shape:
    """A barrel gable that ends in a point, its face at y = 0."""
    x = np.linspace(-1, 1, 17)
    z = 0.9 * np.sqrt(1 - np.abs(x) ** 2.4) + 0.5 * np.exp(-7 * np.abs(x))
    outline = np.stack([x * width / 2, z * width * 0.62], 1)
    return join([plate(outline, depth, "roof"), plate(outline * 0.82, 0.1, "second", y=-0.08)])


def _onions(rng: np.random.Generator) -> Model:
    """Rings of silver onions that climb an octagon of logs."""
    r, steps = rng.uniform(9.0, 10.5), int(rng.integers(3, 5))
    parts = [drum(8, r, 8.5, PANE), box(2.2 * r, r, 6.5, "wall"), box(r, 2.2 * r, 6.5, "wall")]
    parts += [join(_logs(r * 1.1, r * 2.6, 6.5, (3, 6)).turned(a) for a in (0, np.pi / 2))]
    arms = join([_kokoshnik(r * 0.9, r * 0.7), _onion(2.2).moved(0, r * 0.35, r * 0.56 + 3.2)])
    parts.append(around(arms, 4, r * 1.36).moved(z=6.4))
    z = 8.5
    for k in range(steps):
        ring = r * (0.92 - 0.24 * k)
        high = 5.4 - 0.4 * k
        parts += [
            drum(8, ring, high, PANE).moved(z=z),
            profile(
                circle(8, 1, start=np.pi / 8), [(ring * 1.16, z), (ring * 0.9, z + 1.4)], "roof"
            ),
            around(
                join(
                    [
                        _kokoshnik(ring * 0.6, 1.6),
                        _onion(1.9 - 0.2 * k).moved(0, 0.8, ring * 0.37 + 2.9 - 0.3 * k),
                    ]
                ),
                8 if k == 0 else 4,
                ring * 0.98,
                start=np.pi / 8 * (k % 2) * 2,
            ).moved(z=z + 1.2),
        ]
        z += high
    parts += [
        profile(circle(8, 1, start=np.pi / 8), [(r * 0.34, z - 1), (r * 0.22, z + 3.5)], "roof"),
        _onion(3.1).moved(z=z + 8.0),
        stairs(4, 2.0, 8).moved(y=-r * 1.3),
        block(7, 5, (3.6,), (3, 2), PANE, cap="gable", rise=3.0).moved(0, -r * 1.3 - 1.5, 0),
        around(box(2 * r * 0.75, 0.2, 0.9, "second"), 8, r * 1.45).moved(z=0.2),
    ]
    return Model(
        join(parts),
        palette(
            Finish("wood", "#6d5640", weather=0.4),
            Finish("slate", "#55493d", scale=0.35),
            Finish("wood", "#a08b6c"),
            second=Finish("wood", "#8d7758"),
            dome=Finish("slate", "#b4b6b2", "#7f817f", scale=0.35, weather=0.2),
        ),
        "water",
    )


def _pear(width: float, rise: float) -> Shape:
    """A shingled tower top: a skirt, a bulge, a lantern, a smaller bulge."""
    w = width / 2 * 1.414
    steps = [
        (1.25, 0),
        (1.0, 0.12),
        (0.72, 0.22),
        (0.78, 0.34),
        (0.62, 0.48),
        (0.26, 0.56),
        (0.24, 0.68),
        (0.34, 0.72),
        (0.3, 0.8),
        (0.08, 0.92),
        (0.02, 1.0),
    ]
    ring = circle(4, 1.0, start=np.pi / 4)
    return join(
        [
            profile(ring, [(s * w, z * rise) for s, z in steps], "roof"),
            finial(2.2, balls=1).moved(z=rise),
        ]
    )


def _shingles(rng: np.random.Generator) -> Model:
    """Three square towers in a row, each higher to the west, under pear-shaped shingles."""
    parts = []
    for k, (x, w, h) in enumerate(((-12.0, 9.0, 8.0), (0.0, 11.5, 8.5), (11.5, 8.0, 7.0))):
        w *= rng.uniform(0.95, 1.06)
        parts += [
            _logs(w, w, h, (3, 3)).moved(x=x),
            _skirt(w + 3.4, w + 3.4, 1.9, 0.62).moved(x, 0, 4.3),
            _skirt(w + 1.8, w + 1.8, 2.4, 0.6).moved(x, 0, h),
        ]
        z, tiers = h + 1.6, (2, 2, 1)[k] + int(rng.integers(0, 2))
        for t in range(tiers):
            v = w * (0.72 - 0.13 * t)
            parts += [
                _logs(v, v, 3.4, (2, 2)).moved(x, 0, z),
                _skirt(v + 1.6, v + 1.6, 1.9, 0.55).moved(x, 0, z + 3.2),
            ]
            z += 4.4
        parts.append(_pear(w * (0.72 - 0.13 * tiers), rng.uniform(8.5, 10.5)).moved(x, 0, z))
    posts = [(x, y, 0) for x in np.linspace(-18, 17, 12) for y in (-8.4, 8.4)]
    parts += [
        copies(box(0.3, 0.3, 2.8, "accent"), posts),
        *(
            box(37, 3.2, 0.2, "roof", x=-0.5).turned(-s * 0.35, "x").moved(0, s * 7.6, 3.2)
            for s in (-1, 1)
        ),
        line_of(box(0.3, 0.2, 1.6, "accent"), 48, 60).moved(y=-13),
        box(48, 0.15, 0.15, "accent", y=-13, z=1.2),
        box(1.8, 0.4, 2.8, "door", x=-12, y=-4.7),
    ]
    return Model(
        join(parts),
        palette(
            Finish("wood", "#6a4629"),
            Finish("slate", "#4a382a", scale=0.3, weather=0.3),
            Finish("paint", "#d8cdb0"),
        ),
        "village",
    )


def _needle(rng: np.random.Generator) -> Model:
    """A long log church under a double shingle roof, with a needle spire over a gallery."""
    wide, deep, tall = rng.uniform(9, 10.5), rng.uniform(17, 20), rng.uniform(25, 31)
    parts = [
        _logs(wide, deep, 5.2, (3, 6)),
        _skirt(wide + 3.6, deep + 3.6, 2.2, 0.72).moved(z=3.0),
        hip_roof(wide + 2.4, deep + 2.4, 10, ridge=0.02).moved(z=5.0),
        box(wide + 2, deep + 2, 0.4, "trim", z=0),
    ]
    side, y = wide * 0.42, -deep / 2 + 3.4
    belfry = four_walls(side + 1.6, side + 1.6, lambda n, k: row(n, 2.6, 4, LOOKOUT))
    parts += [
        box(side, side, 12, "wall", y=y, z=5),
        belfry.moved(0, y, 16.0),
        box(side + 1.8, side + 1.8, 0.4, "trim", y=y, z=15.8),
        _skirt(side + 3.2, side + 3.2, 2.6, 0.4).moved(0, y, 18.6),
        profile(
            circle(8, 1.0, start=np.pi / 8),
            [(side * 0.52, 20.2), (side * 0.3, 21 + tall * 0.3), (0.04, 20 + tall)],
            "roof",
        ).moved(y=y),
        finial(2.4).moved(0, y, 20 + tall),
    ]
    small = profile(circle(8), [(0.8, 0), (0.75, 1.6), (0.9, 1.6), (0.03, 8.5)], "roof")
    parts += [
        small.moved(i * side * 0.55, y + j * side * 0.55, 18.9) for i in (-1, 1) for j in (-1, 1)
    ]
    arch = Opening(width=0.78, sill=0.3, spring=0.62, kind="round", depth=0.3, pane="", frame=0.14)
    parts += [
        row(wide + 2, 3.2, 5, arch).moved(y=-deep / 2 - 2.4),
        *(
            row(4, 3.2, 2, arch).turned(s * np.pi / 2).moved(s * (wide / 2 + 1), -deep / 2 - 0.4, 0)
            for s in (-1, 1)
        ),
        *(line_of(box(0.26, 0.2, 1.5, "accent"), 30, 34).moved(0, s * 16, 0) for s in (-1,)),
    ]
    cross = join([box(0.4, 0.4, 4, "accent"), box(2, 0.4, 0.4, "accent", z=2.9)])
    gate = join(
        [row(9, 5, 3, arch), gable_roof(2, 9.6, 2.4, eave=0.9).turned(np.pi / 2).moved(0, 0.2, 5)]
    )
    parts += [
        gate.moved(float(rng.choice([-1, 1])) * 5, -16, 0),
        cross.moved(9, -12, 0),
        cross.moved(-9, -11, 0),
    ]
    return Model(
        join(parts),
        palette(
            Finish("wood", "#705236"),
            Finish("slate", "#5d4b3a", scale=0.28, weather=0.3),
            Finish("wood", "#5a4028"),
            accent=Finish("wood", "#49341f"),
            steel=GREY,
            second=CHALK,
        ),
        "hill",
    )
