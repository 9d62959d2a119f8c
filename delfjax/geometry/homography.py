"""Compute homographies between two photos from pairs of matching points, and check them.

The paper uses affine maps instead (`delfjax.geometry.affine` has functions of the same names). A
homography is exact for two photos of a plane, such as a facade. It is a 3x3 matrix ``H``. With
``(u, v, w) = H (y, x, 1)``, the point ``(y, x)`` of the query maps to ``(u / w, v / w)`` in the
database photo. Points with ``w = 0`` form the horizon, which maps to infinity. ``H`` is scaled so
that ``w`` is 1 at the centroid of the query points that determine ``H``.
"""

import jax.numpy as jnp
from jax.scipy.linalg import lu_factor
from jaxtyping import Array, Bool, Float

from delfjax.geometry import affine

SAMPLE_SIZE = 4  # matches that determine a homography
FAR = 1e12  # pixels; the distance of a point that has no image


def solve(source: Float[Array, "s 4 2"], target: Float[Array, "s 4 2"]) -> Float[Array, "s 3 3"]:
    """Compute a homography from each sample of four matches. Collinear points give a singular map.

    ``p_0`` to ``p_3`` are the points ``(y, x, 1)`` in the query, and ``p'_0`` to ``p'_3`` those in
    the database photo. The weights ``l_i`` satisfy ``p_3 = sum_i l_i p_i`` with ``i`` from 0 to 2,
    and ``l'_i`` satisfy ``p'_3 = sum_i l'_i p'_i``. Up to scale, the homography is
    ``sum_i (l'_i / l_i) p'_i (p_j x p_k)^T``, where ``(i, j, k)`` is a cyclic permutation of (0, 1,
    2). The direct linear transform gives the same result.
    """
    source_center, target_center = source.mean(1), target.mean(1)
    # Coordinates are relative to the centroids: with raw pixels, the areas lose half of float32's digits.
    source_weights, dual, _ = _basis(source - source_center[:, None])
    target_weights, _, basis = _basis(target - target_center[:, None])
    ratios = affine.divide(target_weights, source_weights, axis=(1,))
    centered = jnp.einsum("si,sia,sib->sab", ratios, basis, dual)
    return _to_pixels(centered, source_center, target_center)


def _basis(
    points: Float[Array, "s 4 2"],
) -> tuple[Float[Array, "s 3"], Float[Array, "s 3 3"], Float[Array, "s 3 3"]]:
    """Return weights ``l_i`` up to scale, cross products ``p_j x p_k``, and points ``p_i``."""
    homogeneous = jnp.pad(points, ((0, 0), (0, 0), (0, 1)), constant_values=1)
    three, fourth = homogeneous[:, :3], homogeneous[:, 3]
    dual = jnp.cross(three[:, jnp.array([1, 2, 0])], three[:, jnp.array([2, 0, 1])])
    return jnp.einsum("sia,sa->si", dual, fourth), dual, three


def _to_pixels(
    model: Float[Array, "*s 3 3"],
    source_center: Float[Array, "*s 2"],
    target_center: Float[Array, "*s 2"],
) -> Float[Array, "*s 3 3"]:
    """Convert a homography from centered coordinates to pixels. ``w`` is 1 at the source center."""
    corner = model[..., 2:, 2:]
    # If it is 0, the horizon crosses the center. `is_plausible` rejects such a map, whatever its scale.
    usable = (jnp.abs(model) < affine.LARGEST * jnp.abs(corner)).all((-2, -1), keepdims=True)
    model = model / jnp.where(usable, corner, 1.0)
    shift = model[..., 2] - (model[..., :2] * source_center[..., None, :]).sum(-1)
    model = jnp.concatenate([model[..., :2], shift[..., None]], axis=-1)
    top = model[..., :2, :] + target_center[..., :, None] * model[..., 2:, :]
    return jnp.concatenate([top, model[..., 2:, :]], axis=-2)


def is_plausible(
    models: Float[Array, "s 3 3"], corners: Float[Array, "p 2"], max_stretch: float
) -> Bool[Array, " s"]:
    """Return whether each map, if linearized, passes `affine.is_plausible` at all corners of a box.

    ``corners`` are those of the box around all matches. The horizon must not cross the box.
    """
    plausible = jnp.ones(len(models), bool)
    for corner in corners:
        *_, w = project(models, corner[None])
        local = linearize(models, corner)
        plausible &= (w[:, 0] > 0) & affine.is_plausible(local, corners, max_stretch)
    return plausible


def linearize(model: Float[Array, "*s 3 3"], point: Float[Array, " 2"]) -> Float[Array, "*s 2 3"]:
    """Return the affine map that approximates a homography at a point to first order."""
    y, x, w = (part[..., 0] for part in project(model, point[None]))
    mapped = jnp.stack([y, x], axis=-1)
    slope = model[..., :2, :2] - mapped[..., :, None] * model[..., 2:, :2]
    linear = affine.divide(slope, w[..., None, None], axis=(-2, -1))
    shift = mapped - (linear * point).sum(-1)
    return jnp.concatenate([linear, shift[..., None]], axis=-1)


def project(
    model: Float[Array, "*s 3 3"], points: Float[Array, "m 2"]
) -> tuple[Float[Array, "*s m"], ...]:
    """Map points ``(y, x)`` by a homography ``H``. Return ``u / w``, ``v / w`` and ``w``.

    ``(u, v, w)`` is ``H (y, x, 1)``. If a coordinate would exceed `affine.LARGEST` pixels, the
    returned ``w`` is 0.
    """

    # One coordinate at a time, because XLA's batched matrix product is several times slower on a CPU.
    def product(row: int) -> Float[Array, "*s m"]:
        a, b, shift = (model[..., row, column, None] for column in range(3))
        return a * points[:, 0] + b * points[:, 1] + shift

    u, v, w = product(0), product(1), product(2)
    usable = jnp.maximum(jnp.abs(u), jnp.abs(v)) < affine.LARGEST * jnp.abs(w)
    safe = jnp.where(usable, w, 1.0)
    return u / safe, v / safe, jnp.where(usable, w, 0.0)


def squared_residuals(
    model: Float[Array, "*s 3 3"], source: Float[Array, "m 2"], target: Float[Array, "m 2"]
) -> Float[Array, "*s m"]:
    """Return the squared distance in pixels between each mapped source point and its target.

    The distance is `FAR` at and beyond the horizon, where ``w <= 0`` (see `project`).
    """
    y, x, w = project(model, source)
    squared = (y - target[:, 0]) ** 2 + (x - target[:, 1]) ** 2
    return jnp.where(w > 0, squared, FAR**2)


def areas(model: Float[Array, "*s 3 3"], source: Float[Array, "m 2"]) -> Float[Array, "*s m"]:
    """Return the factor by which each map enlarges areas at each source point: ``det H / w^3``."""
    *_, w = project(model, source)
    return affine.divide(jnp.linalg.det(model)[..., None], w**3)


def fit(
    model: Float[Array, "3 3"],
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    mask: Bool[Array, " m"],
) -> Float[Array, "3 3"]:
    """Fit a homography to the matches in ``mask`` by the normalized DLT (Hartley 1997).

    The direct linear transform (DLT) minimizes an algebraic error. The equations of a match are
    divided by the ``w`` of the initial map ``model`` (see `project`), so that this error approaches
    the squared distance in pixels if the fit is repeated. The new ``w`` is 1 at the centroid of the
    matches, so eight unknowns remain.
    """
    weight = mask.astype(source.dtype)
    total = jnp.maximum(weight.sum(), 1.0)
    (y, x), source_center, source_size = _normalize(source, weight, total)
    (u, v), target_center, target_size = _normalize(target, weight, total)
    *_, w = project(model, source)
    weight = jnp.where(mask, affine.divide(jnp.ones_like(w), w), 0.0)[:, None]
    zero, one = jnp.zeros_like(y), jnp.ones_like(y)
    rows = jnp.concatenate(
        [
            weight * jnp.stack([y, x, one, zero, zero, zero, -u * y, -u * x], axis=1),
            weight * jnp.stack([zero, zero, zero, y, x, one, -v * y, -v * x], axis=1),
        ]
    )
    right = (weight * jnp.stack([u, v], axis=1)).T.ravel()
    squares = jnp.einsum("ma,mb->ab", rows, rows)
    # Too few matches, or matches on a line, determine no map. A pivot is then 0.
    pivots = jnp.abs(jnp.diag(lu_factor(squares)[0]))
    squares = jnp.where(pivots.min() > 1e-20 * pivots.max(), squares, jnp.eye(8))
    solution = jnp.linalg.solve(squares, jnp.einsum("ma,m->a", rows, right))
    solution = jnp.where((jnp.abs(solution) < affine.LARGEST).all(), solution, 0.0)
    normalized = jnp.append(solution, 1.0).reshape(3, 3)
    scale = jnp.array([target_size, target_size, 1.0])[:, None]
    source_size = jnp.where(source_size > 0, source_size, 1.0)
    centered = normalized * scale / jnp.array([source_size, source_size, 1.0])
    return _to_pixels(centered, source_center, target_center)


def _normalize(
    points: Float[Array, "m 2"], weight: Float[Array, " m"], total: Float[Array, ""]
) -> tuple[Float[Array, "2 m"], Float[Array, " 2"], Float[Array, ""]]:
    """Center points and scale their mean square to 1. Return points, centroid and scale."""
    center = (weight[:, None] * points).sum(0) / total
    centered = points - center
    size = jnp.sqrt((weight[:, None] * centered**2).sum() / total)
    return affine.divide(centered, size).T, center, size
