"""The stock's people and cars."""

import numpy as np

from render.finishes import Finish, Thing
from render.geometry import blob, box, copies, join, lathe, plate, tube

COATS = (
    "#2b3a55",
    "#7c2f2b",
    "#3d4a34",
    "#c9b48a",
    "#6b2d4f",
    "#d8d8d4",
    "#22242a",
    "#b5622d",
    "#4f7fa3",
    "#d3b23a",
)

PAINTS = ("#a8231f", "#d9d9d6", "#22252b", "#2d4b7c", "#8a8f94", "#d6a02b")


def people() -> list[Thing]:
    """Make standing and walking people."""
    made = []
    for k, coat in enumerate(COATS):
        rng = np.random.default_rng(3000 + k)
        stride = rng.uniform(0.02, 0.22)
        legs = [
            tube(
                np.array(
                    [
                        [s * 0.1, s * stride, 0.04],
                        [s * 0.1, s * stride * 0.5, 0.45],
                        [s * 0.09, 0, 0.9],
                    ]
                ),
                0.085,
                "legs",
            )
            for s in (-1, 1)
        ]
        shoes = [box(0.11, 0.27, 0.09, "shoe", x=s * 0.1, y=s * stride - 0.05) for s in (-1, 1)]
        body = lathe(
            [
                (0.0, 0.82),
                (0.18, 0.84),
                (0.19, 1.0),
                (0.17, 1.15),
                (0.22, 1.38),
                (0.17, 1.47),
                (0.06, 1.5),
            ],
            "coat",
            segments=12,
        ).scaled(1, 0.66, 1)
        skirt = lathe([(0.27, 0.5), (0.18, 0.95)], "coat", segments=12).scaled(1, 0.8, 1)
        arms = [
            tube(
                np.array(
                    [[s * 0.22, 0, 1.42], [s * 0.29, -0.03, 1.15], [s * 0.27, s * 0.1 - 0.1, 0.88]]
                ),
                0.055,
                "coat",
            )
            for s in (-1, 1)
        ]
        head = [
            blob(0.105, "skin", stretch=(0.9, 1, 1.2), segments=12).moved(z=1.63),
            blob(0.113, "hair", stretch=(0.95, 1, 1.05), segments=12).moved(y=0.025, z=1.67),
            tube(np.array([[0, 0, 1.45], [0, 0, 1.6]]), 0.05, "skin"),
        ]
        parts = [*legs, *shoes, body, *arms, *head]
        if k % 3 == 0:
            parts.append(skirt)
        if k % 4 == 1:
            parts.append(box(0.3, 0.18, 0.45, "bag", y=0.22, z=0.98))
        colours = {
            "coat": Finish("paint", coat, weather=0),
            "legs": Finish("paint", ("#23283a", "#3b342d", "#5b6470", "#8a7c66")[k % 4], weather=0),
            "skin": Finish("paint", ("#d9a98a", "#8a5a3e", "#c08a66", "#e0b598")[k % 4], weather=0),
            "hair": Finish("paint", ("#2a1d15", "#5a3d22", "#15110f", "#8c7a5c")[k % 4], weather=0),
            "shoe": Finish("paint", "#1e1a18", weather=0),
            "bag": Finish("paint", "#74322b", weather=0),
        }
        made.append(Thing(f"person {k}", join(parts), colours))
    return made


def cars() -> list[Thing]:
    """Make parked cars: a body, a cabin of glass, wheels, lamps; along x."""
    made = []
    low = np.array(
        [
            (-2.1, 0.35),
            (2.15, 0.35),
            (2.15, 0.75),
            (1.9, 0.85),
            (1.0, 0.95),
            (-1.9, 0.98),
            (-2.15, 0.8),
        ]
    )
    cabin = np.array([(-1.85, 0.95), (1.0, 0.93), (0.35, 1.42), (-1.3, 1.45)])
    wheel = lathe(
        [(0.0, -0.11), (0.32, -0.11), (0.32, 0.11), (0.0, 0.12)], "shoe", segments=16, smooth=False
    ).turned(np.pi / 2, "x")
    hub = lathe([(0.18, -0.13), (0.0, -0.14)], "hub", segments=10).turned(np.pi / 2, "x")
    for k, paint in enumerate(PAINTS):
        parts = [
            plate(low, 1.7, "paint", y=-0.85),
            plate(cabin, 1.46, "glass", y=-0.73),
            plate(cabin * [0.86, 0.2] + [-0.03, 1.17], 1.42, "paint", y=-0.71),
            copies(join([wheel, hub]), [(x, y, 0.32) for x in (-1.35, 1.35) for y in (-0.8, 0.8)]),
            box(0.06, 0.3, 0.14, "lamp", x=2.15, y=-0.58, z=0.6),
            box(0.06, 0.3, 0.14, "lamp", x=2.15, y=0.58, z=0.6),
        ]
        colours = {
            "paint": Finish("gold" if k % 2 else "mosaic", paint, paint),
            "glass": Finish("glass", "#161c20"),
            "shoe": Finish("paint", "#141414", weather=0),
            "hub": Finish("paint", "#9a9a9a", weather=0),
            "lamp": Finish("light", "#ffe9c4"),
        }
        made.append(Thing(f"car {k}", join(parts).scaled(1, 1, 1.05), colours))
    return made
