"""The ground of a place: plain, streets, square, water, and hills all around."""

import numpy as np

from render.finishes import Finish
from render.geometry import Shape, box, flat, join, loft
from render.orders import balustrade

REACH = 210.0  # metres from the middle to the last house

MARGIN = {
    "city": 13.0,
    "square": 24.0,
    "park": 55.0,
    "village": 16.0,
    "hill": 45.0,
    "water": 14.0,
    "river": 12.0,
}

RELIEF = {
    "city": 30.0,
    "square": 45.0,
    "park": 60.0,
    "village": 110.0,
    "hill": 150.0,
    "water": 80.0,
    "river": 90.0,
}

GROUND = {
    "stone": Finish("paving", "#a59a88", scale=0.9),
    "road": Finish("asphalt", "#4a4a4b", "#3e3e40", weather=0.2),
    "walk": Finish("paving", "#97918a", scale=0.7),
    "band": Finish("paving", "#7d7468", scale=0.6),
    "grass": Finish("grass", "#566b39", "#47582f"),
    "gravel": Finish("asphalt", "#b7a688", "#a4926f", weather=0.1),
    "hill": Finish("foliage", "#52693a", "#3c5230"),
    "water": Finish("water", "#2f4d55"),
    "trim": Finish("ashlar", "#a89f8d"),
}


def ground(
    rng: np.random.Generator,
    setting: str,
    low: np.ndarray,
    high: np.ndarray,
    angle: float,
    shore: float | None,
    bank: float | None,
) -> Shape:
    """The plain, the streets, the square, the water, and hills all around."""
    urban = setting in ("city", "square", "water")
    parts = [_terrain(rng, RELIEF[setting] * rng.uniform(0.6, 1.4), "walk" if urban else "grass")]
    for street in range(-6, 7):
        if bank and abs(33.0 * street) < bank + 8:
            continue
        road = box(2 * REACH, 8.5, 0.03, "road" if setting != "hill" else "gravel", y=33.0 * street)
        parts.append(road.turned(angle))
    if bank:
        walls = [box(1.2, 3000, 1.0, "trim", x=s * bank) for s in (-1, 1)]
        return join([*parts, *walls, box(2 * bank, 3000, 0.12, "water")])
    gap = MARGIN[setting]
    width, depth = high[0] - low[0] + 1.6 * gap, high[1] - low[1] + 2.6 * gap
    floor = {"park": "gravel", "hill": "grass", "village": "gravel"}.get(setting, "stone")
    middle = (low[1] + high[1]) / 2 - 0.5 * gap
    parts.append(box(width, depth, 0.07, floor, y=middle))
    if floor == "stone":
        pitch = rng.choice([8.0, 11.0, 14.0])
        rows = np.arange(middle - depth / 2 + 2, middle + depth / 2 - 1, pitch)
        lines = np.arange(-width / 2 + 2, width / 2 - 1, pitch)
        parts += [box(width, 0.9, 0.09, "band", y=y) for y in rows]
        parts += [box(0.9, depth, 0.095, "band", x=x, y=middle) for x in lines]
    if setting in ("park", "hill", "village"):
        parts.append(box(9 + 0.2 * width, 130, 0.1, "gravel", y=low[1] - 66))
    if setting == "park":
        lawn = box(0.3 * width, 46, 0.12, "grass", y=low[1] - 34)
        parts += [lawn.moved(x=side * (0.25 * width + 9)) for side in (-1, 1)]
    if shore is not None:
        sheet = box(6000, 122, 0.12, "water", y=shore - 61)
        wall = join(
            [
                box(2 * REACH, 1.2, 0.7, "trim", y=shore),
                box(2 * REACH, 1.2, 0.7, "trim", y=shore - 122),
            ]
        )
        rail = balustrade(60, 1.0).moved(0, shore, 0.7)
        parts += [sheet, wall, rail]
    return join(parts)


def _terrain(rng: np.random.Generator, relief: float, near: str) -> Shape:
    """A plain that rises to hills beyond the last houses, out to four kilometres."""
    spokes = 72
    radii = np.array([0.0, 120, 230, 300, 400, 520, 680, 900, 1200, 1600, 2200, 3000, 4000])
    angles = 2 * np.pi * np.arange(spokes) / spokes
    phases, powers = rng.uniform(0, 2 * np.pi, 6), rng.uniform(0.3, 1.0, 6)
    wave = sum(
        p * np.sin((k + 1) * angles + f)
        for k, (p, f) in enumerate(zip(powers, phases, strict=True))
    )
    ridge = np.clip(0.45 + 0.3 * wave, 0, None)
    rings = []
    for r in radii:
        climb = np.clip((r - 230) / 1100, 0, 1) ** 1.3 * relief * (1.0 + r / 4000)
        rough = rng.normal(0, 0.05, spokes) * climb
        rings.append(
            flat(np.stack([np.cos(angles), np.sin(angles)], 1) * max(r, 0.01), 0.0)
            + np.array([0, 0, 1.0]) * (climb * ridge + rough)[:, None]
        )
    inner = loft(np.array(rings[:3]), near)
    return join([inner, loft(np.array(rings[2:]), "hill", smooth=True)])
