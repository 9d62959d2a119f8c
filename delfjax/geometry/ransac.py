"""Verify the candidates of a query by RANSAC, all of them in one compiled program (Sec. 4.4).

Each candidate photo has up to 1000 putative matches. RANSAC solves thousands of models from samples of
three matches (`delfjax.geometry.affine`, as in the paper) or four (`delfjax.geometry.homography`). It scores
them on a few matches, the best of them on all matches, and refines the winner by least squares on its
inliers. The number of inliers is the paper's score of a photo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from delfjax.geometry import affine, homography
from delfjax.types import Matches

Model = Literal["affine", "homography"]
MODELS: dict[Model, ModuleType] = {"affine": affine, "homography": homography}
# Arrays are padded to one of these sizes, so that few programs are compiled.
MATCH_BUCKETS = (64, 256, 1024)
CANDIDATE_BUCKETS = (1, 16, 128)


@dataclass(frozen=True, kw_only=True)
class RansacConfig:
    """Settings of RANSAC.

    Attributes:
        residual: Inlier threshold: largest distance in pixels, in the database photo, between a mapped
            query point and its match (official ``match_images``: 20).
        model: Kind of map from the query to the database photo. ``"affine"`` is that of the official
            code.
        hypotheses: Number of models that are solved from samples (official code: 1000).
        screened: Number of models that pass the first scoring, on ``screen_matches`` random matches.
        screen_matches: Number of matches in the first scoring.
        refinements: Number of least-squares fits to the inliers of the winner.
        max_stretch: Largest scale factor of a model in any direction; the smallest one is its inverse.
            Models beyond it and mirrored ones are rejected. Otherwise a model that maps a whole photo
            to one point collects inliers. Not in the paper; the pyramid's scales span a factor of 8. A
            homography must pass at each corner of the box around the query's matches.
        seed: Random seed of the samples.
    """

    residual: float = 20.0
    model: Model = "affine"
    hypotheses: int = 4096
    screened: int = 64
    screen_matches: int = 128
    refinements: int = 4
    max_stretch: float = 8.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification:
    """Result of RANSAC for one candidate photo.

    Attributes:
        affine: Affine map from the query to the candidate, on ``(y, x, 1)``. For a homography, its
            first-order approximation at the centroid of the inliers. NaN if no model was found.
        inliers: Whether each match is an inlier.
        homography: The homography, if ``RansacConfig.model`` is ``"homography"``. NaN if none was found.
    """

    affine: Float[np.ndarray, "2 3"]
    inliers: Bool[np.ndarray, " m"]
    homography: Float[np.ndarray, "3 3"] | None = None

    @property
    def num_inliers(self) -> int:
        """Number of inliers: the paper's score of a photo."""
        return int(self.inliers.sum())


def verify(candidates: Sequence[Matches], config: RansacConfig | None = None) -> list[Verification]:
    """Verify the candidates of one query by RANSAC.

    The result of a candidate does not depend on the other candidates.

    Args:
        candidates: Putative matches between the query and each candidate photo.
        config: Settings. By default `RansacConfig()`.

    Returns:
        One result per candidate, in order.
    """
    config = config or RansacConfig()
    results: list[Verification] = []
    largest = CANDIDATE_BUCKETS[-1]
    for start in range(0, len(candidates), largest):
        results += _verify_batch(candidates[start : start + largest], config)
    return results


def _verify_batch(candidates: Sequence[Matches], config: RansacConfig) -> list[Verification]:
    most = max(len(matches) for matches in candidates)
    # More matches than the largest bucket occur only with more than 1000 features per photo.
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
    models, affines, inliers = (np.asarray(part) for part in _ransac_all(*points, counts, config))
    return [
        Verification(
            affine=affines[row],
            inliers=inliers[row, : len(matches)],
            homography=models[row] if config.model == "homography" else None,
        )
        for row, matches in enumerate(candidates)
    ]


@partial(jax.jit, static_argnames="config")
def _ransac_all(
    source: Float[Array, "b m 2"],
    target: Float[Array, "b m 2"],
    counts: Int[Array, " b"],
    config: RansacConfig,
) -> tuple[Float[Array, "b r 3"], Float[Array, "b 2 3"], Bool[Array, "b m"]]:
    """Verify candidate after candidate. All at once would be limited by memory bandwidth.

    Returns:
        The model of each candidate, its affine map, and its inliers.
    """
    key = jax.random.key(config.seed)

    def verify_one(candidate: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        model, inliers = _ransac(*candidate, key, config)
        if config.model == "affine":
            return model, model, inliers
        center = (inliers[:, None] * candidate[0]).sum(0) / jnp.maximum(inliers.sum(), 1)
        return model, homography.linearize(model, center), inliers

    return jax.lax.map(verify_one, (source, target, counts))


def _ransac(
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    count: Int[Array, ""],
    key: Key[Array, ""],
    config: RansacConfig,
) -> tuple[Float[Array, "r 3"], Bool[Array, " m"]]:
    """Find the model with the best score on the first ``count`` matches, and its inliers."""
    kind = MODELS[config.model]
    valid = jnp.arange(len(source)) < count
    corners = _corners(source, valid)
    sample_key, screen_key = jax.random.split(key)
    samples = draw_samples(sample_key, config.hypotheses, count, kind.SAMPLE_SIZE)
    models = kind.solve(source[samples], target[samples])
    plausible = kind.is_plausible(models, corners, config.max_stretch)

    subset = jnp.floor(
        jax.random.uniform(screen_key, (config.screen_matches,)) * count.astype(jnp.float32)
    ).astype(int)
    screen_residuals = kind.squared_residuals(models, source[subset], target[subset])
    screen_scores = msac_score(screen_residuals, valid[subset], config)
    _, passed = jax.lax.top_k(jnp.where(plausible, screen_scores, -1.0), config.screened)
    scores = msac_score(kind.squared_residuals(models[passed], source, target), valid, config)
    best = passed[jnp.argmax(jnp.where(plausible[passed], scores, -1.0))]

    model = models[best]
    for _ in range(config.refinements):
        model = _refine(model, source, target, valid, corners, config)
    inliers = valid & (residuals(kind, model, source, target) <= config.residual)
    found = plausible[best] & (count >= kind.SAMPLE_SIZE) & (inliers.sum() >= kind.SAMPLE_SIZE)
    return jnp.where(found, model, jnp.nan), inliers & found


def _corners(source: Float[Array, "m 2"], valid: Bool[Array, " m"]) -> Float[Array, "4 2"]:
    """Return the corners of the box around the valid matches in the query."""
    (top, left), (bottom, right) = (
        jnp.where(valid[:, None], source, jnp.inf).min(0),
        jnp.where(valid[:, None], source, -jnp.inf).max(0),
    )
    return jnp.array([[top, left], [top, right], [bottom, left], [bottom, right]])


def draw_samples(
    key: Key[Array, ""], number: int, count: Int[Array, ""], size: int
) -> Int[Array, "s k"]:
    """Draw samples of distinct row numbers by Floyd's algorithm.

    Args:
        key: Random key.
        number: Number of samples.
        count: Row numbers are smaller than this. It may be traced.
        size: Row numbers per sample.
    """
    uniform = jax.random.uniform(key, (size, number))
    ranges = jnp.maximum(count, size).astype(jnp.float32) - jnp.arange(size - 1.0, -1.0, -1.0)
    below = ranges[:, None]
    drawn: list[Int[Array, " s"]] = []
    candidates = jnp.minimum(jnp.floor(uniform * below), below - 1).astype(int)
    for column, candidate in enumerate(candidates):
        # A number that is already in the sample is replaced by the largest of the range, which is not.
        taken = jnp.zeros(number, bool)
        for earlier in drawn:
            taken |= candidate == earlier
        drawn.append(jnp.where(taken, below[column].astype(int) - 1, candidate))
    return jnp.stack(drawn, axis=1)


def residuals(
    kind: ModuleType,
    model: Float[Array, "r 3"],
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
) -> Float[Array, " m"]:
    """Return the distance between each mapped source point and its target, in pixels."""
    return jnp.sqrt(kind.squared_residuals(model, source, target))


def msac_score(
    squared: Float[Array, "*s m"], valid: Bool[Array, " m"], config: RansacConfig
) -> Float[Array, "*s"]:
    """Score models by ``sum max(0, 1 - r^2 / t^2)``, which prefers close inliers (Torr and Zisserman 2000).

    Args:
        squared: Squared residuals ``r^2`` of each model and match.
        valid: Matches to count.
        config: Its ``residual`` is the threshold ``t``.
    """
    return jnp.where(valid, jnp.maximum(0.0, 1 - squared / config.residual**2), 0.0).sum(-1)


def _refine(
    model: Float[Array, "r 3"],
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    valid: Bool[Array, " m"],
    corners: Float[Array, "4 2"],
    config: RansacConfig,
) -> Float[Array, "r 3"]:
    """Fit the model to its inliers, and keep the fit if its score is higher (local optimization)."""
    kind = MODELS[config.model]
    inliers = valid & (residuals(kind, model, source, target) <= config.residual)
    fitted = kind.fit(model, source, target, inliers)
    new_score, old_score = (
        msac_score(kind.squared_residuals(each, source, target), valid, config)
        for each in (fitted, model)
    )
    plausible = kind.is_plausible(fitted[None], corners, config.max_stretch)[0]
    return jnp.where((new_score > old_score) & plausible, fitted, model)
