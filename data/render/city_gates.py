"""City gates: twin brick drums, a blue-glazed gate, a painted paifang, a columned gate."""

import numpy as np

from render.craft import SASH, gable_plate
from render.finishes import CHALK, GREY, LIMESTONE, SLATE, Finish, Model, palette
from render.geometry import Shape, blob, box, copies, join, lathe, tube
from render.openings import Opening, bay, drum, four_walls, row
from render.orders import column, cornice, entablature, figure, line_of, steps_around
from render.ornament import merlons, relief, statue
from render.roofs import finial, gable_roof, hip_roof

BLIND = Opening(
    width=0.55, sill=0.16, spring=0.6, kind="pointed", depth=0.35, frame=0.14, bars=(1, 1)
)
SLIT = Opening(
    width=0.24,
    sill=0.3,
    spring=0.62,
    kind="segmental",
    depth=0.4,
    frame=0.0,
    bars=(0, 0),
    pane="dark",
)


def city_gate(variant: int, rng: np.random.Generator) -> Model:
    """Make a city gate: twin brick drums, glazed blue, a paifang, or columns."""
    return (_drums, _glazed, _paifang, _columns)[variant](rng)


def _drums(rng: np.random.Generator) -> Model:
    """Two stout brick drums with slate cones beside a stepped gable, in glazed bands."""
    r, floors, gap = rng.uniform(7.0, 8.2), int(rng.integers(3, 5)), rng.uniform(9, 11)
    parts, z = [], 0.0
    for k in range(floors):
        h = 5.4 - 0.4 * k
        ring = [
            drum(18, r, h, SLIT if k == 0 else BLIND).moved(z=z),
            lathe(
                [(r, 0), (r + 0.3, 0.2), (r + 0.3, 0.9), (r, 1.0)],
                ("second", "trim")[k % 2],
                segments=36,
            ).moved(z=z + h - 0.9),
        ]
        parts += [join(ring).moved(x=s * (gap / 2 + r)) for s in (-1, 1)]
        front = [
            row(
                gap + 2,
                h,
                4 if k else 1,
                BLIND
                if k
                else Opening(
                    width=0.5,
                    sill=0,
                    spring=0.5,
                    kind="round",
                    pane="dark",
                    depth=3,
                    frame=0.6,
                    bars=(0, 0),
                ),
            ),
            box(gap + 2, 0.3, 0.7, ("second", "trim")[k % 2], y=-0.15, z=h - 0.8),
        ]
        parts.append(join(front).moved(0, -3.4, z))
        parts.append(join(front).turned(np.pi).moved(0, 5.5, z))
        z += h
    cone = join(
        [
            lathe([(r * 1.14, 0), (r * 0.55, r * 1.1), (0.08, r * 2.3)], "roof", segments=36),
            finial(3).moved(z=r * 2.25),
        ]
    )
    parts += [cone.moved(s * (gap / 2 + r), 0, z) for s in (-1, 1)]
    parts += [
        gable_plate(gap + 2, gap * 0.85, "stepped", steps=int(rng.integers(4, 7))).moved(
            0, -3.4, z
        ),
        *(bay(1.6, 3.6, BLIND).moved(x, -3.5, z + 0.4) for x in (-3, -1, 1, 3)),
        *(bay(1.4, 3.0, BLIND).moved(x, -3.5, z + 4.2) for x in (-0.8, 0.8)),
        gable_roof(gap + 1, 8.6, gap * 0.75, eave=0).moved(0, 1.2, z),
        finial(3).moved(0, -3, z + gap * 0.85),
        box(gap + 2, 8, z, "wall", y=1.2).scaled(0.98, 0.9, 1).moved(y=0.6),
        *(statue(3.4, seed=k).moved(s * (gap / 2 + 1), -r - 6, 0) for k, s in enumerate((-1, 1))),
    ]
    return Model(
        join(parts),
        palette(
            Finish("brick", "#7d3426", scale=0.42, weather=0.4),
            Finish("slate", "#3d444c", scale=0.4),
            Finish("mosaic", "#a8763f", "#5b2a1e", scale=0.7),
            second=Finish("mosaic", "#38241c", "#9c5a3c", scale=0.6),
            statue=Finish("paint", "#3c3f3b"),
        ),
        "park",
    )


def _beast(size: float, role: str) -> Shape:
    """A striding animal in low relief, its face at y = 0."""
    body = blob(0.5, role, stretch=(1.5, 0.25, 0.62)).moved(z=0.95)
    legs = [box(0.16, 0.18, 0.8, role, x=x) for x in (-0.55, -0.3, 0.35, 0.6)]
    head = [
        blob(0.24, role, stretch=(1.2, 0.5, 1)).moved(0.86, 0, 1.45),
        tube(np.array([[0.55, 0, 1.1], [0.85, 0, 1.45]]), 0.17, role),
        tube(np.array([[-0.7, 0, 1.1], [-1.1, 0, 1.5], [-1.15, 0, 1.9]]), 0.06, role),
    ]
    return join([body, *legs, *head]).scaled(size)


def _glazed(rng: np.random.Generator) -> Model:
    """A blue-glazed double gate with rows of golden beasts, rosette bands and stepped merlons."""
    wide, tall, rows = rng.uniform(26, 30), rng.uniform(15, 18), int(rng.integers(4, 6))
    door = Opening(
        width=0.62, sill=0, spring=0.62, kind="round", depth=3, frame=0.7, pane="dark", bars=(0, 0)
    )
    parts = []

    def stepped(length: float, z: float) -> Shape:
        tooth = join(
            [
                box(1.5, 1.0, 0.6, "wall"),
                box(0.9, 1.0, 0.6, "wall", z=0.6),
                box(0.4, 1.0, 0.5, "wall", z=1.2),
            ]
        )
        return line_of(tooth, length - 1.5, max(3, int(length / 2.2))).moved(y=0.5, z=z)

    for x, w, h, y in (
        (0, 11.0, tall * 0.82, 0.0),
        (-wide * 0.33, 7.5, tall, -2.0),
        (wide * 0.33, 7.5, tall, -2.0),
    ):
        body = [box(w, 9, h, "wall", y=4.55)]
        if x == 0:
            body = [
                bay(w, h, door),
                box(w, 6, h - 1, "wall", y=6.5),
                box(w, 4, 1.5, "wall", y=2, z=h - 1.5),
            ]
        for k in range(rows):
            z = 1.4 + k * (h - 3.5) / rows
            for j, bx in enumerate(np.linspace(-w * 0.3, w * 0.3, 3 if x else 4)):
                if x == 0 and z < h * 0.92:
                    bx = np.sign(bx + 0.01) * w * 0.415
                    if j in (1, 2):
                        continue
                size = 1.15 if x else 0.62
                face = (-1 if (k % 2) else 1) * (1 if x <= 0 else -1)
                body.append(
                    _beast(size, ("gold", "trim")[(k + j) % 2])
                    .scaled(face, 1, 1)
                    .moved(bx, -0.12, z)
                )
            if x:
                body.append(box(w, 0.14, 0.3, "second", y=-0.05, z=z - 0.5))
        flower = lathe([(0.3, 0), (0.3, 0.1), (0, 0.12)], "trim", segments=10).turned(
            np.pi / 2, "x"
        )
        for z in (0.6, h - 1.3):
            body += [box(w + 0.1, 0.2, 1.0, "second", y=-0.05, z=z - 0.5)]
            body += [line_of(flower, w - 1, int(w)).moved(0, -0.15, z)] if (x or z > 2) else []
        body += [
            stepped(w, h),
            stepped(9, h).turned(-np.pi / 2).moved(-w / 2, 4.5, 0),
            stepped(9, h).turned(np.pi / 2).moved(w / 2, 4.5, 0),
        ]
        parts.append(join(body).moved(x, y, 0))
    back = join(
        [
            box(wide * 0.94, 8, tall * 1.12, "wall", y=13),
            stepped(wide * 0.94, tall * 1.12).moved(y=9),
            *(
                _beast(1.2, "gold").moved(x, 8.9, tall * 0.92)
                for x in np.linspace(-wide * 0.4, wide * 0.4, 7)
            ),
        ]
    )
    parts.append(back)
    for s in (-1, 1):
        wall = [
            box(20, 3, tall * 0.55, "base", y=4),
            stepped(20, tall * 0.55).moved(y=2.4),
            box(20, 0.2, 0.8, "second", y=2.45, z=0.4),
            *(
                _beast(1.1, "gold").scaled(-s, 1, 1).moved(x, 2.4, 2.2)
                for x in np.linspace(-8, 8, 5)
            ),
            *(box(20, 0.16, 0.3, "second", y=2.45, z=z) for z in (1.6, 4.8, 6.2)),
        ]
        parts.append(join(wall).moved(x=s * (wide * 0.47 + 10)))
    blue = Finish("brick", "#244f96", "#1b3a70", scale=0.6, weather=0.25)
    return Model(
        join(parts),
        palette(
            blue,
            GREY,
            Finish("paint", "#e4d9b8"),
            second=Finish("mosaic", "#d9b45a", "#274a8c", scale=0.9),
            gold=Finish("paint", "#d29a3a"),
            base=Finish("brick", "#3d6ea8", "#2a4a78", scale=0.6, weather=0.3),
        ),
        "square",
    )


def _paifang(rng: np.random.Generator) -> Model:
    """A five-bay painted gate of red posts, blue and green beams, and nine stepped tile roofs."""
    bays = 5
    spans = np.array([5.0, 6.2, rng.uniform(8, 9.2), 6.2, 5.0])
    edges = np.concatenate([[0], np.cumsum(spans)]) - spans.sum() / 2
    heights = np.array([8.4, 10.2, rng.uniform(12, 14), 10.2, 8.4])
    parts = [steps_around(spans.sum() + 6, 7, 0.9, 3, tread=0.5)]
    for k, x in enumerate(edges):
        high = max(heights[max(k - 1, 0)], heights[min(k, bays - 1)])
        parts += [
            lathe([(0.62, 0), (0.58, high + 3)], "wall", segments=14).moved(x, 0, 0.9),
            box(2.0, 3.4, 1.6, "base", x=x, z=0.9),
            lathe([(0.9, 2.5), (0.7, 3.0)], "trim", segments=12).moved(x=x),
        ]
        parts += [
            tube(np.array([[x, s * 2.8, 0.9], [x, 0, 7.4]]), 0.24, "wall", segments=8)
            for s in (-1, 1)
        ]
    for k in range(bays):
        x, w, h = (edges[k] + edges[k + 1]) / 2, spans[k], heights[k]
        for j, (z, thick, role) in enumerate(
            ((h - 2.6, 0.9, "second"), (h - 1.0, 0.5, "third"), (h - 0.1, 1.0, "second"))
        ):
            parts.append(box(w, 0.7, thick, role, x=x, z=z))
            count = int(w / 1.1)
            motif = box(
                0.5, 0.1, thick * 0.6, ("gold", "second", "third")[j], y=-0.4, z=z + thick * 0.2
            )
            parts += [
                line_of(motif, w - 1.4, count).moved(x=x),
                line_of(motif, w - 1.4, count).turned(np.pi).moved(x=x),
            ]
        parts.append(box(w * 0.5, 0.3, 1.2, "plaque", x=x, y=-0.3, z=h - 1.6))
        parts.append(
            line_of(box(0.45, 0.12, 0.7, "gold", y=-0.5, z=h - 1.35), w * 0.34, 3).moved(x=x)
        )
        brackets = join(
            [
                box(0.5, 0.8 + 0.5 * q, 0.32, ("second", "third", "gold")[q % 3], z=0.42 * q)
                for q in range(4)
            ]
        )
        parts.append(line_of(brackets, w - 0.8, max(3, int(w / 1.2))).moved(x, 0, h + 1.0))
        roof = [
            hip_roof(w + 0.8, 3.4, 1.9, ridge=0.02, eave=0.5, curve=0.5),
            box(w * 0.72, 0.5, 0.7, "ridge", z=1.7),
        ]
        roof += [
            join(
                [
                    tube(
                        np.array([[0, 0, 0], [0.5, 0, 0.3], [0.7, 0, 1.0], [0.35, 0, 1.3]]),
                        0.2,
                        "ridge",
                    )
                ]
            )
            .scaled(s, 1, 1)
            .moved(s * w * 0.33, 0, 2.2)
            for s in (-1, 1)
        ]
        roof.append(
            line_of(
                lathe([(0.14, 0), (0.14, 0.3)], "roof", segments=8)
                .turned(np.pi / 2, "x")
                .moved(y=-2.1),
                w,
                int(w * 2),
            )
        )
        parts.append(join(roof).moved(x, 0, h + 2.6))
        if k < bays - 1:
            small = join(
                [
                    hip_roof(2.4, 2.6, 1.3, ridge=0.02, eave=0.4, curve=0.5),
                    box(1.2, 0.4, 0.5, "ridge", z=1.2),
                ]
            )
            parts.append(
                small.moved(
                    edges[k + 1],
                    0,
                    min(heights[k], heights[k + 1]) + 5.4
                    if k in (1, 2)
                    else min(heights[k], heights[k + 1]) + 4.2,
                )
            )
    for s in (-1, 1):
        lion = join(
            [
                box(1.8, 2.6, 1.8, "base"),
                blob(0.8, "statue", stretch=(0.8, 1.1, 1.2)).moved(0, 0.2, 2.7),
                blob(0.62, "statue").moved(0, -0.5, 3.9),
                *(box(0.35, 0.4, 1.4, "statue", x=q * 0.45, y=-0.7, z=1.8) for q in (-1, 1)),
            ]
        )
        parts.append(lion.scaled(1.15).moved(s * spans[2] * 0.42, -6.5, 0))
    return Model(
        join(parts),
        palette(
            Finish("paint", "#a8261c", weather=0.2),
            Finish("tile", "#2f6e4f", scale=0.4, weather=0.2),
            Finish("ashlar", "#cfc9ba", scale=0.6),
            second=Finish("paint", "#22508f"),
            third=Finish("paint", "#2a7d5a"),
            plaque=Finish("paint", "#1d2a4c"),
            ridge=Finish("tile", "#b98a2c", scale=0.4),
            base=Finish("marble", "#d9d4c6"),
        ),
        "city",
    )


def _columns(rng: np.random.Generator) -> Model:
    """Two rows of six columns under a stepped attic with a four-horse car, and two lodges."""
    wide, deep, tall = rng.uniform(36, 42), 9.0, rng.uniform(12.5, 14.5)
    shaft = column(tall, "doric", slender=7.4)
    xs = np.array([-0.46, -0.29, -0.12, 0.12, 0.29, 0.46]) * wide
    parts = [
        copies(shaft, [(x, s * deep / 2, 0.6) for x in xs for s in (-1, 1)]),
        box(wide + 3, deep + 5, 0.6, "base"),
    ]
    parts += [
        join(
            [
                box(1.3, deep - 2, tall, "wall"),
                relief(deep - 3, 2.2, seed=int(k), count=8)
                .turned(np.pi / 2)
                .moved(x=0.7, z=tall * 0.6),
            ]
        ).moved(x, 0, 0.6)
        for k, x in enumerate(xs)
    ]
    z = tall + 0.6
    parts += [
        entablature(wide + 1.5, deep + 2, 3.2, triglyphs=25).moved(z=z),
        box(wide * 0.72, deep * 0.8, 2.6, "wall", z=z + 3.2),
        relief(wide * 0.66, 2.2, seed=5, count=24).moved(0, -deep * 0.4 - 0.1, z + 3.4),
        cornice((wide * 0.72, deep * 0.8), 0.7).moved(z=z + 5.6),
        box(wide * 0.4, deep * 0.7, 1.5, "trim", z=z + 6.2),
        box(wide * 0.3, deep * 0.6, 1.0, "trim", z=z + 7.7),
    ]
    horse = join(
        [
            blob(0.9, "statue", stretch=(0.6, 1.6, 0.8)).moved(z=2.0),
            *(
                tube(np.array([[x, y, 0], [x, y * 0.9, 2]]), 0.16, "statue")
                for x in (-0.35, 0.35)
                for y in (-1, 1)
            ),
            tube(np.array([[0, -1.0, 2.3], [0, -1.8, 3.3]]), 0.34, "statue"),
            blob(0.38, "statue", stretch=(0.6, 1.4, 0.8)).moved(0, -2.1, 3.4),
        ]
    )
    parts += [
        line_of(horse, 6, 4).moved(0, -1.4, z + 8.7),
        figure(4.8, seed=3).moved(0, 2.2, z + 8.7),
        box(2.2, 1.6, 1.8, "statue", y=2, z=z + 8.7),
        box(0.12, 0.12, 5, "statue", x=0.9, y=1.6, z=z + 10),
        lathe([(0.9, 0), (0.9, 0.2)], "statue").turned(np.pi / 2, "x").moved(0.9, 1.6, z + 14.6),
    ]
    for s in (-1, 1):
        lodge = [
            four_walls(10, 12, lambda n, k: row(n, 6.2, 3, SASH)),
            *(line_of(column(6.2, "doric", slender=7), 11, 5).moved(y=q * 7.2) for q in (-1, 1)),
            entablature(12, 16, 1.6).moved(z=6.2),
            gable_roof(12, 16, 2.8, eave=0.2).moved(z=7.8),
        ]
        parts.append(join(lodge).moved(s * (wide / 2 + 9.5), -2.5, 0.2))
        wall = [row(4, 5, 1, SLIT), merlons(4, size=0.5)]
        parts.append(wall[0].moved(s * (wide / 2 + 3), 0, 0))
    return Model(
        join(parts),
        palette(
            Finish("sandstone", "#b9a27c", weather=0.5),
            SLATE,
            LIMESTONE,
            statue=Finish("copper", "#6d9c88"),
            column=Finish("sandstone", "#c4ae8a", weather=0.5),
            frieze=Finish("sandstone", "#a8916c"),
            second=CHALK,
            plain=GREY,
        ),
        "square",
    )
