"""Geometric verification: affine RANSAC over all candidates of a query in one program (Sec. 4.4).

Every candidate photo brings up to a thousand putative matches. For each, thousands of three-match
models are solved in closed form, scored on a few matches, the best of them on all, and the winner is
refined by least squares on its inliers. The paper's score of a photo is the number of inliers.

Symbols: ``A`` a 2x3 affine map on homogeneous ``(y, x, 1)``, from query to database photo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from delfjax.axes import Matches

MATCH_BUCKETS = (64, 256, 1024)  # matches are padded to one of these numbers
CANDIDATE_BUCKETS = (1, 16, 128)  # and candidates to one of these


@dataclass(frozen=True, kw_only=True)
class RansacConfig:
    """How matches are verified.

    Attributes:
        residual: An inlier maps to within this many pixels of its counterpart in the database photo
            (official ``match_images``: 20).
        hypotheses: Three-match models tried a photo (official code: 1000 trials).
        screened: Models that a quick look at ``screen_matches`` matches lets through.
        screen_matches: See ``screened``.
        refinements: Rounds of least squares on the inliers of the winner; they count anew each time.
        max_stretch: Models that stretch any direction by more than this, or shrink it so, are
            dropped, and so are mirrored ones: else a model that maps a whole photo to one point
            collects inliers for nothing. Not in the paper: the pyramid's scales span a factor of 8.
        seed: Of the samples.
    """

    residual: float = 20.0
    hypotheses: int = 4096
    screened: int = 64
    screen_matches: int = 128
    refinements: int = 4
    max_stretch: float = 8.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification:
    """What RANSAC says of one candidate.

    Attributes:
        affine: The best model; NaN where none has three inliers.
        inliers: Which matches agree with it.
    """

    affine: Float[np.ndarray, "2 3"]
    inliers: Bool[np.ndarray, " m"]

    @property
    def count(self) -> int:
        """The number of inliers: the score of the paper."""
        return int(self.inliers.sum())


def verify(candidates: Sequence[Matches], config: RansacConfig | None = None) -> list[Verification]:
    """Verify every candidate of a query at once.

    The same matches and seed give the same result, alone or among others.
    """
    config = config or RansacConfig()
    results: list[Verification] = []
    largest = CANDIDATE_BUCKETS[-1]
    for start in range(0, len(candidates), largest):
        results += _verify_batch(candidates[start : start + largest], config)
    return results


def _verify_batch(candidates: Sequence[Matches], config: RansacConfig) -> list[Verification]:
    most = max(len(matches) for matches in candidates)
    # More matches than the largest bucket do not occur with 1000 features a photo, but may.
    size = next(
        (bucket for bucket in MATCH_BUCKETS if bucket >= most), 1 << (most - 1).bit_length()
    )
    rows = next(bucket for bucket in CANDIDATE_BUCKETS if bucket >= len(candidates))
    points = np.zeros((2, rows, size, 2), np.float32)
    counts = np.zeros(rows, np.int32)
    for row, matches in enumerate(candidates):
        counts[row] = len(matches)
        points[0, row, : len(matches)] = matches.query
        points[1, row, : len(matches)] = matches.database
    affines, inliers = (np.asarray(part) for part in _ransac_all(*points, counts, config))
    return [
        Verification(affine=affines[row], inliers=inliers[row, : len(matches)])
        for row, matches in enumerate(candidates)
    ]


@partial(jax.jit, static_argnames="config")
def _ransac_all(
    source: Float[Array, "b m 2"],
    target: Float[Array, "b m 2"],
    counts: Int[Array, " b"],
    config: RansacConfig,
) -> tuple[Float[Array, "b 2 3"], Bool[Array, "b m"]]:
    """Verify candidate after candidate: all at once would be bound by memory, not by arithmetic."""
    key = jax.random.key(config.seed)

    def one(candidate: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        return _ransac(*candidate, key, config)

    return jax.lax.map(one, (source, target, counts))


def _ransac(
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    count: Int[Array, ""],
    key: Key[Array, ""],
    config: RansacConfig,
) -> tuple[Float[Array, "2 3"], Bool[Array, " m"]]:
    """Find the affine map that most of the first ``count`` matches agree with."""
    real = jnp.arange(len(source)) < count
    sample_key, screen_key = jax.random.split(key)
    triples = sample_triples(sample_key, config.hypotheses, count)
    models = solve_three(source[triples], target[triples])
    plausible = is_plausible(models, config.max_stretch)

    few = jnp.floor(
        jax.random.uniform(screen_key, (config.screen_matches,)) * count.astype(jnp.float32)
    ).astype(int)
    rough = msac(models, source[few], target[few], real[few], config.residual)
    _, passed = jax.lax.top_k(jnp.where(plausible, rough, -1.0), config.screened)
    scores = msac(models[passed], source, target, real, config.residual)
    best = passed[jnp.argmax(jnp.where(plausible[passed], scores, -1.0))]

    model = models[best]
    for _ in range(config.refinements):
        model = _refine(model, source, target, real, config)
    inliers = real & (residuals(model, source, target) <= config.residual)
    found = plausible[best] & (count >= 3) & (inliers.sum() >= 3)
    return jnp.where(found, model, jnp.nan), inliers & found


def sample_triples(key: Key[Array, ""], number: int, count: Int[Array, ""]) -> Int[Array, "s 3"]:
    """Draw triples of distinct numbers below ``count``, which may be traced (Floyd's scheme)."""
    uniform = jax.random.uniform(key, (3, number))
    below = jnp.maximum(count, 3).astype(jnp.float32) - jnp.array([2.0, 1.0, 0.0])[:, None]
    first, second, third = jnp.minimum(jnp.floor(uniform * below), below - 1).astype(int)
    # Where a draw is taken already, the largest number of its range cannot be: it stands in.
    second = jnp.where(second == first, below[1].astype(int) - 1, second)
    third = jnp.where((third == first) | (third == second), below[2].astype(int) - 1, third)
    return jnp.stack([first, second, third], axis=1)


def solve_three(
    source: Float[Array, "s 3 2"], target: Float[Array, "s 3 2"]
) -> Float[Array, "s 2 3"]:
    """Solve ``A`` from three matches in closed form; three points on one line give NaN or infinity."""
    (a, b), (c, d) = _edges(source), _edges(target)
    determinant = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])[:, None]
    by_y = (c * b[:, 1:] - d * a[:, 1:]) / determinant
    by_x = (d * a[:, :1] - c * b[:, :1]) / determinant
    shift = target[:, 0] - by_y * source[:, 0, :1] - by_x * source[:, 0, 1:]
    return jnp.stack([by_y, by_x, shift], axis=-1)


def _edges(points: Float[Array, "s 3 2"]) -> tuple[Float[Array, "s 2"], Float[Array, "s 2"]]:
    return points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]


def is_plausible(models: Float[Array, "s 2 3"], max_stretch: float) -> Bool[Array, " s"]:
    """Tell which models keep handedness and stretch no direction by over ``max_stretch`` or its inverse."""
    linear = models[..., :2]
    determinant = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    squares = (linear**2).sum((1, 2))
    # Singular values of a 2x2 matrix from its determinant and Frobenius norm.
    gap = jnp.sqrt(jnp.maximum(squares**2 - 4 * determinant**2, 0.0))
    largest = jnp.sqrt((squares + gap) / 2)
    smallest = determinant / largest
    return (smallest >= 1 / max_stretch) & (largest <= max_stretch)  # NaN compares false


def residuals(
    model: Float[Array, "*s 2 3"], source: Float[Array, "m 2"], target: Float[Array, "m 2"]
) -> Float[Array, "*s m"]:
    """Return how far each mapped source point lies from its target, in pixels."""
    return jnp.sqrt(_squared_residuals(model, source, target))


def _squared_residuals(
    model: Float[Array, "*s 2 3"], source: Float[Array, "m 2"], target: Float[Array, "m 2"]
) -> Float[Array, "*s m"]:
    # Written out by coordinate: as a batched matrix product XLA is several times slower on CPU.
    def off(row: int) -> Float[Array, "*s m"]:
        a, b, shift = (model[..., row, column, None] for column in range(3))
        return a * source[:, 0] + b * source[:, 1] + (shift - target[:, row])

    return off(0) ** 2 + off(1) ** 2


def msac(
    models: Float[Array, "s 2 3"],
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    real: Bool[Array, " m"],
    residual: float,
) -> Float[Array, " s"]:
    """Score models by ``sum max(0, 1 - r^2 / t^2)``: inliers, the nearer the more (Torr 2000)."""
    squared = _squared_residuals(models, source, target)
    return jnp.where(real, jnp.maximum(0.0, 1 - squared / residual**2), 0.0).sum(-1)


def _refine(
    model: Float[Array, "2 3"],
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    real: Bool[Array, " m"],
    config: RansacConfig,
) -> Float[Array, "2 3"]:
    """Fit the model to its inliers; keep the fit if it has more of them (local optimisation)."""
    inliers = real & (residuals(model, source, target) <= config.residual)
    fitted = fit_affine(source, target, inliers)
    better = msac(fitted[None], source, target, real, config.residual) > msac(
        model[None], source, target, real, config.residual
    )
    return jnp.where(better[0] & is_plausible(fitted[None], config.max_stretch)[0], fitted, model)


def fit_affine(
    source: Float[Array, "m 2"], target: Float[Array, "m 2"], chosen: Bool[Array, " m"]
) -> Float[Array, "2 3"]:
    """Fit ``A`` to the chosen matches by least squares, through the normal equations."""
    weight = chosen.astype(source.dtype)[:, None]
    total = jnp.maximum(weight.sum(), 1.0)
    # About the centroids: the normal equations of raw pixels would lose half of float32's digits.
    centre, aim = (weight * source).sum(0) / total, (weight * target).sum(0) / total
    x, y = weight * (source - centre), target - aim
    (p, q), (_, r) = jnp.einsum("mi,mj->ij", x, source - centre)
    determinant = p * r - q * q
    inverse = jnp.array([[r, -q], [-q, p]]) / determinant
    linear = jnp.einsum("mi,mj->ij", y, x) @ inverse
    return jnp.concatenate([linear, (aim - linear @ centre)[:, None]], axis=1)
