"""Geometric verification: RANSAC over all candidates of a query in one program (Sec. 4.4).

Every candidate photo brings up to a thousand putative matches. For each, thousands of models of three
matches (`delfjax.geometry.affine`: the paper's) or four (`delfjax.geometry.homography`) are solved in closed form, scored
on a few matches, the best of them on all, and the winner is refined by least squares on its inliers.
The paper's score of a photo is the number of inliers.
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
MATCH_BUCKETS = (64, 256, 1024)  # matches are padded to one of these numbers
CANDIDATE_BUCKETS = (1, 16, 128)  # and candidates to one of these


@dataclass(frozen=True, kw_only=True)
class RansacConfig:
    """How matches are verified.

    Attributes:
        residual: An inlier maps to within this many pixels of its counterpart in the database photo
            (official ``match_images``: 20).
        model: What maps the query to the database photo: the official code's affine map, or a homography.
        hypotheses: Models of three or four matches tried a photo (official code: 1000 trials).
        screened: Models that a quick look at ``screen_matches`` matches lets through.
        screen_matches: See ``screened``.
        refinements: Rounds of least squares on the inliers of the winner; they count anew each time.
        max_stretch: Models that stretch any direction by more than this, or shrink it so, are
            dropped, and so are mirrored ones: else a model that maps a whole photo to one point
            collects inliers for nothing. Not in the paper: the pyramid's scales span a factor of 8.
            A homography must pass at each corner of the box around the query's matches.
        seed: Of the samples.
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
    """What RANSAC says of one candidate.

    Attributes:
        affine: The best model; of a homography, the affine map that agrees with it to first order at the
            centroid of the inliers. NaN where no model has as many inliers as determine it.
        inliers: Which matches agree with the model.
        homography: The best model where homographies were asked for, NaN likewise.
    """

    affine: Float[np.ndarray, "2 3"]
    inliers: Bool[np.ndarray, " m"]
    homography: Float[np.ndarray, "3 3"] | None = None

    @property
    def num_inliers(self) -> int:
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
    """Verify candidate after candidate: all at once would be bound by memory, not by arithmetic.

    Returns:
        The models, affine maps for them, and their inliers.
    """
    key = jax.random.key(config.seed)

    def one(candidate: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        model, inliers = _ransac(*candidate, key, config)
        if config.model == "affine":
            return model, model, inliers
        center = (inliers[:, None] * candidate[0]).sum(0) / jnp.maximum(inliers.sum(), 1)
        return model, homography.linearize(model, center), inliers

    return jax.lax.map(one, (source, target, counts))


def _ransac(
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    count: Int[Array, ""],
    key: Key[Array, ""],
    config: RansacConfig,
) -> tuple[Float[Array, "r 3"], Bool[Array, " m"]]:
    """Find the map that most of the first ``count`` matches agree with."""
    kind = MODELS[config.model]
    real = jnp.arange(len(source)) < count
    corners = _corners(source, real)
    sample_key, screen_key = jax.random.split(key)
    samples = draw_samples(sample_key, config.hypotheses, count, kind.SAMPLE_SIZE)
    models = kind.solve(source[samples], target[samples])
    plausible = kind.is_plausible(models, corners, config.max_stretch)

    few = jnp.floor(
        jax.random.uniform(screen_key, (config.screen_matches,)) * count.astype(jnp.float32)
    ).astype(int)
    rough = msac(kind.squared_residuals(models, source[few], target[few]), real[few], config)
    _, passed = jax.lax.top_k(jnp.where(plausible, rough, -1.0), config.screened)
    scores = msac(kind.squared_residuals(models[passed], source, target), real, config)
    best = passed[jnp.argmax(jnp.where(plausible[passed], scores, -1.0))]

    model = models[best]
    for _ in range(config.refinements):
        model = _refine(model, source, target, real, corners, config)
    inliers = real & (residuals(kind, model, source, target) <= config.residual)
    found = plausible[best] & (count >= kind.SAMPLE_SIZE) & (inliers.sum() >= kind.SAMPLE_SIZE)
    return jnp.where(found, model, jnp.nan), inliers & found


def _corners(source: Float[Array, "m 2"], real: Bool[Array, " m"]) -> Float[Array, "4 2"]:
    """Return the corners of the box around the real matches' places in the query."""
    (top, left), (bottom, right) = (
        jnp.where(real[:, None], source, jnp.inf).min(0),
        jnp.where(real[:, None], source, -jnp.inf).max(0),
    )
    return jnp.array([[top, left], [top, right], [bottom, left], [bottom, right]])


def draw_samples(
    key: Key[Array, ""], number: int, count: Int[Array, ""], size: int
) -> Int[Array, "s k"]:
    """Draw samples of distinct numbers below ``count``, which may be traced (Floyd's scheme)."""
    uniform = jax.random.uniform(key, (size, number))
    ranges = jnp.maximum(count, size).astype(jnp.float32) - jnp.arange(size - 1.0, -1.0, -1.0)
    below = ranges[:, None]
    drawn: list[Int[Array, " s"]] = []
    for place, first in enumerate(jnp.minimum(jnp.floor(uniform * below), below - 1).astype(int)):
        # Where a draw is taken already, the largest number of its range cannot be: it stands in.
        taken = jnp.zeros(number, bool)
        for earlier in drawn:
            taken |= first == earlier
        drawn.append(jnp.where(taken, below[place].astype(int) - 1, first))
    return jnp.stack(drawn, axis=1)


def residuals(
    kind: ModuleType,
    model: Float[Array, "r 3"],
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
) -> Float[Array, " m"]:
    """Return how far each mapped source point lies from its target, in pixels."""
    return jnp.sqrt(kind.squared_residuals(model, source, target))


def msac(
    squared: Float[Array, "*s m"], real: Bool[Array, " m"], config: RansacConfig
) -> Float[Array, "*s"]:
    """Score models by ``sum max(0, 1 - r^2 / t^2)``: inliers, the nearer the more (Torr 2000)."""
    return jnp.where(real, jnp.maximum(0.0, 1 - squared / config.residual**2), 0.0).sum(-1)


def _refine(
    model: Float[Array, "r 3"],
    source: Float[Array, "m 2"],
    target: Float[Array, "m 2"],
    real: Bool[Array, " m"],
    corners: Float[Array, "4 2"],
    config: RansacConfig,
) -> Float[Array, "r 3"]:
    """Fit the model to its inliers; keep the fit if it has more of them (local optimization)."""
    kind = MODELS[config.model]
    inliers = real & (residuals(kind, model, source, target) <= config.residual)
    fitted = kind.fit(model, source, target, inliers)
    now, before = (
        msac(kind.squared_residuals(each, source, target), real, config) for each in (fitted, model)
    )
    good = kind.is_plausible(fitted[None], corners, config.max_stretch)[0]
    return jnp.where((now > before) & good, fitted, model)
