"""Modern towers: setbacks, a twist, an iron lattice, a mast, slabs."""

import numpy as np

from render.finishes import (
    CHALK,
    CREAM,
    GREY,
    LIMESTONE,
    SLATE,
    WHITE,
    Finish,
    Model,
    palette,
)
from render.geometry import (
    Shape,
    box,
    circle,
    flat,
    join,
    lathe,
    loft,
    tube,
)
from render.openings import Opening, bay, drum, four_walls, row
from render.orders import (
    cornice,
    steps_around,
)
from render.roofs import dome, finial, spire

CURTAIN = Finish("glass", "#3d5a6b", weather=0.0)


def tower(variant: int, rng: np.random.Generator) -> Model:
    """Make a modern tower: setbacks, a twist, an iron lattice, a mast with a sphere, or slabs."""
    return (_deco, _twist, _lattice, _mast, _shard)[variant]()


def _floors(side: float, height: float, count: int) -> Shape:
    """A block of piers and window strips, without roof."""
    pane = Opening(
        width=0.62,
        sill=0.0,
        spring=0.985,
        kind="flat",
        depth=0.35,
        bars=(0, max(3, int(height / 3.6))),
        frame=0,
    )
    return four_walls(side, side, lambda n, k: row(n, height, count, pane))


def _deco() -> Model:
    """Stepped stone setbacks under a crown of chromed arches and a needle."""
    parts, z = [], 0.0
    for side, h, n in ((30, 18, 11), (24, 26, 9), (18, 30, 7), (13, 14, 5)):
        parts += [_floors(side, h, n).moved(z=z), cornice((side, side), 1.0).moved(z=z + h - 0.6)]
        parts += [
            box(1.6, 1.6, h + 3, "trim", x=x * side / 2, y=y * side / 2, z=z)
            for x in (-1, 1)
            for y in (-1, 1)
        ]
        z += h
    for k in range(5):
        w, h = 11.5 - 2.1 * k, 5.0
        fan = four_walls(
            w,
            w,
            lambda n, s: bay(
                n,
                n * 0.9,
                Opening(
                    width=0.9, sill=0, spring=0.3, kind="round", depth=0.3, bars=(4, 0), frame=0.2
                ),
                wall="crown",
            ),
        )
        parts.append(fan.moved(z=z + k * h * 0.72))
    z += 5 * 3.6
    parts += [
        spire(1.5, 20, sides=8, role="crown").moved(z=z - 1),
        bay(
            10,
            12,
            Opening(
                width=0.6, sill=0, spring=0.8, kind="flat", pane="gold", frame=0.6, bars=(3, 2)
            ),
        ).moved(y=-15.3),
    ]
    return Model(
        join(parts),
        palette(
            Finish("ashlar", "#b59f84", scale=0.9), GREY, CREAM, crown=Finish("gold", "#b9c0c4")
        ),
        "city",
    )


def _twist() -> Model:
    """A glass tower whose floors turn as they rise."""
    floors, high = 30, 92.0
    plan = np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 24, endpoint=False)])
    squarish = plan / np.maximum(np.abs(plan).max(1, keepdims=True), 0.85) * 13
    parts = []
    for k in range(floors):
        t = k / floors
        a, s = 1.9 * t, 1 - 0.35 * t
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        base = squarish @ turn.T * s
        z, h = high * t, high / floors
        parts += [
            loft(np.array([flat(base * 0.95, z), flat(base * 0.95, z + h)]), "curtain"),
            loft(
                np.array(
                    [
                        flat(base * 0.95, z - 0.2),
                        flat(base * 1.04, z),
                        flat(base * 1.04, z + 0.55),
                        flat(base * 0.95, z + 0.6),
                    ]
                ),
                "trim",
            ),
        ]
        fin = box(0.25, 0.6, h, "trim", z=z)
        parts += [fin.moved(*p, 0) for p in base[::2]]
    parts += [
        lathe([(9, high), (8, high + 3), (0, high + 3.5)], "trim"),
        finial(16, role="steel", balls=0).moved(z=high + 3),
        steps_around(34, 34, 0.9, 3, tread=0.6),
    ]
    return Model(
        join(parts),
        palette(CHALK, GREY, Finish("paint", "#e3e5e6", weather=0.15), curtain=CURTAIN),
        "city",
    )


def _lattice() -> Model:
    """An iron lattice tower on four arched legs."""
    heights = np.array([0, 8, 17, 26, 36, 48, 62, 78, 92])
    halves = np.array([18, 14.5, 11.4, 8.9, 6.9, 5.0, 3.4, 2.1, 1.3])
    widths = np.array([6, 5.2, 4.4, 3.8, 3.2, 2.6, 2.0, 1.5, 1.2])
    parts = []
    for k in range(len(heights) - 1):
        a, b = halves[k], halves[k + 1]
        for s in (-1, 1):
            for i, j in ((0, 0), (1, 0), (0, 1), (1, 1)):
                p = np.array([s * (a - i * widths[k]), -(a - j * widths[k]), heights[k]])
                q = np.array(
                    [s * (b - i * widths[k + 1]), -(b - j * widths[k + 1]), heights[k + 1]]
                )
                parts.append(tube(np.array([p, q]), 0.34, "steel", segments=4))
                r = np.array(
                    [s * (b - (1 - i) * widths[k + 1]), -(b - j * widths[k + 1]), heights[k + 1]]
                )
                parts += [
                    tube(np.array([p, r]), 0.17, "steel", segments=4),
                    tube(
                        np.array([p, p + [s * (-1) ** (i == 0) * widths[k], 0, 0]]),
                        0.15,
                        "steel",
                        segments=4,
                    ),
                ]
                d = np.array(
                    [s * (b - i * widths[k + 1]), -(b - (1 - j) * widths[k + 1]), heights[k + 1]]
                )
                parts.append(tube(np.array([p, d]), 0.17, "steel", segments=4))
    one = join(parts)
    both = [one, one.scaled(1, -1, 1)]
    for z, half in ((26, 9.6), (48, 5.6), (90, 2.2)):
        both += [
            box(2 * half, 2 * half, 1.2, "steel", z=z - 0.8),
            *(
                box(2 * half + 1, 0.15, 1.3, "steel", y=y * (half + 0.4), z=z + 0.4)
                for y in (-1, 1)
            ),
            four_walls(
                2 * half,
                2 * half,
                lambda n, k: row(
                    n,
                    1.6,
                    max(2, int(n / 2)),
                    Opening(width=0.8, sill=0.1, spring=0.8, kind="flat", frame=0),
                    wall="steel",
                ),
            ).moved(z=z - 2.6),
        ]
    t = np.linspace(0, np.pi, 20)
    hoop = np.stack([-12.5 * np.cos(t), np.full(20, -13.5), 3 + 17 * np.sin(t)], 1)
    hoop[:, 1] += 5.2 * np.sin(t)
    arch = join([tube(hoop, 0.4, "steel"), tube(hoop * [0.92, 1, 0.93], 0.25, "steel")])
    both += [arch.turned(q * np.pi / 2) for q in range(4)]
    both += [
        lathe([(2, 92), (1.9, 95), (0.3, 97), (0.15, 108)], "steel", segments=10),
        *(box(8, 8, 2.2, "base", x=x * 15.5, y=y * 15.5) for x in (-1, 1) for y in (-1, 1)),
    ]
    return Model(
        join(both),
        palette(GREY, SLATE, LIMESTONE, steel=Finish("paint", "#6b4a35", weather=0.2)),
        "park",
    )


def _mast() -> Model:
    """A concrete mast with a mirrored sphere and a red-striped antenna."""
    parts = [
        lathe([(7, 0), (4.5, 6), (3.4, 20), (2.5, 60), (2.1, 78)], "wall", segments=28),
        dome(9, "round", ribs=20, sides=30, role="curtain").moved(z=72),
        dome(9, "round", ribs=20, sides=30, role="curtain").scaled(1, 1, -1).moved(z=72),
    ]
    parts += [
        lathe([(9.1, 71.2), (9.9, 71.5), (9.9, 72.6), (9.1, 72.8)], "trim", segments=36),
        lathe([(9.0, 68.6), (9.1, 69.3)], "trim", segments=36),
    ]
    z = 81.0
    for k in range(7):
        r = 1.0 - 0.11 * k
        parts.append(lathe([(r, z), (r, z + 4)], "red" if k % 2 == 0 else "trim", segments=12))
        z += 4
    parts += [
        join([box(0.9, 13, 12, "wall", y=-6)]).turned(a)
        for a in (np.pi / 6, np.pi / 6 + 2.094, np.pi / 6 + 4.189)
    ]
    parts += [
        drum(18, 12, 6, Opening(width=0.85, sill=0.08, spring=0.9, kind="flat", frame=0)),
        cornice(circle(36, 12.3), 1.0).moved(z=5.8),
    ]
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#c6c3bb"),
            GREY,
            WHITE,
            red=Finish("paint", "#b02a20"),
            curtain=Finish("gold", "#a9b4ba"),
        ),
        "park",
    )


def _shard() -> Model:
    """Three leaning slabs, one copper-coloured, over a colonnade."""

    def slab(w: float, d: float, h: float, lean: float, role: str) -> Shape:
        rings = [
            flat(
                np.array([(-w, -d), (w, -d), (w, d), (-w, d)]) / 2 * (1 - 0.55 * t) + [lean * t, 0],
                h * t,
            )
            for t in np.linspace(0, 1, 15)
        ]
        cut = np.array(rings)
        cut[-1, 1:3, 2] += 9
        bands = join(
            loft(np.array([r * [1.015, 1.015, 1], r * [1.015, 1.015, 1] + [0, 0, 0.7]]), "trim")
            for r in cut[1:-1]
        )
        ribs = [
            tube(
                np.stack([(1 - f) * cut[:, 0] + f * cut[:, 1] for _ in (0,)])[0],
                0.16,
                "trim",
                segments=4,
            )
            for f in np.linspace(0, 1, 7)
        ]
        return join([loft(cut, role, caps=(False, True)), bands, *ribs])

    parts = [
        slab(17, 13, 88, 3, "curtain"),
        slab(13, 12, 64, -5, "second").moved(-12, -4, 0),
        slab(11, 11, 45, 4, "curtain").moved(12, -5, 0),
    ]
    parts += [
        row(
            44,
            8,
            11,
            Opening(width=0.8, sill=0, spring=0.9, kind="flat", depth=2, bars=(1, 0), frame=0),
        ).moved(y=-12),
        box(45, 20, 1, "trim", y=-3, z=8),
        *(lathe([(0.5, 0), (0.4, 8)], "trim").moved(x, -14, 0) for x in np.linspace(-21, 21, 8)),
        box(46, 6, 0.6, "trim", y=-12, z=8),
    ]
    return Model(
        join(parts),
        palette(
            CHALK,
            GREY,
            Finish("paint", "#d8dbdd", weather=0.1),
            curtain=Finish("glass", "#2e5568", weather=0),
            second=Finish("gold", "#b4714a"),
        ),
        "water",
    )
