"""The second stock's trees: birches, pines, palms, a willow, a cherry, columns of cypress."""

import numpy as np

from render.finishes import Finish, Thing
from render.geometry import Shape, blob, join, lathe, loft, tube
from render.plants import leaves

BARK = ("#d8d4c8", "#7a4a30", "#6b5a48", "#4a3a2c", "#5b4a38", "#403024", "#7d6b54", "#4d3c2c")
GREENS = ("#93a04a", "#34543f", "#4f7a3c", "#24402c", "#8ba35a", "#d9a3b0", "#6f8f4a", "#7a8f52")
SHAPES = ("birch", "pine", "fan palm", "spruce", "willow", "cherry", "date palm", "hedge")


def trees_abroad() -> list[Thing]:
    """Make eight plants: birch, umbrella pine, two palms, spruce, willow, cherry and a hedge."""
    made = []
    for k, (kind, green, bark) in enumerate(zip(SHAPES, GREENS, BARK, strict=True)):
        rng = np.random.default_rng(7000 + k)
        shape = {
            "birch": _birch,
            "pine": _pine,
            "fan palm": _fan_palm,
            "spruce": _spruce,
            "willow": _willow,
            "cherry": _cherry,
            "date palm": _date_palm,
        }.get(kind, _hedge)(rng)
        colours = {"leaf": Finish("foliage", green), "bark": Finish("wood", bark)}
        made.append(Thing(f"tree {k}", shape, colours))
    return made


def _trunk(tall: float, radius: float, lean: float = 0.0) -> Shape:
    path = np.array([[0, 0, 0], [lean * 0.4, 0, tall * 0.5], [lean, 0, tall]])
    return tube(path, radius, "bark", segments=7)


def _birch(rng: np.random.Generator) -> Shape:
    """A slender white trunk with small drooping clumps."""
    n, tall = 14, 11.0
    z = np.linspace(0.35, 1.0, n) * tall
    reach = 1.9 * np.sin(np.pi * (z / tall - 0.2))
    turns = rng.uniform(0, 6.3, n)
    at = np.stack([reach * np.cos(turns) * 0.7, reach * np.sin(turns) * 0.7, z], 1)
    stems = [_trunk(tall * 0.95, 0.14), _trunk(tall * 0.8, 0.1, 0.9).moved(x=0.3)]
    return join([*stems, leaves(rng, at, rng.uniform(0.5, 0.95, n), 1500, 0.2)])


def _pine(rng: np.random.Generator) -> Shape:
    """An umbrella pine: a bare trunk under flat clouds."""
    n = 9
    at = rng.normal(size=(n, 3)) * [2.0, 2.0, 0.25] + [0, 0, 9.6]
    crown = leaves(rng, at * [1, 1, 2.2], rng.uniform(1.0, 1.6, n), 2000, 0.3).scaled(1, 1, 1 / 2.2)
    arms = [tube(np.array([[0, 0, 7.2], p * [0.8, 0.8, 1.0]]), 0.12, "bark") for p in at[:5]]
    return join([_trunk(8.6, 0.26, 0.2), crown, *arms])


def _frond(length: float, drop: float, wide: float) -> Shape:
    t = np.linspace(0, 1, 8)
    path = np.stack([length * t, 0 * t, 1.0 * t - drop * t**2], 1)
    half = wide * np.sin(np.pi * (0.08 + 0.9 * t))[:, None]
    rows = [path + np.array([0, s, -0.4 * abs(s)]) * half for s in (-1, 0, 1)]
    return loft(np.stack(rows, 1), "leaf", closed=False)


def _fan_palm(rng: np.random.Generator) -> Shape:
    """A tall thin palm with a round head."""
    tall = 12.5
    heads = [
        _frond(1.7, d, 0.5).turned(a).moved(z=tall)
        for a, d in zip(rng.uniform(0, 6.3, 34), rng.uniform(-0.6, 2.6, 34), strict=True)
    ]
    return join([_trunk(tall, 0.2), blob(0.5, "leaf").moved(z=tall), *heads])


def _date_palm(rng: np.random.Generator) -> Shape:
    """A stout palm with long arching fronds."""
    tall = 6.5
    heads = [
        _frond(3.4, d, 0.42).turned(a).moved(z=tall)
        for a, d in zip(np.linspace(0, 18.8, 40), rng.uniform(0.6, 3.6, 40), strict=True)
    ]
    rings = [
        lathe([(0.3, z), (0.44, z + 0.35)], "bark", segments=9) for z in np.arange(0, tall, 0.36)
    ]
    return join([*rings, *heads])


def _spruce(rng: np.random.Generator) -> Shape:
    """A dark spruce of drooping tiers."""
    tall, parts = 14.0, [_trunk(4, 0.25)]
    for t in np.linspace(0.06, 0.9, 12):
        r = 3.0 * (1.02 - t) * rng.uniform(0.85, 1.1)
        skirt = lathe(
            [(r, t * tall - 0.5), (0.45 * r, t * tall + 0.5), (0.04, t * tall + 1.9)],
            "leaf",
            segments=11,
            smooth=False,
        )
        parts.append(skirt.turned(9 * t))
    z = np.linspace(0.1, 0.95, 10)
    at = np.stack([0 * z, 0 * z, z * tall], 1)
    return join([*parts, leaves(rng, at, 2.9 * (1.05 - z), 1300, 0.24)])


def _willow(rng: np.random.Generator) -> Shape:
    """A willow: a dome of hanging strips."""
    strips = []
    for a in rng.uniform(0, 6.3, 150):
        r, top = rng.uniform(0.4, 3.2), 7.2
        start = top - 0.25 * r**2 + rng.uniform(-0.3, 0.5)
        t = np.linspace(0, 1, 6)
        x = r + 0.9 * np.sqrt(t)
        z = start - t * rng.uniform(2.2, start - 1.0)
        path = np.stack([x, 0 * x, z], 1)
        wide = 0.13 * np.sin(np.pi * (0.1 + 0.8 * t))[:, None]
        rows = [path + np.array([0, s, 0]) * wide for s in (-1, 1)]
        strips.append(loft(np.stack(rows, 1), "leaf", closed=False).turned(a))
    crown = leaves(
        rng, rng.normal(size=(6, 3)) * [1.3, 1.3, 0.4] + [0, 0, 6.6], np.full(6, 1.2), 700, 0.22
    )
    return join([_trunk(6, 0.35), crown, *strips])


def _cherry(rng: np.random.Generator) -> Shape:
    """A low wide tree in blossom."""
    n = 11
    at = rng.normal(size=(n, 3)) * [1.7, 1.7, 0.5] + [0, 0, 4.4]
    arms = [tube(np.array([[0, 0, 1.6], p]), 0.11, "bark") for p in at]
    return join([_trunk(2, 0.26), *arms, leaves(rng, at, rng.uniform(0.7, 1.2, n), 1700, 0.17)])


def _hedge(rng: np.random.Generator) -> Shape:
    """A clipped ball beside a clipped cone."""
    ball = leaves(rng, np.array([[0.0, 0, 0.7]]), np.array([0.75]), 500, 0.1)
    z = np.linspace(0.2, 1.7, 6)
    cone = leaves(rng, np.stack([0 * z + 1.5, 0 * z, z], 1), 0.62 * (1.15 - z / 2), 600, 0.1)
    return join([ball, cone])


def branch_abroad() -> Thing:
    """Make a branch of long leaves to hang before the camera, about the origin."""
    rng = np.random.default_rng(7100)
    bend = np.array([[0.95, 0, 0.5], [0.3, 0.05, 0.25], [-0.6, 0, -0.3]])
    parts = [tube(bend, 0.014, "bark")]
    for t in np.linspace(0.05, 1, 60):
        root = np.array([np.interp(2 * t, [0, 1, 2], bend[:, axis]) for axis in range(3)])
        blade = _frond(1.0, 1.4, 0.16).scaled(rng.uniform(0.14, 0.24))
        parts.append(
            blade.turned(rng.uniform(-1.2, 1.2), "x").turned(rng.uniform(0, 6.3)).moved(*root)
        )
    colours = {"leaf": Finish("foliage", "#6d8a3f"), "bark": Finish("wood", "#6b5a48")}
    return Thing("branch", join(parts), colours)
