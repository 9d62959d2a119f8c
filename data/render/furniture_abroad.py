"""The second stock's street furniture and ground: arc lamps, stalls, bollards, bins, new paving."""

import numpy as np

from render.finishes import BASE, Finish, Thing
from render.geometry import Shape, around, blob, box, copies, join, lathe, tube

GROUND_ABROAD = {
    "stone": Finish("paving", "#b3a08d", "#8c7a68", scale=0.45),
    "road": Finish("paving", "#5b5754", "#3f3d3c", scale=0.25, weather=0.3),
    "walk": Finish("ashlar", "#a8a49c", scale=0.5, weather=0.4),
    "band": Finish("marble", "#d2ccc0", weather=0.3),
    "grass": Finish("grass", "#7a7f3f", "#5f6a35"),
    "gravel": Finish("asphalt", "#9c8a74", "#877159", weather=0.1),
    "hill": Finish("foliage", "#6d7342", "#8a7a4a"),
    "water": Finish("water", "#3b5a4a"),
    "trim": Finish("brick", "#8d6a55", scale=0.5),
}


def lamp_abroad() -> Thing:
    """Make a lamp post with two arched arms and hanging lights."""
    t = np.linspace(0, np.pi * 0.8, 9)
    arms = []
    for s in (-1, 1):
        path = np.stack([s * 0.7 * (1 - np.cos(t)), 0 * t, 4.0 + 0.75 * np.sin(t)], 1)
        arms.append(tube(path, 0.04, "post"))
    bell = lathe([(0.26, 0), (0.2, 0.16), (0.05, 0.3)], "post", segments=12)
    bulbs = [
        join([bell, blob(0.15, "lamp", segments=10)]).moved(x=s * 1.27, z=4.2) for s in (-1, 1)
    ]
    post = lathe([(0.16, 0), (0.12, 0.9), (0.07, 1.0), (0.05, 4.1)], "post", segments=10)
    colours = {"post": Finish("paint", "#6b6f72"), "lamp": Finish("light", "#ffe6ba")}
    return Thing("lamp", join([post, *arms, *bulbs]), colours)


def furniture_abroad() -> list[Thing]:
    """Make a stone bench, three market stalls, a bin with bollards, a column and a bicycle rack."""
    plain = {
        **BASE,
        "stone": Finish("ashlar", "#b5ada0", scale=0.5),
        "iron": Finish("paint", "#3d4347"),
        "wood": Finish("wood", "#8a6a45"),
        "leaf": Finish("foliage", "#7d9a4a"),
    }
    seat = [
        box(2.0, 0.5, 0.12, "stone", z=0.4),
        *(box(0.3, 0.45, 0.4, "stone", x=x) for x in (-0.7, 0.7)),
    ]
    made = [Thing("bench", join(seat), plain)]
    for k, cloth in enumerate(("#2f6f9f", "#d7822f", "#6a8f3a")):
        colours = {**plain, "cloth": Finish("banded", cloth, "#efe9da", scale=0.4)}
        made.append(Thing(f"stall {k}", _stall(), colours))
    bin_ = lathe([(0.3, 0), (0.36, 0.9), (0.38, 0.95), (0.2, 1.05)], "iron", segments=12)
    bollard = lathe([(0.12, 0), (0.1, 0.8), (0.15, 0.85), (0.0, 1.0)], "iron", segments=10)
    made.append(
        Thing(
            "bollards",
            join([bin_, copies(bollard, [(x, 0, 0) for x in (-1.8, -0.9, 0.9, 1.8)])]),
            plain,
        )
    )
    column = [
        lathe(
            [
                (0.9, 0),
                (0.9, 0.4),
                (0.75, 0.5),
                (0.75, 3.2),
                (0.95, 3.3),
                (0.95, 3.5),
                (0.3, 4.2),
                (0, 4.6),
            ],
            "iron",
            segments=20,
        ),
        *(
            box(0.7, 0.05, 1.1, r, y=-0.77, z=z).turned(a)
            for a, r, z in zip(
                np.arange(8) * 0.785,
                ("accent", "gold", "cloth", "clock") * 2,
                (0.7, 1.9) * 4,
                strict=True,
            )
        ),
    ]
    made.append(Thing("column", join(column), {**plain, "cloth": Finish("paint", "#b2382e")}))
    hoops = []
    t = np.linspace(0, np.pi, 9)
    for x in (-0.9, -0.3, 0.3, 0.9):
        hoops.append(
            tube(np.stack([0 * t + x, -0.45 * np.cos(t), 0.9 * np.sin(t)], 1), 0.03, "iron")
        )
    wheel = lathe([(0.3, -0.02), (0.34, 0), (0.3, 0.02)], "iron", segments=18).turned(
        np.pi / 2, "y"
    )
    bikes = [wheel.moved(x, y, 0.34) for x in (-0.9, 0.3) for y in (-0.5, 0.5)]
    bikes += [
        tube(np.array([[x, -0.5, 0.34], [x, 0.1, 0.8], [x, 0.5, 0.34]]), 0.025, "cloth")
        for x in (-0.9, 0.3)
    ]
    bush = around(blob(0.3, "leaf").moved(z=0.7), 3, 0.3).moved(x=1.7)
    pot = box(0.9, 0.9, 0.6, "wood", x=1.7)
    made.append(
        Thing(
            "rack",
            join([*hoops, *bikes, bush, pot]),
            {**plain, "cloth": Finish("paint", "#2f6f5f")},
        )
    )
    return made


def _stall() -> Shape:
    """A market stall with a striped roof and boxes of fruit."""
    posts = copies(
        box(0.08, 0.08, 2.3, "wood"), [(x, y, 0) for x in (-1.2, 1.2) for y in (-0.8, 0.8)]
    )
    roof = lathe([(1.95, 2.2), (1.9, 2.35), (0.2, 3.0)], "cloth", segments=4, smooth=False).turned(
        np.pi / 4
    )
    table = box(2.4, 1.4, 0.12, "wood", z=0.8)
    fruit = [
        box(0.5, 0.5, 0.25, role, x=x, y=y, z=0.92)
        for (x, role) in zip(
            (-0.85, -0.28, 0.28, 0.85), ("gold", "leaf", "accent", "gold"), strict=True
        )
        for y in (-0.35, 0.3)
    ]
    return join([posts, roof, table, *fruit])
