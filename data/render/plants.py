"""The stock's trees, bushes and branches: leaf cards over blobs."""

import numpy as np

from render.finishes import Finish, Thing
from render.geometry import Shape, blob, join, lathe, loft, polygons, tube


def leaves(
    rng: np.random.Generator, centres: np.ndarray, radii: np.ndarray, count: int, size: float
) -> Shape:
    """Scatter `count` leaf cards over the skins of blobs (centres `(B, 3)`, radii `(B,)`)."""
    share = radii**2 / (radii**2).sum()
    which = rng.choice(len(radii), count, p=share)
    way = rng.normal(size=(count, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    at = centres[which] + way * (radii[which] * rng.uniform(0.7, 1.02, count))[:, None]
    first = rng.normal(size=(count, 3)) + way * 0.2
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(way + rng.normal(size=(count, 3)) * 0.5, first)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    span = size * rng.uniform(0.6, 1.2, (count, 1))
    corners = np.stack(
        [at - first * span, at - second * span * 0.6, at + first * span, at + second * span * 0.6],
        1,
    )
    faces = np.arange(4 * count).reshape(-1, 4)
    cards = polygons(corners.reshape(-1, 3), faces.tolist(), "leaf")
    cores = join(
        blob(r * 0.8, "leaf", segments=8).moved(*c) for c, r in zip(centres, radii, strict=True)
    )
    return join([cards, cores])


def trees() -> list[Thing]:
    """Make broadleaf trees, a poplar, a conifer, a cypress, a palm and a bush."""
    made = []
    greens = (
        "#4a6b2a",
        "#5c7a35",
        "#6f7d33",
        "#39582c",
        "#2f4a2c",
        "#2c4630",
        "#55752f",
        "#4d6b33",
    )
    for k, green in enumerate(greens):
        rng = np.random.default_rng(2000 + k)
        tall = (9.0, 11.0, 7.5, 14.0, 12.0, 10.0, 8.5, 1.6)[k]
        path = np.array([[0, 0, 0], [0.1, 0, tall * 0.25], [0, 0.1, tall * 0.55]])
        trunk = tube(path, 0.03 * tall, "bark")
        if k < 3:
            n = 7
            way = rng.normal(size=(n, 3)) * [0.19, 0.19, 0.11] * tall
            crown = leaves(
                rng, way + [0, 0, tall * 0.68], rng.uniform(0.15, 0.24, n) * tall, 1500, 0.34
            )
        elif k in (3, 5):
            z = np.linspace(0.15, 0.95, 9)
            girth = (
                (0.07 if k == 5 else 0.12) * tall * np.sin(np.pi * (0.12 + 0.86 * (z - 0.1))) ** 0.9
            )
            crown = leaves(
                rng,
                np.stack([0 * z, 0 * z, z * tall], 1),
                girth * rng.uniform(0.9, 1.2, 9),
                2400,
                0.24,
            )
        elif k == 4:
            tiers = [
                lathe(
                    [(0.26 * tall * (1 - t), t * tall), (0.03, (t + 0.3) * tall)],
                    "leaf",
                    segments=9,
                    smooth=False,
                ).turned(t * 7)
                for t in np.linspace(0.14, 0.72, 6)
            ]
            z = np.linspace(0.2, 0.9, 8)
            crown = join(
                [
                    *tiers,
                    leaves(
                        rng,
                        np.stack([0 * z, 0 * z, z * tall], 1),
                        0.26 * tall * (1.02 - z),
                        1200,
                        0.3,
                    ),
                ]
            )
        elif k == 6:
            trunk, crown = tube(path * [2, 2, 1.75], 0.24, "bark"), _fronds(rng, tall)
        else:
            centres = rng.normal(size=(5, 3)) * [0.6, 0.6, 0.15] + [0, 0, 0.7]
            crown = leaves(rng, centres, np.full(5, 0.7), 700, 0.2)
        colours = {"leaf": Finish("foliage", green), "bark": Finish("wood", "#4d3c2c")}
        made.append(Thing(f"tree {k}", join([trunk, crown]), colours))
    return made


def _fronds(rng: np.random.Generator, tall: float) -> Shape:
    """A palm's crown: arching strips."""
    t = np.linspace(0, 1, 7)
    path = np.stack([2.9 * t, 0 * t, 0.96 * tall + 1.3 * t - 2.6 * t**2], 1)
    wide = 0.36 * np.sin(np.pi * (0.1 + 0.9 * t))
    strip = loft(
        np.stack(
            [
                path + np.array([0, 1, -0.25]) * wide[:, None],
                path,
                path - np.array([0, 1, 0.25]) * wide[:, None],
            ],
            1,
        ),
        "leaf",
        closed=False,
    )
    return join(
        strip.turned(a).scaled(1, 1, s)
        for a, s in zip(np.linspace(0, 6.2, 17), rng.uniform(0.95, 1.03, 17), strict=True)
    )


def branch() -> Thing:
    """Make a leafy branch to hang before the camera, about the origin."""
    rng = np.random.default_rng(4000)
    bend = np.array([[0.9, 0, 0.45], [0.3, 0, 0.1], [-0.5, 0, -0.15]])
    parts, centres = [tube(bend, 0.012, "bark")], []
    for t in np.linspace(0, 1, 14):
        root = np.array([np.interp(2 * t, [0, 1, 2], bend[:, axis]) for axis in range(3)])
        tip = root + rng.normal(size=3) * [0.08, 0.1, 0.12] + [-0.08, 0, -0.02]
        parts.append(tube(np.array([root, tip]), 0.006, "bark", segments=4))
        centres.append(tip)
    cards = leaves(rng, np.array(centres), np.full(14, 0.09), 420, 0.045)
    kept = cards.sizes.cumsum() <= 4 * 420
    only = polygons(
        cards.vertices[: 4 * 420], np.arange(4 * kept.sum()).reshape(-1, 4).tolist(), "leaf"
    )
    return Thing(
        "branch",
        join([*parts, only]),
        {"leaf": Finish("foliage", "#4a6b2a"), "bark": Finish("wood", "#4d3c2c")},
    )
