"""Homographies between two photos: solved from four matches, fitted to many, and judged.

Not in the paper, whose model is affine (`delfjax.geometry.affine`, with functions of the same names): a
homography also holds for one plane, such as a facade, seen from two sides.

Symbols: ``H`` a 3x3 homography on homogeneous ``(y, x, 1)``, from query to database photo: ``(u, v, w) =
H (y, x, 1)`` is seen at ``(u / w, v / w)``. Its scale is free; here ``w`` is 1 at the centroid of
the matches it was made from, so that ``w > 0`` is the side of the horizon they lie on.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from delfjax.geometry import affine

SAMPLE_SIZE = 4  # matches that determine a homography
Coordinates = tuple[Float[Array, "..."], Float[Array, "..."], Float[Array, "..."]]


def solve(source: Float[Array, "s 4 2"], target: Float[Array, "s 4 2"]) -> Float[Array, "s 3 3"]:
    """Solve ``H`` from four matches in closed form; three points on one line give NaN or infinity.

    A projective basis is three points and their weights in the fourth, ``p_3 = sum_i l_i p_i``. So
    ``H = sum_i (l'_i / l_i) p'_i (p_j x p_k)^T``, up to scale, takes one basis to the other: the null
    vector of the direct linear transform of four matches, without a linear system.
    """
    center, aim = source.mean(1), target.mean(1)
    # About the centroids: the areas of raw pixels would lose half of float32's digits.
    (weights, dual, _), (other, _, basis) = (
        _basis(source - center[:, None]),
        _basis(target - aim[:, None]),
    )
    ratios = other / weights
    return _moved(jnp.einsum("si,sia,sib->sab", ratios, basis, dual), center, aim)


def _basis(
    points: Float[Array, "s 4 2"],
) -> tuple[Float[Array, "s 3"], Float[Array, "s 3 3"], Float[Array, "s 3 3"]]:
    """Return the weights of the first three points in the fourth, their cross products, and them."""
    ones = jnp.ones((*points.shape[:2], 1), points.dtype)
    homogeneous = jnp.concatenate([points, ones], axis=2)
    three, fourth = homogeneous[:, :3], homogeneous[:, 3]
    dual = jnp.cross(three[:, jnp.array([1, 2, 0])], three[:, jnp.array([2, 0, 1])])
    return jnp.einsum("sia,sa->si", dual, fourth), dual, three


def _moved(
    model: Float[Array, "*s 3 3"], center: Float[Array, "*s 2"], aim: Float[Array, "*s 2"]
) -> Float[Array, "*s 3 3"]:
    """Return the homography of raw pixels for one about two centroids; ``w`` is 1 at the first one."""
    model = model / model[..., 2:, 2:]
    shift = model[..., 2] - (model[..., :2] * center[..., None, :]).sum(-1)
    model = jnp.concatenate([model[..., :2], shift[..., None]], axis=-1)
    top = model[..., :2, :] + aim[..., :, None] * model[..., 2:, :]
    return jnp.concatenate([top, model[..., 2:, :]], axis=-2)


def is_plausible(
    models: Float[Array, "s 3 3"], corners: Float[Array, "p 2"], max_stretch: float
) -> Bool[Array, " s"]:
    """Tell which models behave, at every corner, as `affine.is_plausible` asks of an affine map.

    The corners are those of the box around all matches, right and wrong: so the horizon crosses no
    part of it either.
    """
    good = jnp.ones(len(models), bool)
    for corner in corners:
        *_, w = project(models, corner[None])
        local = linearize(models, corner)
        good &= (w[:, 0] > 0) & affine.is_plausible(local, corners, max_stretch)
    return good


def linearize(model: Float[Array, "*s 3 3"], point: Float[Array, " 2"]) -> Float[Array, "*s 2 3"]:
    """Return the affine map that agrees with a homography at a point to first order."""
    y, x, w = (part[..., 0] for part in project(model, point[None]))
    seen = jnp.stack([y, x], axis=-1)
    slope = model[..., :2, :2] - seen[..., :, None] * model[..., 2:, :2]
    linear = slope / w[..., None, None]
    shift = seen - (linear * point).sum(-1)
    return jnp.concatenate([linear, shift[..., None]], axis=-1)


def project(model: Float[Array, "*s 3 3"], points: Float[Array, "m 2"]) -> Coordinates:
    """Return ``(y, x)`` of the points in the other photo, and ``w`` before the division by it."""

    # Written out by coordinate: as a batched matrix product XLA is several times slower on CPU.
    def row(number: int) -> Float[Array, "*s m"]:
        a, b, shift = (model[..., number, column, None] for column in range(3))
        return a * points[:, 0] + b * points[:, 1] + shift

    u, v, w = row(0), row(1), row(2)
    return u / w, v / w, w


def squared_residuals(
    model: Float[Array, "*s 3 3"], source: Float[Array, "m 2"], target: Float[Array, "m 2"]
) -> Float[Array, "*s m"]:
    """Return the squared distance of each mapped source point from its target, in pixels squared.

    Points at or beyond the horizon are infinitely far off.
    """
    y, x, w = project(model, source)
    squared = (y - target[:, 0]) ** 2 + (x - target[:, 1]) ** 2
    return jnp.where(w > 0, squared, jnp.inf)


def fit(
    model: Float[Array, "3 3"],
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    chosen: Bool[Array, " m"],
) -> Float[Array, "3 3"]:
    """Fit ``H`` to the chosen matches by the normalized direct linear transform (Hartley 1997).

    Each equation is divided by what ``model`` says of its ``w``: fitted again and again, the algebraic
    error so nears the squared pixels. ``w`` is 1 at the centroid, which leaves eight unknowns.
    """
    weight = chosen.astype(source.dtype)
    total = jnp.maximum(weight.sum(), 1.0)
    (y, x), center, size = _normalized(source, weight, total)
    (u, v), aim, reach = _normalized(target, weight, total)
    *_, w = project(model, source)
    # Points that are not chosen may lie on the horizon.
    weight = jnp.where(chosen, 1 / w, 0.0)[:, None]
    zero, one = jnp.zeros_like(y), jnp.ones_like(y)
    rows = jnp.concatenate(
        [
            weight * jnp.stack([y, x, one, zero, zero, zero, -u * y, -u * x], axis=1),
            weight * jnp.stack([zero, zero, zero, y, x, one, -v * y, -v * x], axis=1),
        ]
    )
    right = (weight * jnp.stack([u, v], axis=1)).T.ravel()
    unknown = jnp.linalg.solve(
        jnp.einsum("ma,mb->ab", rows, rows), jnp.einsum("ma,m->a", rows, right)
    )
    scaled = jnp.append(unknown, 1.0).reshape(3, 3)
    scaled = scaled * jnp.array([reach, reach, 1.0])[:, None] / jnp.array([size, size, 1.0])
    return _moved(scaled, center, aim)


def _normalized(
    points: Float[Array, "m 2"], weight: Float[Array, " m"], total: Float[Array, ""]
) -> tuple[Float[Array, "2 m"], Float[Array, " 2"], Float[Array, ""]]:
    """Move the weighted points' centroid to 0 and scale their mean square to 1; say by how much."""
    center = (weight[:, None] * points).sum(0) / total
    moved = points - center
    size = jnp.sqrt((weight[:, None] * moved**2).sum() / total)
    return (moved / size).T, center, size
