"""Affine maps between two photos: solved from three matches, fitted to many, and judged (Sec. 4.4).

`delfjax.geometry.homography` has functions of the same names: `delfjax.geometry.ransac` takes either module.

Symbols: ``A`` a 2x3 affine map on homogeneous ``(y, x, 1)``, from query to database photo.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

SAMPLE_SIZE = 3  # matches that determine a map


def solve(source: Float[Array, "s 3 2"], target: Float[Array, "s 3 2"]) -> Float[Array, "s 2 3"]:
    """Solve ``A`` from three matches in closed form; three points on one line give NaN or infinity."""
    (a, b), (c, d) = _edges(source), _edges(target)
    determinant = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])[:, None]
    by_y = (c * b[:, 1:] - d * a[:, 1:]) / determinant
    by_x = (d * a[:, :1] - c * b[:, :1]) / determinant
    shift = target[:, 0] - by_y * source[:, 0, :1] - by_x * source[:, 0, 1:]
    return jnp.stack([by_y, by_x, shift], axis=-1)


def _edges(points: Float[Array, "s 3 2"]) -> tuple[Float[Array, "s 2"], Float[Array, "s 2"]]:
    return points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]


def is_plausible(
    models: Float[Array, "s 2 3"], corners: Float[Array, "p 2"], max_stretch: float
) -> Bool[Array, " s"]:
    """Tell which models keep handedness and stretch no direction by over ``max_stretch`` or its inverse.

    An affine map does so alike everywhere, whatever the corners.
    """
    linear = models[..., :2]
    determinant = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    squares = (linear**2).sum((1, 2))
    # Singular values of a 2x2 matrix from its determinant and Frobenius norm.
    gap = jnp.sqrt(jnp.maximum(squares**2 - 4 * determinant**2, 0.0))
    largest = jnp.sqrt((squares + gap) / 2)
    smallest = determinant / largest
    return (smallest >= 1 / max_stretch) & (largest <= max_stretch)  # NaN compares false


def squared_residuals(
    model: Float[Array, "*s 2 3"], source: Float[Array, "m 2"], target: Float[Array, "m 2"]
) -> Float[Array, "*s m"]:
    """Return the squared distance of each mapped source point from its target, in pixels squared."""

    # Written out by coordinate: as a batched matrix product XLA is several times slower on CPU.
    def off(row: int) -> Float[Array, "*s m"]:
        a, b, shift = (model[..., row, column, None] for column in range(3))
        return a * source[:, 0] + b * source[:, 1] + (shift - target[:, row])

    return off(0) ** 2 + off(1) ** 2


def fit(
    model: Float[Array, "2 3"],
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    chosen: Bool[Array, " m"],
) -> Float[Array, "2 3"]:
    """Fit ``A`` to the chosen matches by least squares, through the normal equations.

    The least squares need no model to start from.
    """
    weight = chosen.astype(source.dtype)[:, None]
    total = jnp.maximum(weight.sum(), 1.0)
    # About the centroids: the normal equations of raw pixels would lose half of float32's digits.
    center, aim = (weight * source).sum(0) / total, (weight * target).sum(0) / total
    x, y = weight * (source - center), target - aim
    (p, q), (_, r) = jnp.einsum("mi,mj->ij", x, source - center)
    determinant = p * r - q * q
    inverse = jnp.array([[r, -q], [-q, p]]) / determinant
    linear = jnp.einsum("mi,mj->ij", y, x) @ inverse
    return jnp.concatenate([linear, (aim - linear @ center)[:, None]], axis=1)
