"""Scenes: a landmark in its place, built once; then views are checked, dressed and taken.

A camera never stands in a house, a wall or a hill, and sees some of the landmark: rays tell.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import bpy
import numpy as np
from mathutils import Vector

from render import stage, stock, surroundings
from render.geometry import Shape
from render.landmarks import Landmark, model
from render.views import Habits, View, draw_shot, even_shot, generator, sample, sample_street

ATTEMPTS = 60
SOLID = ("house", "landmark", "ground")
LAMPS = 12  # street lamps that light their surroundings at night; the others only glow
DETAIL = 0.35  # share of the frame that a detail fills, at least
PROBES = 90  # points of the landmark that a view is tried with


@dataclass(frozen=True)
class Scene:
    """A built scene.

    Attributes:
        shape: The landmark's shape where it stands, or None in a distractor scene.
        low: Lowest corner of the landmark.
        high: Highest corner.
        habits: Of its photographers.
        keys: (seed, number): keys of the scene's random numbers.
        around: What surrounds it.
        people: Meshes of passers-by.
        branch: Mesh of the branch before the camera.
    """

    shape: Shape | None
    low: np.ndarray
    high: np.ndarray
    habits: Habits
    keys: tuple[int, int]
    around: surroundings.Layout
    people: list[bpy.types.Mesh]
    branch: bpy.types.Mesh


def build(
    landmark: Landmark | None,
    seed: int,
    *,
    habits: Habits,
    number: int = 0,
    surrounded_by: str = "home",
) -> Scene:
    """Build the scene of a landmark. Without a landmark, build distractor scene `number`.

    Args:
        landmark: The landmark, or None.
        seed: The set's seed.
        habits: Of the photographers.
        number: Number of a scene without a landmark.
        surrounded_by: One of `stock.STOCKS`.
    """
    stage.clear()
    rng = generator(seed, landmark.number if landmark else 10_000 + number, 2)
    if landmark:
        made = model(landmark, seed)
        shape, setting = made.shape, made.setting
        stage.put(stage.mesh_of("landmark", shape, made.palette), index=stage.LANDMARK_INDEX)
        low, high = shape.bounds()
        low = np.array([low[0], low[1], 0.0])
    else:
        shape, setting = None, str(rng.choice(surroundings.SETTINGS))
        low, high = np.array([-8.0, -8.0, 0.0]), np.array([8.0, 8.0, 9.0])
    around = surroundings.layout(rng, setting, low, high)
    stage.put(stage.mesh_of("ground", around.ground, stock.ground_finishes(surrounded_by)))
    meshes = _stock_meshes(surrounded_by)
    for place in around.places:
        mesh = meshes[place.kind][place.number]
        stage.put(mesh, at=(place.x, place.y, 0.0), turn=place.turn, scale=place.scale)
    _night_lights(around, low, high, lit=landmark is not None)
    keys = (seed, landmark.number if landmark else 10_000 + number)
    return Scene(shape, low, high, habits, keys, around, meshes["person"], meshes["branch"][0])


def _stock_meshes(name: str) -> dict[str, list[bpy.types.Mesh]]:
    """Make each thing of a stock once."""
    return {
        kind: [stage.mesh_of(t.name, t.shape, t.palette) for t in made]
        for kind, made in stock.things(name).items()
    }


def _night_lights(
    around: surroundings.Layout, low: np.ndarray, high: np.ndarray, *, lit: bool
) -> None:
    """Light the nearest street lamps, and the landmark from its feet."""
    posts = [p for p in around.places if p.kind == "lamp"]
    posts.sort(key=lambda p: np.hypot(p.x, p.y - low[1]))
    for post in posts[:LAMPS]:
        stage.lamp((post.x, post.y, 4.4), 420.0, colour=(1.0, 0.72, 0.42))
    if not lit:
        return
    size = high - low
    reach = 0.35 * size[2] + 5
    middle = (low + high) / 2
    for x, y in ((-0.6, -1), (0.6, -1), (-1, -0.2), (1, -0.2), (0, 1)):
        at = middle + np.array([x, y, 0]) * (size / 2 + reach)
        stage.flood(
            (at[0], at[1], 1.2),
            (middle[0] + 0.3 * x * size[0], middle[1], 0.5 * size[2]),
            30.0 * (reach + 12) ** 2,
        )


def choose(scene: Scene, photo: int, *, shot: str | None = None) -> View:
    """Return photo `photo`'s view: the first drawn whose camera stands free and sees enough.

    Args:
        scene: The scene as built.
        photo: The photo's number, a key of its random numbers.
        shot: A kind of shot to draw; None: any. One that never stands free becomes "whole".

    Raises:
        RuntimeError: No view of `ATTEMPTS` stands free.
    """
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()

    def cast(origin: np.ndarray, way: np.ndarray) -> tuple[float, str]:
        hit, at, _, _, thing, _ = bpy.context.scene.ray_cast(graph, Vector(origin), Vector(way))
        return ((at - Vector(origin)).length, thing.name) if hit else (np.inf, "")

    wish = shot or _shot(scene, photo)
    for attempt in range(ATTEMPTS):
        rng = generator(*scene.keys, 3, photo, attempt)
        if scene.shape is None:
            view = sample_street(rng, 130.0, scene.habits)
        else:
            view = sample(rng, scene.low, scene.high, shot=wish, habits=scene.habits)
            if attempt == 2 * ATTEMPTS // 3:
                wish = "whole"
            if attempt > ATTEMPTS // 3:
                x, y, z = view.eye
                view = replace(view, eye=(x, y, z + attempt / 2))
        if _stands_free(view, cast) and (scene.shape is None or _sees(view, scene, rng, cast)):
            return view
    raise RuntimeError(f"no free view of scene {scene.keys}, photo {photo}, in {ATTEMPTS} attempts")


def _shot(scene: Scene, photo: int) -> str:
    """Return the kind of a photo as its photographer's habits have it."""
    if scene.habits.even:
        return even_shot(generator(*scene.keys, 4).random(), photo, scene.habits)
    return draw_shot(generator(*scene.keys, 4, photo), scene.habits)


Cast = Callable[[np.ndarray, np.ndarray], tuple[float, str]]


def _stands_free(view: View, cast: Cast) -> bool:
    """Whether the camera is under the sky, off every wall, with some air ahead."""
    eye = np.array(view.eye)
    above, thing = cast(eye, np.array([0.0, 0.0, 1.0]))
    if np.isfinite(above) and thing.startswith(SOLID):
        return False
    for angle in np.arange(12) * np.pi / 6:
        if cast(eye, np.array([np.cos(angle), np.sin(angle), 0.0]))[0] < 1.1:
            return False
    turn = view.rotation()
    rays = [
        turn[2] + 0.25 * a * turn[0] + 0.18 * b * turn[1] for a in (-1, 0, 1) for b in (-1, 0, 1)
    ]
    clear = np.array([cast(eye, ray / np.linalg.norm(ray))[0] for ray in rays])
    air = 18.0 if view.shot == "street" else 6.0
    return bool(np.median(clear) > air and clear.min() > 1.5)


def _sees(view: View, scene: Scene, rng: np.random.Generator, cast: Cast) -> bool:
    """Whether enough of the landmark's framed points are not behind something else."""
    points = scene.shape.vertices[rng.integers(len(scene.shape.vertices), size=PROBES)]
    eye = np.array(view.eye)
    seen = (points - eye) @ view.rotation().T
    half = 18.0 / view.focal * np.array([0.75, 1.0] if view.portrait else [1.0, 0.75])
    framed = (seen[:, 2] > 1) & (np.abs(seen[:, :2]) < half * seen[:, 2:]).all(1)
    if framed.sum() < PROBES * (0.06 if view.shot == "detail" else 0.3):
        return False
    ways = points[framed] - eye
    if view.shot == "detail" and _share(eye, _grid(view), cast) < DETAIL:
        return False
    return _share(eye, ways, cast) > 0.22


def _share(eye: np.ndarray, ways: np.ndarray, cast: Cast) -> float:
    """Return the share of rays `(N, 3)` that end on the landmark."""
    ways = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    return float(np.mean([cast(eye, way)[1].startswith("landmark") for way in ways]))


def _grid(view: View) -> np.ndarray:
    """Return rays through the frame, 6 along its long side and 5 along the short one: `(30, 3)`."""
    long, short = (
        18.0 / view.focal * side * (np.arange(n) + 0.5 - n / 2) * 2 / n
        for side, n in ((1.0, 6), (0.75, 5))
    )
    right, down, ahead = view.rotation()
    across, along = (short, long) if view.portrait else (long, short)
    return np.array([ahead + x * right + y * down for x in across for y in along])


def dress(scene: Scene, view: View) -> list[bpy.types.Object]:
    """Put passers-by and a branch before the camera; return them for `undress`."""
    rng = np.random.default_rng(view.seed)
    things = []
    right, down, ahead = view.rotation()
    level = np.array([ahead[0], ahead[1], 0.0]) / np.hypot(ahead[0], ahead[1])
    if view.eye[2] < 3.0:
        for _ in range(view.passers):
            at = np.array(view.eye) + level * rng.uniform(3.0, 9.0)
            at = (
                at
                + right * rng.uniform(-0.42, 0.42) * np.linalg.norm(at - view.eye) * 36 / view.focal
            )
            if scene.around.wet(at[0], at[1]):
                continue
            mesh = scene.people[int(rng.integers(len(scene.people)))]
            things.append(
                stage.put(
                    mesh,
                    at=(at[0], at[1], 0.0),
                    turn=rng.uniform(0, 6.3),
                    scale=rng.uniform(0.95, 1.06),
                )
            )
    if view.branch:
        side, reach = rng.choice([-1.0, 1.0]), rng.uniform(1.6, 2.6)
        half = 18.0 / view.focal * reach
        at = np.array(view.eye) + ahead * reach + right * side * half * 0.75 - down * half * 0.6
        things.append(
            stage.put(scene.branch, at=tuple(at), turn=rng.uniform(0, 6.3), scale=half * 1.1)
        )
    return things


def undress(things: list[bpy.types.Object]) -> None:
    """Take away what `dress` put."""
    for thing in things:
        bpy.data.objects.remove(thing)
