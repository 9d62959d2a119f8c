"""The stock's street furniture: lamps, benches, parasols, planters, kiosks."""

import numpy as np

from render.finishes import BASE, Finish, Thing
from render.geometry import Shape, blob, box, join, lathe, loft, tube


def lamp_post() -> Thing:
    """Make a lamp post whose globe shines at night."""
    post = lathe(
        [(0.2, 0), (0.22, 0.3), (0.08, 0.5), (0.06, 3.6), (0.14, 3.7), (0.05, 3.8)],
        "post",
        segments=8,
    )
    arms = [
        tube(np.array([[0, 0, 3.3], [s * 0.35, 0, 3.5], [s * 0.6, 0, 3.45]]), 0.035, "post")
        for s in (-1, 1)
    ]
    globes = [
        blob(0.2, "lamp", segments=10).moved(x, 0, z)
        for x, z in ((0, 4.0), (-0.6, 3.65), (0.6, 3.65))
    ]
    return Thing(
        "lamp",
        join([post, *arms, *globes]),
        {"post": Finish("paint", "#1f2a26"), "lamp": Finish("light", "#ffd79a")},
    )


def furniture() -> list[Thing]:
    """Make a bench, café parasols in three colours, a planter, a kiosk and a flagpole."""
    plain = {
        **BASE,
        "wood": Finish("wood", "#6e4c2f"),
        "iron": Finish("paint", "#23282a"),
        "leaf": Finish("foliage", "#4c6a30"),
    }
    slats = [box(1.8, 0.12, 0.05, "wood", y=y, z=0.45) for y in (-0.2, 0.0, 0.2)]
    back = [box(1.8, 0.05, 0.12, "wood", y=0.3, z=z) for z in (0.6, 0.8)]
    legs = [box(0.08, 0.6, 0.46, "iron", x=x) for x in (-0.7, 0.7)]
    made = [Thing("bench", join([*slats, *back, *legs]), plain)]
    for k, cloth in enumerate(("#b6423a", "#e6dcc6", "#3f6f5a")):
        made.append(Thing(f"parasol {k}", _cafe(), {**plain, "cloth": Finish("paint", cloth)}))
    pot = lathe([(0.5, 0), (0.7, 0.8), (0.75, 0.85), (0.6, 0.85)], "trim", segments=12)
    bush = [blob(0.5, "leaf").moved(x, y, 1.15) for x, y in ((0, 0), (0.25, 0.2), (-0.3, 0.1))]
    made.append(Thing("planter", join([pot, *bush]), plain))
    roof = lathe([(1.9, 2.7), (1.6, 3.1), (0.5, 3.8), (0.0, 4.4)], "dome", segments=8, smooth=False)
    body = lathe([(1.3, 0), (1.3, 2.7)], "accent", segments=8, smooth=False)
    hatch = [
        box(0.8, 0.1, 1.1, "glass", y=-1.24, z=1.1).turned(a) for a in (0, np.pi / 4, -np.pi / 4)
    ]
    made.append(
        Thing("kiosk", join([roof, body, *hatch]), {**plain, "dome": Finish("copper", "#5f8f80")})
    )
    pole = lathe([(0.08, 0), (0.05, 9)], "steel", segments=8)
    t = np.linspace(0, 1, 8)
    top = np.stack([2.2 * t, 0.18 * np.sin(7 * t), 8.8 - 0.25 * t], 1)
    flag = loft(np.array([top, top - [0, 0, 1.3]]), "cloth", closed=False)
    made.append(Thing("flag", join([pole, flag]), {**plain, "cloth": Finish("paint", "#3d5f93")}))
    return made


def _cafe() -> Shape:
    """A parasol over a table and two chairs."""
    cover = lathe([(1.6, 2.2), (1.55, 2.3), (0.1, 2.85)], "cloth", segments=8, smooth=False)
    pole = lathe([(0.03, 0), (0.03, 2.9)], "iron", segments=6)
    table = lathe([(0.45, 0.72), (0.45, 0.75), (0.0, 0.76)], "trim", segments=12)
    chair = join(
        [
            box(0.42, 0.42, 0.05, "wood", z=0.44),
            box(0.42, 0.05, 0.5, "wood", y=0.2, z=0.45),
            box(0.3, 0.3, 0.44, "iron"),
        ]
    )
    return join([cover, pole, table, chair.turned(np.pi).moved(y=-0.8), chair.moved(y=0.8)])
