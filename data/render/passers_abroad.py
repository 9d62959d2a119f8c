"""The second stock's people and vehicles: hats, coats, umbrellas; vans, a bus, a pickup, scooters."""

import numpy as np

from render.finishes import Finish, Thing
from render.geometry import Shape, blob, box, copies, join, lathe, plate, tube

COATS = (
    "#e8e2d2",
    "#1f4a3a",
    "#a83f6a",
    "#5a7fb0",
    "#e2702c",
    "#463a6b",
    "#8a8f3c",
    "#30302e",
    "#c7cfd6",
    "#7a5a3a",
)
PAINTS = ("#e9e6dc", "#356b4b", "#7a2f52", "#c98a2e", "#4b6f8f", "#b9bcbd")


def people_abroad() -> list[Thing]:
    """Make people with hats, long coats, rucksacks and umbrellas."""
    made = []
    for k, coat in enumerate(COATS):
        rng = np.random.default_rng(8000 + k)
        stride = rng.uniform(0.05, 0.28)
        parts = [
            *(
                tube(
                    np.array(
                        [
                            [s * 0.11, s * stride, 0.03],
                            [s * 0.1, s * stride * 0.4, 0.46],
                            [s * 0.08, 0, 0.92],
                        ]
                    ),
                    0.08,
                    "legs",
                )
                for s in (-1, 1)
            ),
            *(box(0.12, 0.3, 0.1, "shoe", x=s * 0.11, y=s * stride - 0.06) for s in (-1, 1)),
            lathe(
                [(0.2, 0.8), (0.2, 1.05), (0.24, 1.36), (0.15, 1.48), (0.06, 1.52)],
                "coat",
                segments=12,
            ).scaled(1, 0.7, 1),
            blob(0.11, "skin", stretch=(0.9, 1, 1.2), segments=12).moved(z=1.66),
            tube(np.array([[0, 0, 1.46], [0, 0, 1.6]]), 0.05, "skin"),
        ]
        lift = k % 5 == 1
        for s in (-1, 1):
            hand = [s * 0.2, -0.34, 1.2] if lift and s > 0 else [s * 0.3, s * 0.12 - 0.05, 0.86]
            parts.append(
                tube(np.array([[s * 0.22, 0, 1.42], [s * 0.3, -0.06, 1.14], hand]), 0.06, "coat")
            )
        if k % 2 == 0:
            parts.append(lathe([(0.3, 0.42), (0.19, 0.95)], "coat", segments=12).scaled(1, 0.8, 1))
        if k % 3 == 0:
            parts.append(
                lathe([(0.24, 1.74), (0.12, 1.76), (0.12, 1.88), (0, 1.9)], "hat", segments=14)
            )
        else:
            parts.append(
                blob(0.125, "hair", stretch=(0.95, 1, 0.9), segments=12).moved(y=0.02, z=1.71)
            )
        if k % 4 == 2:
            parts.append(box(0.34, 0.22, 0.5, "bag", y=0.26, z=1.0))
        if lift:
            cover = lathe([(0.62, 2.0), (0.4, 2.2), (0.03, 2.28)], "bag", segments=8, smooth=False)
            pole = tube(np.array([[0.2, -0.34, 1.1], [0.2, -0.3, 2.25]]), 0.015, "shoe")
            parts += [cover.moved(0.2, -0.3, 0), pole]
        colours = {
            "coat": Finish("paint", coat, weather=0),
            "legs": Finish("paint", ("#4a4f57", "#8b7a5e", "#2d3b33", "#5d3f35")[k % 4], weather=0),
            "skin": Finish("paint", ("#c98f6c", "#6f452e", "#e3bd9f", "#a8744e")[k % 4], weather=0),
            "hair": Finish("paint", ("#15110f", "#7a5530", "#b9a27a", "#3a2a20")[k % 4], weather=0),
            "hat": Finish("paint", ("#d9c79a", "#3a3f4a", "#7c2f35")[k % 3], weather=0),
            "shoe": Finish("paint", "#2b2420", weather=0),
            "bag": Finish("paint", ("#c2452d", "#27507a", "#d6b13a", "#2d2d33")[k % 4], weather=0),
        }
        made.append(Thing(f"person {k}", join(parts), colours))
    return made


def _wheels(xs: tuple[float, ...], half: float, radius: float = 0.36) -> Shape:
    tyre = lathe(
        [(0.0, -0.12), (radius, -0.12), (radius, 0.12), (0.0, 0.13)],
        "shoe",
        segments=16,
        smooth=False,
    )
    hub = lathe([(radius * 0.55, -0.14), (0.0, -0.15)], "hub", segments=10)
    one = join([tyre, hub]).turned(np.pi / 2, "x")
    return copies(one, [(x, y, radius) for x in xs for y in (-half, half)])


def cars_abroad() -> list[Thing]:
    """Make a van, a small car, a pickup, a taxi, a bus and a row of scooters; along x."""
    shapes = [_van(), _mini(), _pickup(), _taxi(), _bus(), _scooters()]
    made = []
    for k, (shape, paint) in enumerate(zip(shapes, PAINTS, strict=True)):
        colours = {
            "paint": Finish("mosaic" if k % 2 else "gold", paint, paint),
            "second": Finish(
                "paint",
                ("#b33a2e", "#f0ece0", "#2a2a2a", "#22252b", "#f0ece0", "#a8322a")[k],
                weather=0,
            ),
            "glass": Finish("glass", "#1b2226"),
            "shoe": Finish("paint", "#161616", weather=0),
            "hub": Finish("paint", "#b5b5b2", weather=0),
            "lamp": Finish("light", "#fff0d0"),
        }
        made.append(Thing(f"car {k}", shape, colours))
    return made


def _body(side: list[tuple[float, float]], width: float, role: str = "paint") -> Shape:
    return plate(np.array(side), width, role, y=-width / 2)


def _lamps(x: float, z: float, half: float) -> Shape:
    return join([box(0.06, 0.32, 0.2, "lamp", x=x, y=s * half, z=z) for s in (-1, 1)])


def _van() -> Shape:
    side = [(-2.5, 0.4), (2.4, 0.4), (2.45, 1.1), (1.75, 1.3), (1.2, 2.2), (-2.5, 2.25)]
    return join(
        [
            _body(side, 1.9),
            _body([(1.0, 1.35), (1.6, 1.35), (1.15, 2.0), (1.0, 2.0)], 1.94, "glass"),
            box(3.2, 1.93, 0.3, "second", x=-0.7, z=1.0),
            _lamps(2.42, 0.8, 0.7),
            _wheels((-1.6, 1.6), 0.85),
        ]
    )


def _mini() -> Shape:
    side = [
        (-1.6, 0.35),
        (1.6, 0.35),
        (1.62, 0.85),
        (0.9, 0.95),
        (0.4, 1.5),
        (-1.2, 1.52),
        (-1.6, 0.95),
    ]
    return join(
        [
            _body(side, 1.55),
            _body([(-1.15, 0.98), (0.78, 0.98), (0.36, 1.42), (-1.05, 1.44)], 1.58, "glass"),
            box(1.6, 1.5, 0.06, "second", x=-0.4, z=1.5),
            _lamps(1.62, 0.62, 0.55),
            _wheels((-1.05, 1.05), 0.7, 0.3),
        ]
    )


def _pickup() -> Shape:
    side = [
        (-2.5, 0.5),
        (2.5, 0.5),
        (2.5, 1.05),
        (1.3, 1.12),
        (0.8, 1.75),
        (-0.4, 1.75),
        (-0.5, 1.1),
        (-2.5, 1.1),
    ]
    return join(
        [
            _body(side, 1.85),
            _body([(-0.3, 1.15), (1.15, 1.15), (0.75, 1.66), (-0.3, 1.66)], 1.88, "glass"),
            box(1.7, 1.4, 0.5, "second", x=-1.5, z=1.0),
            _lamps(2.5, 0.75, 0.7),
            _wheels((-1.55, 1.6), 0.85, 0.4),
        ]
    )


def _taxi() -> Shape:
    side = [
        (-2.2, 0.35),
        (2.2, 0.35),
        (2.2, 0.85),
        (1.15, 0.95),
        (0.6, 1.55),
        (-1.2, 1.58),
        (-1.7, 0.98),
        (-2.2, 0.95),
    ]
    return join(
        [
            _body(side, 1.7),
            _body([(-1.45, 1.0), (0.95, 1.0), (0.55, 1.48), (-1.1, 1.5)], 1.73, "glass"),
            box(0.4, 0.7, 0.2, "lamp", x=-0.3, z=1.57),
            box(4.2, 1.74, 0.16, "second", z=0.66),
            _lamps(2.2, 0.62, 0.62),
            _wheels((-1.4, 1.4), 0.78),
        ]
    )


def _bus() -> Shape:
    panes = copies(
        box(1.15, 2.34, 0.95, "glass", z=1.45), [(x, 0, 0) for x in np.linspace(-3.2, 3.2, 6)]
    )
    return join(
        [
            box(8.4, 2.3, 2.6, "paint", z=0.4),
            panes,
            box(8.44, 2.32, 0.35, "second", z=0.85),
            box(0.1, 2.0, 1.4, "glass", x=4.2, z=1.2),
            box(0.1, 1.5, 0.3, "lamp", x=4.22, z=2.65),
            _lamps(4.22, 0.6, 0.85),
            _wheels((-2.6, 2.7), 1.05, 0.45),
        ]
    ).scaled(0.62, 0.85, 1)


def _scooters() -> Shape:
    one = join(
        [
            _body(
                [
                    (-0.7, 0.35),
                    (0.3, 0.3),
                    (0.55, 0.9),
                    (0.45, 0.95),
                    (0.2, 0.5),
                    (-0.1, 0.75),
                    (-0.75, 0.78),
                ],
                0.3,
            ),
            box(0.6, 0.26, 0.1, "second", x=-0.4, z=0.76),
            box(0.06, 0.6, 0.06, "hub", x=0.5, z=1.0),
            _lamps(0.58, 0.82, 0.0),
            _wheels((-0.55, 0.6), 0.0, 0.24),
        ]
    )
    return copies(one, [(x, 0, 0) for x in (-1.6, -0.8, 0.0, 0.8, 1.6)], 1.3)
