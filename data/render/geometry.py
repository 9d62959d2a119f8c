"""Polygon shapes in plain numpy: what every part of a landmark is made of.

A `Shape` is a bag of polygons with a *role* each ("wall", "trim", "roof", ...), which a landmark's
palette turns into a material. Lengths are metres; x is right, z is up, and a landmark's front
faces -y. No `bpy` here, so that shapes can be tested without Blender.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

Point2 = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """Polygons with a role each.

    Attributes:
        vertices: `(V, 3)` positions in metres.
        corners: `(C,)` vertex numbers of all polygons, one after another.
        sizes: `(F,)` corners of each polygon; they sum to C.
        roles: `(F,)` role of each polygon.
        smooth: `(F,)` whether the polygon is shaded smoothly.
    """

    vertices: np.ndarray
    corners: np.ndarray
    sizes: np.ndarray
    roles: np.ndarray
    smooth: np.ndarray

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Shape":
        """Return the shape shifted by (x, y, z)."""
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> "Shape":
        """Return the shape scaled about the origin; y and z default to x."""
        factors = np.array([x, x if y is None else y, x if z is None else z])
        return replace(self, vertices=self.vertices * factors)

    def turned(self, angle: float, axis: str = "z") -> "Shape":
        """Return the shape turned by `angle` radians, counter-clockwise about an axis."""
        c, s = np.cos(angle), np.sin(angle)
        i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        turn = np.eye(3)
        turn[i, i], turn[i, j], turn[j, i], turn[j, j] = c, -s, s, c
        return replace(self, vertices=self.vertices @ turn.T)

    def as_role(self, role: str) -> "Shape":
        """Return the shape with every polygon in one role."""
        return replace(self, roles=np.full(len(self.sizes), role, dtype="<U12"))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest corner, `(3,)` each."""
        return self.vertices.min(0), self.vertices.max(0)


def polygons(
    vertices: np.ndarray, faces: Sequence[Sequence[int]], role: str, *, smooth: bool = False
) -> Shape:
    """Make a shape of vertices `(V, 3)` and lists of vertex numbers."""
    sizes = np.array([len(face) for face in faces], np.int32)
    corners = np.array([i for face in faces for i in face], np.int32)
    roles = np.full(len(sizes), role, dtype="<U12")
    vertices = np.asarray(vertices, float).reshape(-1, 3)
    return Shape(vertices, corners, sizes, roles, np.full(len(sizes), smooth))


def join(shapes: Iterable[Shape]) -> Shape:
    """Gather shapes into one."""
    parts = [shape for shape in shapes if len(shape.sizes)]
    if not parts:
        return polygons(np.zeros((0, 3)), [], "wall")
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    return Shape(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([p.corners + s for p, s in zip(parts, starts, strict=True)]),
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.roles for part in parts]),
        np.concatenate([part.smooth for part in parts]),
    )


def copies(
    shape: Shape, places: Iterable[Sequence[float]], turns: Iterable[float] | float = 0.0
) -> Shape:
    """Gather copies of a shape, turned about z and then moved to places `(N, 3)`."""
    spots = [tuple(place) for place in places]
    angles = [turns] * len(spots) if isinstance(turns, int | float) else list(turns)
    return join(shape.turned(a).moved(*p) for p, a in zip(spots, angles, strict=True))


def around(shape: Shape, count: int, radius: float, *, start: float = 0.0) -> Shape:
    """Set `count` copies on a circle, each one's front (-y) facing outward; the first at -y."""
    angles = [start + 2 * np.pi * k / count for k in range(count)]
    return join(shape.moved(0, -radius, 0).turned(a) for a in angles)


def loft(
    rings: np.ndarray,
    role: str,
    *,
    closed: bool = True,
    caps: tuple[bool, bool] = (False, False),
    smooth: bool = False,
) -> Shape:
    """Skin rings `(R, N, 3)` of as many points each; `caps` closes the first and the last."""
    rings = np.asarray(rings, float)
    count, points = rings.shape[:2]
    around_ring = points if closed else points - 1
    faces: list[Sequence[int]] = []
    for r in range(count - 1):
        for k in range(around_ring):
            j = (k + 1) % points
            faces.append(
                (r * points + k, r * points + j, (r + 1) * points + j, (r + 1) * points + k)
            )
    skin = polygons(rings.reshape(-1, 3), faces, role, smooth=smooth)
    lids = []
    if caps[0]:
        lids.append(polygons(rings[0], [range(points)[::-1]], role))
    if caps[1]:
        lids.append(polygons(rings[-1], [range(points)], role))
    return join([skin, *lids])


def circle(count: int, radius: float = 1.0, *, start: float = 0.0) -> np.ndarray:
    """Return `(count, 2)` points of a regular polygon about the origin."""
    angles = start + 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


def rectangle(width: float, depth: float) -> np.ndarray:
    """Return the `(4, 2)` corners of a rectangle about the origin."""
    w, d = width / 2, depth / 2
    return np.array([(-w, -d), (w, -d), (w, d), (-w, d)])


def flat(points: np.ndarray, z: float) -> np.ndarray:
    """Lift plan points `(N, 2)` to height z: `(N, 3)`."""
    return np.column_stack([points, np.full(len(points), z)])


def profile(
    outline: np.ndarray,
    steps: Sequence[Point2],
    role: str,
    *,
    smooth: bool = False,
    caps: tuple[bool, bool] = (False, True),
) -> Shape:
    """Skin (scale, z) steps of an outline `(N, 2)`: steps of a regular polygon are radii."""
    rings = np.array([flat(outline * scale, z) for scale, z in steps])
    return loft(rings, role, smooth=smooth, caps=caps)


def lathe(steps: Sequence[Point2], role: str, *, segments: int = 24, smooth: bool = True) -> Shape:
    """Revolve a profile of (radius, z) points about the z axis."""
    return profile(circle(segments), steps, role, smooth=smooth)


def box(
    width: float,
    depth: float,
    height: float,
    role: str,
    *,
    x: float = 0.0,
    y: float = 0.0,
    z: float = 0.0,
) -> Shape:
    """Make a box whose base is centred on (x, y, z)."""
    base = rectangle(width, depth)
    rings = np.array([flat(base, 0.0), flat(base, height)])
    return loft(rings, role, caps=(True, True)).moved(x, y, z)


def prism(outline: np.ndarray, height: float, role: str, *, z: float = 0.0) -> Shape:
    """Raise a plan `(N, 2)` to a height."""
    return loft(np.array([flat(outline, z), flat(outline, z + height)]), role, caps=(True, True))


def plate(outline: np.ndarray, depth: float, role: str, *, y: float = 0.0) -> Shape:
    """Give an outline `(N, 2)` in the xz plane a thickness: from y to y + depth."""
    outline = np.asarray(outline, float)
    x, z = outline[:, 0], outline[:, 1]
    near = np.stack([x, np.full_like(x, y), z], 1)
    return loft(np.array([near, near + [0, depth, 0]]), role, caps=(True, True))


def tube(path: np.ndarray, radius: float, role: str, *, segments: int = 6) -> Shape:
    """Draw a round bar along a path `(N, 3)` whose direction never turns by a right angle."""
    path = np.asarray(path, float)
    ahead = path[-1] - path[0]
    if np.linalg.norm(ahead) < 1e-6:
        ahead = path[len(path) // 2] - path[0]
    ahead = ahead / np.linalg.norm(ahead)
    side = np.cross(ahead, [0, 0, 1] if abs(ahead[2]) < 0.9 else [1, 0, 0])
    side /= np.linalg.norm(side)
    up = np.cross(side, ahead)
    ring = circle(segments, radius)
    rings = path[:, None] + ring[None, :, :1] * side + ring[None, :, 1:] * up
    return loft(rings, role, caps=(True, True), smooth=True)


def blob(
    radius: float, role: str, *, stretch: tuple[float, float, float] = (1, 1, 1), segments: int = 10
) -> Shape:
    """Make an ellipsoid about the origin."""
    heights = np.linspace(-np.pi / 2, np.pi / 2, max(segments // 2, 4) + 1)
    steps = [(radius * np.cos(a), radius * np.sin(a)) for a in heights]
    return lathe(steps, role, segments=segments).scaled(*stretch)
