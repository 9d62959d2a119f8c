"""Compute affine maps between two photos from pairs of matching points, and check them (Sec. 4.4).

An affine map is a 2x3 matrix ``A``. It maps the point ``(y, x)`` of the query to ``A (y, x, 1)`` in
the database photo.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

SAMPLE_SIZE = 3  # matches that determine a map
LARGEST = 1e8  # of all numbers in a map; a plausible map has no such number


def divide(
    numerator: Float[Array, "..."], denominator: Float[Array, "..."], axis: tuple[int, ...]
) -> Float[Array, "..."]:
    """Divide. Where a quotient is undefined or too large, set all quotients along ``axis`` to 0."""
    usable = (jnp.abs(numerator) < LARGEST * jnp.abs(denominator)).all(axis, keepdims=True)
    return jnp.where(usable, numerator / jnp.where(usable, denominator, 1.0), 0.0)


def solve(source: Float[Array, "s 3 2"], target: Float[Array, "s 3 2"]) -> Float[Array, "s 2 3"]:
    """Fit an affine map to each sample of three matches. Collinear points give a singular map."""
    (a, b), (c, d) = ((p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]) for p in (source, target))
    determinant = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])[:, None]
    numerators = c * b[:, 1:] - d * a[:, 1:], d * a[:, :1] - c * b[:, :1]
    columns = divide(jnp.stack(numerators, axis=1), determinant[:, None], axis=(1, 2))
    y_column, x_column = columns[:, 0], columns[:, 1]
    shift = target[:, 0] - y_column * source[:, 0, :1] - x_column * source[:, 0, 1:]
    return jnp.stack([y_column, x_column, shift], axis=-1)


def is_plausible(models: Float[Array, "s 2 3"], max_stretch: float) -> Bool[Array, " s"]:
    """Return whether each map is free of reflection and has scale factors within limits.

    The scale factors in all directions must be from ``1 / max_stretch`` to ``max_stretch``.
    """
    linear = jnp.clip(models[..., :2], -LARGEST, LARGEST)  # no product of these overflows
    determinant = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    squares = (linear**2).sum((1, 2))
    # The singular values of a 2x2 matrix follow from its determinant and Frobenius norm.
    gap = jnp.sqrt(jnp.maximum(squares**2 - 4 * determinant**2, 0.0))
    largest = jnp.sqrt((squares + gap) / 2)
    smallest = determinant / jnp.where(largest > 0, largest, 1.0)
    return (smallest >= 1 / max_stretch) & (largest <= max_stretch)


def squared_residuals(
    model: Float[Array, "*s 2 3"], source: Float[Array, "m 2"], target: Float[Array, "m 2"]
) -> Float[Array, "*s m"]:
    """Return the squared distance in pixels between each mapped source point and its target."""

    # One coordinate at a time, because XLA's batched matrix product is several times slower on a CPU.
    def difference(row: int) -> Float[Array, "*s m"]:
        a, b, shift = (model[..., row, column, None] for column in range(3))
        return a * source[:, 0] + b * source[:, 1] + (shift - target[:, row])

    return difference(0) ** 2 + difference(1) ** 2


def areas(model: Float[Array, "*s 2 3"]) -> Float[Array, "*s"]:
    """Return the factor by which each map enlarges areas. It is negative for mirrored maps."""
    a, b, c, d = (model[..., row, column] for row in (0, 1) for column in (0, 1))
    return a * d - b * c


def fit(
    source: Float[Array, "m 2"], target: Float[Array, "m 2"], mask: Bool[Array, " m"]
) -> Float[Array, "2 3"]:
    """Fit an affine map to the matches selected by ``mask``, by least squares."""
    weight = mask.astype(source.dtype)[:, None]
    total = jnp.maximum(weight.sum(), 1.0)
    # Coordinates are relative to the centroids: with raw pixels, the normal equations lose half of float32's digits.
    source_center, target_center = ((weight * p).sum(0) / total for p in (source, target))
    x, y = weight * (source - source_center), target - target_center
    (p, q), (_, r) = jnp.einsum("mi,mj->ij", x, source - source_center)
    determinant = p * r - q * q
    inverse = divide(jnp.array([[r, -q], [-q, p]]), determinant, axis=(0, 1))
    linear = jnp.einsum("mi,mj->ij", y, x) @ inverse
    return jnp.concatenate([linear, (target_center - linear @ source_center)[:, None]], axis=1)
