"""Where the shared stock stands around a landmark: streets, squares, parks, shores.

Pure layout: rows of `Place`s, from a landmark's own generator. The same stock is used everywhere,
so that a house or a tree tells no place from another.
"""

from dataclasses import dataclass

import numpy as np

from render.geometry import Shape
from render.ground import MARGIN, REACH, ground

SETTINGS = ("city", "square", "park", "village", "hill", "water", "river")

RIVER = 0.36  # half a river's width over the length of the bridge that spans it

DENSITY = {
    "city": 0.97,
    "square": 0.95,
    "park": 0.8,
    "village": 0.55,
    "hill": 0.22,
    "water": 0.9,
    "river": 0.85,
}

TREES = {
    "city": 40,
    "square": 60,
    "park": 230,
    "village": 130,
    "hill": 200,
    "water": 50,
    "river": 90,
}


COPSES = 45


@dataclass(frozen=True)
class Place:
    """One thing of the stock, put somewhere."""

    kind: str
    number: int
    x: float
    y: float
    turn: float
    scale: float = 1.0


@dataclass(frozen=True)
class Layout:
    """All that surrounds a landmark; `water` is (left, right, near, far) in metres."""

    places: list[Place]
    ground: Shape
    water: tuple[float, float, float, float] | None

    def wet(self, x: float, y: float) -> bool:
        """Whether (x, y) lies in the river or off the shore."""
        if self.water is None:
            return False
        left, right, near, far = self.water
        return left < x < right and near < y < far


def layout(rng: np.random.Generator, setting: str, low: np.ndarray, high: np.ndarray) -> Layout:
    """Lay out a place around the footprint [low, high]; an empty footprint gives a plain street."""
    shore = low[1] - rng.uniform(9, 14) if setting == "water" else None
    bank = RIVER * (high[0] - low[0]) if setting == "river" else None
    angle = (
        rng.normal(0, 0.12) if setting in ("city", "square", "water") else rng.uniform(-0.5, 0.5)
    )
    angle = np.pi / 2 if bank else angle
    places = _houses(rng, setting, low, high, angle, shore)
    places += _trees(rng, setting, low, high, shore, places)
    places += _crowd(rng, low, high, shore)
    water = (-3000.0, 3000.0, shore - 122, shore) if shore is not None else None
    if bank:
        water = (-bank, bank, -1500.0, 1500.0)
        places = [p for p in places if abs(p.x) > bank + (9 if p.kind == "house" else 2)]
    return Layout(places, ground(rng, setting, low, high, angle, shore, bank), water)


def _free(
    x: float, y: float, low: np.ndarray, high: np.ndarray, gap: float, shore: float | None
) -> bool:
    """Whether a house may stand here: off the square, the view's wedge and the water."""
    if shore is not None and -130 + shore < y < shore + 8:
        return False
    near = low[0] - gap < x < high[0] + gap and low[1] - 1.7 * gap - 8 < y < high[1] + gap
    tall = max(high[2], 0.7 * (high[0] - low[0]))
    wedge = low[1] - 2.4 * tall < y < low[1] and abs(x) < 0.42 * (high[0] - low[0]) + 7 + 0.16 * (
        low[1] - y
    )
    return not (near or wedge)


def _houses(
    rng: np.random.Generator,
    setting: str,
    low: np.ndarray,
    high: np.ndarray,
    angle: float,
    shore: float | None,
) -> list[Place]:
    """Terraces on both sides of parallel streets, cars at the kerbs, lamps between."""
    places = []
    gap = MARGIN[setting] * rng.uniform(0.85, 1.15)
    c, s = np.cos(angle), np.sin(angle)
    short = (
        rng.permutation(10)[:6]
        if setting in ("city", "square", "water")
        else np.array([0, 4, 8, 0, 4, 8])
    )
    for street in range(-6, 7):
        for side in (-1, 1):
            for k in range(-16, 17):
                u, v = 13.2 * k, 33.0 * street + side * 11.0
                x, y = c * u - s * v, s * u + c * v
                dice = rng.random()
                if np.hypot(x, y) > REACH or dice > DENSITY[setting] or k % 6 == 0:
                    continue
                if _free(x, y, low, high, gap + 7, shore):
                    turn = angle + (0 if side > 0 else np.pi)
                    places.append(
                        Place("house", int(rng.choice(short)), x, y, turn, rng.uniform(0.93, 1.08))
                    )
                    if rng.random() < 0.3 and _free(x, y, low, high, gap + 12, shore):
                        at = v - side * 8.0
                        kerb = (c * u - s * at, s * u + c * at)
                        places.append(
                            Place("car", int(rng.integers(6)), *kerb, angle + np.pi * (side > 0))
                        )
                    if k % 3 == 0:
                        at = v - side * 6.6
                        places.append(
                            Place("lamp", 0, c * (u + 5) - s * at, s * (u + 5) + c * at, angle)
                        )
    return places


def _trees(
    rng: np.random.Generator,
    setting: str,
    low: np.ndarray,
    high: np.ndarray,
    shore: float | None,
    taken: list[Place],
) -> list[Place]:
    """Trees in clumps and rows, not on houses, not close before the front."""
    houses = np.array([(p.x, p.y) for p in taken if p.kind == "house"] or [(1e6, 1e6)])
    species = rng.choice(8, 3, replace=False)
    places = []
    for _ in range(TREES[setting]):
        x, y = rng.uniform(-1, 1, 2) * REACH * 1.1
        clear = _free(x, y, low, high, MARGIN[setting] * 0.45 + 4, shore)
        if clear and np.hypot(houses[:, 0] - x, houses[:, 1] - y).min() > 10:
            kind = int(rng.choice(species) if rng.random() < 0.75 else rng.integers(8))
            places.append(Place("tree", kind, x, y, rng.uniform(0, 6.3), rng.uniform(0.75, 1.35)))
    places += _copses(rng, low, high, shore)
    if setting in ("park", "square", "hill") and rng.random() < 0.8:
        wide = (high[0] - low[0]) / 2 + rng.uniform(6, 12)
        kind, pitch = int(rng.choice([0, 1, 3, 5, 6])), rng.uniform(9, 14)
        for row in range(5):
            y = low[1] + 4 - pitch * row
            places += [
                Place(
                    "tree",
                    kind,
                    side * (wide + 1.2 * row),
                    y,
                    rng.uniform(0, 6),
                    rng.uniform(0.8, 1.0),
                )
                for side in (-1, 1)
            ]
    return places


def _copses(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, shore: float | None
) -> list[Place]:
    """Copses out of town, for who looks at it from afar."""
    places = []
    for _ in range(COPSES):
        angle, radius = rng.uniform(0, 2 * np.pi), REACH * rng.uniform(1.08, 2.2)
        kind = int(rng.integers(8))
        for _ in range(int(rng.integers(2, 8))):
            x, y = radius * np.array([np.cos(angle), np.sin(angle)]) + rng.normal(0, 9, 2)
            if _free(x, y, low, high, 20.0, shore):
                places.append(Place("tree", kind, x, y, rng.uniform(0, 6.3), rng.uniform(0.6, 1.2)))
    return places


def _crowd(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, shore: float | None
) -> list[Place]:
    """People on the square and lamps along its edges."""
    places = []
    front = low[1] if shore is None else shore + 9
    for _ in range(int(rng.integers(14, 46))):
        x = rng.normal(0, 0.45 * (high[0] - low[0]) + 9)
        y = (
            front - abs(rng.normal(0, 16)) - 2.0
            if shore is None
            else rng.uniform(shore + 2, low[1] - 1.5)
        )
        for k in range(int(rng.choice([1, 1, 2, 3]))):
            places.append(
                Place(
                    "person",
                    int(rng.integers(10)),
                    x + 0.7 * k,
                    y + rng.normal(0, 0.2),
                    rng.uniform(0, 6.3),
                    rng.uniform(0.92, 1.06),
                )
            )
    tall = max(high[2], 0.7 * (high[0] - low[0]))
    for _ in range(int(rng.integers(20, 60)) if shore is None else 0):
        x, y = rng.normal(0, 0.3 * (high[0] - low[0]) + 8), front - rng.uniform(5, 2.2 * tall)
        places.append(Place("person", int(rng.integers(10)), x, y, rng.uniform(0, 6.3)))
    places += _furniture(rng, low, high, front, shore)
    edge = (high[0] - low[0]) / 2 + 7
    for k in range(4):
        y = front - 4 - 13 * k if shore is None else shore + 2.5
        places += [
            Place("lamp", 0, side * (edge + (0 if shore is None else 9 * k)), y, 0.0)
            for side in (-1, 1)
        ]
    return places


def _furniture(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, front: float, shore: float | None
) -> list[Place]:
    """Benches, cafés, planters, a kiosk and flags along the sides of the square."""
    if shore is not None:
        spots = np.linspace(low[0] - 30, high[0] + 30, 9) + rng.uniform(-2, 2, 9)
        return [Place("furniture", int(rng.choice([0, 4])), x, shore + 1.8, 0.0) for x in spots]
    edge, places = (high[0] - low[0]) / 2, []
    side = float(rng.choice([-1.0, 1.0]))
    cloth = int(rng.integers(1, 4))
    if rng.random() < 0.6:
        x, y = side * (edge + rng.uniform(6, 12)), front - rng.uniform(4, 18)
        places += [
            Place("furniture", cloth, x + 4 * i, y - 4 * j, rng.uniform(0, 6))
            for i in range(int(rng.integers(2, 5)))
            for j in range(int(rng.integers(1, 4)))
        ]
    for k in range(int(rng.integers(4, 10))):
        x = (-1) ** k * (0.6 * edge + rng.uniform(1, 5))
        kind = int(rng.choice([0, 0, 4]))
        places.append(Place("furniture", kind, x, front - 5 - 4.5 * k, (-1) ** k * np.pi / 2))
    if rng.random() < 0.4:
        places.append(
            Place("furniture", 5, -side * (0.7 * edge + 6), front - rng.uniform(10, 25), 0)
        )
    if rng.random() < 0.4:
        places += [Place("furniture", 6, edge * s + 5 * s, front - 1, 0.0) for s in (-1, 1)]
    return places
